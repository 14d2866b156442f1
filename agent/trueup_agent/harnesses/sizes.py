"""How much text an entry of a conversation has, whatever its blocks are called."""

from typing import Any

_MAX_DEPTH = 8
_TEXTS = frozenset(("text", "Text", "thinking", "Thinking", "content", "reasoning", "output", "value", "toolResult"))


def size_of(value: Any, depth: int = 0) -> int:
    """Characters of text, thinking and tool results; neither images nor tool arguments."""
    if isinstance(value, str):
        return len(value)
    if depth >= _MAX_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(size_of(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return sum(size_of(item, depth + 1) for name, item in value.items() if name in _TEXTS)
    return 0
