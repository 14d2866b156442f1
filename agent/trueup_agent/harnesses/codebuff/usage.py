"""Usage objects as the libraries below Codebuff spell them, where a message has one (formats/codebuff.md)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import divide

# Prompts that contain what was cached, and those that do not.
_WHOLE = ("promptTokens", "prompt_tokens")
_PLAIN = ("inputTokens", "input_tokens")
_OUTPUT = ("outputTokens", "output_tokens", "completionTokens", "completion_tokens")
_CACHED = ("cachedTokens", "cached_tokens", "cachedInputTokens")
_READ = ("cacheReadInputTokens", "cache_read_input_tokens", "cacheReadTokens")
_WRITTEN = ("cacheCreationInputTokens", "cache_creation_input_tokens", "cacheCreationTokens", "cacheWriteTokens")
_REASONING = ("reasoningTokens", "reasoning_tokens")
_DETAILS = (
    *("promptTokensDetails", "prompt_tokens_details", "inputTokensDetails", "input_tokens_details"),
    *("completionTokensDetails", "completion_tokens_details", "outputTokensDetails", "output_tokens_details"),
)


def of_raw(raw: bytes) -> Usage | None:
    try:
        logged = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return of_object(logged.get("usage")) if isinstance(logged, dict) else None


def of_object(usage: Any) -> Usage:
    """Canonical counters. An object of zeros is a placeholder."""
    if not isinstance(usage, Mapping):
        return Usage()
    flat = dict(usage)
    for name in _DETAILS:
        if isinstance(usage.get(name), Mapping):
            flat |= usage[name]
    output, reasoning = _first(flat, _OUTPUT), _first(flat, _REASONING)
    read, written, cached = _first(flat, _READ), _first(flat, _WRITTEN), _first(flat, _CACHED)
    whole, plain = _first(flat, _WHOLE), _first(flat, _PLAIN)
    if not any((output, reasoning, read, written, cached, whole, plain)):
        return Usage()
    if whole is not None or cached is not None:
        return divide(whole if whole is not None else plain, cached, written, output, reasoning)
    context = None if plain is None else plain + (read or 0) + (written or 0)
    return Usage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        context_tokens=values.counter(context),
    )


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((n for name in names if (n := values.counter(usage.get(name))) is not None), None)
