"""What each session used over its whole life: one row, from its first slot to its last.

Rows are lists: host, harness and project (SEVERAL where its usage has more than one), first and last slot, and then the
measures of RANKED.
"""

from operator import itemgetter

from trueup_hub.db import Connection
from trueup_hub.ingest.cells import AT, NO_MAX, PLACE, SEVERAL, Cells, upsert_sql
from trueup_hub.ingest.measures import RANKED
from trueup_hub.sqlfiles import load

SPAN = ("first_slot", "last_slot")
COLUMNS = (*PLACE, *SPAN, *RANKED)

_ranked = itemgetter(*(AT[name] for name in RANKED))
_MAX = COLUMNS.index("max_context_tokens")
_ALWAYS = (*PLACE, *SPAN, "n", "max_context_tokens")
_SQL = load("rollups")
_LOOK_UP = _SQL["look_session_up"].format(
    one_of_several=", ".join(
        f"CASE WHEN min(cells.{name}) = max(cells.{name}) THEN min(cells.{name}) ELSE {SEVERAL} END AS {name}"
        for name in PLACE
    )
)


def totals_of(cells: Cells) -> Cells:
    """Cells of session_slots, added up by session."""
    totals: Cells = {}
    for (host_no, session, slot, harness, _, _, project), cell in cells.items():
        row = [host_no, harness, project, slot, slot, *_ranked(cell)]
        known = totals.get(session)
        totals[session] = row if known is None else _added(known, row)
    return totals


def _added(one: list[int], other: list[int]) -> list[int]:
    row = [a if a == b else SEVERAL for a, b in zip(one[:3], other[:3], strict=True)]
    row += (min(one[3], other[3]), max(one[4], other[4]))
    row += map(int.__add__, one[5:], other[5:])
    row[_MAX] = max(one[_MAX], other[_MAX])
    return row


def _less(row: list[int]) -> list[int]:
    """What takes it away. What sums cannot tell is looked up afterwards."""
    row = [*row[:5], *(-value for value in row[5:])]
    row[_MAX] = NO_MAX
    return row


async def change_totals(connection: Connection, plus: Cells, minus: Cells) -> None:
    """Add to rows of sessions and take away, in the order of their keys. A session that lost something is looked up."""
    changed = dict(plus)
    for session, row in minus.items():
        less = _less(row)
        changed[session] = _added(changed[session], less) if session in changed else less
    if not changed:
        return
    ordered = sorted(changed)
    columns = dict(zip(COLUMNS, zip(*(changed[session] for session in ordered), strict=True), strict=True))
    columns["max_context_tokens"] = tuple(None if v == NO_MAX else v for v in columns["max_context_tokens"])
    used = tuple(name for name, column in columns.items() if name in _ALWAYS or any(column))
    await connection.execute(upsert_sql("session_totals", used), ordered, *(columns[name] for name in used))
    if minus:
        lessened = [(session,) for session in sorted(minus)]
        await connection.executemany(_SQL["drop_empty_session_totals"], lessened)
        await connection.executemany(_LOOK_UP, lessened)
