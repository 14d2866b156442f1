"""Reads Piebald's chats (formats/piebald.md). A message is one request; its counters arrive while it is streamed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses.base import CONTRADICTORY, NO_IDENTITY, NO_TIME, Files, count_unknown, skip
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.piebald.usage import API, COUNTERS, OPENAI, of_row, raw_usage
from trueup_agent.harnesses.tables import Row, RowsParser, Table
from trueup_agent.harnesses.values import micros, text
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

ID = "piebald"
_CHATS = ("id", "title", "model", "project_id", "current_directory", "worktree_path", "branch_name", "created_at")
_MESSAGES = ("id", "parent_chat_id", "role", "model", "created_at", "updated_at", "status", "config_id", *COUNTERS)
_CONFIGS = ("override_gen_cfg_data_openai_responses", "override_gen_cfg_data_openai_completions")
_TOOL_NAMES = ("tool_name", "name")
_SECONDS = len("2026-06-10T15:55:48")
_ROLES = {"user": "prompt", "assistant": "answer", "system": "meta", "tool": "tool_result"}

_encode = msgspec.json.Encoder().encode


class PiebaldParser(RowsParser):
    """`base.WholeParser`. Chats that were deleted, and branches that were left, were billed: all count."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path, self._files = path, files
        self._sessions: dict[Any, SessionRecord] = {}

    def fill(self) -> Iterator[None]:
        self._database = database = self._files.database(self._path)
        self._modified_at = self._files.modified_at(self._path)
        projects = {row["id"]: row["directory"] for row in Table(database, "projects", ("id", "directory")).rows()}
        chats = {row["id"]: row for row in Table(database, "chats", _CHATS).rows()}
        for row in chats.values():
            self.parsed.lines += 1
            self._session(row, text(projects.get(row["project_id"])))
        tiers = self._tiers()
        messages = Table(database, "messages", _MESSAGES)
        since = str(self.since("updated_at", ""))[:_SECONDS]
        condition = "updated_at >= ?" if since and "updated_at" in messages.columns else "? = ''"
        for row in messages.pages(condition, (since,)):
            self.parsed.lines += 1
            self.saw("updated_at", row["updated_at"])
            if row["config_id"] in tiers:
                row[API] = OPENAI
            self._message(row, chats.get(row["parent_chat_id"]), text(tiers.get(row["config_id"]), 64))
            yield

    def _tiers(self) -> dict[Any, Any]:
        """Service tier by configuration, of those that speak OpenAI's interfaces."""
        tables = (Table(self._database, name, ("gen_cfg_id", "service_tier")) for name in _CONFIGS)
        rows = [row for table in tables for row in table.rows()]
        return {row["gen_cfg_id"]: row["service_tier"] for row in rows if row["gen_cfg_id"] is not None}

    def _session(self, chat: Row, project: str | None) -> None:
        id_ = _unique(chat["id"], chat["created_at"])
        if id_ is None:
            return
        record = SessionRecord(
            key=session_key(ID, id_),
            harness=ID,
            session_id=id_,
            started_at=micros(chat["created_at"]),
            project_path=text(chat["worktree_path"]) or text(chat["current_directory"]) or project,
            git_branch=text(chat["branch_name"]),
            title=text(chat["title"]),
        )
        self._sessions[chat["id"]] = record
        self.parsed.sessions.append(record)

    def _message(self, row: Row, chat: Row | None, tier: str | None) -> None:
        role = row["role"].lower() if isinstance(row["role"], str) else ""
        if role not in _ROLES:
            return count_unknown(self.parsed, row["role"])
        session = self._sessions.get(row["parent_chat_id"])
        if _unique(row["id"], row["created_at"]) is None or session is None:
            return skip(self.parsed, NO_IDENTITY)
        key = model = None
        if role == "assistant":
            model = text(row["model"]) or text(chat["model"] if chat else None)
            key = self._event(row, session, model, tier)
        self.parsed.messages.append(
            MessageRecord(
                key=message_key(ID, row["created_at"], row["id"]),
                session_key=session.key,
                harness=ID,
                at=micros(row["created_at"]),
                role=role,
                kind=_ROLES[role],
                model=model,
                tool_names=self._tools(row["id"]) if role == "assistant" else None,
                event_key=key,
                project_path=session.project_path,
                session_started=session.started_at or 0,
            )
        )
        return None

    def _event(self, row: Row, session: SessionRecord, model: str | None, tier: str | None) -> bytes | None:
        usage, contradicts = of_row(row, model)
        if contradicts:
            skip(self.parsed, CONTRADICTORY)
        if usage.reported():
            self.parsed.answer(metered=True)
        elif row["status"] != "completed":
            return None  # running, or failed
        elif all(row[name] is None for name in COUNTERS):
            self.parsed.answer(metered=False)
        at = micros(row["created_at"])
        quality = 1 if at is not None else 2 if session.started_at is not None else 3
        at = at if at is not None else session.started_at or self._modified_at
        if at is None:
            skip(self.parsed, NO_TIME)
            return None
        identity = (row["created_at"], row["id"])  # ids begin with 1 in every installation
        event = EventRecord(
            key=event_key(ID, *identity),
            session_key=session.key,
            harness=ID,
            at=at,
            time_quality=quality,
            model=model,
            service_tier=tier.strip().lower() or None if tier else None,
            project_path=session.project_path,
            **msgspec.structs.asdict(usage),
            session_started=session.started_at or 0,
            identity=_encode(identity).decode(),
            raw_usage=raw_usage(row),
        )
        self.parsed.events.append(event)
        return event.key

    def _tools(self, message_id: Any) -> list[str] | None:
        calls = self._database.columns("message_part_tool_call")
        name = next((name for name in _TOOL_NAMES if name in calls), None)
        parts = self._database.columns("message_parts")
        if name is None or not {"id", "parent_chat_message_id", "part_index"} <= parts:
            return None
        rows = self._database.rows(
            f"SELECT c.{name} FROM message_parts p JOIN message_part_tool_call c ON c.message_part_id = p.id"
            " WHERE p.parent_chat_message_id = ? ORDER BY p.part_index",
            (message_id,),
        )
        return names(row[0] for row in rows)


def _unique(id_: Any, created_at: Any) -> str | None:
    """Ids begin with 1 in every installation: the time of creation, to the nanosecond, tells them apart."""
    if not isinstance(id_, int | str) or not isinstance(created_at, str):
        return None
    return text(f"{id_}@{created_at}")
