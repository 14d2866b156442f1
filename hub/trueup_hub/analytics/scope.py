"""What a request counts: its range, zone and filters, resolved to the numbers that rollups are keyed by.

All statements of a scope see one moment of the database, so the parts of an answer agree with each other.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from trueup_hub import sqlfiles
from trueup_hub.analytics.buckets import Buckets, whole
from trueup_hub.analytics.totals import TOTAL_REPORTED, Row, sums_sql
from trueup_hub.errors import BadRequest
from trueup_hub.ingest.measures import MEASURES
from trueup_hub.params import DIMENSIONS, Common
from trueup_shared.times import first_slot, local_time

if TYPE_CHECKING:
    from trueup_hub.db import Connection, Database

ALL_SLOTS = (0, 2**31 - 1)
_FILTERS = " AND ".join(
    f"(${n}::int4[] IS NULL OR {column} = ANY (${n}))"
    for n, column in enumerate(("host_no", "harness", "project", "model", "provider"), 3)  # as DIMENSIONS
)


def sql(module: str, name: str, columns: Sequence[str] = MEASURES) -> str:
    """A block of `sql/<module>.sql`, with what stands in braces filled in; {sums} for `columns` of a usage rollup."""
    block = sqlfiles.load(module)[name].replace("{filters}", _FILTERS).replace("{total_reported}", TOTAL_REPORTED)
    return block.replace("{sums}", sums_sql(columns))


class Range(Struct, frozen=True, kw_only=True):
    """Echoed by every answer: what was really counted. Both days are included."""

    first: date = field(name="from")
    last: date = field(name="to")
    timezone: str


class Named(Struct, frozen=True, kw_only=True):
    """A value of a dimension. `key` is what a filter takes, null = unknown; hosts have their label beside the id."""

    key: str | None
    label: str | None


class Scope:
    """Made by `open_scope`. `numbers`: for each of DIMENSIONS the numbers to count, None = all."""

    def __init__(
        self,
        connection: "Connection",
        first: date,
        last: date,
        zone: ZoneInfo,
        zone_no: int | None,
        numbers: Sequence[list[int] | None],
    ) -> None:
        self.connection = connection
        self.first, self.last, self.zone = first, last, zone
        self.numbers = tuple(numbers)
        self.whole = whole(first, last, zone)
        self.filters = (*self.whole.bounds, *self.numbers)  # $1 … $7 of blocks over slots
        host, harness, project, model, provider = self.numbers
        # … and over the days of zones in use, which know no project: None where they cannot answer
        self.days_filters = None
        if zone_no is not None and project is None:
            self.days_filters = (first, last, host, harness, model, provider, zone_no)

    @property
    def echo(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "timezone": self.zone.key}

    async def fetch(self, module: str, name: str, *args: Any) -> list[Any]:
        """Rows of block `name`; `args` follow the filters."""
        return await self.connection.fetch(sql(module, name), *self.filters, *args)

    async def usage(
        self, buckets: Buckets, by: str | None = None, columns: Sequence[str] = MEASURES
    ) -> dict[tuple[int, int], Row]:
        """Sums of usage by (bucket, number of dimension `by`); what is empty is absent."""
        args: list[Any]
        name, args = "usage_by_slot", [*self.filters, buckets.bounds, by]
        if self.days_filters is not None and buckets.days is not None and by != "project":
            name, args = "usage_by_day", [*self.days_filters, buckets.days, by]
        rows: list[Any] = await self.connection.fetch(sql("analytics", name, columns), *args)
        return {(row["bucket"], row["key"]): row for row in rows}

    async def unpriced_tokens(self) -> int:
        """Tokens without a list price."""
        by_day = self.days_filters is not None
        statement = sql("trust", "unpriced_by_day" if by_day else "unpriced_by_slot")
        tokens: int = await self.connection.fetchval(statement, *(self.days_filters or self.filters))
        return tokens

    async def counts(self, buckets: Buckets, by: str | None = None) -> dict[tuple[int, int], Row]:
        """Messages, tool calls and session starts by (bucket, number of dimension `by`)."""
        rows = await self.fetch("analytics", "counts_by_slot", buckets.bounds, by)
        return {(row["bucket"], row["key"]): row for row in rows}

    async def names(self, by: str | None, numbers: Iterable[int]) -> dict[int, Named]:
        """What the numbers of a dimension are called."""
        wanted = list(set(numbers))
        if by is None:
            return {0: Named(key=None, label=None)}
        if by == "host":
            hosts = await self.connection.fetch(
                "SELECT host_no, host_id, label FROM hosts WHERE host_no = ANY($1::int4[])", wanted
            )
            return {row[0]: Named(key=str(UUID(bytes=row[1])), label=row[2]) for row in hosts}
        terms = await self.connection.fetch(
            "SELECT term_no, nullif(term, '') FROM terms WHERE term_no = ANY($1::int4[])", wanted
        )
        return {number: Named(key=term, label=term) for number, term in terms}


@contextlib.asynccontextmanager
async def open_scope(db: "Database", common: Common) -> AsyncIterator[Scope]:
    """Resolve a request. BadRequest names a filter value that this hub does not know."""
    async with db.snapshot() as connection:
        numbers = [await _numbers(connection, name, common.filters.get(name)) for name in DIMENSIONS]
        first, last = await _days(connection, common, numbers)
        zone_no = await connection.fetchval("SELECT zone_no FROM zones WHERE zone = $1", common.zone.key)
        yield Scope(connection, first, last, common.zone, zone_no, numbers)


async def _numbers(connection: "Connection", dimension: str, values: list[str] | None) -> list[int] | None:
    if values is None:
        return None
    if dimension == "host":
        query = (
            "SELECT v, host_no FROM unnest($1::text[]) v"
            " LEFT JOIN hosts ON lower(v) = host_id::text OR (v = label AND v <> '')"
        )
    else:
        query = "SELECT v, term_no FROM unnest($1::text[]) v LEFT JOIN terms ON term = v"
    found = await connection.fetch(query, values)
    unknown = [value for value, number in found if number is None]
    if unknown:
        shown = ", ".join(f"'{value}'" for value in unknown)
        raise BadRequest(
            "unknown_value", f"This hub knows no {dimension} {shown}.", parameter=dimension, values=unknown
        )
    return sorted({number for _, number in found})


async def _days(connection: "Connection", common: Common, numbers: Sequence[list[int] | None]) -> tuple[date, date]:
    """The range asked for; an end that was not asked for is the first or last day on which anything happened."""
    if common.first is not None and common.last is not None:
        return common.first, common.last
    begin, end = ALL_SLOTS
    if common.first is not None:
        begin = first_slot(common.first, common.zone)
    happened: list[date] = []
    for block in ("extent", "extent_set_aside"):
        row = await connection.fetchrow(sql("analytics", block), begin, end, *numbers)
        if row is not None and row[0] is not None:
            happened = [local_time(slot, common.zone).date() for slot in row]
            break
    if not happened:
        today = datetime.now(UTC).astimezone(common.zone).date()
        first, last = common.first or common.last or today, common.last or common.first or today
    else:
        first, last = common.first or happened[0], common.last or happened[1]
    # One end alone may lie outside of what happened
    return (first, max(first, last)) if common.last is None else (min(first, last), last)
