"""Content of messages as most producers write it: text, or a list of blocks (text, thinking, tool_use, tool_result)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from trueup_agent.harnesses.values import text
from trueup_shared.metrics import MAX_COUNTER

MAX_TOOLS = 256  # names kept of one message
_MAX_DEPTH = 8
_TEXTS = frozenset(("text", "Text", "thinking", "Thinking", "content", "reasoning", "output", "value", "toolResult"))


class Said(NamedTuple):
    """Of a message, what MessageRecord has of its content."""

    role: str
    kind: str
    size_chars: int
    tool_names: list[str] | None


def said(role: str, content: Any) -> Said:
    """`role` as logged: user, assistant or system. Results of tools are logged as if the user said them."""
    size = size_of(content)
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    if role == "assistant":
        return Said(role, "answer", size, names(b.get("name") for b in blocks if b.get("type") == "tool_use"))
    if role == "system":
        return Said(role, "meta", size, None)
    if blocks and all(block.get("type") == "tool_result" for block in blocks):
        return Said("tool", "tool_result", size, None)
    return Said(role, "prompt", size, None)


def size_of(value: Any, depth: int = 0) -> int:
    """Characters of text, thinking and tool results, however deep and whatever they are called; no tool arguments."""
    if isinstance(value, str):
        return len(value)
    if depth >= _MAX_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(size_of(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return sum(size_of(item, depth + 1) for name, item in value.items() if name in _TEXTS)
    return 0


def text_size(content: Any) -> int:
    """Characters of a string, of a block's `text`, or of those of a list: for producers that show nothing else."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, dict):
        inner = content.get("text")
        return len(inner) if isinstance(inner, str) else 0
    if isinstance(content, list):
        return sum(text_size(block) for block in content if not isinstance(block, list))
    return 0


def names(candidates: Iterable[Any]) -> list[str] | None:
    """Tool names as logged, in order; None where there is none."""
    found = [name for one in candidates if (name := text(one, 128)) is not None]
    return found[:MAX_TOOLS] or None


def provider_of(model: str | None) -> str | None:
    """What stands before the model in names as LiteLLM has them: `openrouter/openai/o3`."""
    return model.split("/", 1)[0] if model and "/" in model else None


def numbers(value: Any, depth: int = 2) -> dict[str, Any]:
    """The numbers of a usage object, what it nests included: what is stored of it. No text, so no content."""
    kept: dict[str, Any] = {}
    for name, one in value.items() if isinstance(value, dict) else ():
        if not name.isascii():
            continue
        if isinstance(one, dict) and depth > 1:
            kept[name] = numbers(one, depth - 1)
        elif one is None or type(one) is float or (type(one) is int and -MAX_COUNTER <= one <= MAX_COUNTER):
            kept[name] = one
    return kept
