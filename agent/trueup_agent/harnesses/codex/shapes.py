"""What the lines of a Codex rollout look like, and which of them matter. The others are skipped without being decoded.

Shapes: formats/codex.md, "Record shapes" and "Generations".
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Raw, Struct

from trueup_agent.harnesses import values
from trueup_shared.metrics import MAX_COUNTER

# The order in which the producer writes its fields, and its dates; other lines take the slow path.
HEAD = re.compile(
    rb'\{"timestamp":"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)\.(\d{3})Z",(?:"ordinal":(\d{1,15}),)?'
    rb'"type":"(\w+","payload":\{"type":"[\w./-]+|(?:session_meta|turn_context|compacted|token_usage_record|world_state))"'
)
PAYLOAD = b'"payload":'

# Action for a kind of line; "" = known and of no interest.
_RESPONSE_ITEMS = {
    "message": "message",
    "function_call": "tool_call",
    "custom_tool_call": "tool_call",
    "local_shell_call": "tool_call",
    "web_search_call": "tool_call",
    "image_generation_call": "tool_call",
    "tool_search_call": "tool_call",
    **dict.fromkeys(
        (
            *("function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_search_output"),
            *("reasoning", "agent_message", "ghost_snapshot", "compaction", "compaction_summary", "context_compaction"),
            "other",
        ),
        "",
    ),
}
_EVENTS = {
    "token_count": "token_count",
    "user_message": "user_message",
    "task_started": "turn_started",
    "turn_started": "turn_started",
    "turn.completed": "turn_completed",
    "item_completed": "item_completed",
    "thread_name_updated": "thread_name",
    "task_complete": "turn_complete",
    "turn_complete": "turn_complete",
    "turn_aborted": "turn_aborted",
    "error": "error",
    **dict.fromkeys(
        (
            *("agent_message", "agent_reasoning", "agent_reasoning_raw_content", "agent_reasoning_section_break"),
            *("context_compacted", "thread_rolled_back"),
            *("undo_started", "undo_completed", "entered_review_mode", "exited_review_mode", "session_configured"),
            *("sub_agent_activity", "item_started", "plan_update", "turn_diff", "warning", "stream_error"),
            *(
                "background_event",
                "shutdown_complete",
                "thread_settings_applied",
                "model_reroute",
                "deprecation_notice",
            ),
            *(
                "exec_approval_request",
                "apply_patch_approval_request",
                "web_search_begin",
                "turn.started",
                "turn.failed",
            ),
            *("account/rateLimits/updated", "codex/event/raw_item", "thread_goal_updated", "guardian_assessment"),
            *("view_image_tool_call", "dynamic_tool_call_request", "elicitation_request", "get_history_entry_response"),
        ),
        "",
    ),
}
_EVENT_SUFFIXES = ("_end", "_begin", "_delta", "_request", "_response")
_LINES = {
    "session_meta": "session_meta",
    "turn_context": "turn_context",
    "compacted": "compacted",
    "token_usage_record": "usage_record",
    "world_state": "",
    "inter_agent_communication_metadata": "",
}


def action(line_type: str, payload_type: str | None) -> str | None:
    """Name of the parser's method for such a line; "" = nothing to do, None = unknown."""
    if line_type == "response_item":
        return _RESPONSE_ITEMS.get(payload_type or "message")
    if line_type == "event_msg":
        found = _EVENTS.get(payload_type or "")
        return "" if found is None and payload_type and payload_type.endswith(_EVENT_SUFFIXES) else found
    return _LINES.get(line_type)


class Line(Struct):
    """Any line, decoded one level deep. The last eight are of bare items and of `codex exec --json` streams."""

    timestamp: Any = None
    ordinal: Any = None
    type: Any = None
    payload: Raw = Raw()
    created_at: Any = None
    id: Any = None
    role: Any = None
    name: Any = None
    function: Any = None
    content: Raw = Raw()
    model: Any = None
    thread_id: Any = None
    item: Raw = Raw()
    usage: Any = None
    instructions: Raw = Raw()


class Typed(Struct):
    type: Any = None


class Meta(Struct):
    id: Any = None
    timestamp: Any = None
    cwd: Any = None
    cli_version: Any = None
    model_provider: Any = None
    git: Any = None
    source: Any = None
    thread_source: Any = None
    parent_thread_id: Any = None
    forked_from_id: Any = None
    history_mode: Any = None
    subagent_history_start_ordinal: Any = None


class TurnContext(Struct):
    turn_id: Any = None
    cwd: Any = None
    model: Any = None
    service_tier: Any = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTER)] | None


class Usage(Struct, gc=False):
    """The usage object of every current build. What does not fit is read field by field (usages.vector)."""

    input_tokens: _Count = None
    cached_input_tokens: _Count = None
    cache_write_input_tokens: _Count = None
    output_tokens: _Count = None
    reasoning_output_tokens: _Count = None
    total_tokens: _Count = None


class Info(Struct, gc=False):
    total_token_usage: Usage
    last_token_usage: Usage | None = None
    model: Any = None
    model_name: Any = None


class TokenCount(Struct):
    info: Raw = Raw()
    usage: Any = None
    model: Any = None
    model_name: Any = None
    thread_id: Any = None


class UsageRecord(Struct):
    thread_id: Any = None
    turn_id: Any = None
    response_id: Any = None
    usage: Raw = Raw()
    thread_token_usage: Any = None


class TurnCompleted(Struct):
    usage: Any = None


class UserMessage(Struct):
    message: Any = None


class Message(Struct):
    role: Any = None
    content: Raw = Raw()


class ToolCall(Struct):
    type: Any = None
    name: Any = None


class Item(Struct):
    """Of an item event or of an exec stream; types differ in case between the two."""

    type: Any = None
    text: Any = None
    tool: Any = None
    content: Any = None


class ItemCompleted(Struct):
    item: Raw = Raw()


class ThreadName(Struct):
    thread_name: Any = None
    name: Any = None


DECODE: dict[type[Struct], Callable[[Any], Any]] = {
    kind: msgspec.json.Decoder(kind).decode
    for kind in (
        *(Line, Typed, Meta, TurnContext, TokenCount, UsageRecord, TurnCompleted, UserMessage, Message, ToolCall),
        *(Item, ItemCompleted, ThreadName, Info),
    )
}
decode_any = msgspec.json.Decoder().decode


def actions_by_head() -> dict[bytes, str]:
    """What HEAD's last group can say -> action."""
    heads = {name.encode(): what for name, what in _LINES.items()}
    for line_type, kinds in (("response_item", _RESPONSE_ITEMS), ("event_msg", _EVENTS)):
        heads.update({f'{line_type}","payload":{{"type":"{kind}'.encode(): what for kind, what in kinds.items()})
    return heads


def linkage(meta: Meta) -> tuple[str | None, str | None]:
    """(parent thread, subagent | fork) of a header; `source` is a plain string in a thread of its own."""
    source = meta.source if isinstance(meta.source, dict) else {}
    spawned = source.get("subagent")
    spawn = spawned.get("thread_spawn") if isinstance(spawned, dict) else None
    forked_from = values.text(meta.forked_from_id)
    parent = values.text(meta.parent_thread_id) or (
        values.text(spawn.get("parent_thread_id")) if isinstance(spawn, dict) else None
    )
    if parent or spawned or meta.thread_source == "subagent":
        return parent or forked_from, "subagent"
    return forked_from, "fork" if forked_from else None


def text_size(content: Any) -> int | None:
    """Characters of a message's content: a string, or a list of parts with text."""
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, list):
        return None
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return sum(len(text) for text in texts if isinstance(text, str))


# Text that the client adds in the user's name. Only bare old lines need it: later builds say who spoke.
INJECTED = ("<environment_context>", "<user_instructions>", "# AGENTS.md instructions", "<turn_aborted>")


def is_injected(content: Any) -> bool:
    if isinstance(content, list) and content and isinstance(content[0], dict):
        content = content[0].get("text")
    return isinstance(content, str) and content.lstrip().startswith(INJECTED)
