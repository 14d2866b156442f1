"""Reads the log of one Copilot session line by line. Rules and evidence: formats/copilot.md."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import (
    CONTRADICTORY,
    MALFORMED,
    NO_TIME,
    Files,
    SourceFile,
    count_unknown,
    skip,
    time_of,
)
from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.copilot import calls, exported, shutdown
from trueup_agent.harnesses.copilot.records import ANSWER, LEG, event
from trueup_agent.harnesses.copilot.state import State, decode_state, encode_state, session_of
from trueup_agent.harnesses.copilot.usage import COMPONENTS, contradictory
from trueup_agent.harnesses.json_text import decode
from trueup_agent.harnesses.lines import UNREADABLE, JsonLines
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared.keys import event_key, message_key, session_key

# Of a user message: typed by the user, or by a command of theirs. Others are injected ("skill-pdf", "autopilot").
_TYPED = (None, "user", "command")
_COMPACTION = (*COMPONENTS, "input", "output", "cachedInput")
# fmt: off
_SILENT = frozenset(
    {
        "abort", "assistant.idle", "assistant.intent", "assistant.reasoning", "assistant.turn_end",
        "assistant.turn_start", "assistant.usage", "command.completed", "command.queued", "hook.end", "hook.start",
        "model.captured_assignment_context", "model.message", "model.messages_snapshot", "model.model_call_failure",
        "model.model_call_started", "model.response", "model.turn_ended", "model.turn_started",
        "permission.completed", "permission.requested", "session.binary_asset", "session.compaction_start",
        "session.context_changed", "session.handoff", "session.idle", "session.info", "session.mode_changed",
        "session.permissions_changed", "session.plan_changed", "session.schedule_created",
        "session.snapshot_rewind", "session.task_complete", "session.title_changed", "session.tools_updated",
        "session.truncation", "session.usage_checkpoint", "session.usage_info", "session.warning",
        "session.workspace_file_changed", "skill.invoked", "subagent.completed", "subagent.deselected",
        "subagent.failed", "subagent.selected", "subagent.started", "system.notification",
        "tool.execution_partial_result", "tool.execution_progress", "tool.execution_start", "tool.user_requested",
    }
)
# fmt: on


class Line(Struct, rename="camel"):
    """Any line. The last six are of OpenTelemetry's file exports."""

    type: Any = None
    data: Raw = Raw()
    id: Any = None
    timestamp: Any = None
    attributes: Raw = Raw()
    resource_spans: Raw = Raw()


class Data(Struct, rename="camel"):
    """Of the events that are read, all that is read of them."""

    session_id: Any = None
    start_time: Any = None
    copilot_version: Any = None
    context: Any = None
    selected_model: Any = None
    new_model: Any = None
    chosen_model: Any = None
    message_id: Any = None
    model: Any = None
    content: Any = None
    tool_requests: Any = None
    output_tokens: Any = None
    source: Any = None
    success: Any = None
    result: Any = None
    compaction_tokens_used: Any = None
    model_metrics: Any = None
    total_nano_aiu: Any = None
    api_call_id: Any = None
    call_id: Any = None
    model_call: Any = None
    response_usage: Any = None
    copilot_usage: Any = None


_decode_line = msgspec.json.Decoder(Line).decode
_decode_data = msgspec.json.Decoder(Data).decode


class LogParser(JsonLines):
    """`base.LineParser` for a log; lines of an OpenTelemetry export are told apart by their shape."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._source, self._files = source, files
        self.s = decode_state(state) if state is not None else State(session_of(source.path))

    def state(self) -> bytes:
        return encode_state(self.s)

    def decode(self, line: memoryview) -> Line:
        return _decode_line(line)

    def record(self, record: Line, line: memoryview) -> None:
        self.s.records += 1
        if isinstance(record.type, str) and len(memoryview(record.data)):
            self._event(record)
        elif len(memoryview(record.attributes)) or len(memoryview(record.resource_spans)):
            try:
                exported.read(decode(line), self.parsed)
            except UNREADABLE:
                skip(self.parsed, MALFORMED)
        else:
            count_unknown(self.parsed, record.type)

    def _event(self, record: Line) -> None:
        act = _ACTIONS.get(record.type)
        if act is None:
            if record.type not in _SILENT:
                count_unknown(self.parsed, record.type)
            return
        try:
            data = _data(record.data)
        except UNREADABLE:
            skip(self.parsed, MALFORMED)
            return
        at = values.micros(record.timestamp)
        if record.type != "session.start":
            self._ensure_session(at)
        act(self, data, at, values.text(record.id) or str(self.s.records))

    def close(self) -> None:
        """The file beside the log knows the working folder where the log does not, and the session's name."""
        if self.s.emitted and self._source.companions and (content := self._files.read(self._source.companions[0])):
            entries = _flat_yaml(content)
            self._emit_session(
                project_path=self.s.project or values.text(entries.get("cwd"), values.MAX_PATH),
                git_branch=values.text(entries.get("branch")),
                title=values.text(entries.get("name")),
            )

    # -- The session and its runs

    def _ensure_session(self, at: int | None) -> None:
        if not self.s.emitted:
            self.s.emitted = True
            self.s.started_at = at
            self._emit_session(project_path=None)

    def _emit_session(self, **fields: Any) -> None:
        self.parsed.sessions.append(
            SessionRecord(
                key=session_key("copilot", self.s.session_id),
                harness="copilot",
                session_id=self.s.session_id,
                started_at=self.s.started_at,
                **fields,
            )
        )

    def _start(self, data: Data, at: int | None, id_: str) -> None:
        session_id = values.text(data.session_id) or self.s.session_id
        if self.s.named and session_id != self.s.session_id:
            self.s = State(session_id, records=self.s.records)  # another session's log was appended
        s = self.s
        s.session_id, s.named, s.emitted = session_id, True, True
        if s.started_at is None:
            s.started_at = values.micros(data.start_time) or at
        context = data.context if isinstance(data.context, dict) else {}
        s.project = s.project or values.text(context.get("cwd"), values.MAX_PATH)
        self._emit_session(
            project_path=s.project,
            git_branch=values.text(context.get("branch")),
            harness_version=values.text(data.copilot_version),
        )
        self._resume(data, at, id_)

    def _resume(self, data: Data, at: int | None, id_: str) -> None:
        self.s.model = values.text(data.selected_model) or self.s.model
        self.s.since = at if at is not None else self.s.since
        self.s.answers = 0

    def _model_change(self, data: Data, at: int | None, id_: str) -> None:
        self.s.model = values.text(data.new_model) or values.text(data.chosen_model) or self.s.model

    # -- Usage

    def _shutdown(self, data: Data, at: int | None, id_: str) -> None:
        found = list(shutdown.legs(self.s, data.model_metrics, data.total_nano_aiu))
        for leg in found:
            self._emit(at, ("shutdown", id_, leg.model), leg.raw, LEG, leg.model, since=self.s.since, **leg.money)
        # A shutdown after answers tells what they used; one that does not has lost its fields.
        for _ in range(1 if found else self.s.answers):
            self.parsed.answer(metered=bool(found))
        self.s.answers = 0
        self.s.since = at if at is not None else self.s.since

    def _assistant_message(self, data: Data, at: int | None, id_: str) -> None:
        s = self.s
        s.answers += 1
        model = values.text(data.model) or s.model
        identity = ("message", values.text(data.message_id) or id_)
        output = values.counter(data.output_tokens)
        raw = {} if output is None else {"outputTokens": output}
        told = dict(s.calls).get(calls.name_of(data.api_call_id) or "")  # the same request
        record = self._emit(at, identity, {"answer": raw}, ANSWER, model) if told is None else None
        key = event_key("copilot", s.session_id, "call", told) if told else record.key if record else None
        metered = told is not None or (record is not None and record.output_tokens is not None)
        s.shows_output = s.shows_output or metered
        if metered or s.shows_output:  # later builds leave the number to the database
            self.parsed.answer(metered=metered)
        requests = data.tool_requests if isinstance(data.tool_requests, list) else []
        tools = [request.get("name") or request.get("toolName") for request in requests if isinstance(request, dict)]
        self._message(
            *(at, id_, "assistant", "answer", data.content),
            model=model,
            tool_names=names(tools),
            event_key=key,
        )

    def _model_call(self, data: Data, at: int | None, id_: str) -> None:
        """Of some requests newer logs have all: above all of those that the client makes beside the conversation."""
        call = calls.read(data.model_call, data.response_usage, data.copilot_usage)
        if call is None:
            return
        self.parsed.answer(metered=bool(call.raw))
        identity = ("call", values.text(data.call_id) or call.name or id_)
        self._emit(at, identity, {"call": call.raw}, ANSWER, call.model or self.s.model, **call.money)
        if call.name is not None:
            self.s.calls = [*self.s.calls[1 - calls.REMEMBERED :], (call.name, identity[1])]

    def _compaction(self, data: Data, at: int | None, id_: str) -> None:
        used = data.compaction_tokens_used
        if isinstance(used, dict):
            told = {name: n for name in _COMPACTION if (n := values.counter(used.get(name))) is not None}
            if told:
                model = values.text(used.get("model")) or self.s.model
                self._emit(at, ("compaction", id_), {"compaction": told}, ANSWER, model)
        self._message(at, id_, "system", "summary")
        if data.success is not False:
            # The totals begin anew: those of the next shutdown tell of what comes after this.
            self.s.totals, self.s.nano_aiu = {}, None
            self.s.since = at if at is not None else self.s.since

    def _emit(
        self,
        at: int | None,
        identity: tuple[str, ...],
        raw: dict[str, Any],
        rank: int,
        model: str | None,
        **fields: Any,
    ) -> EventRecord | None:
        s = self.s
        when, quality = time_of(at, s.started_at, self._files, self._source.path)
        if when is None:
            skip(self.parsed, NO_TIME)
            return None
        record = event(
            *(s.session_id, identity, raw, rank),
            at=when,
            time_quality=quality,
            model=model,
            project_path=s.project,
            session_started=s.started_at or when,
            **fields,
        )
        if contradictory(raw, record):
            skip(self.parsed, CONTRADICTORY)
        self.parsed.events.append(record)
        return record

    # -- Messages

    def _message(self, at: int | None, id_: str, role: str, kind: str, content: Any = None, **fields: Any) -> None:
        s = self.s
        self.parsed.messages.append(
            MessageRecord(
                key=message_key("copilot", s.session_id, id_),
                session_key=session_key("copilot", s.session_id),
                harness="copilot",
                at=at,
                role=role,
                kind=kind,
                size_chars=len(content) if isinstance(content, str) else None,
                project_path=s.project,
                session_started=s.started_at or 0,
                **fields,
            )
        )

    def _user_message(self, data: Data, at: int | None, id_: str) -> None:
        self._message(at, id_, "user", "prompt" if data.source in _TYPED else "meta", data.content)

    def _system_message(self, data: Data, at: int | None, id_: str) -> None:
        self._message(at, id_, "system", "meta", data.content)

    def _tool_result(self, data: Data, at: int | None, id_: str) -> None:
        self._message(
            at, id_, "tool", "tool_result", data.result.get("content") if isinstance(data.result, dict) else None
        )

    def _error(self, data: Data, at: int | None, id_: str) -> None:
        self._message(at, id_, "system", "error")


_ACTIONS: dict[str, Callable[[LogParser, Data, int | None, str], None]] = {
    "session.start": LogParser._start,
    "session.resume": LogParser._resume,
    "session.model_change": LogParser._model_change,
    "session.auto_mode_resolved": LogParser._model_change,
    "session.shutdown": LogParser._shutdown,
    "session.compaction_complete": LogParser._compaction,
    "model.model_call_success": LogParser._model_call,
    "session.error": LogParser._error,
    "user.message": LogParser._user_message,
    "assistant.message": LogParser._assistant_message,
    "system.message": LogParser._system_message,
    "tool.execution_complete": LogParser._tool_result,
}


def _data(raw: Raw) -> Data:
    """Raises what UNREADABLE names. Text that was cut inside a character does not cost the numbers beside it."""
    try:
        return _decode_data(raw)
    except UnicodeDecodeError:
        return msgspec.convert(decode(memoryview(raw)), Data)


def _flat_yaml(content: bytes) -> dict[str, str]:
    """`key: value` lines, which is all that Copilot writes there."""
    found = {}
    for line in content.decode("utf-8", "replace").splitlines():
        key, separator, value = line.partition(": ")
        if separator and key.isidentifier():
            found[key] = value.strip().strip("\"'")
    return found
