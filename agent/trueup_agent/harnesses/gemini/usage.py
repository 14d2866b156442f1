"""`tokens` of a Gemini CLI message to canonical counters (formats/gemini.md, Tokens)."""

from collections.abc import Mapping
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import BIT, MAX_COUNTER

FIELDS = ("input", "output", "cached", "thoughts", "tool", "total")


def kept(tokens: Any) -> dict[str, int] | None:
    """The counters of a message's `tokens` that are numbers: what is stored as raw usage. None when it is no object."""
    if not isinstance(tokens, Mapping):
        return None
    return {name: n for name in FIELDS if (n := counter(tokens.get(name))) is not None}


def of_tokens(tokens: Mapping[str, int]) -> Usage:
    """The prompt includes what was cached, the output excludes thoughts, tool prompts come on top of the prompt.

    `total` tells the dialects in which that is otherwise. All zero: the producer did not know.
    """
    if not any(tokens.values()):
        return Usage()
    prompt, cached, total = tokens.get("input"), tokens.get("cached"), tokens.get("total")
    output, thoughts, tool = tokens.get("output"), tokens.get("thoughts"), tokens.get("tool", 0)
    usage = Usage(cache_read_tokens=cached, reasoning_tokens=thoughts)
    if prompt is not None:
        read = prompt + tool
        if cached is None:
            usage.input_undivided_tokens = _capped(read)
        elif cached and total == read + cached + (output or 0) + (thoughts or 0):
            usage.input_tokens = _capped(read)
            read += cached
        elif cached <= prompt:
            usage.input_tokens = _capped(read - cached)
        usage.context_tokens = _capped(read)
    if output is not None:
        plain = None if prompt is None else prompt + tool + output  # the total where thoughts do not come on top
        usage.output_tokens = output if plain is not None and total == plain else _capped(output + (thoughts or 0))
        if thoughts is None and plain is not None and total is not None and total > plain:
            usage.lower_bounds = BIT["output_tokens"]  # there were thoughts, and nobody says how many
    return usage


def of_raw(raw: bytes) -> Usage | None:
    tokens = kept(json_text.object_of(raw))
    return of_tokens(tokens) if tokens else None


def _capped(n: int) -> int:
    return min(n, MAX_COUNTER)


def contradicts(tokens: Mapping[str, int], usage: Usage) -> bool:
    """More was cached than there was to read."""
    return (
        "input" in tokens and usage.reported() and usage.input_tokens is None and usage.input_undivided_tokens is None
    )
