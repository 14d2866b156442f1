"""Rollups held against what they are made of, and brought to it: cells that differ change by the difference.

A difference is read in one moment and added later, as a batch would: what batches add in between stays right, and
nobody waits (docs/adr/0008). Session cells are compared with counted events, sessions and slots with session cells,
days with slots, activity with messages and sessions.
"""

from collections.abc import AsyncIterator
from typing import Any

from trueup_hub.db import Database, Record, retried
from trueup_hub.ingest.activity import change_activity
from trueup_hub.ingest.cells import KEYS, Cells, change_cells, note_measures, stored_cell
from trueup_hub.ingest.digests import FIRST, LAST, following
from trueup_hub.ingest.jobs import settling_transaction
from trueup_hub.ingest.measures import COUNTS, MEASURES
from trueup_hub.ingest.session_totals import change_totals
from trueup_hub.ingest.verify import MEASURES_OF, OF_A_HOST, cells_sql, counted_events, sums_of
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
    sessions = _SQL["cells_of_sessions"].format(sessions=_SQL["sessions_in_slice"])
    low: bytes | None = FIRST
    while low is not None:
        high = await db.fetchval(_SQL["end_of_sessions"], host_no, low, _SLICE_ROWS) or LAST
        for table, source, here in (
            ("session_slots", counted_events(_OF_SESSIONS), _OF_SESSIONS),
            ("session_totals", sessions, f"session_key IN ({_SQL['sessions_in_slice']})"),
        ):
            async for cells in _rebuild(db, table, _differing(table, source, here), host_no, low, high):
                yield cells
        low = following(high)
    async for cells in _rebuild(db, "usage_slots", _differing("usage_slots", _SQL["of_session_slots"]), host_no):
        yield cells
    yield await _note_measures(db, host_no)
    sql = _differing("activity_slots", _PARTS["activity_parts"])
    async for cells in _rebuild(db, "activity_slots", sql, host_no):
        yield cells
    for record in await db.fetch("SELECT zone_no, zone FROM zones ORDER BY zone_no"):
        async for cells in _rebuild_days(db, host_no, Zone(*record)):
            yield cells


async def _rebuild_days(db: Database, host_no: int, zone: Zone) -> AsyncIterator[int]:
    key = {"zone_no": str(zone.zone_no), "day": "to_timestamp(slot * 900.0)::date"}
    here = f"{_OF_HOST} AND zone_no = {zone.zone_no}"
    for table in ("usage_days", "project_days", "activity_days"):
        source = _SQL["of_activity_slots" if table == "activity_days" else "of_usage_slots"]
        sql = _differing(table, source, here, key)
        async for cells in _rebuild(db, table, sql, host_no, zone=zone):
            yield cells


def _differing(table: str, source: str, here: str = _OF_HOST, key: dict[str, str] | None = None) -> str:
    return cells_sql(table, source, here, key, limit=_CELLS_AT_ONCE)


async def _note_measures(db: Database, host_no: int) -> int:
    sql = _PARTS["unnoted_measures"].format(sums=sums_of(MEASURES), condition=OF_A_HOST)
    async with db.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")
        unnoted = {record["measure"] for record in await connection.fetch(sql, host_no)}
        await note_measures(connection, unnoted)
    return len(unnoted)


async def _rebuild(db: Database, table: str, sql: str, *args: Any, zone: Zone | None = None) -> AsyncIterator[int]:
    """Mend until fewer cells differ than are looked for at once, or no other ones."""
    before: list[Any] = []
    while True:
        async with db.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            # Until it is mended: two scrubs that read one difference would both add it.
            await connection.execute(_SQL["one_mends_rollups"])
            if zone is not None:
                await connection.execute(_PARTS["set_zone"], zone.name)
            found = await connection.fetch(sql, *args)
            cells = [tuple(record[name] for name in KEYS[table]) for record in found]
            if found and cells != before:
                await _mend(db, table, found, zone)
        yield len(found)
        if len(found) < _CELLS_AT_ONCE or cells == before:
            return
        before = cells


async def _mend(db: Database, table: str, found: list[Record], zone: Zone | None) -> None:
    columns = MEASURES_OF.get(table, MEASURES)

    def cells(name: str) -> Cells:
        by_key = ((tuple(r[part] for part in KEYS[table]), r[name]) for r in found)
        return {key: stored_cell(cell, columns) for key, cell in by_key if cell is not None}

    async def attempt() -> None:
        async with settling_transaction(db) as tx:
            plus, minus = cells("expected"), cells("actual")
            if table == "session_totals":
                plus, minus = ({key[0]: row for key, row in some.items()} for some in (plus, minus))
                await change_totals(tx.connection, plus, minus)
            elif columns is COUNTS:
                nothing = [0] * len(COUNTS)
                added = {
                    key: list(map(int.__sub__, plus.get(key, nothing), minus.get(key, nothing))) for key in plus | minus
                }
                await change_activity(tx.connection, table, added, lessened=True)
            else:
                await change_cells(tx.connection, table, plus, minus, zone)

    await retried(attempt)
