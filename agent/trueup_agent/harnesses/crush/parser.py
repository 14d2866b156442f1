"""Reads Crush's database of a project. Rules and evidence: formats/crush.md."""

from collections.abc import Iterator
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Database, Files, SourceFile, Usage, skip, time_of
from trueup_agent.harnesses.content import names, size_of
from trueup_agent.harnesses.crush.costs import own_costs, parts_of
from trueup_agent.harnesses.crush.registry import entries
from trueup_agent.harnesses.json_text import UNREADABLE
from trueup_agent.harnesses.series import observation
from trueup_agent.harnesses.tables import Row, RowsParser, Table, is_id
from trueup_agent.records import MessageRecord, SessionRecord
from trueup_shared.keys import message_key, session_key

ID = "crush"

_SESSIONS = ("id", "parent_session_id", "title", "prompt_tokens", "completion_tokens", "cost")
_TIMES = ("created_at", "updated_at")
_MESSAGES = ("id", "session_id", "role", "parts", "model", "is_summary_message", "created_at", "updated_at")
# One statement, so that costs and conversations are of the same moment: whether a child's cost is in its parent's
# follows from both.
_OF_CALL = "instr(m.parts, CASE instr(s.id, '$$') WHEN 0 THEN s.id ELSE substr(s.id, instr(s.id, '$$') + 2) END)"
_LAST = "FROM messages m WHERE m.session_id = s.id AND m.model <> '' ORDER BY m.rowid DESC LIMIT 1"
_CONVERSATIONS = f"""
    (SELECT m.parts FROM messages m WHERE m.session_id = s.parent_session_id AND m.role = 'tool' AND {_OF_CALL}
     ORDER BY m.rowid LIMIT 1),
    EXISTS (SELECT 1 FROM messages m WHERE m.session_id = s.parent_session_id AND m.role = 'assistant' AND {_OF_CALL}),
    (SELECT m.parts FROM messages m WHERE m.session_id = s.id AND m.role = 'assistant' ORDER BY m.rowid DESC LIMIT 1),
    (SELECT m.model {_LAST}),
    {{provider}}
"""
_FOUND = ("result_parts", "is_called", "last_parts", "model", "provider")
_MILLISECONDS = 100_000_000_000  # the schema's comments say so, the producer writes seconds

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def usage_of(raw: Row | dict[str, Any]) -> Usage:
    """Tokens are the last request's, as a whole prompt: they say nothing of what a session used."""
    return Usage(context_tokens=values.counter(raw["prompt_tokens"]) or None)


def of_raw(raw: bytes) -> Usage | None:
    try:
        return usage_of({"prompt_tokens": None} | _decode(raw))
    except UNREADABLE:
        return None


class CrushParser(RowsParser):
    """`base.WholeParser`."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path = source.path
        self._registries = source.companions
        self._files = files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        self._project = self._project_path()
        self._sessions = _sessions(database)
        costs = own_costs(self._sessions)
        since = self.since("session", 0)
        changed = {id_ for id_, row in self._sessions.items() if _seconds(row) is None or _seconds(row) >= since}
        # What is its own of a session's cost may have changed with the sessions above and below it.
        changed |= {self._sessions[id_]["parent_session_id"] for id_ in changed}
        changed |= {id_ for id_, row in self._sessions.items() if row["parent_session_id"] in changed - {None}}
        for id_, row in self._sessions.items():
            self.saw("session", _seconds(row))
            if id_ not in changed:
                continue
            self.parsed.lines += 1
            self._session(row)
            if id_ in costs:
                self._cost(row, costs[id_])
            yield
        yield from self._messages(Table(database, "messages", _MESSAGES))

    def _project_path(self) -> str | None:
        """As the registry has it; else the folder that has the database's."""
        for registry in self._registries:
            for project, path in entries(self._files.read(registry)):
                if path == self._path:
                    return values.text(str(project), values.MAX_PATH)
        folder = self._path.parent
        return values.text(str(folder.parent if folder.name == ".crush" else folder), values.MAX_PATH)

    def _session(self, row: Row) -> None:
        parent = values.text(row["parent_session_id"])
        self.parsed.sessions.append(
            SessionRecord(
                key=session_key(ID, row["id"]),
                harness=ID,
                session_id=row["id"],
                parent_key=session_key(ID, parent) if parent else None,
                relationship="subagent" if parent else None,
                started_at=_moment(row["created_at"]),
                project_path=self._project,
                title=values.text(row["title"]),
            )
        )

    def _cost(self, row: Row, own: float) -> None:
        usage = usage_of(row)
        cost = values.amount(own) if own > 0 else None  # a zero is a flat rate, a local model or an estimate
        if cost is None and usage.context_tokens is None:
            return
        started_at = _moment(row["created_at"])
        at, quality = time_of(_moment(row["updated_at"]), started_at, self._files, self._path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        self.parsed.events.append(
            observation(
                ID,
                (row["id"],),
                (cost or "0",),
                usage,
                session_key=session_key(ID, row["id"]),
                at=at,
                time_quality=quality,
                provider=values.text(row["provider"]),
                model=values.text(row["model"]),
                project_path=self._project,
                session_started=started_at or 0,
                reported_cost=cost,
                reported_cost_unit="usd",
                reported_cost_status="estimated",
                raw_usage=_encode({name: row[name] for name in ("prompt_tokens", "completion_tokens", "cost")}),
            )
        )

    def _messages(self, table: Table) -> Iterator[None]:
        since = self.since("message", 0)
        for row in table.pages("updated_at >= ?" if since else "1", (since,) if since else ()):
            self.saw("message", row["updated_at"])
            self.parsed.lines += 1
            session = self._sessions.get(row["session_id"])
            if session is not None and values.text(row["id"]):
                self._message(session, row)
            yield

    def _message(self, session: Row, row: Row) -> None:
        if not isinstance(row["parts"], str) or not row["parts"].startswith("["):
            skip(self.parsed, MALFORMED)
            return
        parts = parts_of(row["parts"])
        role = {"user": "user", "assistant": "assistant", "tool": "tool"}.get(row["role"], "system")
        failed = any(kind == "finish" and data.get("reason") == "error" for kind, data in parts)
        self.parsed.messages.append(
            MessageRecord(
                key=message_key(ID, row["id"]),
                session_key=session_key(ID, session["id"]),
                harness=ID,
                at=_moment(row["created_at"]),
                role=role,
                kind="summary" if row["is_summary_message"] else "error" if failed else _KINDS[role],
                model=values.text(row["model"]) if role == "assistant" else None,
                tool_names=names(data.get("name") for kind, data in parts if kind == "tool_call"),
                size_chars=size_of([data for _, data in parts]),
                project_path=self._project,
                session_started=_moment(session["created_at"]) or 0,
            )
        )


_KINDS = {"user": "prompt", "assistant": "answer", "tool": "tool_result", "system": "meta"}


def _sessions(database: Database) -> dict[str, Row]:
    have = database.columns("sessions")
    if "id" not in have:
        return {}
    wanted = (*_SESSIONS, *_TIMES)
    select = ", ".join(f"s.{name}" if name in have else "NULL" for name in wanted)
    messages = database.columns("messages")
    if "parent_session_id" in have and {"parts", "model", "role", "session_id"} <= messages:
        select += "," + _CONVERSATIONS.format(
            provider=f"(SELECT m.provider {_LAST})" if "provider" in messages else "NULL"
        )
    else:
        select += ", NULL" * len(_FOUND)
    rows = (
        dict(zip((*wanted, *_FOUND), row, strict=True)) for row in database.rows(f"SELECT {select} FROM sessions s")
    )
    return {row["id"]: row for row in rows if is_id(row["id"])}


def _seconds(row: Row) -> Any:
    return row["updated_at"] if type(row["updated_at"]) in (int, float) else None


def _moment(value: Any) -> int | None:
    is_milliseconds = type(value) in (int, float) and value > _MILLISECONDS
    return values.epoch(value, 1000 if is_milliseconds else 1)
