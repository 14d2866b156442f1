"""`GET /sources`: logs that harnesses write, on all hosts."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.analytics.cursors import Cursor, list_id, read_cursor, write_cursor
from trueup_hub.analytics.heads import HostName
from trueup_hub.hosts import live_ledgers
from trueup_hub.params import COMMON, HOSTS, Parameter
from trueup_hub.reports import SourceReport

if TYPE_CHECKING:
    from trueup_hub.db import Connection

MAX_LIMIT = 1_000
MAX_SOURCES = 1_000  # of one host
STATES = ("present", "source_gone", "truncated", "rewritten")
TAKES = (
    *HOSTS,
    *(parameter for parameter in COMMON if parameter.name == "harness"),
    Parameter(name="state", kind="choice", doc="Only logs of which their agents say this.", choices=STATES),
    Parameter(name="limit", kind="whole", doc="How many on a page.", lowest=1, highest=MAX_LIMIT, default=100),
    Parameter(name="cursor", kind="text", doc="Where the page begins: `next_cursor` of the one before."),
)


class Source(SourceReport, frozen=True, kw_only=True):
    """A log, and whose it is."""

    host: HostName


class Sources(Struct, frozen=True):
    """Host by host. `next_cursor`: null on the last page."""

    sources: list[Source]
    total: int  # on all pages
    next_cursor: str | None


async def list_sources(
    connection: "Connection",
    host_numbers: list[int] | None,
    harnesses: list[int] | None,
    state: str | None,
    limit: int,
    after: str | None,
) -> Sources:
    """One page of these hosts' (None = all) and harnesses', of ledgers whose place no other took. BadRequest for a
    cursor of another list."""
    this = list_id("sources", host_numbers, harnesses, state)
    cursor = read_cursor(after, this)
    sql = sqlfiles.load("sources")
    chosen = (await live_ledgers(connection, host_numbers), harnesses, state)
    place = (cursor.value, cursor.ledger_no, cursor.key) if cursor else (None,) * 3
    rows = await connection.fetch(sql["list_sources"], *chosen, *place, limit + 1)
    page, last = rows[:limit], rows[limit - 1 : limit] if len(rows) > limit else []
    return Sources(
        sources=[Source(host=HostName(str(UUID(bytes=row["host_id"])), row["label"]), **_fields(row)) for row in page],
        total=await connection.fetchval(sql["count_sources"], *chosen),
        next_cursor=write_cursor(Cursor(this, last[0]["host_no"], last[0]["source_key"], last[0]["ledger_no"]))
        if last
        else None,
    )


async def sources_of(connection: "Connection", host_no: int) -> tuple[list[SourceReport], int]:
    """MAX_SOURCES at most, those that lost something first; how many there are."""
    rows = await connection.fetch(sqlfiles.load("sources")["sources_of_host"], host_no, MAX_SOURCES)
    return [SourceReport(**_fields(row)) for row in rows], rows[0]["of"] if rows else 0


def _fields(row: Any) -> dict[str, Any]:
    same = ("harness", "state", "bytes_read", "lines", "skipped_lines", "unknown_records", "path")
    fields = {name: row[name] for name in same}
    return fields | {"ledger_id": UUID(bytes=row["ledger_id"]), "source_key": row["source_key"].hex()}
