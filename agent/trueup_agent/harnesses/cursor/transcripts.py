"""Agent transcripts: who said how much with which tools. No times, no ids, no model, no tokens (formats/cursor.md)."""

import re
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, count_unknown, skip
from trueup_agent.harnesses.content import names, text_size
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.harnesses.values import text
from trueup_agent.records import MessageRecord, Parsed, SessionRecord
from trueup_shared import keys

_FOLDER, _SUBAGENTS = "agent-transcripts", "subagents"
_RESULTS = ("tool_result", "tool-result")
_CALLS = ("tool_use", "tool_call", "tool-call")
_SPEAKER = re.compile(rb"(user|assistant):\s*$")
_CALL = re.compile(rb"\[Tool call\]\s*([^\s(]+)")
_MAX_TOOLS = 256


class State(Struct, array_like=True):
    """`role`, `size` and `tools` are of the last message of a text, which may go on."""

    entries: int = 0
    role: str = ""
    size: int = 0
    tools: list[str] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode


class _Transcript(JsonLines):
    def __init__(self, path: PurePath, state: bytes | None) -> None:
        super().__init__()
        self.s = _decode(state) if state else State()
        self._id = text(path.stem) or "unknown"
        self._parent = text(path.parent.parent.name) if path.parent.name == _SUBAGENTS else None
        at = path.parts.index(_FOLDER) if _FOLDER in path.parts[1:] else 0
        # The name of the folder is the working directory, with other signs in the place of its separators.
        self._project = text(path.parts[at - 1]) if at else None

    def state(self) -> bytes:
        return _encode(self.s)

    def say(self, role: str, kind: str, size: int, tools: list[str] | None) -> None:
        key = keys.session_key("cursor", self._id)
        if not self.parsed.sessions:
            self.parsed.sessions.append(
                SessionRecord(
                    key=key,
                    harness="cursor",
                    session_id=self._id,
                    parent_key=keys.session_key("cursor", self._parent) if self._parent else None,
                    relationship="subagent" if self._parent else None,
                    project_path=self._project,
                )
            )
        self.parsed.messages.append(
            MessageRecord(
                key=keys.message_key("cursor", self._id, self.s.entries),
                session_key=key,
                harness="cursor",
                at=None,
                role=role,
                kind=kind,
                tool_names=tools,
                size_chars=size,
                project_path=self._project,
            )
        )


class JsonTranscript(_Transcript):
    """`base.LineParser` of `<uuid>.jsonl`."""

    def decode(self, line: memoryview) -> Any:
        return json_text.decode(line)

    def record(self, record: Any, line: memoryview) -> None:
        if not isinstance(record, dict):
            skip(self.parsed, MALFORMED)
            return
        role, message = record.get("role"), record.get("message")
        if role not in ("user", "assistant"):
            if record.get("type") != "turn_ended":
                count_unknown(self.parsed, record.get("type") or role)
            return
        content = message.get("content") if isinstance(message, dict) else None
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        kinds = [block.get("type") for block in blocks]
        called = names(block.get("name") for block in blocks if block.get("type") in _CALLS)
        if role == "assistant":
            kind = "answer"
        elif kinds and all(kind in _RESULTS for kind in kinds):
            role, kind = "tool", "tool_result"
        else:
            kind = "prompt"
        self.s.entries += 1
        self.say(role, kind, text_size(content), called)


class TextTranscript(_Transcript):
    """`base.LineParser` of `<uuid>.txt`: `user:` or `assistant:` on a line, then what was said."""

    def feed(self, chunk: bytes) -> None:
        for line in chunk.split(b"\n")[:-1]:
            self.parsed.lines += 1
            if speaker := _SPEAKER.fullmatch(line):
                self._finish()
                self.s = State(self.s.entries + 1, speaker.group(1).decode())
            elif self.s.role:
                self.s.size += len(line.decode("utf-8", "replace"))
                if (call := _CALL.match(line)) and len(self.s.tools) < _MAX_TOOLS:
                    self.s.tools.append(call.group(1).decode("utf-8", "replace")[:128])

    def take(self) -> Parsed:
        """The last message may go on: it is told again when it does."""
        self._finish()
        return super().take()

    def _finish(self) -> None:
        if self.s.role:
            kind = "prompt" if self.s.role == "user" else "answer"
            self.say(self.s.role, kind, self.s.size, list(self.s.tools) or None)
