"""Sums of events that never take unknown for zero, with the coverage of every counter (design section 8)."""

from collections.abc import Sequence

from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, COUNTERS, GAUGE, TOTAL_BITS, TOTAL_PARTS, total_is_reported
from trueup_shared.money import nano

TOTAL = "total_tokens"
PEAK = "peak_context_tokens"
COVERED = (*COUNTERS, TOTAL)

# How an event reports its counters: the bits of those that it knows, of lower bounds, of derived ones; has it a price?
Pattern = tuple[int, int, int, int]


class Coverage:
    """How many events speak of a counter, and how well."""

    __slots__ = ("derived", "lower_bound", "reported")

    def __init__(self) -> None:
        self.reported = self.lower_bound = self.derived = 0


class Sums:
    """One line of a report. An amount is None while nothing was reported."""

    def __init__(self) -> None:
        self.events = 0
        self.amounts: dict[str, int | None] = dict.fromkeys((*ADDITIVE_COUNTERS, TOTAL, PEAK))
        self.coverage = {name: Coverage() for name in COVERED}
        self.unpriced_tokens = 0
        self.cost_nanousd: int | None = None
        self.reported_nanousd: int | None = None
        self.reported_nanocredits: int | None = None
        self.first_at: int | None = None  # µs UTC
        self.last_at: int | None = None

    def extend(self, first_at: int, last_at: int) -> None:
        """Times of events that were added."""
        self.first_at = first_at if self.first_at is None else min(first_at, self.first_at)
        self.last_at = last_at if self.last_at is None else max(last_at, self.last_at)

    def add(
        self, pattern: Pattern, events: int, sums: Sequence[int | None], peak: int | None, cost: int | None
    ) -> None:
        """`events` events of one pattern. `sums` in the order of ADDITIVE_COUNTERS; `peak` of their contexts."""
        known, lower_bounds, derived, priced = pattern
        self.events += events
        total: int | None = None
        for name, amount in zip(ADDITIVE_COUNTERS, sums, strict=True):
            if amount is None:
                continue
            self.amounts[name] = amount + (self.amounts[name] or 0)
            if name in TOTAL_PARTS:
                total = amount + (total or 0)
        if peak is not None:
            self.amounts[PEAK] = max(peak, self.amounts[PEAK] or 0)
        for name in COUNTERS:
            bit = BIT[name]
            if known & bit:
                self._cover(name, True, lower_bounds & bit, derived & bit, events)
        if total is not None:
            self.amounts[TOTAL] = total + (self.amounts[TOTAL] or 0)
            self.unpriced_tokens += 0 if priced else total
            self._cover(TOTAL, _total_known(known), lower_bounds & TOTAL_BITS, derived & TOTAL_BITS, events)
        if cost is not None:
            self.cost_nanousd = cost + (self.cost_nanousd or 0)

    def _cover(self, name: str, reported: bool, lower_bound: int, derived: int, events: int) -> None:
        coverage = self.coverage[name]
        coverage.reported += events if reported else 0
        coverage.lower_bound += events if lower_bound else 0
        coverage.derived += events if derived else 0

    def add_reported_cost(self, amount: str, unit: str | None, events: int) -> None:
        value = nano(amount)
        if unit == "usd":
            self.reported_nanousd = value * events + (self.reported_nanousd or 0)
        elif unit == "credits":
            self.reported_nanocredits = value * events + (self.reported_nanocredits or 0)

    def is_lower_bound(self, name: str) -> bool:
        """The true sum may be greater: some events gave less than all, or nothing."""
        coverage = self.coverage.get(GAUGE if name == PEAK else name)
        if coverage is None or self.amounts.get(name) is None:
            return False
        return coverage.lower_bound > 0 or coverage.reported < self.events


def _total_known(known: int) -> bool:
    def told(name: str) -> int | None:
        return 0 if known & BIT[name] else None

    return total_is_reported(
        told("input_tokens"), told("output_tokens"), told("input_undivided_tokens"), told("undivided_tokens")
    )
