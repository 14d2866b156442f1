"""What agents call to compare a ledger with what the hub has of it, and to push it in full."""

import contextlib
from collections.abc import Iterator
from uuid import UUID

from aiohttp import web

from trueup_hub.errors import NotFound
from trueup_hub.handlers import bodies
from trueup_hub.ingest import compare, generations
from trueup_hub.keys import ADMISSION, CALLER, DATABASE, LIVE, QUERY
from trueup_hub.responses import agent_reply
from trueup_hub.scrubbing import scrub_host
from trueup_shared.wire import CommitGeneration, OpenGeneration


async def post_generation(request: web.Request) -> web.Response:
    """Begin a full push or go on with it. 409 has the hub's position if the ledger's last batch is another."""
    host, ledger_id = request[CALLER], str(bodies.path_ledger_id(request))
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
    host, ledger_id = request[CALLER], str(bodies.path_ledger_id(request))
    number = _number(request, "generation", (1 << 31) - 1)
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
    """256 sums, and the rejected rows beside them."""
    with _reading(request) as (place, deep):
        return agent_reply(request, await compare.buckets(request.app[DATABASE], *place, deep=deep))


async def get_bucket(request: web.Request) -> web.Response:
    """The sessions of one bucket."""
    bucket = _number(request, "bucket", compare.BUCKETS - 1)
    with _reading(request) as (place, deep):
        return agent_reply(request, await compare.bucket_sessions(request.app[DATABASE], *place, bucket, deep=deep))


async def get_session_rows(request: web.Request) -> web.Response:
    """Digests of the rows of one session."""
    try:
        session_key = UUID(hex=request.match_info["session_key"]).bytes
    except ValueError:
        raise NotFound("A session key is 32 hexadecimal digits.") from None
    with _reading(request) as (place, deep):
        return agent_reply(request, await compare.session_rows(request.app[DATABASE], *place, session_key, deep=deep))


@contextlib.contextmanager
def _reading(request: web.Request) -> Iterator[tuple[tuple[int, str], bool]]:
    """(host_no, ledger_id) and whether columns are to be read: as much work as a batch, and admitted like one."""
    host, ledger_id = request[CALLER], str(bodies.path_ledger_id(request))
    deep = request[QUERY]["deep"] == "1"
    with request.app[ADMISSION].admitted(host.host_no) if deep else contextlib.nullcontext():
        yield (host.host_no, ledger_id), deep


def _number(request: web.Request, name: str, highest: int) -> int:
    text = request.match_info[name]
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > highest:
        raise NotFound(f"The {name} is a number up to {highest}.")
    return int(text)
