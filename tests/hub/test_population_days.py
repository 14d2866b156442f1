"""Days that are shorter or longer than others, begin late or twice, or end a year: each holds exactly its requests."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from ledgers import Ledger, add_host
from population import Facts, Rows, chosen, local_day, totals_of
from population_fleet import make_database
from trueup_hub.analytics.activity import activity
from trueup_hub.analytics.breakdown import breakdown
from trueup_hub.analytics.heatmap import heatmap
from trueup_hub.analytics.summary import summary
from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest import add_zone
from trueup_hub.params import Query
from usage_data import event

# zone, first and last day, hours of the day in the middle (of three), what is odd
CASES = {
    "no midnight": ("America/Sao_Paulo", "2018-11-03", "2018-11-05", 23),
    "midnight comes back": ("America/Sao_Paulo", "2018-02-16", "2018-02-18", 25),
    "no midnight in Cairo": ("Africa/Cairo", "2023-04-27", "2023-04-29", 23),
    "the last hour twice": ("Africa/Cairo", "2023-10-25", "2023-10-27", 25),
    "no midnight in Beirut": ("Asia/Beirut", "2026-03-28", "2026-03-30", 23),
    "midnight twice": ("Asia/Amman", "2015-10-29", "2015-10-31", 25),
    "the last half hour left out": ("Asia/Pyongyang", "2018-05-03", "2018-05-05", 23.5),
    "the last half hour twice": ("Asia/Pyongyang", "2015-08-13", "2015-08-15", 24.5),
    "half an hour for good": ("America/Caracas", "2016-04-30", "2016-05-02", 23.5),
    "half an hour more": ("Australia/Lord_Howe", "2026-04-04", "2026-04-06", 24.5),
    "half an hour less": ("Australia/Lord_Howe", "2026-10-03", "2026-10-05", 23.5),
    "three hours left out at midnight": ("Antarctica/Casey", "2016-10-21", "2016-10-23", 21),
    "three hours twice": ("Antarctica/Casey", "2018-03-10", "2018-03-12", 27),
    "a change in the middle of a slot": ("Antarctica/Casey", "2020-10-03", "2020-10-05", 21),
    "two hours": ("Antarctica/Troll", "2026-03-28", "2026-03-30", 22),
    "two hours twice": ("Antarctica/Vostok", "2023-12-17", "2023-12-19", 26),
    "Newfoundland": ("America/St_Johns", "2026-10-31", "2026-11-02", 25),
    "three quarters": ("Pacific/Chatham", "2026-09-26", "2026-09-28", 23),
    "a leap day": ("Asia/Kathmandu", "2028-02-28", "2028-03-01", 24),
    "no leap day": ("Australia/Eucla", "2027-02-27", "2027-03-01", 24),
    "a new year in the 53rd week": ("Pacific/Kiritimati", "2026-12-31", "2027-01-02", 24),
    "a new year on a Monday": ("Etc/GMT+12", "2028-12-31", "2029-01-02", 24),
    "the first days that can be asked for": ("Etc/GMT+12", "2015-01-02", "2015-01-04", 24),
    "the last days": ("Pacific/Kiritimati", "2099-12-28", "2099-12-30", 24),
}
IN_USE = sorted({zone for zone, *_ in CASES.values()})[::2]


async def fill(db: Database) -> None:
    """Requests around every change, midnight and end of these days, and somewhere in them."""
    rng = random.Random(3)
    ledger = Ledger(db, await add_host(db, "ana"))
    for n, (zone, first, last, _) in enumerate(CASES.values()):
        begin = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(days=1)
        end = datetime.fromisoformat(last).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) + timedelta(days=2)
        seconds = int((end - begin).total_seconds())
        times = [begin + timedelta(seconds=rng.randrange(seconds)) for _ in range(40)]
        for quarter in range(0, seconds, 900):
            at = begin + timedelta(seconds=quarter)
            before, after = ((at + timedelta(seconds=d)).astimezone(ZoneInfo(zone)) for d in (-1, 900))
            if before.date() != after.date() or before.utcoffset() != after.utcoffset():
                times += [at + timedelta(microseconds=micros) for micros in (-1, 0, 899_999_999, 900_000_000)]
        for m, at in enumerate(times):
            micros = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            ledger.put(*event(f"{n} {m}", f"s{n}", micros, output_tokens=m, input_tokens=m, model="claude-opus-4-1"))
    half = ledger.seq // 2
    assert (await ledger.push(half)).rejected == []
    for zone in IN_USE:
        await add_zone(db, zone)
    assert (await ledger.push()).rejected == []


@pytest.fixture(scope="module")
def database(pg: EmbeddedPg) -> tuple[str, Rows]:
    return make_database(pg, "odd_days", fill)


@pytest.fixture
async def facts(database: tuple[str, Rows]) -> AsyncIterator[Facts]:
    db = await Database.open(database[0])
    yield Facts(db, database[1])
    await db.close()


@pytest.mark.parametrize("case", CASES)
async def test_each_day_holds_its_requests_and_no_others(facts: Facts, case: str) -> None:
    zone, first, last, hours = CASES[case]
    common = Query([("timezone", zone), ("from", first), ("to", last)]).common("UTC")
    assert common.first is not None
    assert common.last is not None
    rows = chosen(facts.rows, common, common.first, common.last)
    days = rows.split(lambda row: local_day(row, common))
    assert len(days) == 3
    calendar = await heatmap(facts.db, common, "output_tokens")
    assert {entry.date: entry.value for entry in calendar.entries} == {
        day: totals_of(held)["output_tokens"] for day, held in days.items()
    }
    whole = await summary(facts.db, common)
    assert whole.totals.output_tokens == totals_of(rows)["output_tokens"]
    assert [row.events for row in (await breakdown(facts.db, common, "model")).rows] == [len(rows.events)]
    for granularity in ("day", "week", "month"):
        await assert_points(facts, common, rows, granularity)
    [series] = (await activity(facts.db, common, "hour", None)).series
    assert sum(point.coverage["output_tokens"].events for point in series.points) == len(rows.events)
    middle = str(common.first + timedelta(1))
    assert length([point.start for point in series.points], middle) == hours


async def assert_points(facts: Facts, common: Any, rows: Rows, granularity: Any) -> None:
    expected: dict[str, int] = {}
    for row in rows.events:
        day = local_day(row, common)
        named = {"day": day, "week": day - timedelta(day.weekday()), "month": day.replace(day=1)}[granularity]
        expected[str(named)] = expected.get(str(named), 0) + row["output_tokens"]
    [series] = (await activity(facts.db, common, granularity, None)).series
    assert {point.start: point.totals.output_tokens for point in series.points} == expected


def length(starts: list[str], day: str) -> float:
    """Hours from the first bucket of a day to the first of the next."""
    first, after = (
        datetime.fromisoformat(next(start for start in starts if start >= bound))  # they are in order
        for bound in (day, str(date.fromisoformat(day) + timedelta(1)))
    )
    return (after - first).total_seconds() / 3600


def test_a_slot_is_of_one_day_in_every_zone() -> None:
    """Every offset is whole quarters of an hour: sampled twice a year, where all changes that stay show."""
    times = [datetime(year, month, 15, tzinfo=UTC) for year in range(2015, 2101, 3) for month in (1, 7)]
    for name in available_timezones():
        zone = ZoneInfo(name)
        offsets = {at.astimezone(zone).utcoffset() for at in times}
        assert not [offset for offset in offsets if offset is None or offset % timedelta(minutes=15)], name
