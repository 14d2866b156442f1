"""Which events of a family count, and with which numbers: pure functions of the family's rows (records.py names them).

A rule sees rows as their parsers read them. What it computes stands in the columns that count, with the reading beside
it in `observed`; so a row can be decided again whenever its family changes, and its snapshots join as if no rule were.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import accumulate

import msgspec
from msgspec import Struct, field

from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.records import DELETIONS, LEGS, SERIES
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, TOTAL_PARTS

# Rows under their keys: as they count, or None: set aside. What is not named counts as it was read.
Decided = dict[bytes, StoredEvent | None]

_COST = ("reported_cost", "reported_cost_unit", "reported_cost_status")
_READ = (*ADDITIVE_COUNTERS, "lower_bounds", "derived", *_COST)  # what a rule may compute
_ADDITIVE_BITS = sum(BIT[name] for name in ADDITIVE_COUNTERS)
_PROMPT = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "input_undivided_tokens")
_OF_PROMPT = (*_PROMPT, "cache_write_1h_tokens")
_LONG_AGO = -1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int | str | None]).decode


def as_read(row: StoredEvent) -> StoredEvent:
    """The row without what a rule made of it; its digest and price are those of what counts."""
    if row.observed is None:
        return row
    return msgspec.structs.replace(row, observed=None, **dict(zip(_READ, _decode(row.observed), strict=True)))


def decide(members: Sequence[StoredEvent], parents: Sequence[StoredEvent] = ()) -> Decided:
    """`members`: all of a family; `parents`: all of the one that its rows name in `after`. Both as read."""
    groups: dict[str | None, list[StoredEvent]] = {}
    for row in members:
        groups.setdefault(row.rule, []).append(row)
    decided: Decided = {}
    for rule, rows in groups.items():
        if rule == SERIES and None in groups:
            decided |= dict.fromkeys(row.key for row in rows)  # the requests themselves came to be known
        elif rule == SERIES:
            decided |= _series(rows, [row for row in parents if row.rule == SERIES])
        elif rule == LEGS:
            decided |= _legs(rows)
        elif rule == DELETIONS:
            decided |= _deletions(rows)
        elif len(rows) > 1:
            decided |= _alternatives(rows)
    return decided


def _alternatives(rows: Sequence[StoredEvent]) -> Decided:
    """All of rank 0; where there is none, the best: they may be one request, and none of them is sure."""
    best = min(rows, key=lambda row: (row.rank, row.at, row.session_started, row.key))
    if best.rank == 0:
        return {row.key: None for row in rows if row.rank > 0}
    return {row.key: None for row in rows if row is not best}


class _Totals(Struct):
    """How far a running total has come. Each counter at its last known value: one that is not reported stands still."""

    counters: dict[str, int] = field(default_factory=dict)
    costs: dict[str | None, Decimal] = field(default_factory=dict)  # unit -> greatest
    context: int | None = None

    def advance(self, row: StoredEvent) -> tuple[dict[str, int], Decimal | None] | None:
        """What came on top since the row before, and its cost; None when a counter shrank: nothing has changed then."""
        now = _known(row)
        more, dropped = _difference(self.counters, now)
        cost = None
        if row.reported_cost is not None:
            cost = Decimal(row.reported_cost) - self.costs.get(row.reported_cost_unit, Decimal(0))
        if any(n < 0 for n in more.values()) or (not now and cost is not None and cost < 0):
            return None
        if cost is not None and cost < 0:
            cost = None  # an estimate that was made anew: tokens tell when a total begins again
        elif row.reported_cost is not None:
            self.costs[row.reported_cost_unit] = Decimal(row.reported_cost)
        for name in dropped:
            self.counters.pop(name, None)
        self.counters |= now
        return more, cost


def _known(row: StoredEvent) -> dict[str, int]:
    return {name: value for name in ADDITIVE_COUNTERS if (value := getattr(row, name)) is not None}


def _difference(before: dict[str, int], now: dict[str, int]) -> tuple[dict[str, int], Sequence[str]]:
    """Counter by counter; and the names that `now` no longer divides in that way.

    A total that begins or ceases to be divided can be compared in the sum of its parts only; so the difference is
    undivided.
    """
    if before and now and ("undivided_tokens" in before) != ("undivided_tokens" in now):
        return {"undivided_tokens": _sum(now, TOTAL_PARTS) - _sum(before, TOTAL_PARTS)}, ADDITIVE_COUNTERS
    more = {name: value - before.get(name, 0) for name, value in now.items()}
    was, is_ = ({name for name in _PROMPT if name in counters} for counters in (before, now))
    if was and is_ and ("input_undivided_tokens" in was) != ("input_undivided_tokens" in is_):
        more = {name: value for name, value in more.items() if name not in _OF_PROMPT}
        return more | {"input_undivided_tokens": _sum(now, _PROMPT) - _sum(before, _PROMPT)}, _OF_PROMPT
    return more, ()


def _sum(counters: dict[str, int], names: Iterable[str]) -> int:
    return sum(counters.get(name, 0) for name in names)


def _by_time(row: StoredEvent) -> tuple[int, int, Decimal, bytes]:
    return row.at, _sum(_known(row), TOTAL_PARTS), Decimal(row.reported_cost or 0), row.key


def _series(rows: Sequence[StoredEvent], parents: Sequence[StoredEvent]) -> Decided:
    """What each observation of a running total adds to the one before (formats/README.md, rule 5)."""
    ordered = sorted(rows, key=_by_time)
    totals = _handed_over(ordered[0], parents)
    decided: Decided = {}
    for number, row in enumerate(ordered):
        found, began_anew = totals.advance(row), False
        if found is None:
            # Nothing can have been lost before the first: what its parent has is not its own.
            totals, began_anew = _Totals(), number > 0
            found = totals.advance(row)
            assert found is not None
        more, cost = found
        is_new = row.context_tokens is not None and row.context_tokens != totals.context
        totals.context = row.context_tokens
        if not is_new and not cost and not any(more.values()):
            decided[row.key] = None
        else:
            decided[row.key] = _computed(row, more, cost, began_anew)
    return decided


def _handed_over(first: StoredEvent, parents: Sequence[StoredEvent]) -> _Totals:
    """The running total that a session may have taken over: its parent's, as it was before the session's first."""
    totals = _Totals()
    for row in sorted((row for row in parents if row.at <= first.at), key=_by_time):
        if totals.advance(row) is None:
            totals = _Totals()
            totals.advance(row)
    totals.context = None
    return totals


def _computed(
    row: StoredEvent, counters: dict[str, int], cost: Decimal | None, began_anew: bool = False
) -> StoredEvent:
    """The row with these counters, which are derived; where a total began anew, in full, some may have been lost."""
    known = sum(BIT[name] for name in counters)
    kept = (row.lower_bounds & known, row.derived & known)
    gauge = (row.lower_bounds & ~_ADDITIVE_BITS, row.derived & ~_ADDITIVE_BITS)
    values: dict[str, int | str | None] = {name: counters.get(name) for name in ADDITIVE_COUNTERS}
    values["lower_bounds"] = (known if began_anew else kept[0]) | gauge[0]
    values["derived"] = (kept[1] if began_anew else known) | gauge[1]
    if cost is None:
        values |= dict.fromkeys(_COST)
    elif row.reported_cost is None or cost != Decimal(row.reported_cost):
        values["reported_cost"] = format(cost.normalize(), "f")
    if all(getattr(row, name) == value for name, value in values.items()):
        return row
    observed = _encode([getattr(row, name) for name in _READ])
    return msgspec.structs.replace(row, observed=observed, **values)


class _Covered:
    """Usage that is known in another way: rows in order of time, summed up, so that any stretch of time is one step.

    A log may claim a hundred thousand sums of as many requests.
    """

    def __init__(self) -> None:
        self._times: list[int] = []
        self._counters: list[dict[str, int]] = [{}]  # of all rows up to each
        self._costs: list[dict[str | None, Decimal]] = [{}]

    def add(self, row: StoredEvent) -> None:
        self._times.append(row.at)
        counters, costs = dict(self._counters[-1]), self._costs[-1]
        for name, value in _known(row).items():
            counters[name] = counters.get(name, 0) + value
        if row.reported_cost is not None:
            unit = row.reported_cost_unit
            costs = costs | {unit: costs.get(unit, Decimal(0)) + Decimal(row.reported_cost)}
        self._counters.append(counters)
        self._costs.append(costs)

    def left_of(self, row: StoredEvent) -> StoredEvent | None:
        """The row without what is covered of its time; None when no token is left."""
        first, end = bisect_right(self._times, _since(row)), bisect_right(self._times, row.at)
        if first >= end:
            return row
        before, after = self._counters[first], self._counters[end]
        left = {name: max(0, n - (after.get(name, 0) - before.get(name, 0))) for name, n in _known(row).items()}
        cost = None
        if row.reported_cost is not None:
            unit = row.reported_cost_unit
            covered = self._costs[end].get(unit, Decimal(0)) - self._costs[first].get(unit, Decimal(0))
            cost = max(Decimal(0), Decimal(row.reported_cost) - covered)
        if not (any(left.values()) if left else cost):
            return None
        return _computed(row, left, cost)


def _legs(rows: Sequence[StoredEvent]) -> Decided:
    """Requests, totals of legs, outputs of answers (formats/copilot.md, Choosing the source)."""
    requests = [row for row in rows if row.rank == 0]
    legs = [row for row in rows if row.rank == 1]
    covered: dict[str | None, _Covered] = {leg.model: _Covered() for leg in legs}
    for request in sorted(requests, key=lambda row: (row.at, row.key)):
        if request.model in covered:
            covered[request.model].add(request)
    decided: Decided = {leg.key: covered[leg.model].left_of(leg) for leg in legs}
    is_within_a_leg = _within(legs)
    # Beyond answers (rank 2) there may be copies of requests in other places: of those only the surest kind counts, and
    # only in a family of which no surer kind says anything.
    surest = max(2, min((row.rank for row in rows if _known(row)), default=min(row.rank for row in rows)))
    for answer in rows:
        if answer.rank > 1 and (requests or answer.rank != surest or is_within_a_leg(answer.at)):
            decided[answer.key] = None
    return decided


def _since(sum_: StoredEvent) -> int:
    """A sum speaks of what came after that, up to its own time."""
    return _LONG_AGO if sum_.since is None else sum_.since


def _within(sums: Sequence[StoredEvent]) -> Callable[[int], bool]:
    """Does any of the sums speak of a time?"""
    ordered = sorted(sums, key=lambda row: row.at)
    ends = [row.at for row in ordered]
    earliest = list(accumulate(map(_since, reversed(ordered)), min))[::-1]  # of those that end there or later

    def speaks(at: int) -> bool:
        place = bisect_left(ends, at)
        return place < len(ends) and earliest[place] < at

    return speaks


def _deletions(rows: Sequence[StoredEvent]) -> Decided:
    """Requests, and sums of requests that were deleted from their log (formats/cline.md, Dedup).

    All that lay between `since` and a sum was deleted then and is in it: requests, and earlier sums. Which rows are
    gone must not matter: in the end the log itself goes, and takes nothing back.
    """
    ordered = sorted(rows, key=lambda row: (row.at, row.rank, row.key))
    decided: Decided = {}
    covered = _Covered()
    for row in ordered:
        counts: StoredEvent | None = row
        if row.rank > 0:
            counts = decided[row.key] = covered.left_of(row)
        if counts is not None:
            covered.add(counts)
    return decided
