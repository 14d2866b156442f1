"""Reads a wire.jsonl of Kimi CLI or Kimi Code line by line (formats/kimi.md)."""

from typing import Any

import msgspec

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, NO_TIME, Files, SourceFile, count_unknown, skip, time_of
from trueup_agent.harnesses.content import names, numbers, text_size
from trueup_agent.harnesses.kimi.session import (
    ID,
    State,
    Step,
    Told,
    begin,
    decode_state,
    encode_state,
)
from trueup_agent.harnesses.kimi.usage import Vector, is_placeholder, read_usage, vector
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.values import MAX_PATH, epoch, text
from trueup_agent.records import EventRecord, MessageRecord, Parsed
from trueup_shared.keys import event_key, message_key, session_key

# Records without conversation or usage. SubagentEvent mirrors what the subagent's own file says.
_CLI_SILENT = {
    *("SubagentEvent", "ToolCallPart", "CompactionBegin", "CompactionEnd", "HookTriggered", "HookResolved"),
    *("MCPLoadingBegin", "MCPLoadingEnd", "Notification", "PlanDisplay", "ApprovalRequest", "ApprovalResponse"),
    *("ApprovalRequestResolved", "ToolCallRequest", "QuestionRequest"),
}
_CODE_SILENT = {
    *("metadata", "turn.prompt", "turn.steer", "turn.cancel", "turn.ended", "tools.set_active_tools"),
    *("llm.tools_snapshot", "permission.record_approval_result", "permission.set_mode", "plan_mode.enter"),
    *("plan_mode.exit", "full_compaction.begin", "full_compaction.complete", "plugin.session_start"),
    *("runtime.set_binding", "token_counting.measured", "token_counting.turn_recorded"),
}
_MAX_TOOLS = 256

_encode = msgspec.json.Encoder().encode


class KimiParser(JsonLines):
    """`base.LineParser` for one session or subagent of either format; each line tells of which it is."""

    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self.s: State = decode_state(state) if state else begin(source, files)
        self._session = session_key(ID, self.s.session_id)
        self._path, self._files = source.path, files
        self._news = False
        self._scope: tuple[str, ...] = ()  # of the keys of messages

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def state(self) -> bytes:
        return encode_state(self.s)

    def take(self) -> Parsed:
        if self._news:
            self._news = False
            self.parsed.sessions.append(self.s.record())
        return super().take()

    def record(self, record: Any, line: memoryview) -> None:
        message = record.get("message") if isinstance(record, dict) else None
        if isinstance(message, dict) and isinstance(message.get("payload"), dict) and "timestamp" in record:
            at = epoch(record["timestamp"], 1)
            # Its forks copy lines as they are.
            self._scope = () if at is not None else (self.s.session_id,)
            self._cli(message.get("type"), message["payload"], at)
        elif isinstance(record, dict) and isinstance(record.get("type"), str):
            self._scope = (self.s.session_id,)
            self._code(record["type"], record, epoch(record.get("time"), 1000))
        else:
            skip(self.parsed, MALFORMED)

    # -- Kimi CLI: {"timestamp": seconds, "message": {"type", "payload"}}

    def _cli(self, kind: Any, payload: dict[str, Any], at: int | None) -> None:
        step = self.s.step
        if kind in ("TurnBegin", "SteerInput"):
            self._message("user", "prompt", text_size(payload.get("user_input")), at)
        elif kind == "StepBegin":
            self._leave_step(at, is_finished=True)
            self.s.step.is_open = True
        elif kind in ("StepInterrupted", "TurnEnd"):
            self._leave_step(at, is_finished=kind == "TurnEnd")
        elif kind == "ContentPart":
            step.size += text_size(payload) + text_size(payload.get("think"))
        elif kind == "ToolCall":
            function = payload.get("function")
            self._tool(function.get("name") if isinstance(function, dict) else None)
        elif kind == "ToolResult":
            result = payload.get("return_value", payload.get("result"))
            output = result.get("output") if isinstance(result, dict) else result
            self._message("tool", "tool_result", text_size(output), at)
        elif kind == "StatusUpdate":
            if payload.get("token_usage") is not None:
                self._status(payload, at)
        elif not isinstance(kind, str) or kind not in _CLI_SILENT:
            count_unknown(self.parsed, kind)

    def _status(self, payload: dict[str, Any], at: int | None) -> None:
        usage, named = payload["token_usage"], text(payload.get("message_id"))
        identity = ("message", named) if named is not None else ("at", at, *self._scope)
        key = self._event((*identity, *vector(usage)), usage, at)
        self._answer(at, key)

    # -- Kimi Code: {"type", …, "time": milliseconds}

    def _code(self, kind: str, record: dict[str, Any], at: int | None) -> None:
        s = self.s
        if kind == "context.append_loop_event":
            if isinstance(event := record.get("event"), dict):
                self._loop(event, at)
        elif kind == "usage.record":
            self._usage_record(record, at)
        elif kind == "llm.request":
            s.model, s.provider = text(record.get("model")) or s.model, text(record.get("provider")) or s.provider
        elif kind == "context.append_message":
            self._append_message(record.get("message"), at)
        elif kind == "context.apply_compaction":
            self._message("system", "summary", text_size(record.get("summary")), at)
        elif kind in ("config.update", "profile.bind"):
            disclosed = record.get("environmentDisclosure")
            told = text(disclosed.get("cwd"), MAX_PATH) if isinstance(disclosed, dict) else None
            s.project = s.project or text(record.get("cwd"), MAX_PATH) or told
            s.alias = text(record.get("modelAlias")) or s.alias
        elif kind not in _CODE_SILENT:
            count_unknown(self.parsed, kind)

    def _append_message(self, message: Any, at: int | None) -> None:
        if not isinstance(message, dict):
            return
        role, origin = message.get("role"), message.get("origin")
        size = text_size(message.get("content"))
        if role == "user":
            by_user = isinstance(origin, dict) and origin.get("kind") == "user"
            self._message("user", "prompt" if by_user else "meta", size, at)
        elif role in ("assistant", "tool", "system"):
            self._message(role, {"assistant": "answer", "tool": "tool_result"}.get(role, "meta"), size, at)

    def _loop(self, event: dict[str, Any], at: int | None) -> None:
        kind, step = event.get("type"), self.s.step
        if kind == "step.begin":
            self._leave_step(at, is_finished=False)
            self.s.step.is_open = True
        elif kind == "content.part":
            part = event.get("part")
            step.size += text_size(part) + (text_size(part.get("think")) if isinstance(part, dict) else 0)
        elif kind == "tool.call":
            self._tool(event.get("name"))
        elif kind == "tool.result":
            result = event.get("result")
            self._message(
                "tool", "tool_result", text_size(result.get("output") if isinstance(result, dict) else result), at
            )
        elif kind == "step.end":
            self._step_end(event, at)
        else:
            count_unknown(self.parsed, f"loop/{kind}" if isinstance(kind, str) else kind)

    def _step_end(self, event: dict[str, Any], at: int | None) -> None:
        usage, named = event.get("usage"), text(event.get("messageId"))
        told = vector(usage)
        if not any(told):
            if not is_placeholder(usage):
                self.parsed.answer(metered=False)
            self._answer(at, None)
            return
        identity = self._told("step", told, at, ("message", named, *told) if named is not None else None)
        self._answer(at, self._event(identity, usage, at))

    def _usage_record(self, record: dict[str, Any], at: int | None) -> None:
        """Every request has one; those of the conversation have a step.end with the same usage besides."""
        usage, alias = record.get("usage"), text(record.get("model"))
        self.s.alias = alias or self.s.alias
        told = vector(usage)
        if record.get("usageScope") == "session":
            self._event(self._by_time(told, at), usage, at)
        else:
            self._event(self._told("record", told, at, None), usage, at)

    def _told(
        self, kind: str, what: Vector, at: int | None, identity: tuple[str | int | None, ...] | None
    ) -> tuple[str | int | None, ...]:
        """The identity of a request of which a step's end and a usage record tell, in either order."""
        s = self.s
        if s.told is not None and s.told.kind != kind and _agree(s.told.vector, what):
            identity, s.told = s.told.identity, None
            return identity
        identity = identity or self._by_time(what, at)
        s.told = Told(kind, what, identity)
        return identity

    def _by_time(self, what: Vector, at: int | None) -> tuple[str | int | None, ...]:
        return (self.s.session_id, at, *what, self.s.twins.number(at, _encode(what).decode()))

    # -- Both

    def _event(self, identity: tuple[str | int | None, ...], usage: Any, at: int | None) -> bytes | None:
        s = self.s
        counters = read_usage(usage)
        if counters is None:
            if not is_placeholder(usage):
                self.parsed.answer(metered=False)
            return None
        self.parsed.answer(metered=True)
        self._begin(at)
        at, quality = time_of(at, s.started_at, self._files, self._path)
        if at is None:
            skip(self.parsed, NO_TIME)
            return None
        key = event_key(ID, *identity)
        self.parsed.events.append(
            EventRecord(
                key=key,
                session_key=self._session,
                harness=ID,
                at=at,
                time_quality=quality,
                provider=s.provider,
                model=s.model or s.alias,
                project_path=s.project,
                **msgspec.structs.asdict(counters),
                copy=s.copy,
                session_started=s.precedence(),
                identity=_encode(identity).decode(),
                raw_usage=_encode(numbers(usage)),
            )
        )
        return key

    def _tool(self, name: Any) -> None:
        found = names([name])
        if found and len(self.s.step.tools) < _MAX_TOOLS:
            self.s.step.tools += found

    def _leave_step(self, at: int | None, is_finished: bool) -> None:
        """A step ends whose usage nobody told: interrupted, or the format changed."""
        step = self.s.step
        if step.is_open and (step.size or step.tools):
            if is_finished:
                self.parsed.answer(metered=False)
            self._answer(at, None)
        self.s.step = Step()

    def _answer(self, at: int | None, key: bytes | None) -> None:
        step, self.s.step = self.s.step, Step()
        entry = self._message("assistant", "answer", step.size, at)
        entry.tool_names, entry.event_key, entry.model = step.tools or None, key, self.s.model or self.s.alias

    def _message(self, role: str, kind: str, size: int, at: int | None) -> MessageRecord:
        self._begin(at)
        s = self.s
        what = [kind, at, size]
        number = s.twins.number(at, _encode(what).decode())
        entry = MessageRecord(
            key=message_key(ID, *what, number, *self._scope),
            session_key=self._session,
            harness=ID,
            at=at,
            role=role,
            kind=kind,
            size_chars=size,
            project_path=s.project,
            copy=s.copy,
            session_started=s.precedence(),
        )
        self.parsed.messages.append(entry)
        return entry

    def _begin(self, at: int | None) -> None:
        self._news = True
        if self.s.started_at is None:
            self.s.started_at = at


def _agree(one: tuple[int | None, ...], other: Vector) -> bool:
    """Equal wherever both say something: one of two records of a request may lack a counter."""
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))
