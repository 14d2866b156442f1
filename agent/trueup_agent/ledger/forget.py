"""`trueup agent forget`: sessions, a project or a past are taken out of the ledger, and stay out (forgotten.py).

It goes in chunks, each a transaction that leaves a consistent ledger; whoever is interrupted begins again and
finds less to do. Sessions go first, for what is theirs is told by their rows.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from trueup_agent.errors import NothingToForget
from trueup_agent.ledger.forgotten import FORGOTTEN_SESSIONS, remember_events
from trueup_agent.ledger.forgotten import forget as forget_rows
from trueup_agent.ledger.reader import LedgerReader
from trueup_agent.ledger.sources import GONE
from trueup_agent.ledger.tables import EVENTS, MESSAGES, SESSIONS, SET_ASIDE, Table
from trueup_agent.policy import project_folder, project_name
from trueup_shared.metrics import TOTAL_PARTS

if TYPE_CHECKING:
    import aiosqlite

    from trueup_agent.ledger.store import Ledger
    from trueup_agent.ledger.writing import Writer

CHUNK_ROWS = 5_000
# In `meta` from the first chunk until the file was rewritten without what was deleted from it.
REWRITE_DUE = "rewrite_due"

Tell = Callable[[int, int], None]  # rows done, of

_ROWS: tuple[tuple[Table[Any], str], ...] = ((EVENTS, EVENTS.name), (EVENTS, SET_ASIDE), (MESSAGES, MESSAGES.name))
_TOTAL = " + ".join(f"coalesce({name}, 0)" for name in TOTAL_PARTS)
_IS_REPORTED = f"coalesce({', '.join(TOTAL_PARTS)}) IS NOT NULL"


class Selection(Struct, frozen=True, kw_only=True):
    """What is to be forgotten: one of session, project and before, of all harnesses or of one."""

    session: str | None = None  # the harness's own id, or the session's key in hex
    project: str | None = None  # name or path
    before: int | None = None  # microseconds UTC
    harness: str | None = None


class Forgotten(Struct, kw_only=True):
    """Rows of the ledger. `set_aside`: events that did not count. Tokens and cost (list price): of events that did."""

    sessions: int = 0
    messages: int = 0
    events: int = 0
    set_aside: int = 0
    total_tokens: int | None = None
    cost_microusd: int | None = None
    file_rewritten: bool = False  # of what was forgotten nothing is left in free space of the ledger's file

    @property
    def rows(self) -> int:
        return self.sessions + self.messages + self.events + self.set_aside


class Plan(Struct, frozen=True):
    """A selection as SQL: ?1 is the harness or null, ?2 the value. `rows`: events and messages.

    `sessions`: those of which nothing is left then; what has no time or no project of its own goes with its session.
    """

    rows: str
    sessions: str
    values: tuple[str | None, str | int]

    @classmethod
    def of(cls, reader: LedgerReader, selection: Selection) -> "Plan":
        """Raises NothingToForget for a session or a project that the ledger does not have."""
        harness = selection.harness
        among = "{} IN (SELECT value FROM json_each(?2))"
        if selection.before is not None:
            return cls._made("at < ?2", "started_at < ?2", "started_at IS NULL", (harness, selection.before))
        if selection.session is not None:
            value = _json(_sessions(reader, selection.session, harness))
            return cls._made(among.format("hex(session_key)"), among.format("hex(key)"), "false", (harness, value))
        value = _json(_paths(reader, selection.project or "", harness))
        of_project = among.format("project_path")
        return cls._made(of_project, of_project, "project_path IS NULL", (harness, value))

    @classmethod
    def _made(cls, rows: str, sessions: str, unknown: str, values: tuple[str | None, str | int]) -> "Plan":
        """`unknown`: sessions that do not say. They go with the last of their rows."""
        rows = _of_harness(rows)
        sessions = f"({sessions}) AND key NOT IN ({_sessions_with(f'NOT ({rows})')})"
        unknown = (
            f"{unknown} AND key IN ({_sessions_with(rows)}) AND key NOT IN ({_sessions_with(f'({rows}) IS NOT TRUE')})"
        )
        return cls(rows, _of_harness(f"({sessions} OR {unknown})"), values)


def _json(values: list[str]) -> str:
    return msgspec.json.encode(values).decode()


def _of(harness: str | None) -> str:
    return "" if harness is None else f" of {harness}"


def _of_harness(condition: str) -> str:
    return f"harness = coalesce(?1, harness) AND {condition}"


def _sessions_with(condition: str) -> str:
    """Those that have such an event or message."""
    return " UNION ".join(f"SELECT session_key FROM {name} WHERE {condition}" for _, name in _ROWS)


def _sessions(reader: LedgerReader, name: str, harness: str | None) -> list[str]:
    """Keys, in hex, of the session of that id, of its subagents, and of theirs; those that are forgotten as well."""
    known = " UNION ".join(
        f"SELECT key, harness, session_id, parent_key, relationship FROM {table}"
        for table in (SESSIONS.name, FORGOTTEN_SESSIONS)
    )
    named = _of_harness("(session_id = ?2 OR hex(key) = upper(?2))")
    found = reader.query(f"SELECT key, harness FROM ({known}) WHERE {named}", (harness, name))
    if not found:
        raise NothingToForget(
            f"there is no session {name}{_of(harness)} in the ledger: `trueup usage totals --by session` lists them"
        )
    if len(found) > 1:
        names = ", ".join(sorted(row[1] for row in found))
        raise NothingToForget(f"several harnesses have a session {name} ({names}): choose one with --harness")
    family = reader.query(
        f"WITH RECURSIVE known AS ({known}), family (key) AS (SELECT ? UNION SELECT known.key FROM known JOIN family"
        " ON parent_key = family.key WHERE relationship = 'subagent') SELECT hex(key) FROM family",
        (found[0][0],),
    )
    return [key for (key,) in family]


def _paths(reader: LedgerReader, project: str, harness: str | None) -> list[str]:
    tables = (SESSIONS.name, *(name for _, name in _ROWS))
    query = " UNION ".join(f"SELECT project_path FROM {name} WHERE harness = coalesce(?1, harness)" for name in tables)
    paths = [path for (path,) in reader.query(query, (harness,)) if path]
    found = [path for path in paths if project in (path, project_folder(path), project_name(project_folder(path)))]
    if not found:
        raise NothingToForget(
            f"there is no project {project}{_of(harness)} in the ledger: `trueup usage totals --by project` lists them"
        )
    return found


def count(data_dir: Path, selection: Selection) -> Forgotten:
    """What `forget` would remove, read beside the writer. Raises NothingToForget, LedgerError."""
    with LedgerReader(data_dir) as reader:
        reader.snapshot()
        plan = Plan.of(reader, selection)
        with_sessions = f"({plan.rows}) OR session_key IN (SELECT key FROM sessions WHERE {plan.sessions})"
        sums = f"SELECT count(*), count(cost_nanousd), total(cost_nanousd), total({_IS_REPORTED}), total({_TOTAL})"
        [[events, priced, cost, reported, tokens]] = reader.query(
            f"{sums} FROM events WHERE {with_sessions}", plan.values
        )
        found = [
            reader.query(f"SELECT count(*) FROM {name} WHERE {which}", plan.values)[0][0]
            for name, which in (
                (SESSIONS.name, plan.sessions),
                (MESSAGES.name, with_sessions),
                (SET_ASIDE, with_sessions),
            )
        ]
    return Forgotten(
        sessions=found[0],
        messages=found[1],
        set_aside=found[2],
        events=events,
        total_tokens=int(tokens) if reported else None,
        cost_microusd=round(cost / 1000) if priced else None,
    )


async def forget(ledger: "Ledger", selection: Selection, tell: Tell | None = None) -> Forgotten:
    """Remove what is selected. Raises NothingToForget, LedgerError."""
    data_dir = ledger.path.parent
    async with ledger.collecting:  # nothing else changes rows meanwhile
        found = await asyncio.to_thread(count, data_dir, selection)
        if found.rows == 0:
            return found
        await ledger.query("PRAGMA secure_delete = ON")
        work = _Forgetting(await asyncio.to_thread(_plan, data_dir, selection))
        while not work.done:
            async with ledger.writer() as writer:
                await work.chunk(writer)
            if tell is not None:
                tell(work.rows, found.rows)
    found.file_rewritten = await ledger.rewrite_file()
    return found


def _plan(data_dir: Path, selection: Selection) -> Plan:
    with LedgerReader(data_dir) as reader:
        return Plan.of(reader, selection)


class _Forgetting:
    """The chunks of one selection: sessions of which nothing will be left, then events and messages."""

    def __init__(self, plan: Plan) -> None:
        self.rows = 0
        self.done = False
        self._plan = plan
        self._sessions_done = False
        self._after = dict.fromkeys((name for _, name in _ROWS), 0)
        self._sources: set[bytes] = set()

    async def chunk(self, writer: "Writer") -> None:
        await writer.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, '1')", [(REWRITE_DUE,)])
        if not self._sessions_done:
            await self._take_sessions(writer)
            return
        room = CHUNK_ROWS
        for table, name in _ROWS:
            where = f"seq > ?3 AND {self._plan.rows} ORDER BY seq LIMIT ?4"
            rows = await _select(writer, table, name, where, (*self._plan.values, self._after[name], room))
            if rows:
                self._after[name] = rows[-1].seq
                await self._take(writer, table, name, rows)
                room -= len(rows)
            if room == 0:
                return
        await self._forget_sources(writer)
        self.done = True

    async def _take_sessions(self, writer: "Writer") -> None:
        """With those of their rows that the selection does not name, lest they stay behind."""
        where = f"{self._plan.sessions} LIMIT ?3"
        sessions = await _select(writer, SESSIONS, SESSIONS.name, where, (*self._plan.values, CHUNK_ROWS))
        theirs = f"({self._plan.rows}) IS NOT TRUE AND hex(session_key) IN (SELECT value FROM json_each(?3))"
        values = (*self._plan.values, _json([row.key.hex().upper() for row in sessions]))
        for table, name in _ROWS:
            await self._take(writer, table, name, await _select(writer, table, name, theirs, values))
        await self._take(writer, SESSIONS, SESSIONS.name, sessions)
        self._sessions_done = len(sessions) < CHUNK_ROWS

    async def _take(self, writer: "Writer", table: Table[Any], name: str, rows: list[Any]) -> None:
        self.rows += len(rows)
        self._sources.update(row.source_key for row in rows if row.source_key is not None)
        if name == SET_ASIDE:
            await remember_events(writer, rows)
            await writer.execute(f"DELETE FROM {SET_ASIDE} WHERE seq = ?", [(row.seq,) for row in rows])
            await writer.bury(EVENTS, [row.key for row in rows], forgotten=True)
        else:
            await forget_rows(writer, table, rows)

    async def _forget_sources(self, writer: "Writer") -> None:
        """Logs that are gone, of which nothing is left: their paths tell of projects."""
        tables = (SESSIONS.name, *(name for _, name in _ROWS))
        left = " UNION ".join(f"SELECT source_key FROM {name} WHERE source_key IS NOT NULL" for name in tables)
        await writer.execute(
            f"DELETE FROM sources WHERE source_key = ? AND state = '{GONE}' AND source_key NOT IN ({left})",
            [(key,) for key in self._sources],
        )


async def _select(writer: "Writer", table: Table[Any], name: str, where: str, values: tuple[Any, ...]) -> list[Any]:
    return [
        table.kind(*columns)
        for columns in await writer.select(f"SELECT {table.columns} FROM {name} WHERE {where}", values)
    ]


async def rewrite_file(db: "aiosqlite.Connection") -> bool:
    """Write the file anew without its free space, where earlier versions of rows linger; False where that failed.

    It is tried again when the ledger is opened. Whoever reads the ledger at this moment keeps the log of old pages.
    """
    try:
        await db.execute("PRAGMA temp_store = FILE")  # it copies all of the ledger
        await db.execute("VACUUM")
        await db.execute("DELETE FROM meta WHERE name = ?", (REWRITE_DUE,))
    except sqlite3.OperationalError:
        return False  # no space for a second copy
    finally:
        await db.execute("PRAGMA temp_store = MEMORY")
    [(is_busy, _, _)] = await db.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    return not is_busy
