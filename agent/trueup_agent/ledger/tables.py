"""How each kind of row is stored, joined and finished."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from trueup_agent.ledger import merge, rows
from trueup_agent.ledger.rows import StoredEvent, StoredMessage, StoredSession
from trueup_agent.policy import Policy
from trueup_shared import keys, wire

S = TypeVar("S", StoredSession, StoredMessage, StoredEvent)


class Table(Struct, Generic[S], frozen=True, dict=True):
    """`number` is the table's on the wire."""

    number: int
    name: str
    kind: type[S]
    join: Callable[[S, S], S]
    finish: Callable[[S, Policy], S]
    body: Callable[[S, Policy], wire.Body]

    @property
    def columns(self) -> str:
        return ", ".join(self.kind.__struct_fields__)

    @property
    def insert(self) -> str:
        return f"INSERT INTO {self._values}"

    @property
    def upsert(self) -> str:
        """Replaces the row of that key, wherever its seq was."""
        return f"INSERT OR REPLACE INTO {self._values}"

    @property
    def _values(self) -> str:
        return f"{self.name} ({self.columns}) VALUES ({_marks(self.kind.__struct_fields__)})"


def _marks(fields: tuple[str, ...]) -> str:
    return ", ".join("?" * len(fields))


SESSIONS: Table[StoredSession] = Table(
    keys.SESSIONS, "sessions", StoredSession, merge.join_sessions, rows.finish_session, rows.session_body
)
MESSAGES: Table[StoredMessage] = Table(
    keys.MESSAGES, "messages", StoredMessage, merge.join_messages, rows.finish_message, rows.message_body
)
EVENTS: Table[StoredEvent] = Table(
    keys.EVENTS, "events", StoredEvent, merge.join_events, rows.finish_event, rows.event_body
)
TABLES: tuple[Table[Any], ...] = (SESSIONS, MESSAGES, EVENTS)

# Any number of keys as one parameter, ?1, all of them in a row: in less time than a parameter for each. `starts` says
# where each begins, `keys` what it is.
KEYS = (
    "WITH RECURSIVE starts (start) AS (SELECT 1 WHERE length(?1) > 0"
    f" UNION ALL SELECT start + {keys.KEY_BYTES} FROM starts WHERE start + {keys.KEY_BYTES} <= length(?1)),"
    f" keys (key) AS (SELECT substr(?1, start, {keys.KEY_BYTES}) FROM starts) "
)

# The twin of events, whose `seq` is a local number.
SET_ASIDE = "set_aside_events"

# All that holds rows which parsers gave: (table, its name or its twin's).
STORES: tuple[tuple[Table[Any], str], ...] = (*((table, table.name) for table in TABLES), (EVENTS, SET_ASIDE))


def insert_into(twin: str, fields: tuple[str, ...]) -> str:
    """Replaces the row of that key."""
    return f"INSERT OR REPLACE INTO {twin} ({', '.join(fields)}) VALUES ({_marks(fields)})"


SET_ASIDE_INSERT = insert_into(SET_ASIDE, StoredEvent.__struct_fields__[1:])
