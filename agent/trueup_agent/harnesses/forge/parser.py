"""Reads Forge's conversations (formats/forge.md): each row is written anew on every turn."""

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from trueup_agent.harnesses.base import CONTRADICTORY, MALFORMED, NO_TIME, Files, count_unknown, skip
from trueup_agent.harnesses.content import names, numbers
from trueup_agent.harnesses.forge.usage import of_usage, vector
from trueup_agent.harnesses.json_text import object_of, objects
from trueup_agent.harnesses.tables import Row, RowsParser, Table
from trueup_agent.harnesses.values import amount, micros, text
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

ID = "forge"
_COLUMNS = ("conversation_id", "title", "created_at", "updated_at", "parent_id", "cwd")
_SECONDS = len("2026-06-01 08:02:00")
_CWD = re.compile(r"<current_working_directory>([^<]{1,2048})</current_working_directory>")
_ROLES = {"User": ("user", "prompt"), "Assistant": ("assistant", "answer"), "System": ("system", "meta")}
_KINDS = {"text", "tool", "image", "document"}

_encode = msgspec.json.Encoder().encode
Json = Mapping[str, Any]


class ForgeParser(RowsParser):
    """`base.WholeParser`. Only the documents of conversations that changed are read."""

    def __init__(self, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__(state)
        self._path, self._files = path, files

    def fill(self) -> Iterator[None]:
        database = self._files.database(self._path)
        documents = Table(database, "conversations", ("context",))
        rows = Table(database, "conversations", _COLUMNS).rows()
        known = {row["conversation_id"] for row in rows}
        since = str(self.since("updated_at", ""))
        for row in rows:
            # To the second: fractions are written with as many digits as they need.
            changed_at = row["updated_at"] or row["created_at"]
            changed_at = changed_at[:_SECONDS] if isinstance(changed_at, str) else ""
            self.saw("updated_at", changed_at)
            if changed_at < since or text(row["conversation_id"]) is None:
                continue
            self.parsed.lines += 1
            for stored in documents.rows("WHERE conversation_id = ?", (row["conversation_id"],)):
                if stored["context"] is None:
                    continue  # empty: nothing was said yet
                if (document := self._document(stored["context"])) is not None:
                    _Conversation(self, row, document, known).emit(self._files.modified_at(self._path))
            yield

    def _document(self, context: Any) -> Json | None:
        document = object_of(context)
        if document is None:
            skip(self.parsed, MALFORMED)
        return document


class _Conversation:
    """One conversation while it is read."""

    def __init__(self, parser: ForgeParser, row: Row, document: Json, known: set[Any]) -> None:
        self.parsed = parser.parsed
        self._row, self._known = row, known
        self._id: str = row["conversation_id"]
        self._key = session_key(ID, self._id)
        messages = document.get("messages")
        self._messages = messages if isinstance(messages, list) else []
        self._created, self._updated = micros(row["created_at"]), micros(row["updated_at"])
        self._project = text(row["cwd"]) or self._directory()
        self._seen: dict[str, int] = {}
        self._answers = 0

    def emit(self, modified_at: int | None) -> None:
        self._modified_at = modified_at
        parent = text(self._row["parent_id"])
        self.parsed.sessions.append(
            SessionRecord(
                key=self._key,
                harness=ID,
                session_id=self._id,
                parent_key=session_key(ID, parent) if parent else None,
                relationship="subagent" if parent else None,
                started_at=self._created,
                project_path=self._project,
                title=text(self._row["title"]),
            )
        )
        for number, entry in enumerate(self._messages):
            self.parsed.lines += 1
            message, kind = _unwrapped(entry)
            if message is None:
                skip(self.parsed, MALFORMED)
            elif kind not in _KINDS:
                count_unknown(self.parsed, kind)
            elif kind in ("text", "tool"):
                self._message(entry, kind, message, is_last=number == len(self._messages) - 1)

    def _message(self, entry: Json, kind: str, message: Json, is_last: bool) -> None:
        role, about = ("tool", "tool_result") if kind == "tool" else _ROLES.get(str(message.get("role")), ("", ""))
        if not role:
            return count_unknown(self.parsed, message.get("role"))
        calls = objects(message.get("tool_calls"))
        content = message.get("content") if kind == "text" else None
        content = content if isinstance(content, str) else ""
        anchor = _anchor(kind, message, calls, content)
        key = None
        if role == "assistant":
            self._answers += 1
            key = self._event(entry, message, anchor, is_last)
            for call in calls:
                self._child(call)
        place = f"{role} {anchor}"
        ordinal = self._seen[place] = self._seen.get(place, -1) + 1
        self.parsed.messages.append(
            MessageRecord(
                key=message_key(ID, self._id, role, anchor, ordinal),
                session_key=self._key,
                harness=ID,
                at=micros(message.get("timestamp")),
                role=role,
                kind="meta" if message.get("droppable") is True and role == "user" else about,
                model=text(message.get("model")) if role == "assistant" else None,
                tool_names=names(call.get("name") for call in calls),
                size_chars=len(content),
                event_key=key,
                project_path=self._project,
                session_started=self._created or 0,
            )
        )
        return None

    def _event(self, entry: Json, message: Json, anchor: str, is_last: bool) -> bytes | None:
        """None where the message has no usage: the last one may get it later, the first format had none."""
        usage = entry.get("usage")
        if not isinstance(usage, Mapping):
            if "message" in entry and not is_last:
                self.parsed.answer(metered=False)
            return None
        counters, contradicts = of_usage(usage)
        if contradicts:
            skip(self.parsed, CONTRADICTORY)
        if counters.reported():
            self.parsed.answer(metered=True)
        elif not any(isinstance(count, Mapping) for count in usage.values()):
            self.parsed.answer(metered=False)
        at, quality = self._time(message)
        if at is None:
            skip(self.parsed, NO_TIME)
            return None
        # Places in the list shift with every compaction.
        identity = (self._id, anchor, *vector(usage))
        cost = usage.get("cost")
        cost = amount(cost) if type(cost) in (int, float) else None
        event = EventRecord(
            key=event_key(ID, *identity),
            session_key=self._key,
            harness=ID,
            at=at,
            time_quality=quality,
            model=text(message.get("model")),
            project_path=self._project,
            **msgspec.structs.asdict(counters),
            reported_cost=cost,
            reported_cost_unit="usd",
            reported_cost_status="reported",
            session_started=self._created or 0,
            identity=_encode(identity).decode(),
            raw_usage=_encode(numbers(usage)),
        )
        self.parsed.events.append(event)
        return event.key

    def _time(self, message: Json) -> tuple[int | None, int]:
        """Messages seldom bear a time: the first answer is as old as the conversation, a new one came with its last
        change. What was read before keeps the time at which it was first seen: the ledger keeps the earliest."""
        own = micros(message.get("timestamp"))
        if own is not None:
            return own, 1
        row = self._created if self._answers == 1 else self._updated or self._created
        return (row, 2) if row is not None else (self._modified_at, 3)

    def _child(self, call: Json) -> None:
        """A task is a conversation of its own, which its parent names."""
        arguments = call.get("arguments")
        child = arguments.get("session_id") if call.get("name") == "task" and isinstance(arguments, Mapping) else None
        if isinstance(child, str) and child in self._known and child != self._id:
            key = session_key(ID, child)
            self.parsed.sessions.append(
                SessionRecord(key=key, harness=ID, session_id=child, parent_key=self._key, relationship="subagent")
            )

    def _directory(self) -> str | None:
        """The working directory that the first system text names."""
        for entry in self._messages:
            message, kind = _unwrapped(entry)
            if message is not None and kind == "text" and message.get("role") == "System":
                found = _CWD.search(str(message.get("content")))
                return text(found.group(1).strip()) if found else None
        return None


def _unwrapped(entry: Any) -> tuple[Json | None, str]:
    """The message and its kind. The first format had neither wrapper nor usage."""
    entry = entry.get("message", entry) if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not entry:
        return None, ""
    kind = next((name for name in entry if name in _KINDS), str(next(iter(entry))))
    if kind not in _KINDS:
        return {}, kind
    message = entry[kind]
    return (message, kind) if isinstance(message, Mapping) else (None, kind)


def _anchor(kind: str, message: Json, calls: Sequence[Json], content: str) -> str:
    """What names a message as long as it is there: the id of its first tool call, else a digest of what it says."""
    call_ids = [message.get("call_id")] if kind == "tool" else [call.get("call_id") for call in calls]
    named = next((id_ for id_ in map(text, call_ids) if id_ is not None), None)
    return named or blake2b(content.encode("utf-8", "replace"), digest_size=8).hexdigest()
