"""Reads a Hermes database. Rules and evidence: formats/hermes.md; the producer's schema of `session_model_usage`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import NO_TIME, Database, Files, skip, time_of
from trueup_agent.harnesses.content import names, size_of
from trueup_agent.harnesses.hermes.usage import COSTS, COUNTERS, cost_of, usage_of
from trueup_agent.harnesses.json_text import list_of, object_at, value_of
from trueup_agent.harnesses.series import observation
from trueup_agent.harnesses.tables import Row, RowsParser, Table, is_id
from trueup_agent.records import MessageRecord, SessionRecord
from trueup_shared.keys import message_key, session_key

ID = "hermes"
RECENT_SECONDS = 3600.0  # a session's totals may still be written when it has ended

_SESSIONS = (
    *("id", "source", "model", "parent_session_id", "started_at", "ended_at", "end_reason", "title", "message_count"),
    *("billing_provider", "cwd", "git_branch", *COUNTERS, *COSTS),
)
# Side calls (titles, compression, vision) are not in their session's totals.
_BY_TASK = ("session_id", "model", "billing_provider", "billing_base_url", "billing_mode", "task")
_SIDE_CALLS = (*_BY_TASK, "first_seen", "last_seen", *COUNTERS, *COSTS)
_MESSAGES = (
    *("id", "session_id", "role", "content", "tool_calls", "timestamp", "finish_reason", "reasoning"),
    "reasoning_content",
)
_KINDS = {"user": "prompt", "assistant": "answer", "tool": "tool_result", "system": "meta"}
_DIRECTORY = re.compile(r"^[^\w\r\n]{0,32}Current working directory:[ \t`*]{0,32}([^`\r\n]+)", re.MULTILINE)

_encode = msgspec.json.Encoder().encode


class HermesParser(RowsParser):
    """`base.WholeParser`. No row says when it changed: what has not ended, or ended lately, is read again."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path = path
        self._files = files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        self._last = Table(database, "messages", ("timestamp",))
        rows = Table(database, "sessions", _SESSIONS).rows()
        self._sessions = {row["id"]: row for row in rows if is_id(row["id"])}
        self._read_directories(database)
        moved: set[Any] = set()
        for row in Table(database, "messages", _MESSAGES).pages("id > ?", (self.since("message_id", 0),)):
            self.saw("message_id", row["id"])
            self.saw("time", row["timestamp"])
            self.parsed.lines += 1
            if row["session_id"] in self._sessions:
                moved.add(row["session_id"])
                self._message(self._sessions[row["session_id"]], row)
            yield
        since = float(self.since("time", 0.0))
        for id_, row in self._sessions.items():
            self.saw("time", row["started_at"])
            ended_at = row["ended_at"]
            if type(ended_at) in (int, float) and ended_at < since - RECENT_SECONDS and id_ not in moved:
                continue
            self.parsed.lines += 1
            self._session(row)
            yield
        for side in Table(database, "session_model_usage", _SIDE_CALLS).rows("WHERE task <> ''"):
            last_seen = side["last_seen"]
            if side["session_id"] in self._sessions and not (
                type(last_seen) in (int, float) and last_seen < since - RECENT_SECONDS
            ):
                self.parsed.lines += 1
                self._side_calls(self._sessions[side["session_id"]], side)
                yield

    def _read_directories(self, database: Database) -> None:
        """Of sessions before there was a column for it, from what the model was told."""
        told = Table(database, "sessions", ("system_prompt",))
        if "system_prompt" not in told.columns:
            return
        for id_, row in self._sessions.items():
            if row["cwd"] is None:
                for found in told.rows("WHERE id = ?", (id_,)):
                    prompt = found["system_prompt"]
                    match = _DIRECTORY.search(prompt) if isinstance(prompt, str) else None
                    row["cwd"] = match.group(1).strip() if match else None

    def _session(self, row: Row) -> None:
        parent = values.text(row["parent_session_id"])
        self.parsed.sessions.append(
            SessionRecord(
                key=session_key(ID, row["id"]),
                harness=ID,
                session_id=row["id"],
                parent_key=session_key(ID, parent) if parent else None,
                relationship=self._relationship(parent) if parent else None,
                started_at=_moment(row["started_at"]),
                project_path=_project(row),
                git_branch=values.text(row["git_branch"]),
                title=values.text(row["title"]),
            )
        )
        latest = self._last.rows("WHERE session_id = ? ORDER BY timestamp DESC LIMIT 1", (row["id"],))
        at = _moment(latest[0]["timestamp"]) if latest else _moment(row["ended_at"])
        self._total(row, row, at, (row["id"],))

    def _relationship(self, parent: str) -> str:
        """After the context was compressed the conversation goes on in a new session; else it was branched off."""
        compressed = self._sessions.get(parent, {}).get("end_reason") == "compression"
        return "resume" if compressed else "fork"

    def _side_calls(self, session: Row, row: Row) -> None:
        series = tuple(str(row[name] or "") for name in _BY_TASK)
        self._total(session, row, _moment(row["last_seen"]), series)

    def _total(self, session: Row, row: Row, at: int | None, series: tuple[str, ...]) -> None:
        usage = usage_of(row)
        vector = tuple(getattr(usage, name) for name in COUNTERS)
        if any(vector):
            self.parsed.answer(metered=True)
        elif set(vector) == {None} and session["message_count"]:
            self.parsed.answer(metered=False)
        if not any(vector):
            return  # not used yet, or pending
        cost, status = cost_of(row)
        started_at = _moment(session["started_at"])
        at, quality = time_of(at, started_at, self._files, self._path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        raw = {name: row[name] for name in (*COUNTERS, *COSTS)} | {"source": session["source"]}
        self.parsed.events.append(
            observation(
                ID,
                series,
                vector,
                usage,
                session_key=session_key(ID, session["id"]),
                at=at,
                time_quality=quality,
                provider=values.text(row["billing_provider"]),
                model=values.text(row["model"]),
                project_path=_project(session),
                session_started=started_at or 0,
                reported_cost=cost,
                reported_cost_unit="usd",
                reported_cost_status=status,
                raw_usage=_encode(raw),
            )
        )

    def _message(self, session: Row, row: Row) -> None:
        role = row["role"] if row["role"] in _KINDS else "system"
        calls = list_of(value_of(row["tool_calls"]))
        failed = role == "assistant" and row["finish_reason"] == "error"
        self.parsed.messages.append(
            MessageRecord(
                key=message_key(ID, session["id"], row["id"]),
                session_key=session_key(ID, session["id"]),
                harness=ID,
                at=_moment(row["timestamp"]),
                role=role,
                kind="error" if failed else _KINDS[role],
                tool_names=names(object_at(call, "function").get("name") for call in calls),
                size_chars=size_of(row["content"]) + size_of(row["reasoning_content"] or row["reasoning"]),
                project_path=_project(session),
                session_started=_moment(session["started_at"]) or 0,
            )
        )


def _project(row: Row) -> str | None:
    return values.text(row["cwd"], values.MAX_PATH)


def _moment(value: Any) -> int | None:
    """Seconds, with fractions."""
    return values.epoch(value, 1) if type(value) in (int, float) else None
