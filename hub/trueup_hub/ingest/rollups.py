"""The rollups' measures, summed in Python from the rows that a batch wrote and removed, and written in key order.

What came and what went are kept apart: a maximum that went is noticed.
"""

from collections.abc import Iterable
from typing import Any

from trueup_hub.db import Connection
from trueup_hub.ingest.cells import AT, EMPTY, MAX, Cells, change_cells, note_measures, used_measures
from trueup_hub.ingest.copies import EventCopy
from trueup_hub.ingest.measures import SUMMED
from trueup_hub.ingest.session_totals import change_totals, totals_of
from trueup_hub.ingest.zones import Zone
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, TOTAL_BITS
from trueup_shared.money import nano
from trueup_shared.times import SLOT_MICROS

_INPUT, _READ, _WRITE, _WRITE_1H, _OUTPUT, _REASONING, _INPUT_UNDIVIDED, _UNDIVIDED, _TOTAL = (
    AT[f"s_{name}"] for name in SUMMED
)
_COST, _UNPRICED, _WEB = AT["s_cost"], AT["unpriced_tokens"], AT["s_web_searches"]
_SAVED, _USD, _CREDITS = AT["s_cache_savings"], AT["s_reported_usd"], AT["s_reported_credits"]
_PRICED_BITS = BIT["input_tokens"] | BIT["cache_read_tokens"] | BIT["cache_write_tokens"] | BIT["output_tokens"]
_CACHED_BITS = BIT["cache_read_tokens"] | BIT["cache_write_tokens"]
_BITS = tuple((BIT[name], AT[f"s_{name}"]) for name in ADDITIVE_COUNTERS)

# (host_no, session_key, slot, harness, provider, model, project)
SessionCell = tuple[int, bytes, int, int, int, int, int]


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
            cell = cells[key] = EMPTY.copy()
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
            cell[MAX + 1] += 1
            if v > cell[MAX]:
                cell[MAX] = v
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
        cell[MAX + offset] += 1
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
            highest = max(total[MAX], cell[MAX])
            total[:] = map(int.__add__, total, cell)
            total[MAX] = highest
    return folded


async def write_rollups(connection: Connection, rollup: Rollup, zones: Iterable[Zone]) -> None:
    """The last writes of a batch, in key order, table after table, for other batches write the same rows."""
    plus, minus = rollup.plus, rollup.minus
    if not plus and not minus:
        return
    await note_measures(connection, used_measures((*plus.values(), *minus.values())))
    await change_cells(connection, "session_slots", plus, minus)
    await change_totals(connection, totals_of(plus), totals_of(minus))

    def slot_of(key: SessionCell) -> tuple[int, ...]:
        return (key[0], *key[2:])

    plus, minus = _fold(plus, slot_of), _fold(minus, slot_of)
    await change_cells(connection, "usage_slots", plus, minus)
    for zone in zones:
        came, went = _fold(plus, zone.cell_of), _fold(minus, zone.cell_of)
        await change_cells(connection, "project_days", came, went, zone)
        came, went = _fold(came, _without_project), _fold(went, _without_project)
        await change_cells(connection, "usage_days", came, went, zone)


def _without_project(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return key[:-1]
