"""One population: every panel counts the same rows, in every zone, under every filter, and they are the stored ones."""

from datetime import datetime, time, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import population
import population_fleet as fleet
from population import (
    BY,
    Facts,
    Rows,
    assert_adds_up,
    chosen,
    coverage_of,
    dimension,
    known,
    local_day,
    peak_of,
)
from population_fleet import asked
from trueup_hub.analytics import hour_of_week
from trueup_hub.analytics.activity import activity
from trueup_hub.analytics.breakdown import breakdown
from trueup_hub.analytics.buckets import GRANULARITIES
from trueup_hub.analytics.heatmap import heatmap
from trueup_hub.analytics.summary import summary
from trueup_hub.params import FIRST_DAY, LAST_DAY
from trueup_shared.metrics import METRIC, METRICS, TOTAL_PARTS, Metric

read_only = settings(max_examples=fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)
NOTHING = Rows([], [], [])


@read_only
@given(fleet.queries)
async def test_the_summary_is_what_the_stored_rows_say(facts: Facts, query: dict[str, str]) -> None:
    common = asked(query)
    whole = await summary(facts.db, common)
    rows = chosen(facts.rows, common, whole.first, whole.last)
    expected = population.totals_of(rows)
    assert {name: getattr(whole.totals, name) for name in expected} == expected
    assert known(whole.coverage) == coverage_of(rows.events)
    assert whole.events == len(rows.events)
    assert whole.unpriced_tokens == expected["unpriced_tokens"]
    assert whole.peak_context_tokens == peak_of(rows.events)
    assert whole.active_sessions == len({row["session_key"] for row in rows.events})
    assert whole.active_days == len(rows.split(lambda row: local_day(row, common)))
    if not {"from", "to"} & query.keys():
        ever = chosen(facts.rows, common, FIRST_DAY, LAST_DAY)
        days = [local_day(row, common) for kind in ever for row in kind]
        assert not days or (whole.first, whole.last) == (min(days), max(days))


@read_only
@given(fleet.queries, st.sampled_from(BY))
async def test_the_parts_of_any_breakdown_are_what_the_rows_of_each_say(
    facts: Facts, query: dict[str, str], by: str
) -> None:
    common = asked(query)
    found = await breakdown(facts.db, common, by)
    rows = chosen(facts.rows, common, found.first, found.last)
    parts = {(row.label if by == "host" else row.key) or "": row for row in found.rows}
    assert len(parts) == len(found.rows)
    groups = rows.split(lambda row: dimension(row, by))
    assert parts.keys() == groups.keys()
    for name, group in groups.items():
        part, expected = parts[name], population.totals_of(group)
        assert {one: getattr(part.totals, one) for one in expected} == expected, name
        assert known(part.coverage) == coverage_of(group.events), name
        assert (part.events, part.peak_context_tokens) == (len(group.events), peak_of(group.events))
    assert_adds_up([row.totals for row in found.rows], population.totals_of(rows), by)
    assert found.rows == sorted(found.rows, key=lambda row: -(row.totals.total_tokens or 0))
    shares = [row.share for row in found.rows if row.share is not None]
    assert not shares or abs(sum(shares) - 1) < 1e-9


@read_only
@given(fleet.queries, st.sampled_from(GRANULARITIES), st.sampled_from([None, *BY]), st.sampled_from([None, 2, 4]))
async def test_the_points_of_all_series_add_up_to_the_summary(
    facts: Facts, query: dict[str, str], granularity: Any, group_by: str | None, most: int | None
) -> None:
    common = asked(query)
    found = await activity(facts.db, common, granularity, group_by, most)
    assert most is None or len(found.series) <= most
    rows = chosen(facts.rows, common, found.first, found.last)
    points = [point for one in found.series for point in one.points]
    assert_adds_up([point.totals for point in points], population.totals_of(rows), (granularity, group_by))
    for name, covered in coverage_of(rows.events).items():
        sums = [known(point.coverage)[name] for point in points]
        assert tuple(map(sum, zip(*sums, strict=True))) == (covered if points else ()), name
    if granularity == "hour" or group_by is not None:
        return
    days = rows.split(lambda row: local_day(row, common))
    for begin, end, point in zip(points, [*points[1:], None], points, strict=False):
        inside = [days[day] for day in days if begin.start <= str(day) and (end is None or str(day) < end.start)]
        together = Rows(*([row for rows in kind for row in rows] for kind in zip(NOTHING, *inside, strict=True)))
        expected = population.totals_of(together)
        assert {name: getattr(point.totals, name) for name in expected} == expected, point.start


@read_only
@given(fleet.queries, st.sampled_from(METRICS))
async def test_the_days_of_the_heatmap_are_what_the_rows_of_each_say(
    facts: Facts, query: dict[str, str], metric: Metric
) -> None:
    common = asked(query)
    calendar = await heatmap(facts.db, common, metric.name)
    length = (calendar.last - calendar.first).days + 1
    assert [entry.date for entry in calendar.entries] == [calendar.first + timedelta(n) for n in range(length)]
    rows = chosen(facts.rows, common, calendar.first, calendar.last)
    days = rows.split(lambda row: local_day(row, common))
    for entry in calendar.entries:
        day = days.get(entry.date, NOTHING)
        assert entry.value == value_of(metric, day), entry.date
        if metric.kind != "count":
            name = f"{metric.name}_microusd" if metric.kind == "money" else metric.name.removeprefix("peak_")
            assert known({name: entry.coverage}) == {name: coverage_of(day.events)[name]}
            # Null is exactly where nothing was reported; of a total its parts count.
            reported = [coverage_of(day.events)[part][1] for part in (TOTAL_PARTS if "total" in name else (name,))]
            assert (entry.value is None) == (not any(reported))
    if metric.additive and metric.kind != "money":
        assert population.total(entry.value for entry in calendar.entries) == value_of(metric, rows) or not length


@read_only
@given(fleet.queries, st.sampled_from(hour_of_week.SUPPORTED))
async def test_the_hours_of_the_week_are_what_the_rows_of_each_say(
    facts: Facts, query: dict[str, str], name: str
) -> None:
    common, metric = asked(query), METRIC[name]
    found = await hour_of_week.hour_of_week(facts.db, common, name)
    rows = chosen(facts.rows, common, found.first, found.last)

    def hour(row: population.Record) -> tuple[int, int]:
        at = row["at"].astimezone(common.zone)
        return at.weekday(), at.hour

    hours = rows.split(hour)
    assert [(cell.day_of_week, cell.hour) for cell in found.cells] == [(n // 24, n % 24) for n in range(168)]
    for cell in found.cells:
        assert cell.value == value_of(metric, hours.get((cell.day_of_week, cell.hour), NOTHING)), cell
    ends = [datetime.combine(day, time(), common.zone) for day in (found.first, found.last + timedelta(1))]
    assert sum(cell.hours for cell in found.cells) == (ends[1].timestamp() - ends[0].timestamp()) / 3600


def value_of(metric: Metric, rows: Rows) -> Any:
    if metric.name == "active_sessions":
        return len({row["session_key"] for row in rows.events})
    if metric.name == "peak_context_tokens":
        return peak_of(rows.events)
    return population.totals_of(rows)[f"{metric.name}_microusd" if metric.kind == "money" else metric.name]
