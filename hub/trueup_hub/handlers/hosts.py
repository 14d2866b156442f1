"""Hosts, for people: list, one with its sources, a new name."""

from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Struct

from trueup_hub import hosts
from trueup_hub.enrolment import clean_label
from trueup_hub.errors import NotFound
from trueup_hub.handlers import bodies
from trueup_hub.keys import AUTH, CALLER, DATABASE, LIVE
from trueup_hub.responses import csv_reply, reply, wants_csv

_CSV_COLUMNS = [
    "host_id",
    "label",
    "kind",
    "platform",
    "state",
    "reason",
    "enrolled_at",
    "last_seen_at",
    "readmitted_at",
    "retired_at",
]


class HostChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be changed; what is absent stays."""

    label: str | None = None
    labels: dict[str, str] | None = None


async def get_hosts(request: web.Request) -> web.Response:
    reports = await hosts.list_hosts(request.app[DATABASE])
    if wants_csv(request):
        return csv_reply((msgspec.to_builtins(report) for report in reports), _CSV_COLUMNS, "hosts")
    return reply({"hosts": reports})


async def get_host(request: web.Request) -> web.Response:
    db, host_id = request.app[DATABASE], _host_id(request)
    reports = await hosts.list_hosts(db, host_id)
    if not reports:
        raise NotFound("There is no such host.")
    sources = await hosts.sources_of(db, reports[0].host_no)
    return reply({**msgspec.structs.asdict(reports[0]), "sources": sources})


async def patch_host(request: web.Request) -> web.Response:
    change = await bodies.read(request, HostChange)
    host_id = _host_id(request)
    label = None if change.label is None else clean_label(change.label)
    if not await hosts.change_host(request.app[DATABASE], host_id, label, change.labels):
        raise NotFound("There is no such host.")
    await request.app[AUTH].note(request[CALLER].name, "host.change", str(host_id), msgspec.to_builtins(change))
    request.app[LIVE].host_changed(str(host_id))
    return await get_host(request)


def _host_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["host_id"])
    except ValueError:
        raise NotFound("There is no such host: a host id is a UUID.") from None
