"""Reads an iFlow CLI transcript line by line (formats/iflow.md)."""

from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import (
    MALFORMED,
    NO_IDENTITY,
    NO_TIME,
    Files,
    SourceFile,
    Usage,
    count_unknown,
    skip,
    time_of,
)
from trueup_agent.harnesses.content import said as said_in
from trueup_agent.harnesses.content import size_of
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.values import MAX_PATH, counter, micros, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

ID = "iflow"
BURST_MICROS = 1_000_000  # snapshots of one answer follow one another within a second
MAX_TOOLS = 256  # of one answer, and ids remembered: a snapshot repeats the last calls of the one before

_PREFIX = "session-"
_COUNTERS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_SILENT = ("summary", "progress", "file-history-snapshot")
_encode = msgspec.json.Encoder().encode


class Burst(Struct, array_like=True):
    """An answer, of which each line is a sliding window while it streams."""

    parent: str | None
    uuid: str | None
    session_id: str  # as the line says: copies keep it
    at: int | None
    last_at: int | None
    model: str | None = None
    tools: list[str] = []
    texts: list[str] = []  # digests of those whose size was added
    size: int = 0
    counters: dict[str, int] = {}


class State(Struct, array_like=True):
    id: str
    parent_id: str | None = None
    started_at: int | None = None
    project: str | None = None
    branch: str | None = None
    version: str | None = None
    entries: int = 0
    calls: list[str] = []  # ids of the last tool calls
    burst: Burst | None = None  # of the line before, if that was an answer


_encode_state = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(State).decode


class IFlowParser(JsonLines):
    """`base.LineParser` of one session. An answer is told again with each of its lines."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._source, self._files = source, files
        self.s = _decode_state(state) if state else State(_bare(source.path.stem) or "unknown")

    def state(self) -> bytes:
        return _encode_state(self.s)

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def take(self) -> Parsed:
        if self.s.entries:
            self.parsed.sessions = [self._session()]
        return super().take()

    def record(self, record: Any, line: memoryview) -> None:
        if not isinstance(record, dict):
            skip(self.parsed, MALFORMED)
            return
        kind = record.get("type")
        if kind not in ("user", "assistant", "system"):
            if kind not in _SILENT:
                count_unknown(self.parsed, kind)
            return
        s, at = self.s, micros(record.get("timestamp"))
        session_id = _bare(record.get("sessionId")) or s.id
        if session_id != s.id and s.parent_id is None:
            s.parent_id = session_id
        s.started_at = at if s.started_at is None else s.started_at
        s.project = s.project or text(record.get("cwd"), MAX_PATH)
        s.branch = s.branch or text(record.get("gitBranch"))
        s.version = s.version or text(record.get("version"))
        s.entries += 1
        message = record.get("message")
        message = message if isinstance(message, dict) else {}
        if kind == "assistant":
            self._answer(record, message, session_id, at)
        else:
            s.burst = None
            said = said_in(kind, message.get("content"))
            identity = (session_id, text(record.get("uuid")) or s.entries)
            self._message(identity, at, said.role, said.kind, said.size_chars)

    def _answer(self, record: dict[str, Any], message: dict[str, Any], session_id: str, at: int | None) -> None:
        s, parent, uuid = self.s, text(record.get("parentUuid")), text(record.get("uuid"))
        burst = s.burst
        if burst is None or burst.parent != parent or not _follows(burst.last_at, at):
            burst = s.burst = Burst(parent, uuid, session_id, at, at)
        burst.last_at = at
        burst.model = burst.model or text(message.get("model"))
        content = message.get("content")
        for block in content if isinstance(content, list) else [{"text": content}]:
            if isinstance(block, dict):
                self._block(block, burst)
        usage = message.get("usage")
        if isinstance(usage, dict):
            for name in _COUNTERS:
                if n := counter(usage.get(name)):
                    burst.counters[name] = max(n, burst.counters.get(name, 0))
        event_key = self._event(burst)
        identity = (burst.session_id, burst.uuid or s.entries)
        self._message(identity, burst.at, "assistant", "answer", burst.size, burst, event_key)

    def _block(self, block: dict[str, Any], burst: Burst) -> None:
        if block.get("type") == "tool_use":
            name, call = text(block.get("name"), 128), text(block.get("id"))
            if name is None or (call is not None and call in self.s.calls) or len(burst.tools) >= MAX_TOOLS:
                return
            burst.tools.append(name)
            if call is not None:
                self.s.calls = [*self.s.calls[-MAX_TOOLS + 1 :], call]
            return
        digest = blake2b(str(block.get("text")).encode("utf-8", "replace"), digest_size=8).hexdigest()
        if digest not in burst.texts:
            burst.texts.append(digest)
            burst.size += size_of(block)

    def _event(self, burst: Burst) -> bytes | None:
        s = self.s
        when, quality = time_of(burst.at, s.started_at, self._files, self._source.path)
        if burst.uuid is None or when is None:
            skip(self.parsed, NO_IDENTITY if burst.uuid is None else NO_TIME)
            return None
        identity = (burst.session_id, burst.uuid)
        event = EventRecord(
            key=keys.event_key(ID, *identity),
            session_key=keys.session_key(ID, s.id),
            harness=ID,
            at=when,
            time_quality=quality,
            model=burst.model,
            project_path=s.project,
            session_started=s.started_at or 0,
            identity=_encode(identity).decode(),
            raw_usage=_encode(burst.counters),
            **msgspec.structs.asdict(of_counters(burst.counters)),
        )
        self.parsed.events.append(event)
        return event.key

    def _message(
        self,
        identity: tuple[str | int, ...],
        at: int | None,
        role: str,
        kind: str,
        size: int,
        burst: Burst | None = None,
        event_key: bytes | None = None,
    ) -> None:
        self.parsed.messages.append(
            MessageRecord(
                key=keys.message_key(ID, *identity),
                session_key=keys.session_key(ID, self.s.id),
                harness=ID,
                at=at,
                role=role,
                kind=kind,
                model=burst.model if burst is not None else None,
                tool_names=list(burst.tools) or None if burst is not None else None,
                size_chars=size,
                event_key=event_key,
                project_path=self.s.project,
                session_started=self.s.started_at or 0,
            )
        )

    def _session(self) -> SessionRecord:
        s = self.s
        return SessionRecord(
            key=keys.session_key(ID, s.id),
            harness=ID,
            session_id=s.id,
            parent_key=keys.session_key(ID, s.parent_id) if s.parent_id else None,
            relationship="resume" if s.parent_id else None,
            started_at=s.started_at,
            project_path=s.project,
            git_branch=s.branch,
            harness_version=s.version,
        )


def of_counters(counters: dict[str, int]) -> Usage:
    """Zeros are placeholders. No build is known that writes anything else; one that does would mean Claude's."""
    fresh, read, written, output = (counters.get(name) or None for name in _COUNTERS)
    return Usage(input_tokens=fresh, cache_read_tokens=read, cache_write_tokens=written, output_tokens=output)


def of_raw(raw: bytes) -> Usage | None:
    said = json_text.object_of(raw)
    if said is None:
        return None
    return of_counters({name: n for name in _COUNTERS if (n := counter(said.get(name)))})


def _bare(session_id: Any) -> str | None:
    """The id without its prefix."""
    id_ = text(session_id)
    return id_.removeprefix(_PREFIX) or None if id_ else None


def _follows(last: int | None, at: int | None) -> bool:
    return last is not None and at is not None and abs(at - last) < BURST_MICROS
