from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_hub.analytics.buckets import GRANULARITIES, buckets
from trueup_hub.analytics.heatmap import level_of, thresholds
from trueup_shared.times import first_slot, local_time

ZONES = ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "America/Havana", "Africa/Casablanca"]


@given(
    st.sampled_from(ZONES),
    st.sampled_from(GRANULARITIES),
    st.dates(date(2016, 1, 1), date(2040, 1, 1)),
    st.integers(0, 70),
)
def test_buckets_cover_exactly_the_local_days_of_the_range(zone_name, granularity, first, length) -> None:
    zone, last = ZoneInfo(zone_name), first + timedelta(length)
    found = buckets(first, last, zone, granularity)
    assert len(found.bounds) == len(found.starts) + 1
    assert found.bounds == sorted(set(found.bounds))
    assert len(set(found.starts)) == len(found.starts)
    assert local_time(found.bounds[0], zone).date() == first
    assert local_time(found.bounds[0] - 1, zone).date() == first - timedelta(1)
    assert local_time(found.bounds[-1] - 1, zone).date() == last
    assert local_time(found.bounds[-1], zone).date() == last + timedelta(1)


@pytest.mark.parametrize("zone_name", ZONES)
def test_every_slot_of_a_year_lies_in_the_bucket_of_its_local_hour(zone_name) -> None:
    zone = ZoneInfo(zone_name)
    found = buckets(date(2026, 1, 1), date(2026, 12, 31), zone, "hour")
    for start, begin, end in zip(found.starts, found.bounds, found.bounds[1:], strict=False):
        inside = [local_time(slot, zone) for slot in range(begin, end)]
        assert 1 <= len(inside) <= 4
        assert {(at.date(), at.hour, at.utcoffset()) for at in inside} == {
            (inside[0].date(), inside[0].hour, inside[0].utcoffset())
        }
        assert datetime.fromisoformat(start).timestamp() == inside[0].timestamp()


def test_days_on_which_clocks_change_are_longer_or_shorter() -> None:
    def slots(zone: str, day: date) -> int:
        return first_slot(day + timedelta(1), ZoneInfo(zone)) - first_slot(day, ZoneInfo(zone))

    assert slots("America/St_Johns", date(2026, 3, 8)) == 92
    assert slots("America/St_Johns", date(2026, 11, 1)) == 100
    assert slots("Australia/Lord_Howe", date(2026, 4, 5)) == 98
    assert slots("Australia/Lord_Howe", date(2026, 10, 4)) == 94
    assert slots("Asia/Kathmandu", date(2026, 10, 4)) == 96


def test_a_day_whose_midnight_is_skipped_begins_after_the_gap() -> None:
    # Havana goes from 00:00 to 01:00 on 2026-03-08
    gap_ends = datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert local_time(first_slot(date(2026, 3, 8), ZoneInfo("America/Havana")), ZoneInfo("UTC")) == gap_ends


def test_an_hour_that_comes_twice_is_two_buckets_told_apart_by_their_offset() -> None:
    found = buckets(date(2026, 11, 1), date(2026, 11, 1), ZoneInfo("America/New_York"), "hour")
    assert len(found.starts) == 25
    assert found.starts[1:3] == ["2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00"]


def test_weeks_begin_on_monday_and_nothing_reaches_outside_the_range() -> None:
    found = buckets(date(2026, 11, 18), date(2026, 11, 24), ZoneInfo("UTC"), "week")
    assert found.starts == ["2026-11-16", "2026-11-23"]
    assert found.days == [date(2026, 11, 18), date(2026, 11, 23)]
    months = buckets(date(2026, 1, 31), date(2026, 3, 1), ZoneInfo("UTC"), "month")
    assert months.starts == ["2026-01-01", "2026-02-01", "2026-03-01"]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([7], [4]),
        ([7, 9], [2, 4]),
        ([1, 2, 3], [2, 3, 4]),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([5, 5, 5, 5], [4, 4, 4, 4]),
        ([1, 1, 1, 9], [3, 3, 3, 4]),
        ([None, 0, 3], [0, 0, 4]),
        ([None, 0], [0, 0]),
    ],
)
def test_one_to_four_active_days_already_differ_as_far_as_they_can(values, levels) -> None:
    bounds = thresholds([value for value in values if value])
    assert [level_of(value, bounds) for value in values] == levels


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_a_level_is_the_quarter_in_which_the_rank_of_the_day_lies(values) -> None:
    bounds = thresholds(values)
    for value in values:
        at_most = sum(other <= value for other in values)
        assert level_of(value, bounds) == -(-4 * at_most // len(values))
