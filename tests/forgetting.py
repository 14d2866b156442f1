"""A ledger of a few days, of which something is forgotten."""

from typing import Any

from ledger_rows import NOON, event, message, recomputed, session
from trueup_agent.ledger import Ledger
from trueup_shared import keys

DAY = 86_400_000_000


async def consistent(ledger: Ledger) -> None:
    """Digest, rows and tombstones say the same as the columns."""
    head = await ledger.head()
    assert (head.digest, head.rows) == recomputed(ledger.path)
    for number, table in enumerate(("sessions", "messages", "events"), 1):
        both = f"SELECT count(*) FROM {table} JOIN tombstones USING (key) WHERE table_no = {number}"
        assert await ledger.query(both) == [(0,)]
        kept = f"SELECT coalesce(sum({table}), 0), (SELECT count(*) FROM {table}) FROM harnesses"
        [(counted, there)] = await ledger.query(kept)
        assert counted == there


def a_day(day: int, name: str, **fields: Any) -> list[Any]:
    """A request with its prompt and answer, so many days after noon of the first."""
    at = NOON + day * DAY
    project = {"project_path": fields.pop("project_path", "/home/ana/shop")}
    return [
        message(f"p{name}", at=at, **project, **fields),
        event(name, at=at, output_tokens=10, input_tokens=1, **project, **fields),
    ]


HISTORY = [
    session("s", started_at=NOON, project_path="/home/ana/shop", title="fix the cart"),
    *a_day(0, "e0"),
    *a_day(1, "e1"),
    *a_day(2, "e2"),
    session("agent", started_at=NOON, parent_key=keys.session_key("fake", "s"), relationship="subagent"),
    *a_day(1, "sub", session_name="agent"),
    session("fork", started_at=NOON + DAY, parent_key=keys.session_key("fake", "s"), relationship="fork"),
    *a_day(3, "other", session_name="fork", project_path="/srv/shop/.worktrees/x"),
    session("notes", started_at=NOON + DAY, project_path="/home/ana/notes"),
    message("undated", "notes", at=None),
    *a_day(1, "note", session_name="notes", project_path="/home/ana/notes"),
]


async def names(ledger: Ledger) -> tuple[set[str], set[str], int]:
    """Session ids, events, number of messages."""
    sessions = {name for (name,) in await ledger.query("SELECT session_id FROM sessions")}
    events = {name.strip('["]') for (name,) in await ledger.query("SELECT identity FROM events")}
    [(messages,)] = await ledger.query("SELECT count(*) FROM messages")
    return sessions, events, messages
