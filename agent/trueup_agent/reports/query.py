"""Reads the ledger's events, summed by 15-minute slot and dimension in SQL; days of a time zone are made here."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from trueup_agent.errors import LedgerUnusable
from trueup_agent.ledger import LedgerReader
from trueup_agent.policy import project_folder
from trueup_agent.reports.dimensions import COLUMNS, TIMES
from trueup_agent.reports.names import Key, Names, project_of
from trueup_agent.reports.sums import Sums
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, COUNTERS, GAUGE
from trueup_shared.times import SLOT_MICROS, first_slot, local_time

_KNOWN = " + ".join(f"({name} IS NOT NULL) * {BIT[name]}" for name in COUNTERS)
_SUMS = ", ".join(f"sum({name})" for name in ADDITIVE_COUNTERS)
MEASURES = (
    f"{_KNOWN} AS known, lower_bounds, derived, cost_nanousd IS NOT NULL AS priced,"
    f" count(*), {_SUMS}, max({GAUGE}), sum(cost_nanousd), min(at), max(at)"
)


class Selection(Struct, frozen=True, kw_only=True):
    """Which events. Dates are days of `timezone`, both included; an empty tuple selects everything."""

    since: date | None = None
    until: date | None = None
    timezone: str = "UTC"
    harnesses: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()  # names, or whole paths
    models: tuple[str, ...] = ()  # as logged
    session: bytes | None = None  # key


class Report(Struct):
    """`rows` by the values of `dimensions`, None = unknown: times in order, within them the most tokens first."""

    selection: Selection
    dimensions: tuple[str, ...]
    first: date | None  # the selection's bounds, else the days of the first and the last event
    last: date | None
    totals: Sums
    rows: list[tuple[Key, Sums]]


def make_report(reader: LedgerReader, selection: Selection, dimensions: tuple[str, ...]) -> Report:
    """Raises LedgerError. Dimensions are DIMENSIONS, `block` or `session_key`, each at most once."""
    zone = ZoneInfo(selection.timezone)
    where, parameters = _where(reader, selection, zone)
    columns = [COLUMNS[name] for name in dimensions]
    names = Names(reader, dimensions, zone, selection.harnesses)
    totals, rows, dates = Sums(), dict[Key, Sums](), list[int]()
    # One line for each combination of dimensions and of what its events report: coverage needs no column of its own.
    grouping = ", ".join([*columns, "known", "lower_bounds", "derived", "priced"])
    sql = f"SELECT {', '.join([*columns, MEASURES])} FROM events {where} GROUP BY {grouping}"
    for row in summed(reader, sql, parameters):
        key, pattern = names.key(row[: len(columns)]), row[len(columns) : len(columns) + 4]
        events, *sums, peak, cost, earliest, latest = row[len(columns) + 4 :]
        dates += (earliest, latest)
        for target in _targets(totals, rows, key):
            target.add(pattern, events, sums, peak, cost)
            target.extend(earliest, latest)
    grouping = ", ".join([*columns, "reported_cost", "reported_cost_unit"])
    where = f"{where} {'AND' if where else 'WHERE'} reported_cost IS NOT NULL"
    sql = f"SELECT {grouping}, count(*) FROM events {where} GROUP BY {grouping}"
    for *values, amount, unit, events in reader.query(sql, parameters):
        for target in _targets(totals, rows, names.key(values)):
            target.add_reported_cost(amount, unit, events)
    first = selection.since or (_day(min(dates), zone) if dates else None)
    last = selection.until or (_day(max(dates), zone) if dates else None)
    ordered = sorted(rows.items(), key=lambda row: _order(row, dimensions))
    return Report(selection, dimensions, first, last, totals, ordered)


def summed(reader: LedgerReader, sql: str, parameters: list[Any]) -> list[Any]:
    """The groups of a report. SQLite gives up on a sum beyond 2^63, which a broken log may claim; Python does not."""
    try:
        return reader.query(sql, parameters)
    except LedgerUnusable as error:
        if "integer overflow" not in str(error):
            raise
        return reader.query(f"{sql}, key", parameters)  # every event by itself


def _targets(totals: Sums, rows: dict[Key, Sums], key: Key) -> tuple[Sums, ...]:
    """Everything that an event with this key counts in."""
    return (totals, rows.setdefault(key, Sums())) if key else (totals,)


def _order(row: tuple[Key, Sums], dimensions: tuple[str, ...]) -> tuple[Any, ...]:
    key, sums = row
    total = sums.amounts["total_tokens"]
    days = tuple(value for name, value in zip(dimensions, key, strict=True) if name in TIMES)
    return (days, -1 if total is None else -total, tuple(value or "" for value in key))


def _day(at: int, zone: ZoneInfo) -> date:
    return local_time(at // SLOT_MICROS, zone).date()


def _where(reader: LedgerReader, selection: Selection, zone: ZoneInfo) -> tuple[str, list[Any]]:
    conditions, parameters = list[str](), list[Any]()

    def among(column: str, values: Sequence[str | bytes]) -> None:
        conditions.append(f"{column} IN ({', '.join('?' * len(values))})")
        parameters.extend(values)

    if selection.since is not None:
        conditions.append("at >= ?")
        parameters.append(first_slot(selection.since, zone) * SLOT_MICROS)
    if selection.until is not None and selection.until < date.max:  # which has no day after it
        conditions.append("at < ?")
        parameters.append(first_slot(selection.until + timedelta(1), zone) * SLOT_MICROS)
    if selection.harnesses:
        among("harness", selection.harnesses)
    if selection.models:
        among("model", selection.models)
    if selection.session is not None:
        among("session_key", [selection.session])
    if selection.projects:
        paths = [path for (path,) in reader.query("SELECT DISTINCT project_path FROM events") if path]
        wanted = set(selection.projects)
        among("project_path", [p for p in paths if wanted & {p, project_folder(p), project_of(p)}])
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), parameters
