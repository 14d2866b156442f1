"""`GET /analytics/hour-of-week`: one additive metric by the hours of a local week."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trueup_hub.analytics.buckets import DAY_SLOTS, Buckets, days_of
from trueup_hub.analytics.scope import Division, Scope, open_scope
from trueup_hub.analytics.totals import Coverage, Row, added, columns_of, coverage_of_metric, value_of
from trueup_hub.params import Common, metric
from trueup_hub.trust import Reply, trust_of
from trueup_shared.metrics import METRIC, METRICS, Metric
from trueup_shared.times import SLOT_SECONDS, first_slot, local_time

if TYPE_CHECKING:
    from trueup_hub.db import Database

SUPPORTED = tuple(m.name for m in METRICS if m.additive)
TAKES = (metric(SUPPORTED, "total_tokens"),)
WEEK_HOURS = 7 * 24
_HOUR_SLOTS = 4
_EPOCH_HOUR = 3 * 24  # 1970 began on a Thursday


class Cell(Struct, frozen=True, gc=False):
    """One of the 168 hours. `hours`: how many hours of the range lie in it, so that `value / hours` is an average. An
    hour that comes twice counts twice, one that is skipped not at all, and half an hour as 0.5."""

    day_of_week: int  # 0 = Monday
    hour: int
    value: int | None
    hours: float
    coverage: Coverage


class HourOfWeek(Reply, frozen=True, kw_only=True):
    """The cells add up to the summary. Tokens and money are null where nothing was reported; counts are 0."""

    metric: str
    cells: list[Cell]


async def hour_of_week(db: "Database", common: Common, metric: str) -> HourOfWeek:
    """Monday 0:00 first."""
    async with open_scope(db, common) as scope:
        stretches = list(_stretches(scope))
        values = await _values(scope, stretches, METRIC[metric])
        hours = _hours(stretches)
        cells = [
            Cell(n // 24, n % 24, value, hours[n] / _HOUR_SLOTS, covered) for n, (value, covered) in enumerate(values)
        ]
        return HourOfWeek(metric=metric, cells=cells, trust=await trust_of(scope), **scope.echo)


class _Stretch(Struct, frozen=True):
    """Slots over which the clocks stand still. `offset`: of local time, in slots."""

    begin: int
    end: int
    offset: int


def _stretches(scope: Scope) -> Iterator[_Stretch]:
    days = [first_slot(day, scope.zone) for day in days_of(scope.first, scope.last + timedelta(1))]
    changes: list[tuple[int, int]] = []
    for begin, next_day in itertools.pairwise(days):
        for slot in (begin,) if next_day - begin == DAY_SLOTS else range(begin, next_day):
            offset = _offset(scope, slot)
            if not changes or changes[-1][1] != offset:
                changes.append((slot, offset))
    ends = [slot for slot, _ in changes[1:]] + days[-1:]
    for (begin, offset), until in zip(changes, ends, strict=True):
        yield _Stretch(begin, until, offset)


def _offset(scope: Scope, slot: int) -> int:
    ahead = local_time(slot, scope.zone).utcoffset()
    assert ahead is not None
    return int(ahead.total_seconds()) // SLOT_SECONDS


def _hour_of(slot: int) -> int:
    """Hour of the week of a slot in local time."""
    return (slot // _HOUR_SLOTS + _EPOCH_HOUR) % WEEK_HOURS


def _hours(stretches: list[_Stretch]) -> list[int]:
    """How many slots lie in each hour of the week."""
    found = [0] * WEEK_HOURS
    for one in stretches:
        weeks, rest = divmod(one.end - one.begin, WEEK_HOURS * _HOUR_SLOTS)
        found = [slots + weeks * _HOUR_SLOTS for slots in found]
        for slot in range(one.end + one.offset - rest, one.end + one.offset):
            found[_hour_of(slot)] += 1
    return found


async def _values(scope: Scope, stretches: list[_Stretch], metric: Metric) -> list[tuple[int | None, Coverage]]:
    # Not whole days: sums by slot
    buckets = Buckets([], [*(one.begin for one in stretches), stretches[-1].end], None)
    hour = f"((slot + ($9::int4[])[width_bucket(slot, $8::int4[])]) / {_HOUR_SLOTS} + {_EPOCH_HOUR}) % {WEEK_HOURS}"
    division = Division("hour_of_week", hour, ([one.offset for one in stretches],))
    groups: dict[int, list[Row]] = defaultdict(list)
    found: dict[tuple[int, int], Any]
    if metric.kind == "count":
        found = await scope.counts(buckets, division)
    else:
        found = await scope.usage(buckets, division, columns_of(metric))
    for (_, number), row in found.items():
        groups[number].append(row)
    if metric.kind == "count":
        counts = [sum(row[metric.name] for row in groups[n]) for n in range(WEEK_HOURS)]
        return [(count, Coverage(count, count, 0, 0)) for count in counts]  # what is counted is all known
    sums = [added(groups[n]) for n in range(WEEK_HOURS)]
    return [(value_of(metric, row), coverage_of_metric(metric, row)) for row in sums]
