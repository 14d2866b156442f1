"""The SQLite store: tables session, message and part, whose `data` is the JSON of the older files; in version 2 tables
session_v2 and session_message, beside which the former three may be left as they were."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from time import time_ns
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses.base import MALFORMED, Database, Files, skip
from trueup_agent.harnesses.json_text import UNREADABLE, decode
from trueup_agent.harnesses.opencode.conversation import Conversation, Json, Part, Session
from trueup_agent.harnesses.opencode.sequence import unfolded
from trueup_agent.harnesses.values import amount, epoch, text
from trueup_agent.records import Parsed

# Rows change while their time stands still: a transaction takes its time, and clocks of two programs differ.
_OVERLAP_MS = 10_000
_PIECE_MESSAGES = 100
# What can be large and is no use of ours: outputs of tools, images, diffs.
_LARGE = 16_384
_BULK = "'$.state.output', '$.state.input', '$.state.attachments', '$.url', '$.source', '$.summary.diffs', '$.system'"
_IS_LARGE = f"typeof(data) = 'text' AND length(data) > {_LARGE} AND json_valid(data)"
_DATA = f"CASE WHEN {_IS_LARGE} THEN json_remove(data, {_BULK}) ELSE data END"
_WHOLE = {"id", "session_id", "data"}
_SESSIONS = ("session", "session_v2")
_ENTRIES = "session_message"
_SESSION = ("id", "parent_id", "directory", "title", "version", "time_created", "time_updated")


class Watermarks(Struct):
    """The newest `time_updated` seen in each table, milliseconds."""

    session: int = 0
    session_v2: int = 0
    message: int = 0
    part: int = 0
    session_message: int = 0


class DatabaseParser:
    def __init__(self, harness: str, path: Path, files: Files, state: bytes | None, folds_costs: bool) -> None:
        self._path, self._files = path, files
        self._marks = _decoded(state)
        self._to = Conversation(harness, files.modified_at(path), self._child_costs if folds_costs else None)
        self._sessions: dict[str, Session] = {}

    def state(self) -> bytes:
        return msgspec.json.encode(self._marks)

    def read(self, everything: bool) -> Iterator[Parsed]:
        self._db = db = self._files.database(self._path)
        since = None if everything else self._marks
        marks = msgspec.structs.replace(self._marks)
        for table in _SESSIONS:
            self._read_sessions(db, table, since, marks)
        changed = self._changed(db, since, marks)
        for start in range(0, len(changed), _PIECE_MESSAGES):
            self._read_messages(db, changed[start : start + _PIECE_MESSAGES])
            yield self._to.take()
        newer = self._newer(db, since, marks)
        for start in range(0, len(newer), _PIECE_MESSAGES):
            self._read_entries(db, newer[start : start + _PIECE_MESSAGES])
            yield self._to.take()
        yield self._to.take()
        self._marks = marks

    def _read_sessions(self, db: Database, table: str, since: Watermarks | None, marks: Watermarks) -> None:
        columns = db.columns(table)
        if "id" not in columns:
            return
        start = None if since is None else getattr(since, table) - _OVERLAP_MS
        chosen = ", ".join(name if name in columns else "NULL" for name in _SESSION)
        for row in db.rows(f"SELECT {chosen} FROM {table}"):
            id_, parent, directory, title, version = (text(value) for value in row[:5])
            if id_ is None:
                continue
            session = Session(id_, parent, directory, title, version, epoch(row[5], 1000))
            self._sessions[id_] = session
            updated = row[6] if type(row[6]) is int else None
            if start is None or updated is None or updated >= start:
                self._to.parsed.lines += 1
                self._to.session(session)
                setattr(marks, table, _advanced(getattr(marks, table), updated))

    def _changed(self, db: Database, since: Watermarks | None, marks: Watermarks) -> list[str]:
        """Ids of messages that changed, or of which a part did, in order."""
        if not db.columns("message") >= _WHOLE:
            return []
        found = self._ids(db, "message", "id", since, marks)
        if since is not None:
            found |= self._ids(db, "part", "message_id", since, marks)
        else:
            self._advance(db, "part", marks)
        return sorted(found)

    def _newer(self, db: Database, since: Watermarks | None, marks: Watermarks) -> list[str]:
        """Ids of entries that are no messages of version 1: some releases wrote both."""
        if not _WHOLE | {"type"} <= db.columns(_ENTRIES):
            return []
        both = "id" in db.columns("message")
        found = self._ids(db, _ENTRIES, "id", since, marks, "id NOT IN (SELECT id FROM message)" if both else "1")
        return sorted(found)

    def _ids(
        self, db: Database, table: str, id_: str, since: Watermarks | None, marks: Watermarks, condition: str = "1"
    ) -> set[str]:
        columns = db.columns(table)
        if id_ not in columns:
            return set()
        self._advance(db, table, marks)
        sql, values = f"SELECT {id_} FROM {table} WHERE {condition}", []
        if since is not None and "time_updated" in columns:
            sql, values = f"{sql} AND time_updated >= ?", [getattr(since, table) - _OVERLAP_MS]
        return {row[0] for row in db.rows(sql, values) if isinstance(row[0], str)}

    def _advance(self, db: Database, table: str, marks: Watermarks) -> None:
        if "time_updated" in db.columns(table):
            newest = db.rows(f"SELECT max(time_updated) FROM {table}")[0][0]
            setattr(marks, table, _advanced(getattr(marks, table), newest))

    def _read_messages(self, db: Database, ids: Sequence[str]) -> None:
        holes = ", ".join("?" * len(ids))
        parts: dict[str, list[Part]] = {}
        columns = db.columns("part")
        if {"id", "message_id", "data"} <= columns:
            stored = "time_created" if "time_created" in columns else "NULL"
            sql = f"SELECT message_id, {stored}, {_DATA} FROM part WHERE message_id IN ({holes}) ORDER BY id"
            for message_id, stored_at, data in db.rows(sql, ids):
                if (part := self._json(data)) is not None:
                    parts.setdefault(message_id, []).append(Part(part, epoch(stored_at, 1000)))
        sql = f"SELECT id, session_id, {_DATA} FROM message WHERE id IN ({holes}) ORDER BY id"
        for message_id, session_id, data in db.rows(sql, ids):
            info, session_id = self._json(data), text(session_id)
            if info is not None and session_id is not None:
                self._to.message(self._session(session_id, info), info | {"id": message_id}, parts.get(message_id, []))

    def _read_entries(self, db: Database, ids: Sequence[str]) -> None:
        holes = ", ".join("?" * len(ids))
        sql = f"SELECT id, session_id, type, {_DATA} FROM {_ENTRIES} WHERE id IN ({holes}) ORDER BY id"
        for id_, session_id, kind, data in db.rows(sql, ids):
            found, session_id = self._json(data), text(session_id)
            entry = unfolded(kind, found) if found is not None else None
            if entry is not None and session_id is not None:
                info, parts = entry
                self._to.message(self._session(session_id, info), info | {"id": id_}, parts)

    def _session(self, session_id: str, info: Json) -> Session:
        if session_id not in self._sessions:
            created = info.get("time")
            began = epoch(created.get("created"), 1000) if isinstance(created, dict) else None
            self._sessions[session_id] = Session(session_id, started_at=began)
            self._to.session(self._sessions[session_id])
        return self._sessions[session_id]

    def _json(self, data: Any) -> Json | None:
        try:
            value = decode(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        except (*UNREADABLE, TypeError):
            value = None
        if isinstance(value, dict):
            return value
        self._to.parsed.lines += 1
        skip(self._to.parsed, MALFORMED)
        return None

    def _child_costs(self, session: str, tasks: Sequence[Json]) -> Decimal | None:
        """What the children's messages say, which contains their own children's. A task that names none: all."""
        named = {child for task in tasks if (child := _child_of(task)) is not None}
        if len(named) < len(tasks):
            named |= {id_ for id_, other in self._sessions.items() if other.parent == session}
        total = Decimal(0)
        for child in named:
            if child not in self._sessions:
                return None
            cost = "CASE WHEN typeof(data) = 'text' AND json_valid(data) THEN json_extract(data, '$.cost') END"
            for (value,) in self._db.rows(f"SELECT {cost} FROM message WHERE session_id = ?", (child,)):
                if type(value) in (int, float):
                    total += Decimal(amount(value) or 0)
        return total


def _child_of(task: Json) -> str | None:
    state = task.get("state")
    metadata = state.get("metadata") if isinstance(state, dict) else None
    return text(metadata.get("sessionId")) if isinstance(metadata, dict) else None


def _advanced(mark: int, seen: Any) -> int:
    """A row that is dated ahead of the clock must not hide those that come after it."""
    return max(mark, min(seen, time_ns() // 1_000_000)) if type(seen) is int else mark


def _decoded(state: bytes | None) -> Watermarks:
    try:
        return msgspec.json.decode(state or b"{}", type=Watermarks)
    except msgspec.DecodeError:
        return Watermarks()
