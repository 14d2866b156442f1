"""`GET /analytics/activity`: every additive metric over time, stacked by one dimension."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from trueup_hub.analytics.buckets import GRANULARITIES, Buckets, Granularity, buckets
from trueup_hub.analytics.scope import Division, Named, Scope, open_scope
from trueup_hub.analytics.totals import Coverage, Row, Totals, added, added_counts, coverage_of, rank, totals_of
from trueup_hub.errors import BadRequest
from trueup_hub.params import DIMENSIONS, Common, Parameter
from trueup_hub.trust import Reply, trust_of

if TYPE_CHECKING:
    from trueup_hub.db import Database

TAKES = (
    Parameter(name="granularity", kind="choice", doc="How long a bucket is.", choices=GRANULARITIES, default="day"),
    Parameter(name="group_by", kind="dimension", doc="A series for each of them.", choices=DIMENSIONS),
    Parameter(
        name="series",
        kind="whole",
        doc="How many series at most: the least are one together, the last, whose `others` says how many they are.",
        lowest=2,
        highest=1_000,
    ),
)
_NO_NAME = Named(key=None, label=None)
MAX_POINTS = 20_000  # of 1.4 kB each; narrower questions have answers that a page can draw


class Point(Struct, frozen=True, gc=False):
    """`start`: a date, or for hours a local time with its offset."""

    start: str
    totals: Totals
    coverage: dict[str, Coverage]


class Series(Named, frozen=True, kw_only=True):
    """`others`: of how many groups it is the sum, without a key; 0 = of the one that it is called by."""

    others: int
    points: list[Point]


class Line(Named, frozen=True, kw_only=True, gc=False):
    """A point and whose it is."""

    others: int
    start: str
    totals: Totals
    coverage: dict[str, Coverage]


class Activity(Reply, frozen=True, kw_only=True):
    """Every bucket of the range is in each series; the greatest series comes first, the others together last. Without
    `group_by` there is one."""

    granularity: Granularity
    group_by: str | None
    series: list[Series]


async def activity(
    db: "Database", common: Common, granularity: Granularity, group_by: str | None, most: int | None = None
) -> Activity:
    """In at most so many series. BadRequest `too_many_points` when the answer would have more than MAX_POINTS."""
    async with open_scope(db, common) as scope:
        _check_size((scope.last - scope.first).days + 1, granularity, 1)
        parts = buckets(scope.first, scope.last, scope.zone, granularity)
        division = await scope.divide(group_by)
        usage, counts = await scope.usage(parts, division), await scope.counts(parts, division)
        return Activity(
            granularity=granularity,
            group_by=group_by,
            series=await _series(scope, parts, division, usage, counts, most),
            trust=await trust_of(scope),
            **scope.echo,
        )


def lines(activity: Activity) -> Iterator[Line]:
    """As a table: one line for each point."""
    for one in activity.series:
        for point in one.points:
            yield Line(
                key=one.key,
                label=one.label,
                others=one.others,
                start=point.start,
                totals=point.totals,
                coverage=point.coverage,
            )


async def _series(
    scope: Scope,
    parts: Buckets,
    division: Division,
    usage: dict[tuple[int, int], Row],
    counts: dict[tuple[int, int], Row],
    most: int | None,
) -> list[Series]:
    keys = {key for _, key in (*usage, *counts)} if division.by else {0}
    number = min(len(keys), most or len(keys)) * len(parts.starts)
    if number > MAX_POINTS:
        raise _too_many(number)
    names = await scope.names(division, keys)
    all_used, all_counted = defaultdict(list), defaultdict(list)
    for (_, key), row in usage.items():
        all_used[key].append(row)
    for (_, key), row in counts.items():
        all_counted[key].append(row)
    order = sorted(keys, key=lambda key: rank(added(all_used[key]), added_counts(all_counted[key]), names[key].key))
    shown = len(order) if most is None or len(order) <= most else most - 1

    def point(i: int, start: str, of: list[int]) -> Point:
        used, counted = [usage.get((i, key)) for key in of], [counts.get((i, key)) for key in of]
        if len(of) == 1:
            row, count = used[0], counted[0]
        else:
            row, count = added(filter(None, used)), added_counts(filter(None, counted))
        return Point(start, totals_of(row, count), coverage_of(row))

    def series(name: Named, of: list[int], others: int = 0) -> Series:
        points = [point(i, start, of) for i, start in enumerate(parts.starts)]
        return Series(key=name.key, label=name.label, others=others, points=points)

    found = [series(names[key], [key]) for key in order[:shown]]
    rest = order[shown:]
    return [*found, series(_NO_NAME, rest, len(rest))] if rest else found


def _check_size(days: int, granularity: Granularity, series: int) -> None:
    """Before anything is computed: hours of a century are refused without asking the database."""
    points = series * {"hour": 24 * days, "day": days, "week": days // 7, "month": days // 31}[granularity]
    if points > MAX_POINTS:
        raise _too_many(points)


def _too_many(points: int) -> BadRequest:
    return BadRequest(
        "too_many_points",
        f"The answer would have {points} points, more than {MAX_POINTS}: use a shorter range, a filter or a coarser"
        f" 'granularity' ({', '.join(GRANULARITIES)}).",
        limit=MAX_POINTS,
    )
