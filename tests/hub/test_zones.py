"""Days of any zone are exact, for the slot is a quarter of an hour and no zone's offset is finer."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgers import Ledger, add_host, event, event_key
from trueup_hub.db import Database
from trueup_hub.ingest import add_zone
from trueup_hub.ingest.verify import verify
from trueup_hub.ingest.zones import day_of_slot
from trueup_hub.scrubbing import scrub_all
from trueup_shared.times import first_slot

ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia")


@given(st.sampled_from(ZONES), st.dates(date(2015, 1, 2), date(2035, 1, 1)))
def test_a_day_is_the_slots_from_its_first_to_the_next_days(zone: str, day: date) -> None:
    first = first_slot(day, ZoneInfo(zone))
    assert day_of_slot(zone, first) == day
    assert day_of_slot(zone, first - 1) < day


async def test_a_zone_whose_name_is_also_an_abbreviation_has_its_summer_time_everywhere(db: Database) -> None:
    """PostgreSQL takes 'CET' after AT TIME ZONE for an hour before UTC, in summer too."""
    ledger = Ledger(db, await add_host(db, "laptop"))
    await add_zone(db, "CET")
    at = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    ledger.put(event_key("late"), event(at=int(at.timestamp()) * 1_000_000))
    await ledger.push()
    days = "SELECT DISTINCT day FROM {} JOIN zones USING (zone_no) WHERE zone = 'CET'"
    tables = ("usage_days", "project_days")
    assert await verify(db) == {}
    for table in tables:
        await db.execute(f"DELETE FROM {table}")
    await scrub_all(db)
    for table in tables:
        assert [tuple(row) for row in await db.fetch(days.format(table))] == [(date(2026, 7, 2),)]
    assert await verify(db) == {}


async def test_a_zone_that_is_added_has_the_days_of_before_and_after(db: Database) -> None:
    ledger = Ledger(db, await add_host(db, "laptop"))

    def put(name: str, moment: datetime) -> None:
        ledger.put(event_key(name), event(at=int(moment.timestamp()) * 1_000_000))

    # Around the change to summer time in Berlin, and around midnights.
    for hour in range(0, 72, 5):
        put(f"a{hour}", datetime(2026, 3, 28 + hour // 24, hour % 24, 14, 59, tzinfo=UTC))
    await ledger.push()
    for zone in ZONES:
        await add_zone(db, zone)
    assert await verify(db) == {}
    for hour in range(0, 72, 7):
        put(f"b{hour}", datetime(2026, 10, 24 + hour // 24, hour % 24, 45, tzinfo=UTC))
    await ledger.push()
    assert await verify(db) == {}
    days = await db.fetchval(
        "SELECT count(DISTINCT zone_no) FROM usage_days JOIN zones USING (zone_no) WHERE zone = ANY($1)", list(ZONES)
    )
    assert days == len(ZONES)


@pytest.mark.parametrize("zone", ZONES)
async def test_a_zone_of_an_empty_hub_is_kept_up_from_the_first_batch(db: Database, zone: str) -> None:
    await add_zone(db, zone)
    await add_zone(db, zone)
    ledger = Ledger(db, await add_host(db, "laptop"))
    ledger.put(event_key(1), event(1))
    await ledger.push()
    assert await verify(db) == {}
