"""Goose's sessions and messages, from the database and from the files before it."""

import re
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, skip
from trueup_agent.harnesses.content import names, size_of
from trueup_agent.harnesses.json_text import UNREADABLE
from trueup_agent.harnesses.tables import Row
from trueup_agent.records import MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import message_key, session_key

ID = "goose"

# The database numbers the sessions of a day. The files' ids have the time of day, or are names that a user chose.
_NUMBERED = re.compile(r"\d{8}_\d{1,5}")
_MILLISECONDS = 10_000_000_000  # the producer's own threshold

_decode = msgspec.json.Decoder().decode


class Session:
    """A row of `sessions`, and what names it."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.id: str = row["id"]
        # A database that was made anew numbers from 1 again. A file keeps its id when it is imported.
        self.is_numbered = _NUMBERED.fullmatch(self.id) is not None
        self.identity = f"{self.id}@{row['created_at']}" if self.is_numbered else self.id
        self.key = session_key(ID, self.identity)
        self.started_at = values.micros(row["created_at"])
        self.project = values.text(row["working_dir"], values.MAX_PATH)
        self.provider = values.text(row["provider_name"])
        self.model = _model(row["model_config_json"])

    def record(self, parent: "Session | None") -> SessionRecord:
        return SessionRecord(
            key=self.key,
            harness=ID,
            session_id=values.text(self.id) or "",
            parent_key=parent.key if parent else None,
            relationship="subagent" if self.row["session_type"] == "sub_agent" else None,
            started_at=self.started_at,
            project_path=self.project,
            title=values.text(self.row["name"]) or values.text(self.row["description"]),
        )


def _model(config: Any) -> str | None:
    """The model that was last chosen."""
    try:
        decoded = _decode(config) if isinstance(config, str) else None
    except UNREADABLE:
        return None
    return values.text(decoded.get("model_name")) if isinstance(decoded, dict) else None


def moment(value: Any) -> int | None:
    """Seconds, in some releases milliseconds."""
    is_milliseconds = type(value) in (int, float) and value > _MILLISECONDS
    return values.epoch(value, 1000 if is_milliseconds else 1)


def add_message(parsed: Parsed, session: Session, row: Row) -> None:
    """`row`: of the table `messages`."""
    try:
        blocks = _decode(row["content_json"]) if isinstance(row["content_json"], str) else None
    except UNREADABLE:
        blocks = None
    if not isinstance(blocks, list):
        skip(parsed, MALFORMED)
        return
    at, size = moment(row["created_timestamp"]), size_of(blocks)
    kinds = {block.get("type") for block in blocks if isinstance(block, dict) and isinstance(block.get("type"), str)}
    role, kind = _role_and_kind(row, kinds)
    if session.is_numbered:
        identity: tuple[Any, ...] = (session.identity, values.text(row["message_id"]) or row["id"])
    else:
        # An import gives a message without an id one; so what it says of itself is its name in file and database.
        identity = (session.identity, role, at, size)
    parsed.messages.append(
        MessageRecord(
            key=message_key(ID, *identity),
            session_key=session.key,
            harness=ID,
            at=at,
            role=role,
            kind=kind,
            tool_names=names(_tool(block) for block in blocks) if role == "assistant" else None,
            size_chars=size,
            project_path=session.project,
            session_started=session.started_at or 0,
        )
    )


def _role_and_kind(row: Row, kinds: set[Any]) -> tuple[str, str]:
    if row["role"] == "assistant":
        return "assistant", "answer"
    if "toolResponse" in kinds:
        return "tool", "tool_result"
    return "user", "meta" if _is_hidden(row["metadata_json"]) else "prompt"


def _is_hidden(metadata: Any) -> bool:
    try:
        decoded = _decode(metadata) if isinstance(metadata, str) else metadata
    except UNREADABLE:
        return False
    return isinstance(decoded, dict) and decoded.get("userVisible") is False


def _tool(block: Any) -> Any:
    if not isinstance(block, dict) or block.get("type") != "toolRequest":
        return None
    call = block.get("toolCall")
    value = call.get("value") if isinstance(call, dict) else None
    return value.get("name") if isinstance(value, dict) else None
