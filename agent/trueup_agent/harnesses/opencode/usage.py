"""What a `tokens` object says, in canonical counters (formats/opencode.md, Tokens, Coverage and Cost)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import BIT, MAX_COUNTER

_MAX_FIELDS, _MAX_TEXT = 32, 64
APART = "apart"  # added to tokens that are known to have reasoning apart from output
# A peer saw entries of role `model` with these names.
_USAGE_NAMES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "read": "cache_read_input_tokens",
    "write": "cache_creation_input_tokens",
}


def of_tokens(tokens: Mapping[str, Any], provider: str | None, model: str | None) -> Usage:
    """Without any counter where all are zero: a request that is under way, was aborted, or whose provider says nothing.

    `reasoning` is a part of `output` until the producer took it out; which of both, the record's own `total` tells.
    """
    fresh, output = counter(tokens.get("input")), counter(tokens.get("output"))
    reasoning, total = counter(tokens.get("reasoning")), counter(tokens.get("total"))
    cache = tokens.get("cache")
    read = counter(cache.get("read")) if isinstance(cache, dict) else None
    write = counter(cache.get("write")) if isinstance(cache, dict) else None
    if not (fresh or output or reasoning or read or write):
        return Usage()
    bounds = 0
    is_apart = tokens.get(APART) is True
    if output is not None and reasoning and (is_apart or _is_apart(reasoning, output, total, (fresh, read, write))):
        output = min(output + reasoning, MAX_COUNTER)
    elif output is not None and reasoning is None and total is not None and None not in (fresh, read, write):
        # What the total has beyond these counters may be reasoning, which is not said.
        bounds |= BIT["output_tokens"] if total > output + sum(n or 0 for n in (fresh, read, write)) else 0
    if write == 0 and not _reports_writes(provider, model):
        write = None
    context = None
    if fresh is not None or read is not None or write is not None:
        context = min((fresh or 0) + (read or 0) + (write or 0), MAX_COUNTER)
        bounds |= BIT["context_tokens"] if fresh is None or read is None else 0
    return Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output,
        reasoning_tokens=reasoning,
        context_tokens=context,
        lower_bounds=bounds,
    )


def of_raw(raw: bytes, provider: str | None, model: str | None) -> Usage | None:
    """Of what `raw_usage` made."""
    try:
        tokens = msgspec.json.decode(raw, type=dict[str, Any]).get("tokens")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return of_tokens(tokens, provider, model) if isinstance(tokens, dict) else Usage()


def raw_usage(tokens: Mapping[str, Any] | None, cost: Any) -> bytes:
    """`tokens` as `tokens_of` gives them."""
    return msgspec.json.encode({"tokens": tokens, "cost": _plain(cost, 0)})


def tokens_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `tokens` of a message or step, without what is no number or short text: nothing of a conversation hides in
    it. None where it has none of a shape that we know."""
    tokens = record.get("tokens")
    if isinstance(tokens, dict):
        found: Mapping[str, Any] = _plain(tokens, 2)
        return found
    usage = record.get("usage")
    if not isinstance(usage, dict):
        return None
    named = {ours: _plain(usage.get(theirs), 0) for ours, theirs in _USAGE_NAMES.items()}
    return {"input": named["input"], "output": named["output"], "cache": {n: named[n] for n in ("read", "write")}}


def names_counters(tokens: Mapping[str, Any] | None) -> bool:
    """False where usage is missing though the format should have it: a change of the format."""
    return tokens is not None and any(counter(tokens.get(name)) is not None for name in ("input", "output"))


def _is_apart(reasoning: int, output: int, total: int | None, prompt: tuple[int | None, ...]) -> bool:
    """Is reasoning not in output?"""
    if reasoning > output:
        return True
    if total is None:
        return False
    if None in prompt:
        return True  # the sum cannot be checked: as the present producer writes it
    return total - output - sum(n or 0 for n in prompt) >= reasoning


def _reports_writes(provider: str | None, model: str | None) -> bool:
    """Anthropic's interface, directly or through a gateway. Copilot speaks another one for the same models."""
    provider = provider or ""
    return "anthropic" in provider or ("claude" in (model or "") and "copilot" not in provider)


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, dict) and depth:
        fields = list(value.items())[:_MAX_FIELDS]
        return {str(name)[:_MAX_TEXT]: _plain(field, depth - 1) for name, field in fields}
    if isinstance(value, str):
        return value[:_MAX_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= MAX_COUNTER):
        return value
    return None
