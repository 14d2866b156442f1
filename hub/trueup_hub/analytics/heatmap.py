"""`GET /analytics/heatmap`: one metric, day by day."""

from datetime import date
from typing import TYPE_CHECKING

from msgspec import Struct

from trueup_hub.analytics.buckets import Buckets, buckets
from trueup_hub.analytics.scope import Scope, open_scope
from trueup_hub.analytics.totals import Coverage, columns_of, coverage_of_metric, value_of
from trueup_hub.params import Common, metric
from trueup_hub.trust import Reply, trust_of
from trueup_shared.metrics import METRIC, METRICS, Metric

if TYPE_CHECKING:
    from trueup_hub.db import Database

SUPPORTED = tuple(m.name for m in METRICS)
TAKES = (metric(SUPPORTED, "total_tokens"),)
LEVELS = 4


class Entry(Struct, frozen=True, gc=False):
    """A day. Tokens and cost are null where nothing was reported: `coverage.events` tells not reported from nothing
    happened. Counts are 0. Money is microdollars."""

    date: date
    value: int | None
    level: int
    coverage: Coverage


class Levels(Struct, frozen=True):
    """From which value on a day has at least this level; null when no day has a positive value."""

    l1: int | None
    l2: int | None
    l3: int | None
    l4: int | None


class Heatmap(Reply, frozen=True, kw_only=True):
    """Every day of the range. `level` is 0 for null, 0 and less, else 1 … 4 by `level_of`."""

    metric: str
    entries: list[Entry]
    levels: Levels


async def heatmap(db: "Database", common: Common, metric: str) -> Heatmap:
    async with open_scope(db, common) as scope:
        days = buckets(scope.first, scope.last, scope.zone, "day")
        assert days.days is not None
        values = await _values(scope, days, METRIC[metric])
        bounds = thresholds([value for value, _ in values if value and value > 0])
        entries = [
            Entry(day, value, level_of(value, bounds), covered)
            for day, (value, covered) in zip(days.days, values, strict=True)
        ]
        return Heatmap(
            metric=metric,
            entries=entries,
            levels=Levels(*bounds or (None,) * LEVELS),
            trust=await trust_of(scope),
            **scope.echo,
        )


async def _values(scope: Scope, days: Buckets, metric: Metric) -> list[tuple[int | None, Coverage]]:
    """The metric of each day, and of how many events it is known."""
    slots = range(len(days.starts))
    if metric.kind == "count":
        counts = await _counts(scope, days, metric.name)
        known = [counts.get(day, 0) for day in slots]
        return [(value, Coverage(value, value, 0, 0)) for value in known]  # what is counted is all known
    usage = await scope.usage(days, columns=columns_of(metric))
    rows = [usage.get((day, 0)) for day in slots]
    return [(value_of(metric, row), coverage_of_metric(metric, row)) for row in rows]


async def _counts(scope: Scope, days: Buckets, name: str) -> dict[int, int]:
    if name == "active_sessions":
        return await scope.active_sessions(days)
    return {day: row[name] for (day, _), row in (await scope.counts(days)).items()}


def thresholds(positive: list[int]) -> tuple[int, ...] | None:
    """Least value of each level. A day's level is the quarter, by rank among the days with a positive value, that it
    lies in: ceil(4 × share of those days that have at most its value). So the greatest day always has level 4, equal
    days have equal levels, and one to four days already differ as far as they can."""
    if not positive:
        return None
    ranked = sorted(positive)
    shares = [-(-LEVELS * at_most // len(ranked)) for at_most in range(1, len(ranked) + 1)]
    # of equal values the last has the rank that counts, so the least value of a level is the first to reach it
    return tuple(next(v for v, share in zip(ranked, shares, strict=True) if share >= level) for level in (1, 2, 3, 4))


def level_of(value: int | None, bounds: tuple[int, ...] | None) -> int:
    """0 for null, 0 and less; else how many thresholds the value reaches."""
    return sum(value >= bound for bound in bounds) if value and bounds else 0
