"""Rollups held against what they are made of, and brought to it: cells that differ change by the difference.

A difference is read in one moment and added later, as a batch would: what batches add in between stays right, and
nobody waits (docs/adr/0008). Session cells are compared with counted events, slots with session cells, days with slots,
activity with messages and sessions.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

from trueup_hub.db import Database, Record, retried
from trueup_hub.ingest.digests import FIRST, LAST, following
from trueup_hub.ingest.jobs import settling_transaction
from trueup_hub.ingest.rollups import change_cells, stored_cell
from trueup_hub.ingest.sessions import Activity
from trueup_hub.ingest.verify import ACTIVITY, CELL_KEYS, cells_sql, counted_events
from trueup_hub.ingest.zones import Zone
from trueup_hub.sqlfiles import load

_SQL = load("scrub")
_PARTS = load("verify")
_SLICE_ROWS = 20_000
_CELLS_AT_ONCE = 2_000

_OF_HOST = "host_no = $1"
_OF_SESSIONS = "host_no = $1 AND session_key >= $2 AND session_key <= $3"


async def rebuild_rollups(db: Database, host_no: int) -> AsyncIterator[int]:
    """Bring all rollups of a host to what the facts say; yields how many cells differed, slice by slice."""
    low: bytes | None = FIRST
    while low is not None:
        high = await db.fetchval(_SQL["end_of_sessions"], host_no, low, _SLICE_ROWS) or LAST
        sql = cells_sql("session_slots", counted_events(_OF_SESSIONS), _OF_SESSIONS, limit=_CELLS_AT_ONCE)
        async for cells in _rebuild(db, "session_slots", sql, host_no, low, high):
            yield cells
        low = following(high)
    sql = cells_sql("usage_slots", _SQL["of_session_slots"], _OF_HOST, limit=_CELLS_AT_ONCE)
    async for cells in _rebuild(db, "usage_slots", sql, host_no):
        yield cells
    for record in await db.fetch("SELECT zone_no, zone FROM zones ORDER BY zone_no"):
        zone = Zone(*record)
        key = {"zone_no": str(zone.zone_no), "day": "(to_timestamp(slot * 900.0) AT TIME ZONE $2)::date"}
        here = f"{_OF_HOST} AND zone_no = {zone.zone_no}"
        sql = cells_sql("usage_days", _SQL["of_usage_slots"], here, key, limit=_CELLS_AT_ONCE)
        async for cells in _rebuild(db, "usage_days", sql, host_no, zone.name, zone=zone):
            yield cells
    sql = cells_sql("activity_slots", _PARTS["activity_parts"], _OF_HOST, limit=_CELLS_AT_ONCE)
    async for cells in _rebuild(db, "activity_slots", sql, host_no):
        yield cells


async def _rebuild(db: Database, table: str, sql: str, *args: Any, zone: Zone | None = None) -> AsyncIterator[int]:
    """Mend until fewer cells differ than are looked for at once, or no other ones."""
    before: list[Any] = []
    while True:
        async with db.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            # Until it is mended: two scrubs that read one difference would both add it.
            await connection.execute(_SQL["one_mends_rollups"])
            found = await connection.fetch(sql, *args)
            cells = [tuple(record)[:-2] for record in found]
            if found and cells != before:
                await _mend(db, table, found, zone)
        yield len(found)
        if len(found) < _CELLS_AT_ONCE or cells == before:
            return
        before = cells


async def _mend(db: Database, table: str, found: list[Record], zone: Zone | None) -> None:
    def cells(name: str, cell: Callable[[Any], list[int]]) -> dict[Any, list[int]]:
        names = CELL_KEYS[table]
        return {tuple(r[part] for part in names): cell(r[name]) for r in found if r[name] is not None}

    async def attempt() -> None:
        async with settling_transaction(db) as tx:
            if table == "activity_slots":
                activity = Activity(user=-1, prompt=-1)
                for name, sign in (("expected", 1), ("actual", -1)):
                    for key, numbers in cells(name, lambda cell: [cell[m] for m in ACTIVITY]).items():
                        activity.add(key, sign, *numbers)
                await activity.write(tx)
            else:
                plus, minus = cells("expected", stored_cell), cells("actual", stored_cell)
                await change_cells(tx.connection, table, plus, minus, zone)

    await retried(attempt)
