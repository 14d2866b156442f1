"""Lines without an envelope: the first builds' bare items, and the events of a saved `codex exec --json` stream."""

from typing import TYPE_CHECKING

from trueup_agent.harnesses import values
from trueup_agent.harnesses.codex import shapes
from trueup_agent.harnesses.codex.shapes import DECODE, Line, decode_any

if TYPE_CHECKING:
    from trueup_agent.harnesses.codex.parser import CodexParser

_TOOL_CALLS = ("function_call", "tool_call", "local_shell_call", "custom_tool_call", "web_search_call")
_NOTHING_TO_COUNT = (
    *("turn.started", "turn.failed", "item.started", "item.updated", "reasoning", "state"),
    *("function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_result", "function_result"),
)


def read(parser: "CodexParser", line: Line, at: int | None) -> bool:
    """Does what such a line asks for; False when its type is unknown."""
    match line.type:
        case "thread.started":
            _start_thread(parser, values.text(line.thread_id), at)
        case "turn.completed":
            parser.turn_usage(line.usage, at)
        case "item.completed":
            _item(parser, line, at)
        case "error":
            parser.emit_message(at, "system", "error")
        case "message" | None:
            return _message(parser, line, at)
        case kind if kind in _TOOL_CALLS:
            name = line.name or (line.function.get("name") if isinstance(line.function, dict) else None)
            parser.emit_message(at, "assistant", "answer", tool=values.text(name, 128) or "tool")
        case kind:
            return kind in _NOTHING_TO_COUNT
    return True


def _start_thread(parser: "CodexParser", thread_id: str | None, at: int | None) -> None:
    """Several streams saved one after the other are several threads."""
    if thread_id is not None and not parser.s.header and thread_id != parser.s.thread_id:
        parser.restart(thread_id)
    parser.ensure_session(at)


def _item(parser: "CodexParser", line: Line, at: int | None) -> None:
    item: shapes.Item = DECODE[shapes.Item](line.item)
    if item.type == "agent_message":
        parser.emit_message(at, "assistant", "answer", shapes.text_size(item.text))
    elif item.type in ("command_execution", "file_change", "mcp_tool_call", "web_search"):
        parser.emit_message(at, "assistant", "answer", tool=values.text(item.tool, 128) or item.type)
    elif item.type == "error":
        parser.emit_message(at, "system", "error")


def _message(parser: "CodexParser", line: Line, at: int | None) -> bool:
    if line.role not in ("user", "assistant", "system", "developer", "tool"):
        # The header of the first builds: an id, a date, instructions. Their state lines say nothing at all.
        if values.text(line.id) and not parser.s.begun and at is not None:
            parser.begin_bare(values.text(line.id), at)
        return line.type is None
    content = decode_any(line.content) if len(memoryview(line.content)) else None
    if values.text(line.model):
        parser.s.model = values.text(line.model)
    if line.role == "assistant":
        parser.emit_message(at, "assistant", "answer", shapes.text_size(content))
    elif line.role == "user" and not shapes.is_injected(content):
        parser.emit_message(at, "user", "prompt", shapes.text_size(content))
    return True
