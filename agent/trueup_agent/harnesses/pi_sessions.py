"""Session files of pi and of the agents built on it: Oh My Pi, OpenClaw (formats/pi.md, formats/openclaw.md).

A file is a tree of entries; all of its branches were billed. Forks copy entries with their ids and times, and files of
the first version get ids in place when they are opened. So an entry is known by what no copy and no migration changes:
when it was written, and what it says.
"""

import re
from pathlib import Path, PurePath
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, Usage, count_unknown, skip, time_of
from trueup_agent.harnesses.content import names, numbers, text_size
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.pi_usage import is_placeholder, read_cost, read_usage
from trueup_agent.harnesses.twins import Twins
from trueup_agent.harnesses.values import LATEST, MAX_PATH, counter, epoch, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

_NAMED_BY_TIME = re.compile(r"\d{4}-\d\d-\d\dT[^_]+_(.+)")  # <time of its start>_<session id>

# role -> role and kind of ours. `hookMessage` became `custom` with version 3.
_ROLES = {
    "user": ("user", "prompt"),
    "assistant": ("assistant", "answer"),
    "toolResult": ("tool", "tool_result"),
    "bashExecution": ("user", "meta"),
    "custom": ("user", "meta"),
    "hookMessage": ("user", "meta"),
    "system": ("system", "meta"),
    "branchSummary": ("system", "summary"),
    "compactionSummary": ("system", "summary"),
}
# Entries that change neither the conversation nor what is known of it. `child_usage_attributed` (Prime Agent) repeats
# the usage of children, which have files of their own.
_SILENT = {"thinking_level_change", "label", "child_usage_attributed"}
_ABORTED = ("aborted", "error")
# Text that OpenClaw's gateway delivered, written once more as an answer of a model of this name.
_MIRRORS = {"delivery-mirror", "gateway-injected"}

_encode = msgspec.json.Encoder().encode


class State(Struct):
    """What the next line may depend on."""

    session_id: str
    has_header: bool = False
    started_at: int | None = None
    copied_before: int | None = None  # entries of a fork that are older than it are its parent's
    parent_id: str | None = None
    relationship: str | None = None
    project: str | None = None
    model: str | None = None
    provider: str | None = None
    title: str | None = None
    twins: Twins = msgspec.field(default_factory=Twins)


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


class PiParser(JsonLines):
    """`base.LineParser` for one session file of `harness`."""

    def __init__(self, harness: str, path: Path, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._harness, self._path, self._files = harness, path, files
        self.s = decode_state(state) if state else _initial(path)
        self._session = session_key(harness, self.s.session_id)
        self._news = False

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def state(self) -> bytes:
        return encode_state(self.s)

    def take(self) -> Parsed:
        if self._news:
            self._news = False
            self.parsed.sessions.append(self._session_record())
        return super().take()

    def record(self, record: Any, line: memoryview) -> None:
        kind = record.get("type") if isinstance(record, dict) else None
        if not isinstance(kind, str):
            skip(self.parsed, MALFORMED)
        elif kind == "session":
            self._header(record)
        elif kind == "title":
            self._name(record.get("title"))
        elif kind == "session_info":
            self._name(record.get("name"))
        elif kind == "model_change":
            self._model(record)
        elif kind == "custom":
            if record.get("customType") == "model-snapshot" and isinstance(record.get("data"), dict):
                self._model(record["data"])
        elif kind == "message":
            self._message(record)
        elif kind in ("compaction", "branch_summary"):
            self._entry(record, "system", "summary", text_size(record.get("summary")), (kind,))
        elif kind == "custom_message":
            self._entry(record, "user", "meta", text_size(record.get("content")), (kind,))
        elif kind not in _SILENT:
            count_unknown(self.parsed, kind)

    # -- The session

    def _header(self, record: dict[str, Any]) -> None:
        session_id = text(record.get("id"))
        if session_id is None:
            skip(self.parsed, MALFORMED)
            return
        s, at = self.s, micros(record.get("timestamp"))
        if s.has_header and session_id != s.session_id:
            self.s = s = State(session_id, title=s.title)
        s.session_id, s.has_header, s.started_at = session_id, True, at or s.started_at
        self._session = session_key(self._harness, session_id)
        s.project = text(record.get("cwd"), MAX_PATH) or s.project
        self._model(record)
        source = text(record.get("parentSession"), MAX_PATH) or text(record.get("branchedFrom"), MAX_PATH)
        if source is not None:
            s.copied_before = at
            if s.relationship is None:
                s.parent_id, s.relationship = _id_of_file(source), "fork"
        self._news = True

    def _name(self, name: Any) -> None:
        title = text(name.strip()) if isinstance(name, str) else None
        if title is not None and self.s.title is None:  # a later one would depend on where the file was cut
            self.s.title, self._news = title, True

    def _model(self, record: dict[str, Any]) -> None:
        if (model := text(record.get("modelId"))) is not None:
            self.s.model, self.s.provider = model, text(record.get("provider"))

    def _session_record(self) -> SessionRecord:
        s = self.s
        return SessionRecord(
            key=self._session,
            harness=self._harness,
            session_id=s.session_id,
            parent_key=session_key(self._harness, s.parent_id) if s.parent_id else None,
            relationship=s.relationship,
            started_at=s.started_at,
            project_path=s.project,
            title=s.title,
        )

    # -- Entries

    def _message(self, record: dict[str, Any]) -> None:
        message = record.get("message")
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(role, str):
            skip(self.parsed, MALFORMED)
            return
        if role not in _ROLES:
            count_unknown(self.parsed, f"message/{role}")
            return
        size = text_size(message.get("content")) + text_size(message.get("summary")) + text_size(message.get("output"))
        begun = counter(message.get("timestamp")) or text(message.get("timestamp"))
        if role == "assistant":
            self._answer(record, message, size, begun)
        else:
            what = ("custom" if role == "hookMessage" else role, begun, text(message.get("toolCallId")))
            entry = self._entry(record, *_ROLES[role], size, what)
            if role == "toolResult":
                entry.tool_names = names([message.get("toolName")])

    def _answer(self, record: dict[str, Any], message: dict[str, Any], size: int, begun: int | str | None) -> None:
        s, usage, stop = self.s, message.get("usage"), message.get("stopReason")
        model = text(message.get("model"))
        if model in _MIRRORS:
            self._entry(record, "assistant", "meta", size, ("mirror", begun))
            return
        counters = read_usage(usage)
        named = text(message.get("responseId"))
        vector = _vector(counters) if named is None and counters is not None else []
        what = ("assistant", begun, model, named, *vector)
        entry = self._entry(record, "assistant", "error" if stop == "error" else "answer", size, what)
        entry.model = model or s.model
        entry.tool_names = names(_called(message.get("content")))
        if counters is None:
            if stop not in _ABORTED and not is_placeholder(usage):
                self.parsed.answer(metered=False)
            return
        self.parsed.answer(metered=True)
        at, quality = time_of(entry.at, self.s.started_at, self._files, self._path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return
        identity = (entry.at, begun, model, named, *vector, self._number)
        entry.event_key = event_key(self._harness, *identity)
        self.parsed.events.append(
            EventRecord(
                key=entry.event_key,
                session_key=self._session,
                harness=self._harness,
                at=at,
                time_quality=quality,
                provider=text(message.get("provider")) or (s.provider if model is None else None),
                model=entry.model,
                project_path=s.project,
                **msgspec.structs.asdict(counters),
                reported_cost=read_cost(usage),
                reported_cost_unit="usd",
                reported_cost_status="estimated",
                copy=entry.copy,
                session_started=entry.session_started,
                identity=_encode(identity).decode(),
                raw_usage=_encode(numbers(usage)),
            )
        )

    def _entry(self, record: dict[str, Any], role: str, kind: str, size: int, what: tuple[Any, ...]) -> MessageRecord:
        """A message of the conversation. Leaves which of its twins it is in `_number`."""
        s = self.s
        at = micros(record.get("timestamp"))
        if at is None and isinstance(inner := record.get("message"), dict):
            at = epoch(inner.get("timestamp"), 1000)
        if s.started_at is None and at is not None:
            s.started_at, self._news = at, True
        preimage = _encode((at, size, *what)).decode()
        # Version 1 has no ids: two lines that are equal throughout are one entry.
        self._number = s.twins.number(at, preimage, text(record.get("id")) or "")
        self._news = self._news or not s.has_header
        entry = MessageRecord(
            key=message_key(self._harness, preimage, self._number),
            session_key=self._session,
            harness=self._harness,
            at=at,
            role=role,
            kind=kind,
            size_chars=size,
            project_path=s.project,
            copy=1 if s.copied_before is not None and at is not None and at < s.copied_before else 0,
            session_started=s.started_at or LATEST,
        )
        self.parsed.messages.append(entry)
        return entry


def _initial(path: PurePath) -> State:
    """What the path says: the session, and whose subagent it is where it lies in a folder named like a session file."""
    parent = _NAMED_BY_TIME.fullmatch(path.parent.name)
    state = State(_id_of_file(path.name) or "unknown")
    if parent is not None:
        state.parent_id, state.relationship = text(parent.group(1)), "subagent"
    return state


def _id_of_file(path: str) -> str | None:
    """The session id in the name of a session file, whichever system wrote the path."""
    stem = re.split(r"[/\\]", path)[-1].split(".jsonl")[0]
    named = _NAMED_BY_TIME.fullmatch(stem)
    return text(named.group(1) if named else stem)


def _vector(usage: Usage) -> list[int | None]:
    return [usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens]


def _called(blocks: Any) -> list[Any]:
    """What the tool calls of an answer name."""
    if not isinstance(blocks, list):
        return []
    return [block.get("name") for block in blocks if isinstance(block, dict) and block.get("type") == "toolCall"]
