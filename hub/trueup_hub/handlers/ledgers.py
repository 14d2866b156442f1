"""What agents call to compare a ledger with what the hub has of it, and to push it in full."""

import contextlib
from collections.abc import Iterator

from aiohttp import web

from trueup_hub.handlers import bodies
from trueup_hub.ingest import compare, generations
from trueup_hub.keys import ADMISSION, CALLER, DATABASE, LIVE, QUERY
from trueup_hub.responses import agent_reply
from trueup_hub.scrubbing import scrub_host
from trueup_shared.wire import PAGES, CommitGeneration, OpenGeneration


async def post_generation(request: web.Request) -> web.Response:
    """Begin a full push or go on with it. 409 has the hub's position where the ledger's last batch is another."""
    host, ledger_id = request[CALLER], str(request[QUERY]["ledger_id"])
    asked = await bodies.read(request, OpenGeneration)
    bodies.check_protocol(asked.agent)
    with request.app[ADMISSION].admitted(host.host_no):
        where = await generations.open_generation(
            request.app[DATABASE], host.host_no, str(host.host_id), ledger_id, asked
        )
    return agent_reply(request, where)


async def post_commit(request: web.Request) -> web.Response:
    """End a full push: what it did not confirm is removed. May take minutes: whoever cannot wait asks again (429).

    Rows that were altered or lost behind our back are counted in rollups as they were sent, and those that came again
    a second time: what is made of the host's rows is mended before we answer.
    """
    host, ledger_id = request[CALLER], str(request[QUERY]["ledger_id"])
    number = request[QUERY]["generation"]
    asked = await bodies.read(request, CommitGeneration)
    bodies.check_protocol(asked.agent)
    with request.app[ADMISSION].admitted(host.host_no):
        committed = await generations.commit_generation(
            request.app[DATABASE], host.host_no, str(host.host_id), ledger_id, number, asked
        )
        if committed.corrected:
            await scrub_host(request.app[DATABASE], host.host_no)
    request.app[LIVE].usage_changed(str(host.host_id))
    return agent_reply(request, committed)


async def get_buckets(request: web.Request) -> web.Response:
    """256 sums of row digests by the first byte of the session key, and the rejected rows beside them.

    In pages for whoever prefers that.
    """
    paged = PAGES in request.headers.get("Prefer", "").replace(" ", "").split(",")
    after = request[QUERY]["rejected_after"] or ("" if paged else None)
    with _reading(request) as (place, deep):
        return agent_reply(request, await compare.buckets(request.app[DATABASE], *place, deep=deep, after=after))


async def get_bucket(request: web.Request) -> web.Response:
    """The sessions of one bucket."""
    bucket = request[QUERY]["bucket"]
    with _reading(request) as (place, deep):
        return agent_reply(request, await compare.bucket_sessions(request.app[DATABASE], *place, bucket, deep=deep))


async def get_session_rows(request: web.Request) -> web.Response:
    """Digests of the rows of one session."""
    session_key = request[QUERY]["session_key"]
    with _reading(request) as (place, deep):
        return agent_reply(request, await compare.session_rows(request.app[DATABASE], *place, session_key, deep=deep))


@contextlib.contextmanager
def _reading(request: web.Request) -> Iterator[tuple[tuple[int, str], bool]]:
    """(host_no, ledger_id) and whether columns are to be read: as much work as a batch, and admitted like one."""
    host, ledger_id = request[CALLER], str(request[QUERY]["ledger_id"])
    deep = request[QUERY]["deep"] == "1"
    with request.app[ADMISSION].admitted(host.host_no) if deep else contextlib.nullcontext():
        yield (host.host_no, ledger_id), deep
