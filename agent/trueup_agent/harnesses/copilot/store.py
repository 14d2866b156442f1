"""Reads `session-store.db`: a row per model request, subagents and summaries included (formats/copilot.md)."""

from collections.abc import Sequence
from pathlib import Path

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.base import CONTRADICTORY, MALFORMED, NO_IDENTITY, NO_TIME, Database, Files, skip, time_of
from trueup_agent.harnesses.copilot.records import ROW, event
from trueup_agent.harnesses.copilot.usage import contradictory
from trueup_agent.harnesses.marked import MarkedRows, Row, digest_of, select
from trueup_agent.harnesses.tables import Table
from trueup_agent.records import Parsed, SessionRecord
from trueup_shared.keys import session_key

_TABLE = "assistant_usage_events"
_COUNTERS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
# Columns were added over time: those that are missing are read as NULL.
_COLUMNS = ("session_id", "model", *_COUNTERS, "created_at", "total_nano_aiu")
_SESSION_COLUMNS = ("id", "cwd", "branch", "summary", "created_at")


class StoreParser(MarkedRows):
    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path, self._files = path, files
        self._sessions: dict[str, SessionRecord] = {}

    def ready(self) -> bool:
        self._database = self._files.database(self._path)
        if "session_id" not in self._database.columns(_TABLE):
            return False  # an older schema, or one still to be filled
        self._sessions = {session.session_id: session for session in _sessions(self._database)}
        return True

    def page(self, where: str, id_: int, limit: int) -> list[Row]:
        return select(self._database, _TABLE, _COLUMNS, where, id_, limit)

    def digest(self, row: Row) -> str:
        """It names the row, too, beside the id."""
        return digest_of(*(row[name] for name in ("created_at", "model", *_COUNTERS)))

    def rows(self, rows: Sequence[Row], parsed: Parsed) -> None:
        met = {row["session_id"] for row in rows if isinstance(row["session_id"], str)}
        parsed.sessions += [self._sessions[session_id] for session_id in sorted(met & self._sessions.keys())]
        for row in rows:
            self._row(row, parsed)

    def _row(self, row: Row, parsed: Parsed) -> None:
        session_id = values.text(row["session_id"])
        if session_id is None:
            skip(parsed, NO_IDENTITY)
            return
        session = self._sessions.get(session_id)
        started = session.started_at if session is not None else None
        at, quality = time_of(values.micros(row["created_at"]), started, self._files, self._path)
        if at is None:
            skip(parsed, NO_TIME)
            return
        logged = {name: n for name in _COUNTERS if (n := values.counter(row[name])) is not None}
        if any(row[name] is not None and values.counter(row[name]) is None for name in _COUNTERS):
            skip(parsed, MALFORMED)
        record = event(
            *(session_id, ("row", row["rowid"], self.digest(row)), {"row": logged}, ROW),
            at=at,
            time_quality=quality,
            model=values.text(row["model"]),
            project_path=session.project_path if session is not None else None,
            session_started=started or at,
            **genai.ai_units(values.counter(row["total_nano_aiu"])),
        )
        if contradictory({"row": logged}, record):
            skip(parsed, CONTRADICTORY)
        if session is None:
            parsed.sessions.append(
                SessionRecord(key=record.session_key, harness="copilot", session_id=session_id, started_at=at)
            )
        parsed.answer(metered=record.output_tokens is not None or record.context_tokens is not None)
        parsed.events.append(record)


def _sessions(database: Database) -> list[SessionRecord]:
    return [
        SessionRecord(
            key=session_key("copilot", session_id),
            harness="copilot",
            session_id=session_id,
            started_at=values.micros(row["created_at"]),
            project_path=values.text(row["cwd"], values.MAX_PATH),
            git_branch=values.text(row["branch"]),
            title=values.text(row["summary"]),
        )
        for row in Table(database, "sessions", _SESSION_COLUMNS).rows()
        if (session_id := values.text(row["id"])) is not None
    ]
