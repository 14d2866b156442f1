"""What was forgotten stays so when logs show it again: rows whose tombstone says `forgotten` are kept out.

Two things are remembered without what was in them. Of events that have a family, what the rest of it is decided by:
what counts of the others stays what it was, and a running total goes on from where it stood. Of sessions, what they are
called: a session that goes on comes back, for new records count as usual.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from trueup_agent.ledger.rows import StoredEvent, StoredMessage, StoredSession
from trueup_agent.ledger.rules import as_read
from trueup_agent.ledger.tables import EVENTS, MESSAGES, SESSIONS, S, Table, insert_into
from trueup_agent.records import LEGS
from trueup_shared.metrics import COUNTERS

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer

# Twins of events and sessions; `seq` is a local number there.
FORGOTTEN_EVENTS = "forgotten_events"
FORGOTTEN_SESSIONS = "forgotten_sessions"
TWINS = (FORGOTTEN_EVENTS, FORGOTTEN_SESSIONS)

_EVENT_CONTENT = {
    **dict.fromkeys(("provider", "service_tier", "speed", "project_path", "web_searches", "cost_nanousd")),
    **dict.fromkeys(("owner_key", "source_key", "raw_usage", "observed")),
    "digest": b"",
    "identity": "",
    "position": 0,
    "gone": 0,
}
_NUMBERS = {
    **dict.fromkeys((*COUNTERS, "reported_cost", "reported_cost_unit", "reported_cost_status", "fills")),
    "lower_bounds": 0,
    "derived": 0,
}
_SESSION_CONTENT = {
    **dict.fromkeys(("project_path", "git_branch", "harness_version", "os_user", "title", "fills", "source_key")),
    "digest": b"",
}


class Sifted(Struct):
    """What of a write is not forgotten, and families of which a forgotten event reads otherwise now."""

    sessions: list[StoredSession]
    messages: list[StoredMessage]
    events: list[StoredEvent]
    families: set[bytes] = field(default_factory=set)
    held: list[StoredSession] = field(default_factory=list)  # of forgotten sessions, which may go on


async def sift(
    writer: "Writer", sessions: list[StoredSession], messages: list[StoredMessage], events: list[StoredEvent]
) -> Sifted:
    """Take forgotten rows out of what logs show."""
    known, held = await _apart(writer, SESSIONS, sessions)
    sifted = Sifted(known, (await _apart(writer, MESSAGES, messages))[0], [], held=held)
    sifted.events, again = await _apart(writer, EVENTS, events)
    sifted.families = await _follow(writer, again)
    return sifted


async def _apart(writer: "Writer", table: Table[S], rows: list[S]) -> tuple[list[S], list[S]]:
    """Rows, and those of them that were forgotten."""
    forgotten = await writer.forgotten(table, {row.key for row in rows})
    if not forgotten:
        return rows, []
    return [row for row in rows if row.key not in forgotten], [row for row in rows if row.key in forgotten]


async def _follow(writer: "Writer", again: list[StoredEvent]) -> set[bytes]:
    """Forgotten events that are read again, perhaps by a newer parser: the families that this changes."""
    stored = await writer.fetch(EVENTS, FORGOTTEN_EVENTS, {row.key for row in again})
    changed = []
    for key, row in writer.joined(EVENTS, again).items():
        old = stored.get(key)
        if row.family is None or (old is not None and not _says_more(row, old)):
            continue
        new = without_content(row if old is None else EVENTS.join(old, row))
        if new != old:
            changed.append(new)
    await _remember(writer, FORGOTTEN_EVENTS, changed)
    return {row.family for row in changed if row.family is not None}


def _says_more(row: StoredEvent, old: StoredEvent) -> bool:
    """Without numbers two snapshots cannot be joined: then only another parser's word is taken."""
    return row.data_version > old.data_version or (row.data_version == old.data_version and row.rule is not None)


def without_content(row: StoredEvent) -> StoredEvent:
    """What a family needs of a row: its place in it, and the numbers where a rule reckons with them."""
    content = _EVENT_CONTENT if row.rule is not None else _EVENT_CONTENT | _NUMBERS
    model = row.model if row.rule == LEGS else None
    return msgspec.structs.replace(as_read(row), seq=0, model=model, **content)


async def forget(writer: "Writer", table: Table[S], rows: list[S]) -> None:
    """Remove rows of a table for good."""
    if table is EVENTS:
        await remember_events(writer, rows)  # type: ignore[arg-type]
    elif table is SESSIONS:
        names = [msgspec.structs.replace(row, seq=0, **_SESSION_CONTENT) for row in rows]
        await _remember(writer, FORGOTTEN_SESSIONS, names)
    await writer.remove(table, rows, forgotten=True)


async def remember_events(writer: "Writer", rows: Iterable[StoredEvent]) -> None:
    await _remember(writer, FORGOTTEN_EVENTS, [without_content(row) for row in rows if row.family is not None])


async def _remember(writer: "Writer", twin: str, rows: Iterable[S]) -> None:
    values = [msgspec.structs.astuple(row)[1:] for row in rows]
    kind = StoredEvent if twin == FORGOTTEN_EVENTS else StoredSession
    await writer.execute(insert_into(twin, kind.__struct_fields__[1:]), values)


async def revive(writer: "Writer", written: set[bytes], held: list[StoredSession]) -> None:
    """Forgotten sessions among `written`, which got rows now, go on; `held` is what logs said of them."""
    going_on = await writer.forgotten(SESSIONS, written)
    if not going_on:
        return
    names = await writer.fetch(SESSIONS, FORGOTTEN_SESSIONS, going_on)
    said = {row.key: row.data_version for row in held}
    rows = [
        SESSIONS.finish(msgspec.structs.replace(row, data_version=said.get(row.key, row.data_version)), writer.policy)
        for row in names.values()
    ]
    await writer.execute(f"DELETE FROM {FORGOTTEN_SESSIONS} WHERE key = ?", [(key,) for key in going_on])
    await writer.merge(SESSIONS, rows + [row for row in held if row.key in going_on])
