"""The event files of an OpenHands conversation: what was said, and when each answer of the model came."""

import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import MALFORMED, Files, count_unknown, skip
from trueup_agent.harnesses.content import names, text_size
from trueup_agent.harnesses.values import local_micros, text
from trueup_agent.records import Parsed

_NAME = re.compile(r"event-(\d+)-(.+)\.json$")
_SAID = {"user": ("user", "prompt"), "assistant": ("assistant", "answer"), "tool": ("tool", "tool_result")}
_KINDS = {
    "SystemPromptEvent": ("system", "meta"),
    "ActionEvent": ("assistant", "answer"),
    "ObservationEvent": ("tool", "tool_result"),
    "UserRejectObservation": ("tool", "tool_result"),
    "AgentErrorEvent": ("tool", "error"),
    "ConversationErrorEvent": ("system", "error"),
    "Condensation": ("system", "summary"),
    "CondensationSummaryEvent": ("system", "summary"),
}
_SILENT = {
    *("ConversationStateUpdateEvent", "PauseEvent", "InterruptEvent", "CondensationRequest", "TokenEvent"),
    *("LLMCompletionLogEvent", "StreamingDeltaEvent", "HookExecutionEvent"),
}


class Said(Struct, frozen=True):
    """One entry of the conversation."""

    id: str
    at: int | None
    role: str
    kind: str
    size: int
    tools: list[str] | None
    response_id: str | None


def read_events(folder: Path, files: Files, parsed: Parsed) -> list[Said]:
    """In order. A file that cannot be read is skipped and counted."""
    numbered = [(int(name[1]), path) for path in files.list(folder) if (name := _NAME.match(path.name))]
    said = []
    for _, path in sorted(numbered):
        parsed.lines += 1
        try:
            event = json_text.decode(files.read(path) or b"")
        except json_text.UNREADABLE:
            event = None
        if isinstance(event, dict):
            if (entry := _read(event, parsed)) is not None:
                said.append(entry)
        else:
            skip(parsed, MALFORMED)
    return said


def _read(event: dict[str, Any], parsed: Parsed) -> Said | None:
    kind, message = event.get("kind"), event.get("llm_message")
    named = text(event.get("id"))
    if not isinstance(kind, str) or named is None:
        skip(parsed, MALFORMED)
        return None
    if kind in _SILENT:
        return None
    if kind == "MessageEvent":
        inner = message if isinstance(message, dict) else {}
        role, what = _SAID.get(str(inner.get("role")), ("system", "meta"))
        size = text_size(inner.get("content"))
    elif kind in _KINDS:
        role, what = _KINDS[kind]
        size = text_size(event.get("thought")) + _size_of_output(event.get("observation"))
        size += text_size(event.get("system_prompt")) + text_size(event.get("summary")) + text_size(event.get("error"))
    else:
        count_unknown(parsed, kind)
        return None
    # The zone is that of the machine where the conversation ran: most likely this one.
    at = local_micros(event.get("timestamp"))
    return Said(named, at, role, what, size, names([event.get("tool_name")]), text(event.get("llm_response_id")))


def _size_of_output(observation: Any) -> int:
    if not isinstance(observation, dict):
        return 0
    return text_size(observation.get("content")) or text_size(observation.get("output"))
