"""What OpenHands' token usage says, of one request or of all so far (formats/openhands.md, Tokens)."""

from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import divide
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import MAX_COUNTER

FIELDS = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
ACCUMULATED = "accumulated"  # holds the usage where it is a running total

Vector = tuple[int | None, int | None, int | None, int | None, int | None]


def vector(usage: Any) -> Vector:
    """FIELDS as logged."""
    if not isinstance(usage, dict):
        return None, None, None, None, None
    prompt, completion, read, written, reasoning = (counter(usage.get(name)) for name in FIELDS)
    return prompt, completion, read, written, reasoning


def read_usage(raw: Any) -> Usage | None:
    """None where nothing is reported: all zero is what a request has whose provider tells nothing."""
    accumulated = raw.get(ACCUMULATED) if isinstance(raw, dict) else None
    prompt, completion, read, written, reasoning = vector(accumulated or raw)
    if not (prompt or completion or read or written):
        return None
    one = accumulated is None
    if prompt is not None and read is not None and read > prompt:
        # LiteLLM counts what is cached into the prompt; agents that are spoken to over ACP report it apart.
        context = min(prompt + read + (written or 0), MAX_COUNTER)
        return Usage(
            input_tokens=prompt,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=completion,
            reasoning_tokens=reasoning,
            context_tokens=context if one else None,
        )
    return divide(prompt, read, written, completion, reasoning, one_request=one)


def of_raw(raw: bytes) -> Usage | None:
    try:
        return read_usage(msgspec.json.decode(raw))
    except UNREADABLE:
        return None
