"""Content of messages as most producers write it: text, or a list of blocks."""

from collections.abc import Iterable
from typing import Any

from trueup_agent.harnesses.values import text
from trueup_shared.metrics import MAX_COUNTER

MAX_TOOLS = 256  # names kept of one message


def text_size(content: Any) -> int:
    """Characters of a string, of a block with text, or of all blocks of a list."""
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
