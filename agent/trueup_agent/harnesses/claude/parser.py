"""Reads a Claude Code transcript line by line (formats/claude.md).

What a line gives depends on the lines before it alone, and snapshots fold by the rules of ledger/merge.py. So it does
not matter where an append was cut, and what has to be remembered between two reads is small.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from trueup_agent.harnesses.base import count_unknown, skip
from trueup_agent.harnesses.claude import messages as talk
from trueup_agent.harnesses.claude.events import Events, Identity, Line, identity_of_message, is_unique
from trueup_agent.harnesses.claude.messages import Group
from trueup_agent.harnesses.claude.records import (
    UNREADABLE,
    Message,
    Progress,
    Record,
    decode_record,
    is_given,
    read_part,
    salvage,
)
from trueup_agent.harnesses.claude.session import COPIED, ID, Origin, Session, Sessions
from trueup_agent.harnesses.claude.usage import model_and_provider
from trueup_agent.harnesses.values import micros, text
from trueup_agent.records import MessageRecord, Parsed
from trueup_shared import keys

MAX_GROUPS = 64  # open messages: foreign lines between two lines of one message are few

# Record types that bear nothing which is counted. Any other is unknown.
SILENT_TYPES = {
    *("agent-name", "agent-setting", "atis-latch", "bridge-session", "file-history-delta", "file-history-snapshot"),
    *("frame-link", "last-prompt", "mode", "permission-mode", "pr-link", "queue-operation", "relocated", "result"),
    *("started", "worktree-state"),
}


class State(Struct, array_like=True):
    records: int
    sessions: list[Session]
    groups: dict[str, Group]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode


class ClaudeParser:
    """`base.LineParser` of one transcript."""

    def __init__(self, origin: Origin, state: bytes | None) -> None:
        known = _decode(state) if state else State(0, [], {})
        self._records = known.records
        self._sessions = Sessions(origin, known.sessions)
        self._groups = known.groups
        self._handlers: dict[str | None, Callable[[Record, memoryview], None]] = {
            "assistant": self._assistant,
            "user": self._user,
            "system": self._system,
            "progress": self._progress,
            "attachment": self._attachment,
            "summary": self._title,
            "ai-title": self._title,
            "custom-title": self._title,
            None: self._untyped,
        }
        self._begin_batch()

    def _begin_batch(self) -> None:
        self._parsed = Parsed()
        self._messages = self._parsed.messages
        self._events = Events()
        self._open: dict[str, tuple[MessageRecord, Group]] = {}

    def feed(self, chunk: bytes) -> None:
        view, start = memoryview(chunk), 0
        while (end := chunk.find(b"\n", start)) >= 0:
            line = view[start:end]
            start = end + 1
            self._parsed.lines += 1
            try:
                record = decode_record(line)
            except UNREADABLE:
                records, reason = salvage(bytes(line))
                for record, part in records:
                    self._read(record, memoryview(part))
                if reason is not None:
                    skip(self._parsed, reason)
            else:
                self._read(record, line)

    def close(self) -> None:
        pass

    def take(self) -> Parsed:
        for message, group in self._open.values():
            self._finish(message, group)
        parsed = self._parsed
        parsed.sessions, parsed.events = self._sessions.take(), self._events.take()
        self._begin_batch()
        return parsed

    def state(self) -> bytes:
        return _encode(State(self._records, self._sessions.known(), self._groups))

    def _read(self, record: Record, line: memoryview) -> None:
        self._records += 1
        handler = self._handlers.get(record.type)
        if handler is not None:
            handler(record, line)
        elif record.type not in SILENT_TYPES:
            count_unknown(self._parsed, record.type)

    def _place(self, record: Record) -> tuple[Session, int, int | None]:
        """Session, precedence and time of a conversation record."""
        session, copy = self._sessions.of(record)
        at = micros(record.timestamp)
        self._sessions.saw(session, record, at, copy)
        return session, copy, at

    def _assistant(self, record: Record, line: memoryview) -> None:
        session, copy, at = self._place(record)
        self._answer(Line(record, line, session, copy, at))

    def _untyped(self, record: Record, line: memoryview) -> None:
        """Some third-party exports omit `type`."""
        if record.message is not None and is_given(record.message.usage):
            self._assistant(record, line)
        else:
            count_unknown(self._parsed, None)

    def _answer(self, line: Line) -> None:
        """A message of the model, or one block of it."""
        record, message = line.record, line.record.message or Message()
        message_id = text(message.id)
        if message_id is None:
            row = self._entry(line, "assistant", talk.assistant_kind(record))
            group = Group(row.key, row.kind, model_and_provider(message.model)[0])
            group.event_key = self._event(line, message, None, row.key, is_first=True)
            talk.add_line(group, None, message.content)
            self._finish(row, group)
            return
        identity = identity_of_message(line, message_id)
        token, group, is_first = self._group(line, message, identity)
        event_key = self._event(line, message, identity, group.key, is_first)
        if group.event_key is None:
            group.event_key = event_key
        talk.add_line(group, text(record.uuid), message.content)
        opened = self._open.get(token)
        if opened is None:
            self._open[token] = (self._row(line, group.key, "assistant", group.kind), group)
            return
        row = opened[0]
        if line.at is not None and (row.at is None or line.at < row.at):
            row.at = line.at
        project = line.session.project_path
        if project is not None and (row.project_path is None or project < row.project_path):
            row.project_path = project

    def _event(
        self, line: Line, message: Message, of_message: Identity | None, message_key: bytes, is_first: bool
    ) -> bytes | None:
        key, reason, metered = self._events.read(line, message, of_message, message_key)
        if metered or (metered is False and is_first):
            self._parsed.answer(metered)
        if reason is not None:
            skip(self._parsed, reason)
        return key

    def _group(self, line: Line, message: Message, identity: Identity) -> tuple[str, Group, bool]:
        """Its name among the open ones, itself, and whether it was opened now."""
        names = identity[0] if len(identity) == 1 else "\0".join(part or "" for part in identity)
        token = f"{line.copy}\0{line.session.id}\0{names}"
        group = self._groups.pop(token, None)
        is_first = group is None
        if group is None:
            if (stale := self._open.pop(token, None)) is not None:
                self._finish(*stale)
            key = keys.message_key(ID, *identity)
            group = Group(key, talk.assistant_kind(line.record), model_and_provider(message.model)[0])
            while len(self._groups) >= MAX_GROUPS:
                del self._groups[next(iter(self._groups))]
        self._groups[token] = group  # the last one was read last
        return token, group, is_first

    def _finish(self, row: MessageRecord, group: Group) -> None:
        row.model = group.model
        row.event_key = group.event_key
        row.size_chars = group.size_chars
        row.tool_names = list(group.tool_names) or None
        self._messages.append(row)

    def _user(self, record: Record, line: memoryview) -> None:
        session, copy, at = self._place(record)
        role, kind = talk.user_role_and_kind(record)
        row = self._entry(Line(record, line, session, copy, at), role, kind)
        row.size_chars = talk.size_of(record.message.content) if record.message is not None else 0
        self._messages.append(row)
        if kind == "prompt":
            session.prompt = text(record.uuid) or f"#{self._records}"

    def _system(self, record: Record, line: memoryview) -> None:
        session, copy, at = self._place(record)
        row = self._entry(Line(record, line, session, copy, at), "system", talk.system_kind(record))
        row.size_chars = talk.system_size(record)
        self._messages.append(row)

    def _attachment(self, record: Record, line: memoryview) -> None:
        session, copy, at = self._place(record)
        prompt = talk.queued_prompt(record)
        if prompt is not None:
            row = self._entry(Line(record, line, session, copy, at), "user", talk.prompt_kind(prompt))
            row.size_chars = len(prompt)
            self._messages.append(row)

    def _progress(self, record: Record, line: memoryview) -> None:
        """A subagent's answer as its parent heard of it: the only trace of it where the subagent's file is gone."""
        session, _, at = self._place(record)
        if b'"usage"' not in bytes(record.data):
            return
        progress = read_part(record.data, Progress)
        inner = progress.message if progress is not None else None
        if progress is None or inner is None or inner.message is None or not is_given(inner.message.usage):
            return
        inner.is_sidechain = True
        inner.session_id = inner.session_id or record.session_id
        at = micros(inner.timestamp) or at
        agent_id = text(progress.agent_id)
        if agent_id is not None:
            session = self._sessions.of_agent(agent_id, session, record, at)
        self._answer(Line(inner, line, session, COPIED, at))

    def _title(self, record: Record, line: memoryview) -> None:
        self._sessions.name(record)

    def _entry(self, line: Line, role: str, kind: str) -> MessageRecord:
        """A message that is one line."""
        record, session = line.record, line.session
        uuid = text(record.uuid)
        if uuid is None:
            key = keys.message_key(ID, session.id, self._records)
        elif is_unique(uuid):
            key = keys.message_key(ID, uuid)
        else:
            key = keys.message_key(ID, record.session_id or session.id, uuid)
        return self._row(line, key, role, kind)

    def _row(self, line: Line, key: bytes, role: str, kind: str) -> MessageRecord:
        session = line.session
        self._sessions.show(session)
        return MessageRecord(
            key=key,
            session_key=session.key,
            harness=ID,
            at=line.at,
            role=role,
            kind=kind,
            project_path=session.project_path,
            copy=line.copy,
            session_started=session.precedence(line.copy),
        )
