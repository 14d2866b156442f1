"""Hosts, for people: list, one with its sources and what it was asked, a new name, asking, retiring, forgetting."""

import contextlib
import time
from datetime import timedelta
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from trueup_hub import directives, hosts, rejections, sources
from trueup_hub.analytics.scope import chosen_hosts, numbers_of
from trueup_hub.directives import DirectiveStatus
from trueup_hub.enrolment import (
    LONGEST_LIFE,
    MOST_USES,
    check_label_names,
    clean_label,
    new_enroll_code,
)
from trueup_hub.errors import BadRequest, NotFound
from trueup_hub.handlers import bodies
from trueup_hub.ingest import forgetting
from trueup_hub.keys import AUTH, CALLER, DATABASE, LIVE, QUERY
from trueup_hub.reports import HostReport, SourceReport
from trueup_hub.responses import answer, reply
from trueup_shared.storable import WordMap

_FORGETTING_SECONDS = 2.0  # that a request may take


class HostChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be changed; what is absent stays."""

    label: str | None = None
    labels: WordMap | None = None
    retired: bool | None = None


class Resync(Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent is asked for, and why, for people."""

    kind: Annotated[str, Meta(extra_json_schema={"enum": list(directives.KINDS)})] = "full_push"
    reason: str = ""


class NewEnrollCode(Struct, frozen=True, forbid_unknown_fields=True):
    """For how many machines, for how long, and which labels each gets."""

    uses: Annotated[int, Meta(ge=1, le=MOST_USES)] | None = 1  # null = any number
    expires_seconds: Annotated[int, Meta(ge=1, le=int(LONGEST_LIFE.total_seconds()))] | None = 86_400  # null = never
    labels: WordMap = {}


class Hosts(Struct, frozen=True):
    hosts: list[HostReport]  # in the order of their enrolment
    next_cursor: str | None  # null on the last page


class Host(HostReport, frozen=True, kw_only=True):
    """A host with what it was asked for, the newest first, and the logs that its agent reads."""

    directives: list[DirectiveStatus]
    sources: list[SourceReport]  # at most 1,000, those that lost something first
    sources_total: int


class Asked(Struct, frozen=True):
    directives: list[DirectiveStatus]  # one for each live ledger


async def get_hosts(request: web.Request) -> web.Response:
    """Machines and their ledgers, in the order of their enrolment."""
    query = request[QUERY]
    async with request.app[DATABASE].snapshot() as connection:
        numbers = await chosen_hosts(connection, query["host"], query.labels())
        found = Hosts(*await hosts.page_of_hosts(connection, numbers, query["cursor"], query["limit"]))
    return await answer(request, found, "hosts", found.hosts, HostReport)


async def get_host(request: web.Request) -> web.Response:
    """One machine, its sources, and what its agent was asked for."""
    async with request.app[DATABASE].snapshot() as connection:
        reports = await hosts.list_hosts(connection, request[QUERY]["host_id"])
        if not reports:
            raise NotFound("There is no such host.")
        found, total = await sources.sources_of(connection, reports[0].host_no)
        asked = await directives.directives_of(connection, reports[0].host_no)
    host = msgspec.structs.asdict(reports[0])
    return reply(Host(**host, directives=asked, sources=found, sources_total=total))


async def get_rejections(request: web.Request) -> web.Response:
    """Rows that the hub could not accept, the latest first, page by page."""
    query = request[QUERY]
    async with request.app[DATABASE].snapshot() as connection:
        numbers = await chosen_hosts(connection, query["host"], query.labels())
        found = await rejections.list_rejections(connection, numbers, query["limit"], query["cursor"])
    return await answer(request, found, "rejections", found.rejections, rejections.RejectedRow)


async def get_sources(request: web.Request) -> web.Response:
    """Logs that harnesses write, on all hosts, page by page."""
    query = request[QUERY]
    async with request.app[DATABASE].snapshot() as connection:
        numbers = await chosen_hosts(connection, query["host"], query.labels())
        harnesses = await numbers_of(connection, "harness", query["harness"])
        asked = (numbers, harnesses, query["state"], query["limit"], query["cursor"])
        found = await sources.list_sources(connection, *asked)
    return await answer(request, found, "sources", found.sources, sources.Source)


async def patch_host(request: web.Request) -> web.Response:
    """Give a host another name or other labels, or retire it: its access ends, what it sent stays."""
    change = await bodies.read(request, HostChange)
    host_id = request[QUERY]["host_id"]
    label = None if change.label is None else clean_label(change.label)
    check_label_names(change.labels or {})
    auth, actor = request.app[AUTH], request[CALLER].name
    if change.retired is False:
        raise BadRequest("bad_parameter", "A retired host does not come back: enrol the machine again.")
    if not await hosts.change_host(request.app[DATABASE], host_id, label, change.labels):
        raise NotFound("There is no such host.")
    if label is not None or change.labels is not None:
        await auth.note(actor, "host.change", str(host_id), {"label": label, "labels": change.labels})
    if change.retired:
        await hosts.retire_host(auth, host_id, actor)
    request.app[LIVE].host_changed(str(host_id))
    return await get_host(request)


async def delete_host(request: web.Request) -> web.Response:
    """Have a host forgotten: its access ends at once, its rows go.

    200 when all of it is gone, 202 with the number of rows left where it takes longer: the hub goes on by itself.
    """
    auth, host_id = request.app[AUTH], request[QUERY]["host_id"]
    if not await forgetting.begin(auth, host_id, request[CALLER].name):
        raise NotFound("There is no such host.")
    done, until = forgetting.Forgotten(removed=0, left=0), time.monotonic() + _FORGETTING_SECONDS
    async with contextlib.aclosing(forgetting.forget_host(auth.db, host_id)) as steps:
        async for step in steps:
            done = step
            if done.left and time.monotonic() > until:
                break
    request.app[LIVE].host_changed(str(host_id))
    request.app[LIVE].usage_changed(str(host_id))
    return reply(done, status=202 if done.left else 200)


async def post_resync(request: web.Request) -> web.Response:
    """Ask the agent of a host to send again or to look again.

    One directive for each live ledger; one that is open already is given back.
    """
    asked = await bodies.read(request, Resync) if request.can_read_body else Resync()
    host_id, actor = request[QUERY]["host_id"], request[CALLER].name
    if asked.kind not in directives.KINDS:
        detail = f"An agent cannot be asked for '{asked.kind}'; 'kind' is one of {', '.join(directives.KINDS)}."
        raise BadRequest("unknown_value", detail, parameter="kind", supported=list(directives.KINDS))
    reason = clean_label(asked.reason, "reason") if asked.reason else ""
    made = await directives.ask(request.app[DATABASE], host_id, asked.kind, actor, reason)
    ids = [str(directive.directive_id) for directive in made]
    await request.app[AUTH].note(actor, "host.resync", str(host_id), {"kind": asked.kind, "directives": ids})
    request.app[LIVE].host_changed(str(host_id))
    return reply(Asked(made), status=202)


async def post_enroll_code(request: web.Request) -> web.Response:
    """Make a code with which machines enrol: `trueup agent enroll URL --code CODE`.

    The answer is the only place where it stands: the hub keeps its hash.
    """
    asked = await bodies.read(request, NewEnrollCode) if request.can_read_body else NewEnrollCode()
    life = None if asked.expires_seconds is None else timedelta(seconds=asked.expires_seconds)
    actor = request[CALLER].name
    made = await new_enroll_code(request.app[DATABASE], actor, uses=asked.uses, life=life, labels=asked.labels)
    return reply(made, status=201)
