"""Cells of rollups: lists in the order of MEASURES by key, added to what a table has and taken away from it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from trueup_hub.db import Connection
from trueup_hub.ingest.measures import MEASURES
from trueup_hub.ingest.zones import Zone
from trueup_hub.sqlfiles import load
from trueup_shared.times import SLOT_MICROS, moment

_SQL = load("rollups")

AT = {name: index for index, name in enumerate(MEASURES)}
MAX = AT["max_context_tokens"]
NO_MAX = -1
EMPTY = [0] * len(MEASURES)
EMPTY[MAX] = NO_MAX

Cells = dict[Any, list[int]]

KEYS = {
    "session_slots": ("host_no", "session_key", "slot", "harness", "provider", "model", "project"),
    "session_totals": ("session_key",),
    "usage_slots": ("host_no", "slot", "harness", "provider", "model", "project"),
    "project_days": ("zone_no", "day", "host_no", "harness", "provider", "model", "project"),
    "usage_days": ("zone_no", "day", "host_no", "harness", "provider", "model"),
    "activity_slots": ("host_no", "slot", "harness", "project", "model"),
    "activity_days": ("zone_no", "day", "host_no", "harness", "project", "model"),
}
_TYPES = {"session_key": "uuid", "day": "date", "max_context_tokens": "int8", "unpriced_tokens": "int8"}
PLACE = ("host_no", "harness", "project")  # of a session
SEVERAL = -1


@cache
def upsert_sql(table: str, columns: tuple[str, ...]) -> str:
    """INSERT from one array for each column of the key and of these; to a row that is there they are added."""
    key = KEYS[table]
    summed = "numeric" if table == "session_totals" else "int8"  # of all hosts
    kinds = [_TYPES.get(name, summed if name.startswith("s_") else "int4") for name in (*key, *columns)]
    return _SQL["upsert_rollup"].format(
        table=table,
        columns=", ".join((*key, *columns)),
        arrays=", ".join(f"${i}::{kind}[]" for i, kind in enumerate(kinds, 1)),
        key=", ".join(key),
        sums=", ".join(f"{name} = {_together(name, f'{table}.{name}', f'excluded.{name}')}" for name in columns),
    )


def _together(name: str, stored: str, new: str) -> str:
    if name in PLACE:
        return f"CASE WHEN {stored} = {new} THEN {stored} ELSE {SEVERAL} END"
    if name in ("max_context_tokens", "last_slot"):
        return f"greatest({stored}, {new})"
    return f"least({stored}, {new})" if name == "first_slot" else f"{stored} + {new}"


def used_measures(cells: Iterable[list[int]]) -> set[str]:
    """Measures that are not in all cells what they are in an empty one."""
    columns = zip(MEASURES, EMPTY, zip(*cells, strict=True), strict=True)
    return {name for name, empty, column in columns if any(value != empty for value in column)}


async def note_measures(connection: Connection, used: set[str]) -> None:
    """Reads add up only measures that some event had. One that none has any more is 0 everywhere, and stays noted."""
    known = {record["measure"] for record in await connection.fetch(_SQL["known_measures"])}
    if new := used - known:
        await connection.execute(_SQL["add_measures"], sorted(new))


async def change_cells(connection: Connection, table: str, plus: Cells, minus: Cells, zone: Zone | None = None) -> None:
    """Add `plus` to the cells of a rollup and take `minus` away. `zone`: of days."""
    for lost in await _write(connection, table, plus, minus):
        if table == "session_slots":
            await connection.execute(_SQL["max_of_session_slot"], *lost, moment(lost[2] * SLOT_MICROS))
        elif zone is None:
            await connection.execute(_SQL["max_of_slot"], *lost)
        else:
            await connection.execute(_SQL[f"max_of_{table}"], *lost, *zone.slots_of(lost[1]))


def stored_cell(values: Mapping[str, int | None], columns: Sequence[str] = MEASURES) -> list[int]:
    """A cell from its columns."""
    return [NO_MAX if (value := values[name]) is None else value for name in columns]


async def _write(connection: Connection, table: str, plus: Cells, minus: Cells) -> list[tuple[Any, ...]]:
    """Upsert the differences; the keys whose maximum may have gone with what was subtracted."""
    changed, lost = _net(plus, minus)
    if changed:
        ordered = sorted(changed)
        # Most measures are 0 in all cells of a batch: only the others travel.
        summed = list(zip(*(changed[key] for key in ordered), strict=True))
        used = [i for i, column in enumerate(summed) if i == 0 or i == MAX or any(column)]
        summed[MAX] = tuple(None if value == NO_MAX else value for value in summed[MAX])
        sql = upsert_sql(table, tuple(MEASURES[i] for i in used))
        await connection.execute(sql, *zip(*ordered, strict=True), *(summed[i] for i in used))
    gone = [key for key in sorted(minus) if key in changed]
    if gone:
        await connection.executemany(_SQL[f"drop_empty_{table}"], gone)
    return lost


def _net(plus: Cells, minus: Cells) -> tuple[Mapping[Any, list[int]], list[tuple[Any, ...]]]:
    if not minus:
        return plus, []
    changed, lost = dict(plus), []
    for key, went in minus.items():
        came = plus.get(key, EMPTY)
        net = [a - b for a, b in zip(came, went, strict=True)]
        net[MAX] = came[MAX]
        changed[key] = net
        if went[MAX] > came[MAX]:
            lost.append(key)
        elif not any(net[:MAX]) and not any(net[MAX + 1 :]) and went[MAX] == came[MAX]:
            del changed[key]
    return changed, sorted(lost)
