"""Messages, tool calls and session starts, by slot and by day of the zones in use."""

from functools import cache

from trueup_hub.db import Connection
from trueup_hub.ingest.cells import KEYS, Cells
from trueup_hub.ingest.copies import MessageCopy
from trueup_hub.ingest.measures import COUNTS
from trueup_hub.ingest.zones import Zone, zones_for_ingest
from trueup_hub.sqlfiles import load
from trueup_shared.times import SLOT_MICROS

_SQL = load("rollups")
_NO_MODEL = 0


class Activity:
    """(host_no, slot, harness, project, model) -> [messages, user_messages, tool_calls, sessions]"""

    def __init__(self, user: int, prompt: int) -> None:
        self.user, self.prompt = user, prompt
        self._cells: Cells = {}
        self._lessened = False

    def add(self, key: tuple[int, int, int, int, int], sign: int, *numbers: int) -> None:
        cell = self._cells.setdefault(key, [0, 0, 0, 0])
        for i, number in enumerate(numbers):
            cell[i] += sign * number
        self._lessened |= sign < 0

    def message(self, m: MessageCopy, sign: int) -> None:
        if m.at is not None:
            prompt = m.role == self.user and m.kind == self.prompt
            place = (m.host_no, m.at // SLOT_MICROS, m.harness, m.project, m.model)
            self.add(place, sign, 1, prompt, len(m.tool_names or ()), 0)

    def start(self, host_no: int, at: int | None, harness: int, project: int, sign: int) -> None:
        if at is not None:
            self.add((host_no, at // SLOT_MICROS, harness, project, _NO_MODEL), sign, 0, 0, 0, 1)

    async def write(self, connection: Connection) -> None:
        """Slots and then days, in key order."""
        changed = {key: cell for key, cell in self._cells.items() if any(cell)}
        if changed:
            await change_activity(connection, "activity_slots", changed, lessened=self._lessened)
            for zone in await zones_for_ingest(connection):
                await change_activity(connection, "activity_days", _days(changed, zone), lessened=self._lessened)


async def change_activity(connection: Connection, table: str, cells: Cells, *, lessened: bool) -> None:
    """Add to cells of a rollup. `lessened`: some may be empty then."""
    ordered = sorted(cells)
    await connection.execute(_upsert(table), *map(list, zip(*((*key, *cells[key]) for key in ordered), strict=True)))
    if lessened:
        await connection.executemany(_SQL[f"drop_empty_{table}"], ordered)


def _days(cells: Cells, zone: Zone) -> Cells:
    days: Cells = {}
    for key, cell in cells.items():
        day = days.setdefault(zone.cell_of(key), [0, 0, 0, 0])
        day[:] = map(int.__add__, day, cell)
    return days


@cache
def _upsert(table: str) -> str:
    kinds = ["date" if name == "day" else "int4" for name in (*KEYS[table], *COUNTS)]
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(kinds, 1))
    return _SQL["upsert_activity"].format(table=table, key=", ".join(KEYS[table]), arrays=arrays)
