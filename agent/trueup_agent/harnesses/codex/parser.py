"""Reads one Codex thread line by line. Rules and evidence: formats/codex.md.

The cumulative counter makes the reader stateful; the state is one small struct that goes with the file position.
"""

import re
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import Raw

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import ELSEWHERE, MALFORMED, NO_TIME, count_unknown, skip
from trueup_agent.harnesses.codex import bare, requests, shapes
from trueup_agent.harnesses.codex import usage as usages
from trueup_agent.harnesses.codex.replay import Replay
from trueup_agent.harnesses.codex.requests import Identity
from trueup_agent.harnesses.codex.shapes import DECODE, HEAD, PAYLOAD, decode_any
from trueup_agent.harnesses.codex.state import State, decode_state, encode_state, thread_of, uuid7_micros
from trueup_agent.harnesses.codex.usage import Request
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

_HEADS = shapes.actions_by_head()
_BRACE, _RETURN = ord("}"), ord("\r")
_encode_json = msgspec.json.Encoder().encode
_BAD_JSON = (msgspec.DecodeError, ValueError, RecursionError)


class CodexParser:
    """`base.LineParser` for one rollout or `codex exec --json` stream."""

    def __init__(self, path: PurePath, state: bytes | None) -> None:
        self.s = decode_state(state) if state is not None else State(thread_of(path))
        self._session = session_key("codex", self.s.thread_id)
        self.out = Parsed()
        self._day = b""  # the date last read: most lines share it
        self._midnight: int | None = None

    def state(self) -> bytes:
        return encode_state(self.s)

    def close(self) -> None:
        pass

    def take(self) -> Parsed:
        out, self.out = self.out, Parsed()
        return out

    def feed(self, chunk: bytes) -> None:
        view, start = memoryview(chunk), 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self.out.lines += 1
            self._line(chunk, view, start, end)
            start = end + 1

    # -- One line: most are recognised by their first bytes and not decoded at all.

    def _line(self, chunk: bytes, view: memoryview, start: int, end: int) -> None:
        if end > start and chunk[end - 1] == _RETURN:
            end -= 1
        head = HEAD.match(chunk, start, end)
        act = _HEADS.get(head.group(7)) if head and chunk[end - 1] == _BRACE else None
        body = chunk.find(PAYLOAD, start, end)
        if head is None or act is None or body < 0:
            self._slow_line(view[start:end])
            return
        if self.s.replay.active:
            self.s.replay.see(self._date(head), int(head.group(6)) if head.group(6) else None)
        if not act:
            return
        payload = view[body + len(PAYLOAD) : end - 1]
        try:
            getattr(self, "_" + act)(payload, self._date(head))
        except _BAD_JSON:
            self._slow_line(view[start:end])

    def _date(self, head: re.Match[bytes]) -> int | None:
        day, hour, minute, second, milli = head.group(1, 2, 3, 4, 5)
        if day != self._day:
            self._day, self._midnight = day, values.micros(day.decode() + "T00:00:00Z")
        if self._midnight is None:
            return None
        seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
        return self._midnight + seconds * 1_000_000 + int(milli) * 1000

    def _slow_line(self, line: memoryview) -> None:
        if not bytes(line[:64]).strip():
            return
        try:
            decoded: shapes.Line = DECODE[shapes.Line](line)
            at = values.micros(decoded.timestamp) or values.micros(decoded.created_at)
            if self.s.replay.active:
                self.s.replay.see(at, values.counter(decoded.ordinal))
            if len(memoryview(decoded.payload)) and isinstance(decoded.type, str):
                self._payload_line(decoded.type, decoded.payload, at)
            elif not bare.read(self, decoded, at):
                count_unknown(self.out, decoded.type)
        except _BAD_JSON:
            skip(self.out, MALFORMED)

    def _payload_line(self, line_type: str, payload: Raw, at: int | None) -> None:
        kind = DECODE[shapes.Typed](payload).type
        act = shapes.action(line_type, kind if isinstance(kind, str) else None)
        if act is None:
            count_unknown(self.out, f"{line_type}/{kind}" if isinstance(kind, str) else line_type)
        elif act:
            getattr(self, "_" + act)(memoryview(payload), at)

    # -- Identity of the thread

    def begin(self, thread_id: str | None, at: int | None) -> None:
        """The thread's first own record."""
        s = self.s
        s.begun = True
        s.thread_id = thread_id or s.thread_id
        s.started_at = at if at is not None else uuid7_micros(s.thread_id)
        self._session = session_key("codex", s.thread_id)

    def begin_bare(self, thread_id: str | None, at: int) -> None:
        """The header line of the first builds."""
        self.s.header = True
        self.begin(thread_id, at)
        self._emit_session()

    def restart(self, thread_id: str) -> None:
        """Another thread's stream follows in the same file."""
        self.s = State(thread_id)

    def ensure_session(self, at: int | None) -> None:
        """Files without a header are named by their file name."""
        if not self.s.begun:
            self.begin(None, at)
            self._emit_session()

    def _emit_session(self, **fields: Any) -> None:
        s = self.s
        self.out.sessions.append(
            SessionRecord(
                key=self._session,
                harness="codex",
                session_id=s.thread_id,
                started_at=s.started_at,
                project_path=s.project,
                **fields,
            )
        )

    def _session_meta(self, payload: memoryview, at: int | None) -> None:
        s = self.s
        meta: shapes.Meta = DECODE[shapes.Meta](payload)
        thread_id = values.text(meta.id)
        if s.header:
            self._copied_meta(thread_id, at)
            return
        s.header = True
        self.begin(thread_id, values.micros(meta.timestamp) or at)
        s.project = values.text(meta.cwd, values.MAX_PATH) or s.project
        s.provider = values.text(meta.model_provider)
        s.paginated = meta.history_mode == "paginated"
        parent, relationship = shapes.linkage(meta)
        s.is_child = relationship is not None
        s.replay = Replay.of_thread(s.started_at, at, relationship, values.counter(meta.subagent_history_start_ordinal))
        self._emit_session(
            parent_key=session_key("codex", parent) if parent else None,
            relationship=relationship,
            git_branch=values.text(meta.git.get("branch")) if isinstance(meta.git, dict) else None,
            harness_version=values.text(meta.cli_version),
        )

    def _copied_meta(self, thread_id: str | None, at: int | None) -> None:
        """A second header names the parent and says that its history was copied along."""
        s = self.s
        if thread_id is None or thread_id == s.thread_id:
            return
        s.replay.parent_header(at)
        if not s.is_child:
            s.is_child = True
            self._emit_session(parent_key=session_key("codex", thread_id), relationship="fork")

    def _turn_context(self, payload: memoryview, at: int | None) -> None:
        s = self.s
        turn: shapes.TurnContext = DECODE[shapes.TurnContext](payload)
        self._enter_turn(turn.turn_id)
        s.model = values.text(turn.model) or s.model
        s.service_tier = values.text(turn.service_tier)
        if s.project is None:
            s.project = values.text(turn.cwd, values.MAX_PATH)
            if s.begun and s.project:
                self._emit_session()
        self.ensure_session(at)

    def _turn_started(self, payload: memoryview, at: int | None) -> None:
        self._enter_turn(DECODE[shapes.TurnContext](payload).turn_id)

    def _enter_turn(self, turn_id: Any) -> None:
        name = values.text(turn_id)
        if name is not None and name != self.s.turn_id:
            self.s.turn_id = name
            self.s.turn_messages = 0
            self.s.turn_has_records, self.s.told_by_counts = False, []
            if self.s.turn_is_unique():
                self.s.epoch = 0

    # -- Usage

    def _token_count(self, payload: memoryview, at: int | None) -> None:
        count = requests.read_token_count(payload)
        if count is not None:
            self._answer(metered=any(seen is not None and seen.says_anything() for seen in (count.total, count.last)))
        if count is not None and not self._is_foreign(count.thread_id):
            found = requests.observe(self.s, count.total, count.last)
            if found is not None:
                self.emit_event(*found, at, count.raw, count.model)

    def _usage_record(self, payload: memoryview, at: int | None) -> None:
        record: shapes.UsageRecord = DECODE[shapes.UsageRecord](payload)
        if self._is_foreign(record.thread_id):
            return
        self._enter_turn(record.turn_id)
        self._answer(metered=requests.is_readable(record))
        found = requests.record(self.s, record)
        if found is not None:
            self.emit_event(*found, at, bytes(record.usage), None)

    def _is_foreign(self, thread_id: Any) -> bool:
        """A line of another thread inside this file counts in that thread's own file."""
        name = values.text(thread_id)
        foreign = name is not None and name != self.s.thread_id and not self.s.replay.active
        if foreign:
            skip(self.out, ELSEWHERE)
        return foreign

    def _answer(self, metered: bool) -> None:
        """For the drift canary."""
        self.s.metered = True  # one way or the other, the turn has been judged
        self.out.answer(metered)

    def _turn_complete(self, payload: memoryview, at: int | None) -> None:
        """A turn in which the model spoke and no counter was seen: every build that tells of its end logs one."""
        if self.s.answered and not self.s.metered:
            self.out.answer(metered=False)
        self._turn_aborted(payload, at)

    def _turn_aborted(self, payload: memoryview, at: int | None) -> None:
        self.s.answered = self.s.metered = False

    def _turn_completed(self, payload: memoryview, at: int | None) -> None:
        self.turn_usage(DECODE[shapes.TurnCompleted](payload).usage, at)

    def turn_usage(self, logged: Any, at: int | None) -> None:
        """Saved streams have usage per turn. Where the counter is logged as well, the counter counts."""
        usage = usages.vector(logged)
        self.out.answer(metered=usage is not None)
        if usage is None or not usage.has_tokens() or self.s.prev is not None or self.s.has_records:
            return
        self.ensure_session(at)
        self.s.turns_completed += 1
        identity = ("turn", self.s.thread_id, self.s.turns_completed)
        # A turn may be several requests, so its input is not the size of one prompt.
        self.emit_event(identity, Request(usage, None, False), at, _encode_json(logged), None)

    def emit_event(
        self,
        identity: Identity,
        request: Request,
        at: int | None,
        raw: bytes | None,
        model: str | None,
    ) -> None:
        s = self.s
        self.ensure_session(at)
        when = at if at is not None else s.started_at
        if when is None:
            skip(self.out, NO_TIME)
            return
        counters = usages.counters(request)
        copied = s.replay.active
        if copied and counters["cache_write_tokens"] == 0:
            counters["cache_write_tokens"] = None  # the copying release writes 0 where the original had no field
        self.out.events.append(
            EventRecord(
                key=event_key("codex", *identity),
                session_key=self._session,
                harness="codex",
                at=when,
                time_quality=1 if at is not None else 2,  # else the session's
                provider=s.provider,
                model=model or s.model,
                service_tier=s.service_tier,
                project_path=s.project,
                copy=int(copied),
                session_started=s.started_at or 0,
                identity=_encode_json(identity).decode(),
                raw_usage=raw,
                **counters,
            )
        )

    # -- Messages

    def emit_message(
        self, at: int | None, role: str, kind: str, size: int | None = None, tool: str | None = None
    ) -> None:
        s = self.s
        self.ensure_session(at)
        s.messages += 1
        s.turn_messages += 1
        unique = self.s.turn_is_unique()
        if s.replay.active and not unique:
            return
        identity = (s.turn_id, s.turn_messages) if unique else (s.thread_id, s.messages)
        self.out.messages.append(
            MessageRecord(
                key=message_key("codex", *identity),
                session_key=self._session,
                harness="codex",
                at=at,
                role=role,
                kind=kind,
                model=s.model if role == "assistant" else None,
                tool_names=[tool] if tool else None,
                size_chars=size,
                project_path=s.project,
                copy=int(s.replay.active),
                session_started=s.started_at or 0,
            )
        )

    def _user_message(self, payload: memoryview, at: int | None) -> None:
        self.emit_message(at, "user", "prompt", shapes.text_size(DECODE[shapes.UserMessage](payload).message))

    def _message(self, payload: memoryview, at: int | None) -> None:
        message: shapes.Message = DECODE[shapes.Message](payload)
        if message.role == "assistant":
            self.s.answered = True
            content = decode_any(message.content) if len(memoryview(message.content)) else None
            self.emit_message(at, "assistant", "answer", shapes.text_size(content))

    def _tool_call(self, payload: memoryview, at: int | None) -> None:
        call: shapes.ToolCall = DECODE[shapes.ToolCall](payload)
        name = values.text(call.name, 128) or (values.text(call.type, 128) or "tool").removesuffix("_call")
        self.emit_message(at, "assistant", "answer", tool=name)

    def _item_completed(self, payload: memoryview, at: int | None) -> None:
        """The newest history mode has no user_message events."""
        if self.s.paginated:
            item: shapes.Item = DECODE[shapes.Item](DECODE[shapes.ItemCompleted](payload).item)
            if item.type == "UserMessage":
                self.emit_message(at, "user", "prompt", shapes.text_size(item.content))

    def _compacted(self, payload: memoryview, at: int | None) -> None:
        self.emit_message(at, "system", "summary")

    def _error(self, payload: memoryview, at: int | None) -> None:
        self.emit_message(at, "system", "error")

    def _thread_name(self, payload: memoryview, at: int | None) -> None:
        named: shapes.ThreadName = DECODE[shapes.ThreadName](payload)
        title = values.text(named.thread_name) or values.text(named.name)
        if title and self.s.begun:
            self._emit_session(title=title)
