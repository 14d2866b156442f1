"""Reads Zed's threads. Rules and evidence: formats/zed.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from backports import zstd

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, OVERSIZED, Files, count_unknown, skip
from trueup_agent.harnesses.content import names, size_of
from trueup_agent.harnesses.json_text import UNREADABLE, decode
from trueup_agent.harnesses.series import observation
from trueup_agent.harnesses.tables import Row, RowsParser, Table, is_id
from trueup_agent.harnesses.zed.usage import NAMES, raw_usage, usage_of
from trueup_agent.records import MessageRecord, SessionRecord
from trueup_shared.keys import message_key, session_key

ID = "zed"
MAX_DOCUMENT_BYTES = 256 << 20

_COLUMNS = ("id", "summary", "updated_at", "created_at", "parent_id", "folder_paths", "data_type")
_SECONDS = len("2026-06-01T08:02:00")

_encode = msgspec.json.Encoder().encode


class ZedParser(RowsParser):
    """`base.WholeParser`. Only the documents of threads that changed are unpacked."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path = path
        self._files = files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        documents = Table(database, "threads", ("data_type", "data"))
        since = str(self.since("updated_at", ""))
        for row in Table(database, "threads", _COLUMNS).rows():
            # To the second: fractions and offsets are written in several ways, which do not sort as text.
            updated_at = row["updated_at"][:_SECONDS] if isinstance(row["updated_at"], str) else ""
            self.saw("updated_at", updated_at)
            if updated_at < since or not is_id(row["id"]):
                continue
            self.parsed.lines += 1
            for stored in documents.rows("WHERE id = ?", (row["id"],)):
                document = self._document(stored)
                if document is not None and document.get("imported") is not True:
                    _Thread(self, row, document).emit(self._files.modified_at(self._path))
            yield

    def _document(self, stored: Row) -> dict[str, Any] | None:
        data = stored["data"]
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        try:
            if stored["data_type"] == "zstd" and isinstance(raw, bytes):
                unpacking = zstd.ZstdDecompressor()
                raw = unpacking.decompress(raw, MAX_DOCUMENT_BYTES)
                if not unpacking.eof and len(raw) >= MAX_DOCUMENT_BYTES:
                    skip(self.parsed, OVERSIZED)
                    return None
            document = decode(raw) if isinstance(raw, bytes) else None
        except (*UNREADABLE, zstd.ZstdError):
            document = None
        if not isinstance(document, dict):
            skip(self.parsed, MALFORMED)
            return None
        return document


class _Thread:
    """One thread while it is read."""

    def __init__(self, parser: ZedParser, row: Row, document: dict[str, Any]) -> None:
        self.parsed = parser.parsed
        self._row, self._document = row, document
        self._id: str = row["id"]
        self._key = session_key(ID, self._id)
        self._trees = _worktrees(document)
        self._project = _first_folder(row["folder_paths"]) or _first(self._trees, "worktree_path")
        self._at = values.micros(row["updated_at"]) or values.micros(document.get("updated_at"))
        self._started = values.micros(row["created_at"]) or _snapshot_time(document) or self._at

    def emit(self, modified_at: int | None) -> None:
        parent = values.text(self._row["parent_id"]) or _parent(self._document)
        self.parsed.sessions.append(
            SessionRecord(
                key=self._key,
                harness=ID,
                session_id=self._id,
                parent_key=session_key(ID, parent) if parent else None,
                relationship="subagent" if parent else None,
                started_at=self._started,
                project_path=self._project,
                git_branch=_first([tree.get("git_state") for tree in self._trees], "current_branch"),
                title=values.text(self._row["summary"]) or values.text(self._document.get("title")),
            )
        )
        messages = self._document.get("messages")
        for number, message in enumerate(messages if isinstance(messages, list) else []):
            self._message(number, message)
        self._usage(modified_at)

    def _usage(self, modified_at: int | None) -> None:
        raw = raw_usage(self._document)
        usage = usage_of(raw)
        vector = tuple(getattr(usage, ours) for ours in NAMES.values())
        is_named = any(name in self._document for name in ("cumulative_token_usage", "request_token_usage"))
        if any(vector):
            self.parsed.answer(metered=True)
        elif not is_named and any(role == "assistant" for role in self._roles()):
            self.parsed.answer(metered=False)
        if not any(vector):
            return  # nobody has counted yet
        at = self._at or modified_at
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        model = self._document.get("model")
        model = model if isinstance(model, dict) else {}
        self.parsed.events.append(
            observation(
                ID,
                (self._id,),
                vector,
                usage,
                session_key=self._key,
                at=at,
                time_quality=1 if self._at else 3,
                provider=values.text(model.get("provider")),
                model=values.text(model.get("model")),
                project_path=self._project,
                session_started=self._started or 0,
                raw_usage=_encode(raw),
            )
        )

    def _roles(self) -> Iterator[str]:
        messages = self._document.get("messages")
        for message in messages if isinstance(messages, list) else []:
            if isinstance(message, dict):
                yield "assistant" if "Agent" in message else str(message.get("role"))

    def _message(self, number: int, message: Any) -> None:
        if isinstance(message, str):
            if message != "Resume":
                count_unknown(self.parsed, message)
            return
        if not isinstance(message, dict) or not message:
            skip(self.parsed, MALFORMED)
            return
        id_: str | int = number
        if isinstance(body := message.get("User"), dict):
            role, content, tools = "user", body.get("content"), None
            id_ = values.text(body.get("id")) or number
        elif isinstance(body := message.get("Agent"), dict):
            role, content = "assistant", body.get("content")
            tools = names(_tool(block) for block in (content if isinstance(content, list) else []))
        elif message.get("role") in ("user", "assistant", "system"):  # before the agent was written anew
            role, content = message["role"], message.get("segments")
            uses = message.get("tool_uses")
            tools = names(use.get("name") for use in uses if isinstance(use, dict)) if isinstance(uses, list) else None
        else:
            count_unknown(self.parsed, next(iter(message)))
            return
        blocks = [_inner(block) for block in content] if isinstance(content, list) else content
        self.parsed.messages.append(
            MessageRecord(
                key=message_key(ID, self._id, id_),
                session_key=self._key,
                harness=ID,
                at=None,
                role=role,
                kind={"user": "prompt", "assistant": "answer"}.get(role, "meta"),
                tool_names=tools,
                size_chars=size_of(blocks),
                project_path=self._project,
                session_started=self._started or 0,
            )
        )


def _inner(block: Any) -> Any:
    """{"Text": "…"} and {"Thinking": {"text": "…"}} as blocks with text; a mention has its content."""
    return {name: value for name, value in block.items() if name != "ToolUse"} if isinstance(block, dict) else block


def _tool(block: Any) -> Any:
    use = block.get("ToolUse") if isinstance(block, dict) else None
    return use.get("name") if isinstance(use, dict) else None


def _worktrees(document: dict[str, Any]) -> list[dict[str, Any]]:
    snapshot = document.get("initial_project_snapshot")
    trees = snapshot.get("worktree_snapshots") if isinstance(snapshot, dict) else None
    return [tree for tree in trees if isinstance(tree, dict)] if isinstance(trees, list) else []


def _snapshot_time(document: dict[str, Any]) -> int | None:
    snapshot = document.get("initial_project_snapshot")
    return values.micros(snapshot.get("timestamp")) if isinstance(snapshot, dict) else None


def _parent(document: dict[str, Any]) -> str | None:
    context = document.get("subagent_context")
    return values.text(context.get("parent_thread_id")) if isinstance(context, dict) else None


def _first(objects: list[Any], name: str) -> str | None:
    texts = (values.text(one.get(name), values.MAX_PATH) for one in objects if isinstance(one, dict))
    return next((text for text in texts if text), None)


def _first_folder(folders: Any) -> str | None:
    """A JSON list, or a path per line."""
    if not isinstance(folders, str):
        return None
    listed: Any = folders.split("\n")
    if folders.startswith("["):
        try:
            listed = decode(folders.encode("utf-8", "replace"))
        except UNREADABLE:
            return None
    return values.text(listed[0], values.MAX_PATH) if isinstance(listed, list) and listed else None
