"""Time zones in use: `usage_days` holds the days of each. UTC is always one."""

from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from trueup_hub.db import Connection, Database
from trueup_hub.ingest.measures import MEASURES, folded
from trueup_hub.sqlfiles import load
from trueup_shared.times import first_slot, local_time

_SQL = load("ingest")


@lru_cache(maxsize=500_000)
def day_of_slot(zone: str, slot: int) -> date:
    return local_time(slot, ZoneInfo(zone)).date()


class Zone:
    def __init__(self, zone_no: int, name: str) -> None:
        self.zone_no = zone_no
        self.name = name

    def cell_of(self, key: tuple[int, ...]) -> tuple[int, date, int, int, int, int]:
        """usage_days key of a slot's: (host, slot, harness, provider, model, project)."""
        return (self.zone_no, day_of_slot(self.name, key[1]), key[0], key[2], key[3], key[4])

    def slots_of(self, day: date) -> tuple[int, int]:
        """[first, last) slot of a day."""
        zone = ZoneInfo(self.name)
        return first_slot(day, zone), first_slot(day + timedelta(1), zone)


async def zones_for_ingest(connection: Connection) -> list[Zone]:
    """Held until the batch commits, so that a zone that is being filled misses no batch."""
    await connection.execute("LOCK TABLE zones IN ROW SHARE MODE")
    return [Zone(*row) for row in await connection.fetch("SELECT zone_no, zone FROM zones ORDER BY zone_no")]


async def add_zone(db: Database, name: str) -> None:
    """Fill usage_days for a zone (IANA name) and keep it up from now on. Batches wait meanwhile."""
    async with db.transaction() as connection:
        await connection.execute("LOCK TABLE zones IN EXCLUSIVE MODE")
        if await connection.fetchval("SELECT 1 FROM zones WHERE zone = $1", name) is not None:
            return
        zone_no: int = await connection.fetchval("INSERT INTO zones (zone) VALUES ($1) RETURNING zone_no", name)
        first, last = await connection.fetchrow("SELECT min(slot), max(slot) FROM usage_slots") or (None, None)
        if first is None:
            return
        days = [day_of_slot(name, first)]
        while days[-1] < day_of_slot(name, last):
            days.append(days[-1] + timedelta(days=1))
        bounds = [first_slot(day, ZoneInfo(name)) for day in days]
        await connection.execute(
            _SQL["fill_days"].format(measures=folded(), columns=", ".join(MEASURES)), zone_no, days, bounds
        )
