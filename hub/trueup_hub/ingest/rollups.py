"""The rollups' measures, summed in Python from the rows that a batch wrote and removed, and written in key order.

Cells are lists in the order of MEASURES. What came and what went are kept apart: a maximum that went is noticed.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from trueup_hub.db import Connection
from trueup_hub.ingest.copies import EventCopy
from trueup_hub.ingest.measures import MEASURES, SUMMED
from trueup_hub.ingest.zones import Zone
from trueup_hub.sqlfiles import load
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, TOTAL_BITS
from trueup_shared.money import nano
from trueup_shared.times import SLOT_MICROS, moment

_SQL = load("ingest")

_AT = {name: index for index, name in enumerate(MEASURES)}
_INPUT, _READ, _WRITE, _WRITE_1H, _OUTPUT, _REASONING, _INPUT_UNDIVIDED, _UNDIVIDED, _TOTAL = (
    _AT[f"s_{name}"] for name in SUMMED
)
_MAX, _COST, _UNPRICED, _WEB = _AT["max_context_tokens"], _AT["s_cost"], _AT["unpriced_tokens"], _AT["s_web_searches"]
_SAVED, _USD, _CREDITS = _AT["s_cache_savings"], _AT["s_reported_usd"], _AT["s_reported_credits"]
_NO_MAX = -1
_EMPTY = [0] * len(MEASURES)
_EMPTY[_MAX] = _NO_MAX
_PRICED_BITS = BIT["input_tokens"] | BIT["cache_read_tokens"] | BIT["cache_write_tokens"] | BIT["output_tokens"]
_CACHED_BITS = BIT["cache_read_tokens"] | BIT["cache_write_tokens"]
_BITS = tuple((BIT[name], _AT[f"s_{name}"]) for name in ADDITIVE_COUNTERS)

# (host_no, session_key, slot, harness, provider, model, project)
SessionCell = tuple[int, bytes, int, int, int, int, int]
Cells = dict[Any, list[int]]

_KEYS = {
    "session_slots": ("host_no", "session_key", "slot", "harness", "provider", "model", "project"),
    "usage_slots": ("host_no", "slot", "harness", "provider", "model", "project"),
    "usage_days": ("zone_no", "day", "host_no", "harness", "provider", "model"),
}
_TYPES = {"session_key": "uuid", "day": "date", "max_context_tokens": "int8", "unpriced_tokens": "int8"}


class Rollup:
    """Adds events up by session, slot and dimensions. `usd` and `credits` are the terms of these units."""

    def __init__(self, usd: int, credits: int) -> None:
        self.plus: Cells = {}
        self.minus: Cells = {}
        self._units = {usd: _USD, credits: _CREDITS}

    def add(self, event: EventCopy) -> None:
        self._sum(self.plus, event)

    def subtract(self, event: EventCopy) -> None:
        self._sum(self.minus, event)

    def _sum(self, cells: Cells, e: EventCopy) -> None:
        key = (e.host_no, e.session_key, e.at // SLOT_MICROS, e.harness, e.provider, e.model, e.project)
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = _EMPTY.copy()
        cell[0] += 1
        total = 0
        if (v := e.input_tokens) is not None:
            cell[_INPUT] += v
            cell[_INPUT + 1] += 1
            total = v
        if (v := e.cache_read_tokens) is not None:
            cell[_READ] += v
            cell[_READ + 1] += 1
            total += v
        if (v := e.cache_write_tokens) is not None:
            cell[_WRITE] += v
            cell[_WRITE + 1] += 1
            total += v
        if (v := e.cache_write_1h_tokens) is not None:
            cell[_WRITE_1H] += v
            cell[_WRITE_1H + 1] += 1
        if (output := e.output_tokens) is not None:
            cell[_OUTPUT] += output
            cell[_OUTPUT + 1] += 1
            total += output
        if (v := e.reasoning_tokens) is not None:
            cell[_REASONING] += v
            cell[_REASONING + 1] += 1
        if (v := e.input_undivided_tokens) is not None:
            cell[_INPUT_UNDIVIDED] += v
            cell[_INPUT_UNDIVIDED + 1] += 1
            total += v
        if (undivided := e.undivided_tokens) is not None:
            cell[_UNDIVIDED] += undivided
            cell[_UNDIVIDED + 1] += 1
            total += undivided
        cell[_TOTAL] += total
        has_input = e.input_tokens is not None or e.input_undivided_tokens is not None
        if (has_input and output is not None) or undivided is not None:
            cell[_TOTAL + 1] += 1
        if (v := e.context_tokens) is not None:
            cell[_MAX + 1] += 1
            if v > cell[_MAX]:
                cell[_MAX] = v
        if e.lower_bounds:
            _count_lower_bounds(cell, e, e.lower_bounds)
        if e.derived:
            _count_bits(cell, e, e.derived, 3)
        if (v := e.cost_nanousd) is None:
            cell[_UNPRICED] += total
        else:
            cell[_COST] += v
            cell[_COST + 1] += 1
        if (v := e.cache_savings_nanousd) is not None:  # null beside a cost: it was priced before savings were kept
            cell[_SAVED] += v
            cell[_SAVED + 1] += 1
        if e.web_searches is not None or e.reported_cost is not None:
            self._sum_rare(cell, e)

    def _sum_rare(self, cell: list[int], e: EventCopy) -> None:
        if e.web_searches is not None:
            cell[_WEB] += e.web_searches
            cell[_WEB + 1] += 1
        if e.reported_cost is not None and (at := self._units.get(e.reported_cost_unit)) is not None:
            cell[at] += nano(e.reported_cost)
            cell[at + 1] += 1


def _count_lower_bounds(cell: list[int], e: EventCopy, bits: int) -> None:
    _count_bits(cell, e, bits, 2)
    if bits & _PRICED_BITS and e.cost_nanousd is not None:
        cell[_COST + 2] += 1
    if bits & _CACHED_BITS and e.cache_savings_nanousd is not None:
        cell[_SAVED + 2] += 1


def _count_bits(cell: list[int], e: EventCopy, bits: int, offset: int) -> None:
    for (bit, at), name in zip(_BITS, ADDITIVE_COUNTERS, strict=True):
        if bits & bit and getattr(e, name) is not None:
            cell[at + offset] += 1
    if bits & BIT["context_tokens"] and e.context_tokens is not None:
        cell[_MAX + offset] += 1
    if bits & TOTAL_BITS:
        cell[_TOTAL + offset] += 1


def _fold(cells: Cells, key_of: Any) -> Cells:
    """Cells summed under a coarser key."""
    folded: Cells = {}
    for key, cell in cells.items():
        coarse = key_of(key)
        total = folded.get(coarse)
        if total is None:
            folded[coarse] = cell.copy()
        else:
            highest = max(total[_MAX], cell[_MAX])
            total[:] = map(int.__add__, total, cell)
            total[_MAX] = highest
    return folded


@cache
def _upsert(table: str, key: tuple[str, ...], measures: tuple[str, ...]) -> str:
    columns = (*key, *measures)
    kinds = [_TYPES.get(name, "int8" if name.startswith("s_") else "int4") for name in columns]
    sums = ", ".join(
        f"{m} = greatest({table}.{m}, excluded.{m})"
        if m == "max_context_tokens"
        else f"{m} = {table}.{m} + excluded.{m}"
        for m in measures
    )
    return _SQL["upsert_rollup"].format(
        table=table,
        columns=", ".join(columns),
        arrays=", ".join(f"${i}::{kind}[]" for i, kind in enumerate(kinds, 1)),
        key=", ".join(key),
        sums=sums,
    )


async def write_rollups(connection: Connection, rollup: Rollup, zones: Iterable[Zone]) -> None:
    """The last writes of a batch, in key order, table after table, for other batches write the same rows."""
    plus, minus = rollup.plus, rollup.minus
    if not plus and not minus:
        return
    await change_cells(connection, "session_slots", plus, minus)

    def slot_of(key: SessionCell) -> tuple[int, ...]:
        return (key[0], *key[2:])

    plus, minus = _fold(plus, slot_of), _fold(minus, slot_of)
    await change_cells(connection, "usage_slots", plus, minus)
    for zone in zones:
        await change_cells(connection, "usage_days", _fold(plus, zone.cell_of), _fold(minus, zone.cell_of), zone)


async def change_cells(connection: Connection, table: str, plus: Cells, minus: Cells, zone: Zone | None = None) -> None:
    """Add `plus` to the cells of a rollup and take `minus` away. `zone`: of days."""
    for lost in await _write(connection, table, plus, minus):
        if table == "session_slots":
            await connection.execute(_SQL["max_of_session_slot"], *lost, moment(lost[2] * SLOT_MICROS))
        elif zone is None:
            await connection.execute(_SQL["max_of_slot"], *lost)
        else:
            await connection.execute(_SQL["max_of_day"], *lost, *zone.slots_of(lost[1]))


def stored_cell(measures: Mapping[str, int | None]) -> list[int]:
    """A cell from its columns."""
    return [_NO_MAX if (value := measures[name]) is None else value for name in MEASURES]


async def _write(connection: Connection, table: str, plus: Cells, minus: Cells) -> list[tuple[Any, ...]]:
    """Upsert the differences; the keys whose maximum may have gone with what was subtracted."""
    changed, lost = _net(plus, minus)
    if changed:
        ordered = sorted(changed)
        # Most measures are 0 in all cells of a batch: only the others travel.
        summed = list(zip(*(changed[key] for key in ordered), strict=True))
        used = [i for i, column in enumerate(summed) if i == 0 or i == _MAX or any(column)]
        summed[_MAX] = tuple(None if value == _NO_MAX else value for value in summed[_MAX])
        sql = _upsert(table, _KEYS[table], tuple(MEASURES[i] for i in used))
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
        came = plus.get(key, _EMPTY)
        net = [a - b for a, b in zip(came, went, strict=True)]
        net[_MAX] = came[_MAX]
        changed[key] = net
        if went[_MAX] > came[_MAX]:
            lost.append(key)
        elif not any(net[:_MAX]) and not any(net[_MAX + 1 :]) and went[_MAX] == came[_MAX]:
            del changed[key]
    return changed, sorted(lost)
