"""Time zones in use: usage_days, project_days and activity_days hold the days of each. UTC is always one."""

from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from trueup_hub.db import Connection, Database
from trueup_hub.ingest.measures import COUNTS, MEASURES, folded
from trueup_hub.sqlfiles import load
from trueup_shared.times import first_slot, local_time

_SQL = load("rollups")
# table -> what it is made of, its key beside zone and day, what is summed
_DAYS = {
    "usage_days": ("usage_slots", "host_no, harness, provider, model", MEASURES),
    "project_days": ("usage_slots", "host_no, harness, provider, model, project", MEASURES),
    "activity_days": ("activity_slots", "host_no, harness, project, model", COUNTS),
}


@lru_cache(maxsize=500_000)
def day_of_slot(zone: str, slot: int) -> date:
    return local_time(slot, ZoneInfo(zone)).date()


class Zone:
    def __init__(self, zone_no: int, name: str) -> None:
        self.zone_no = zone_no
        self.name = name

    def cell_of(self, key: tuple[int, ...]) -> tuple[Any, ...]:
        """(zone, day, host, …) of (host, slot, …)."""
        return (self.zone_no, day_of_slot(self.name, key[1]), key[0], *key[2:])

    def slots_of(self, day: date) -> tuple[int, int]:
        """[first, last) slot of a day."""
        zone = ZoneInfo(self.name)
        return first_slot(day, zone), first_slot(day + timedelta(1), zone)


async def zones_for_ingest(connection: Connection) -> list[Zone]:
    """Held until the batch commits, so that a zone that is being filled misses no batch."""
    await connection.execute("LOCK TABLE zones IN ROW SHARE MODE")
    return [Zone(*row) for row in await connection.fetch("SELECT zone_no, zone FROM zones ORDER BY zone_no")]


async def add_zone(db: Database, name: str) -> None:
    """Fill the days of a zone (IANA name) and keep them up from now on. Batches wait meanwhile."""
    async with db.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")  # also for who waits while another hub fills it
        await connection.execute("LOCK TABLE zones IN EXCLUSIVE MODE")
        if await connection.fetchval("SELECT 1 FROM zones WHERE zone = $1", name) is not None:
            return
        zone_no: int = await connection.fetchval("INSERT INTO zones (zone) VALUES ($1) RETURNING zone_no", name)
        await _fill(connection, Zone(zone_no, name))


async def _fill(connection: Connection, zone: Zone) -> None:
    first, last = await connection.fetchrow(_SQL["extent_of_slots"]) or (None, None)
    if first is None:
        return
    days = [day_of_slot(zone.name, first)]
    while days[-1] < day_of_slot(zone.name, last):
        days.append(days[-1] + timedelta(1))
    starts = [zone.slots_of(day)[0] for day in days]
    for table, (slots, key, measures) in _DAYS.items():
        sql = _SQL["fill_days"].format(
            table=table, slots=slots, key=key, columns=", ".join(measures), sums=folded(measures)
        )
        await connection.execute(sql, zone.zone_no, days, starts)
