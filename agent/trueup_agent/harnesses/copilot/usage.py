"""Counters of Copilot CLI's sources. Each raw usage is kept under the name of what it is: {"row": {…}}.

Meaning and evidence: formats/copilot.md, "Tokens". Prompts include both kinds of cached tokens.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses import genai, values
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import divide
from trueup_agent.records import EventRecord
from trueup_shared.metrics import BIT

# Components of `modelMetrics.<model>.usage` in a shutdown, in the order of `divide`.
COMPONENTS = ("inputTokens", "cacheReadTokens", "cacheWriteTokens", "outputTokens", "reasoningTokens")
_COLUMNS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")

Vector = tuple[int | None, ...]  # by COMPONENTS


def of_raw(raw: bytes) -> Usage | None:
    try:
        logged = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return of_logged(logged) if isinstance(logged, dict) else None


def of_logged(logged: Mapping[str, Any]) -> Usage | None:
    for name, mapping in _BY_NAME.items():
        if isinstance(logged.get(name), Mapping):
            return mapping(logged)
    return None


def _of_row(logged: Mapping[str, Any]) -> Usage:
    return divide(*(values.counter(logged["row"].get(name)) for name in _COLUMNS))


def _of_answer(logged: Mapping[str, Any]) -> Usage:
    """All that an answer in the log says: tokens of that answer, not of the requests that failed before it."""
    output = values.counter(logged["answer"].get("outputTokens"))
    return Usage(output_tokens=output, lower_bounds=0 if output is None else BIT["output_tokens"])


def _of_call(logged: Mapping[str, Any]) -> Usage:
    names = ("prompt_tokens", "cached_tokens", "cache_creation_tokens", "completion_tokens", "reasoning_tokens")
    return divide(*(values.counter(logged["call"].get(name)) for name in names))


def _of_compaction(logged: Mapping[str, Any]) -> Usage:
    """The request that wrote the summary: in older builds under other names, and without what it wrote to the cache."""
    told = logged["compaction"]
    if "inputTokens" in told:
        return divide(*vector(told))
    return divide(*(values.counter(told.get(name)) for name in ("input", "cachedInput", "", "output", "")))


def _of_span(logged: Mapping[str, Any]) -> Usage:
    return genai.usage(logged["span"])


def contradictory(logged: Mapping[str, Any], usage: Usage | EventRecord) -> bool:
    """Is a prompt smaller than the parts of it that are logged beside it?"""
    if usage.input_tokens is not None or usage.input_undivided_tokens is not None:
        return False
    told = next(iter(logged.values()))
    names = ("input_tokens", "inputTokens", "input", "prompt_tokens", *genai.INPUT)
    return any(genai.integer(told.get(name)) is not None for name in names)


def vector(usage: Any) -> Vector:
    return tuple(values.counter(usage.get(name)) if isinstance(usage, Mapping) else None for name in COMPONENTS)


def shrank(now: Vector, before: Vector) -> bool:
    return any(n is not None and b is not None and n < b for n, b in zip(now, before, strict=True))


def _of_shutdown(logged: Mapping[str, Any]) -> Usage:
    """What a leg of the session added to the running total that the leg before it ended with.

    A total that shrank began anew for a reason that the log does not tell: it counts in full, and what was used between
    is lost.
    """
    now = vector(logged["shutdown"])
    if not isinstance(logged.get("previous"), dict):
        return divide(*now, one_request=False)
    before = vector(logged["previous"])
    if lost := shrank(now, before):
        usage = divide(*now, one_request=False)
    else:
        usage = divide(
            *(None if n is None else n - (b or 0) for n, b in zip(now, before, strict=True)), one_request=False
        )
    bits = sum(BIT[name] for name in BIT if getattr(usage, name) is not None)
    usage.lower_bounds, usage.derived = (bits, 0) if lost else (0, bits)
    return usage


_BY_NAME = {
    "row": _of_row,
    "shutdown": _of_shutdown,
    "answer": _of_answer,
    "call": _of_call,
    "compaction": _of_compaction,
    "span": _of_span,
}
