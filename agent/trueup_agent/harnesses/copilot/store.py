"""Reads `session-store.db`: a row per model request, subagents and summaries included (formats/copilot.md)."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import CONTRADICTORY, MALFORMED, NO_IDENTITY, NO_TIME, Database, Files, skip
from trueup_agent.harnesses.copilot.records import ROW, event
from trueup_agent.harnesses.copilot.usage import contradictory
from trueup_agent.records import Parsed, SessionRecord
from trueup_shared.keys import session_key

MAX_PATH = 1024
_PAGE = 2000
_TABLE = "assistant_usage_events"
_COUNTERS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
# Columns were added over time: those that are missing are read as NULL.
_COLUMNS = ("id", "session_id", "model", *_COUNTERS, "created_at", "total_nano_aiu")
_SESSION_COLUMNS = ("id", "cwd", "branch", "summary", "created_at")
_encode = msgspec.json.Encoder().encode

Row = dict[str, Any]


class Mark(Struct):
    """The last row read. The ids begin anew in a database that was made anew: the content tells one from the other."""

    id: int = 0
    digest: str = ""


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(Mark).decode


class StoreParser:
    """`base.WholeParser` over the rows' ids."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        self._path, self._files = path, files
        self._mark = _decode_state(state) if state else Mark()
        self._sessions: dict[str, SessionRecord] = {}

    def state(self) -> bytes:
        return _encode_state(self._mark)

    def read(self, everything: bool) -> Iterator[Parsed]:
        database = self._files.database(self._path)
        columns = database.columns(_TABLE)
        if not {"id", "session_id"} <= columns:
            return  # an older schema, or one still to be filled
        self._read_sessions(database)
        if everything or not self._mark_holds(database, columns):
            self._mark = Mark()
            yield Parsed(sessions=list(self._sessions.values()))
        while rows := _rows(database, columns, "id > ? ORDER BY id", self._mark.id, _PAGE):
            parsed = Parsed(lines=len(rows))
            for row in rows:
                self._row(row, parsed)
            self._mark = Mark(rows[-1]["id"], _digest(rows[-1]))
            yield parsed

    def _mark_holds(self, database: Database, columns: frozenset[str]) -> bool:
        rows = _rows(database, columns, "id = ?", self._mark.id, 1)
        return bool(rows) and _digest(rows[0]) == self._mark.digest

    def _read_sessions(self, database: Database) -> None:
        columns = database.columns("sessions")
        if "id" not in columns:
            return
        listed = ", ".join(name if name in columns else f"NULL AS {name}" for name in _SESSION_COLUMNS)
        for id_, cwd, branch, summary, created_at in database.rows(f"SELECT {listed} FROM sessions"):
            if (session_id := values.text(id_)) is not None:
                self._sessions[session_id] = SessionRecord(
                    key=session_key("copilot", session_id),
                    harness="copilot",
                    session_id=session_id,
                    started_at=values.micros(created_at),
                    project_path=values.text(cwd, MAX_PATH),
                    git_branch=values.text(branch),
                    title=values.text(summary),
                )

    def _row(self, row: Row, parsed: Parsed) -> None:
        session_id = values.text(row["session_id"])
        if session_id is None:
            skip(parsed, NO_IDENTITY)
            return
        session = self._sessions.get(session_id)
        started = session.started_at if session is not None else None
        at, quality = values.micros(row["created_at"]), 1
        if at is None:
            at, quality = started, 2
        if at is None:
            at, quality = self._files.modified_at(self._path), 3
        if at is None:
            skip(parsed, NO_TIME)
            return
        logged = {name: row[name] for name in _COUNTERS if isinstance(row[name], int | float)}
        if any(row[name] is not None and values.counter(row[name]) is None for name in _COUNTERS):
            skip(parsed, MALFORMED)
        nano_aiu = values.counter(row["total_nano_aiu"])
        record = event(
            *(session_id, ("row", row["id"], _digest(row)), {"row": logged}, ROW),
            at=at,
            time_quality=quality,
            model=values.text(row["model"]),
            project_path=session.project_path if session is not None else None,
            session_started=started or at,
            reported_cost=None if nano_aiu is None else str(nano_aiu),
            reported_cost_unit=None if nano_aiu is None else "nano_aiu",
            reported_cost_status=None if nano_aiu is None else "reported",
        )
        if contradictory({"row": logged}, record):
            skip(parsed, CONTRADICTORY)
        if session is None:
            parsed.sessions.append(
                SessionRecord(key=record.session_key, harness="copilot", session_id=session_id, started_at=at)
            )
        elif at is not None:
            parsed.sessions.append(session)
        parsed.answer(metered=record.output_tokens is not None or record.context_tokens is not None)
        parsed.events.append(record)


def _rows(database: Database, columns: frozenset[str], where: str, after: int, limit: int) -> list[Row]:
    listed = ", ".join(name if name in columns else f"NULL AS {name}" for name in _COLUMNS)
    found = database.rows(f"SELECT {listed} FROM {_TABLE} WHERE {where} LIMIT ?", (after, limit))
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


def _digest(row: Row) -> str:
    """Of what never changes in a row: it names it beside the id, which another database may have used."""
    told = [str(row[name]) for name in ("created_at", "model", *_COUNTERS)]
    return blake2b(_encode(told), digest_size=8).hexdigest()
