"""`totals` and `coverage`, which every aggregate has (design section 8), out of rollup sums.

Null where nothing was reported, 0 where 0 was reported. Money is integer microdollars at list price, summed in
nanodollars and rounded once. All of `totals` is additive; peaks, medians and active sessions stand outside of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from trueup_hub.ingest.measures import MEASURES
from trueup_shared.metrics import ADDITIVE_COUNTERS, COUNTERS, TOTAL_PARTS, Metric
from trueup_shared.money import micro

NANO = 1_000_000_000

Row = Mapping[str, Any]  # s_, r_, l_, d_ of each counter and n: the columns of usage_slots, summed


class Coverage(Struct, frozen=True, gc=False):
    """Of `events`, how many reported it, and how many of these were lower bounds or derived."""

    events: int
    reported: int
    lower_bound: int
    derived: int


class Totals(Struct, frozen=True, kw_only=True, gc=False):
    """Counts are never null. `sessions`: those that started there. `unpriced_tokens`: without a list price."""

    messages: int
    user_messages: int
    tool_calls: int
    sessions: int
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    input_undivided_tokens: int | None
    undivided_tokens: int | None
    total_tokens: int | None
    cost_microusd: int | None
    cache_savings_microusd: int | None  # may be negative
    reported_cost_microusd: int | None
    reported_credits: float | None
    unpriced_tokens: int


COUNTS = ("messages", "user_messages", "tool_calls", "sessions")
_COLUMNS = tuple((name, f"s_{name}", f"r_{name}") for name in ADDITIVE_COUNTERS)
_PARTS = tuple(f"r_{name}" for name in TOTAL_PARTS)
TOTAL_REPORTED = f"({' + '.join(_PARTS)})"  # in SQL: above 0 where a total is not null
_COVERAGE = tuple((name, f"r_{name}", f"l_{name}", f"d_{name}") for name in (*COUNTERS, "total_tokens"))
_PRICED = ("cost", "cache_savings")  # at list price
_NO_COUNTS: dict[str, Any] = dict.fromkeys(COUNTS, 0)
_UNKNOWN: dict[str, Any] = dict.fromkeys(Totals.__struct_fields__) | _NO_COUNTS | {"unpriced_tokens": 0}
_NO_TOTALS = Totals(**_UNKNOWN)

_PEAK = "max_context_tokens"
_GREATEST_SUM = 2**63 - 1
_ADDED = tuple(name for name in MEASURES if name != _PEAK)


def sums_sql(columns: Iterable[str] = MEASURES) -> str:
    """Columns of a usage rollup, summed: what {sums} stands for in sql/*.sql."""
    return ", ".join(f"{_sum_sql(c)} AS {c}" for c in columns)


def _sum_sql(column: str) -> str:
    """A sum ends at 2^63-1: what one host claims must not make an answer fail for everybody."""
    if column == _PEAK:
        return f"max({column})"
    if not column.startswith("s_") and column != "unpriced_tokens":
        return f"sum({column})"  # of int4: never more than int8 holds
    least = f" WHEN sum({column}) < {-_GREATEST_SUM} THEN {-_GREATEST_SUM}" if column == "s_cache_savings" else ""
    added = f"coalesce(sum({column}), 0)"  # facts, unlike rollups, have nulls
    return f"CASE WHEN sum({column}) > {_GREATEST_SUM} THEN {_GREATEST_SUM}{least} ELSE {added} END::int8"


def end_of_sums(total: int) -> int:
    """Sums end where those of SQL do."""
    return max(-_GREATEST_SUM, min(total, _GREATEST_SUM))


def ended_sql(column: str) -> str:
    """A sum without an end, as one that ends."""
    if not column.startswith("s_"):
        return column
    return f"greatest(least({column}, {_GREATEST_SUM}), {-_GREATEST_SUM})::int8 AS {column}"


def added(rows: Iterable[Row]) -> Row | None:
    """Usage of several groups together, its sums ending where those of SQL do; None when there is none."""
    rows = list(rows)
    if not rows:
        return None
    columns = set(rows[0].keys())
    total: dict[str, Any] = {name: end_of_sums(sum(row[name] for row in rows)) for name in _ADDED if name in columns}
    if _PEAK in columns:
        total[_PEAK] = max((row[_PEAK] for row in rows if row[_PEAK] is not None), default=None)
    return total


def added_counts(rows: Iterable[Row]) -> Row | None:
    rows = list(rows)
    return {name: sum(row[name] for row in rows) for name in COUNTS} if rows else None


def rank(usage: Row | None, counts: Row | None, name: str | None) -> tuple[int, int, bool, str]:
    """Sort key of a group: most tokens first, then most messages, then by name; the unknown one after its equals."""
    tokens, messages = usage["s_total_tokens"] if usage else 0, counts["messages"] if counts else 0
    return -tokens, -messages, name is None, name or ""


def peak_of(usage: Row | None) -> int | None:
    """The largest prompt of one request: a maximum, never summed."""
    return None if usage is None else usage[_PEAK]


def totals_of(usage: Row | None, counts: Row | None) -> Totals:
    """`usage`: sums of a usage rollup, `counts`: of activity_slots; None = nothing there."""
    if usage is None and counts is None:
        return _NO_TOTALS
    shown: dict[str, Any] = {name: counts[name] for name in COUNTS} if counts else _NO_COUNTS
    if usage is None:
        return Totals(**_UNKNOWN | shown)
    shown = shown | {name: usage[s] if usage[r] else None for name, s, r in _COLUMNS}
    return Totals(
        **shown,
        total_tokens=_total(usage),
        cost_microusd=_money(usage, "cost"),
        cache_savings_microusd=_money(usage, "cache_savings"),
        reported_cost_microusd=micro(usage["s_reported_usd"]) if usage["r_reported_usd"] else None,
        reported_credits=usage["s_reported_credits"] / NANO if usage["r_reported_credits"] else None,
        unpriced_tokens=usage["unpriced_tokens"],
    )


def coverage_of(usage: Row | None) -> dict[str, Coverage]:
    """An entry for every counter, `total_tokens`, and money (reported = had a price, or came with one)."""
    if usage is None:
        return _NOTHING
    n = usage["n"]
    covered = {name: Coverage(n, usage[r], usage[low], usage[d]) for name, r, low, d in _COVERAGE}
    for name in _PRICED:
        covered[f"{name}_microusd"] = Coverage(n, usage[f"r_{name}"], usage[f"l_{name}"], 0)
    covered["reported_cost_microusd"] = Coverage(n, usage["r_reported_usd"], 0, 0)
    return covered


NO_COVERAGE = Coverage(0, 0, 0, 0)
_MONEY = (*(f"{name}_microusd" for name in _PRICED), "reported_cost_microusd")
COVERED = (*COUNTERS, "total_tokens", *_MONEY)  # what coverage has an entry for, in order
_NOTHING = dict.fromkeys(COVERED, NO_COVERAGE)


def _total(usage: Row) -> int | None:
    """Coverage counts complete totals only, but what was reported of a total is part of the sum all the same."""
    total: int = usage["s_total_tokens"]
    return total if any(usage[part] for part in _PARTS) else None


def _money(usage: Row, name: str) -> int | None:
    return micro(usage[f"s_{name}"]) if usage[f"r_{name}"] else None


def columns_of(metric: Metric) -> tuple[str, ...]:
    """What `value_of` and `coverage_of_metric` need of a usage rollup: a few columns are summed faster than all."""
    name = metric.name
    if name in _PRICED:
        return ("n", f"s_{name}", f"r_{name}", f"l_{name}")
    if not metric.additive:
        return ("n", _PEAK, "r_context_tokens", "l_context_tokens", "d_context_tokens")
    parts = _PARTS if name == "total_tokens" else ()
    return ("n", f"s_{name}", f"r_{name}", f"l_{name}", f"d_{name}", *parts)


def value_of(metric: Metric, usage: Row | None) -> int | None:
    """A metric of tokens or money; null where nothing was reported."""
    if usage is None:
        return None
    if metric.name in _PRICED:
        return _money(usage, metric.name)
    if not metric.additive:
        return peak_of(usage)
    if metric.name == "total_tokens":
        return _total(usage)
    value: int = usage[f"s_{metric.name}"]
    return value if usage[f"r_{metric.name}"] else None


def coverage_of_metric(metric: Metric, usage: Row | None) -> Coverage:
    if usage is None:
        return NO_COVERAGE
    name = "context_tokens" if metric.name == "peak_context_tokens" else metric.name
    derived = 0 if name in _PRICED else usage[f"d_{name}"]
    return Coverage(usage["n"], usage[f"r_{name}"], usage[f"l_{name}"], derived)
