"""What a request counts: its range, zone and filters, resolved to the numbers that rollups are keyed by, and which
rollup answers. Endpoints name no table of usage.

All statements of a scope see one moment of the database, so the parts of an answer agree with each other.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from trueup_hub.analytics import sources
from trueup_hub.analytics.buckets import Buckets, whole
from trueup_hub.analytics.sources import Quality, Reading
from trueup_hub.analytics.totals import Row, added, added_counts, end_of_sums
from trueup_hub.errors import BadRequest
from trueup_hub.ingest.measures import MEASURES
from trueup_hub.params import DIMENSIONS, LABEL, Common
from trueup_shared.times import first_slot, local_time

if TYPE_CHECKING:
    from trueup_hub.db import Connection, Database

_IN_USE = "SELECT (SELECT zone_no FROM zones WHERE zone = $1), ARRAY (SELECT measure FROM measures)"
ALL_SLOTS = (0, 2**31 - 1)
_COLUMN = {"host": "host_no", "harness": "harness", "project": "project", "model": "model", "provider": "provider"}


class Range(Struct, frozen=True, kw_only=True):
    """Echoed by every answer: what was really counted. Both days are included."""

    first: date = field(name="from")
    last: date = field(name="to")
    timezone: str
    counted: str


class Named(Struct, frozen=True, kw_only=True):
    """A value of a dimension. `key` is what a filter takes, null = unknown; hosts have their label beside the id."""

    key: str | None
    label: str | None


class Division(Struct, frozen=True):
    """By what sums are divided: the number of a row's group in SQL, its arguments, and what the numbers are called."""

    by: str | None
    key: str
    args: tuple[list[int], ...] = ()
    values: tuple[str, ...] = ()  # of a label: group n has the n-th, 0 none
    groups: str = "2"  # columns that the key is made of, where it is not one of them


class Scope:
    """Made by `open_scope`. `numbers`: for each of DIMENSIONS the numbers to count, None = all."""

    def __init__(
        self,
        connection: "Connection",
        days: tuple[date, date],
        zone: ZoneInfo,
        zone_no: int | None,
        numbers: Sequence[list[int] | None],
        counted: str,
        measures: Sequence[str],
    ) -> None:
        self.connection = connection
        self.first, self.last = days
        self.zone, self.counted = zone, counted
        self.zone_no = zone_no  # None: not in use, there are no days of it
        self.numbers = tuple(numbers)
        self.whole = whole(*days, zone)
        self.filters = (*self.whole.bounds, *self.numbers)  # $1 … $7 of blocks
        _, _, self._project, model, provider = self.numbers
        self._unpriced: int | None = None  # tokens, where a reading of usage has told it
        self.reading = Reading(counted, model is None and provider is None, frozenset(measures))

    @property
    def echo(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "timezone": self.zone.key, "counted": self.counted}

    async def fetch(self, module: str, name: str, *args: Any, quality: Quality | None = None) -> list[Any]:
        """Rows of block `name`; `args` follow the filters."""
        # Copies that are set aside may have measures that no counted event has
        reading = self.reading if self.counted == "once" else self.reading._replace(measures=None)
        reading = reading._replace(quality=quality)
        return await self.connection.fetch(sources.sql(module, name, reading=reading), *self.filters, *args)

    async def divide(self, by: str | None) -> Division:
        """`by`: one of DIMENSIONS, `label:NAME`, or None. BadRequest for a label that no host has."""
        if by is None:
            return Division(by, "0")
        if not by.startswith(LABEL):
            return Division(by, _COLUMN[by])
        name = by.removeprefix(LABEL)  # an empty value is none, as in filters
        rows = await self.connection.fetch(
            "SELECT host_no, nullif(labels ->> $1, '') FROM hosts ORDER BY host_no", name
        )
        values = tuple(sorted({value for _, value in rows if value is not None}))
        if not values:
            raise _unknown("label", [name])
        number = {value: n for n, value in enumerate(values, 1)}
        groups = [0] * (rows[-1][0] if rows else 0)
        for host_no, value in rows:
            groups[host_no - 1] = number.get(value, 0)
        return Division(by, "coalesce(($9::int4[])[host_no], 0)", (groups,), values)

    def jointly(self, *by: str) -> Division:
        """By several of DIMENSIONS at once: groups are tuples of their numbers. One reading for many divisions."""
        columns = ", ".join(_COLUMN[one] for one in by)
        return Division(None, f"ARRAY[{columns}]", groups=columns)

    async def usage(
        self, buckets: Buckets, division: Division | None = None, columns: Sequence[str] = MEASURES
    ) -> dict[tuple[int, Any], Row]:
        """Sums of usage by (bucket, number of the division's group); what is empty is absent."""
        division = division or Division(None, "0")
        by_project = self._project is not None or _COLUMN["project"] in division.key
        days = "project_days" if by_project else "usage_days"
        found = await self._cells("usage_by_bucket", "usage_slots", days, buckets, division, columns)
        if self.counted == "all":
            aside = await self._set_aside("usage_set_aside", buckets, division, columns)
            found = _together(found, aside, added)
        if "unpriced_tokens" in columns:
            self._unpriced = end_of_sums(sum(row["unpriced_tokens"] for row in found.values()))
        return found

    async def unpriced_tokens(self) -> int:
        """Tokens without a list price."""
        if self._unpriced is None:
            await self.usage(self.whole, columns=("unpriced_tokens",))
        return self._unpriced or 0

    async def counts(self, buckets: Buckets, division: Division | None = None) -> dict[tuple[int, Any], Row]:
        """Messages, tool calls and session starts by (bucket, number of the division's group)."""
        division = division or Division(None, "0")
        if division.by == "provider":
            division = Division("provider", "0")  # they have none
        found = await self._cells("counts_by_bucket", "activity_slots", "activity_days", buckets, division)
        if self.counted == "all":
            found = _together(found, await self._set_aside("counts_set_aside", buckets, division), added_counts)
        return found

    async def active_sessions(self, buckets: Buckets) -> dict[int, int]:
        """How many sessions used anything, by bucket; not additive."""
        whole = self.reading.whole_sessions and self.counted == "once"
        name = "active_whole_sessions" if whole else "active_sessions"
        return dict(await self.fetch("analytics", name, buckets.bounds))

    async def _cells(
        self,
        name: str,
        slots: str,
        days: str,
        buckets: Buckets,
        division: Division,
        columns: Sequence[str] = MEASURES,
    ) -> dict[tuple[int, Any], Row]:
        """Out of the days of a zone in use; of another zone, or by the hour, out of slots."""
        table, args = slots, list[Any]((*self.filters, buckets.bounds))
        if self.zone_no is not None and buckets.days is not None:
            table, args = f"{days} {self.zone_no}", [self.first, self.last, *self.numbers, buckets.days]
        statement = sources.sql(
            "analytics", name, columns, key=division.key, groups=division.groups, table=table, reading=self.reading
        )
        return _groups(await self.connection.fetch(statement, *args, *division.args))

    async def _set_aside(
        self, name: str, buckets: Buckets, division: Division, columns: Sequence[str] = MEASURES
    ) -> dict[tuple[int, Any], Row]:
        statement = sources.sql("analytics", name, columns, key=division.key, groups=division.groups)
        return _groups(await self.connection.fetch(statement, *self.filters, buckets.bounds, *division.args))

    async def names(self, division: Division, numbers: Iterable[int]) -> dict[int, Named]:
        """What the numbers of a division are called."""
        wanted = list(set(numbers))
        if division.by is None:
            return {0: Named(key=None, label=None)}
        if division.by.startswith(LABEL):
            called = [None, *division.values]
            return {number: Named(key=called[number], label=called[number]) for number in wanted}
        if division.by == "host":
            hosts = await self.connection.fetch(
                "SELECT host_no, host_id, label FROM hosts WHERE host_no = ANY($1::int4[])", wanted
            )
            return {row[0]: Named(key=str(UUID(bytes=row[1])), label=row[2]) for row in hosts}
        terms = await self.connection.fetch(
            "SELECT term_no, nullif(term, '') FROM terms WHERE term_no = ANY($1::int4[])", wanted
        )
        return {number: Named(key=term, label=term) for number, term in terms}


def _groups(rows: Iterable[Any]) -> dict[tuple[int, Any], Row]:
    keyed = ((row["key"], row) for row in rows)
    return {(row["bucket"], tuple(key) if isinstance(key, list) else key): row for key, row in keyed}


def _together(
    one: dict[tuple[int, Any], Row], other: dict[tuple[int, Any], Row], add: Callable[[list[Row]], Row | None]
) -> dict[tuple[int, Any], Row]:
    """Groups of both; those that are in both are added up."""
    found = one | other
    for group in one.keys() & other.keys():
        found[group] = add([one[group], other[group]]) or {}
    return found


@contextlib.asynccontextmanager
async def open_scope(db: "Database", common: Common) -> AsyncIterator[Scope]:
    """Resolve a request. BadRequest names a filter value that this hub does not know."""
    async with db.snapshot() as connection:
        numbers = [await chosen_hosts(connection, common.filters.get("host"), common.labels)]
        numbers += [await numbers_of(connection, name, common.filters.get(name)) for name in DIMENSIONS[1:]]
        days = await _days(connection, common, numbers)
        zone_no, measures = await connection.fetchrow(_IN_USE, common.zone.key) or (None, ())
        yield Scope(connection, days, common.zone, zone_no, numbers, common.counted, measures)


async def chosen_hosts(
    connection: "Connection", hosts: list[str] | None, labels: dict[str, list[str]]
) -> list[int] | None:
    """Numbers of the hosts with these ids or labels, and with these labels; None = all. BadRequest names an unknown
    one."""
    numbers = await numbers_of(connection, "host", hosts)
    if labels:
        labelled = await _labelled(connection, labels)
        numbers = labelled if numbers is None else sorted({*numbers} & {*labelled})
    return numbers


async def numbers_of(connection: "Connection", dimension: str, values: list[str] | None) -> list[int] | None:
    """Of these values of a filter; None = not asked. BadRequest names an unknown one."""
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
        raise _unknown(dimension, unknown)
    return sorted({number for _, number in found})


async def _labelled(connection: "Connection", labels: dict[str, list[str]]) -> list[int]:
    """Hosts that have, of each of these labels, one of its values; '' = they do not have the label."""
    chosen: set[int] | None = None
    for name, values in labels.items():
        hosts: dict[str, set[int]] = {}
        for host_no, value in await connection.fetch("SELECT host_no, coalesce(labels ->> $1, '') FROM hosts", name):
            hosts.setdefault(value, set()).add(host_no)
        unknown = [f"{name}:{value}" for value in values if value and value not in hosts]
        if unknown or not any(hosts.keys() - {""}):
            raise _unknown("label", unknown or [name])
        having = {host_no for value in values for host_no in hosts.get(value, ())}
        chosen = having if chosen is None else chosen & having
    return sorted(chosen or ())


def _unknown(parameter: str, values: list[str]) -> BadRequest:
    shown = ", ".join(f"'{value}'" for value in values)
    return BadRequest("unknown_value", f"This hub knows no {parameter} {shown}.", parameter=parameter, values=values)


async def _days(connection: "Connection", common: Common, numbers: Sequence[list[int] | None]) -> tuple[date, date]:
    """The range asked for; an end that was not asked for is the first or last day on which anything happened."""
    if common.first is not None and common.last is not None:
        return common.first, common.last
    begin, end = ALL_SLOTS
    if common.first is not None:
        begin = first_slot(common.first, common.zone)
    slots: list[int] = []
    for block in ("extent", "extent_set_aside"):
        row = await connection.fetchrow(sources.sql("analytics", block), begin, end, *numbers)
        slots += [slot for slot in row or () if slot is not None]
        if slots and common.counted == "once":
            break  # copies that do not count tell only where a host has nothing else
    happened = [local_time(slot, common.zone).date() for slot in (min(slots), max(slots))] if slots else []
    if not happened:
        today = datetime.now(UTC).astimezone(common.zone).date()
        first, last = common.first or common.last or today, common.last or common.first or today
    else:
        first, last = common.first or happened[0], common.last or happened[1]
    # One end alone may lie outside of what happened
    return (first, max(first, last)) if common.last is None else (min(first, last), last)
