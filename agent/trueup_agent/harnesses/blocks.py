"""A message whose content is text or a list of blocks: text, thinking, tool_use, tool_result."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trueup_agent.harnesses.content import names
from trueup_agent.harnesses.sizes import size_of


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
