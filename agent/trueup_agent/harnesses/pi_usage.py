"""What a `usage` object of pi and of the agents built on it says (formats/pi.md, Tokens)."""

from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.values import cost, counter
from trueup_shared.metrics import BIT, MAX_COUNTER

# Oh My Pi has other names for what is read from and written to the cache, and an object that holds both.
_READ = ("cacheRead", "cacheReadTokens")
_WRITE = ("cacheWrite", "cacheCreation", "cacheWriteTokens", "cacheCreationTokens")
_NESTED_READ = ("read", "cacheRead")
_NESTED_WRITE = ("write", "creation", "cacheWrite", "cacheCreation")


def read_usage(usage: Any) -> Usage | None:
    """Providers are normalised by the producer: input holds no cache, output holds reasoning.

    None where nothing is reported. All zero is what stands there before anything is known: nothing, too.
    """
    if not isinstance(usage, dict):
        return None
    cache = usage.get("cache")
    nested = cache if isinstance(cache, dict) else {}
    fresh, output = counter(usage.get("input")), counter(usage.get("output"))
    read = _first(usage, _READ, nested, _NESTED_READ)
    written = _first(usage, _WRITE, nested, _NESTED_WRITE)
    if not (fresh or output or read or written):
        return None
    prompt = (fresh, read, written)
    known = [part for part in prompt if part is not None]
    return Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        context_tokens=min(sum(known), MAX_COUNTER) if known else None,
        lower_bounds=BIT["context_tokens"] if known and len(known) < len(prompt) else 0,
    )


def is_placeholder(usage: Any) -> bool:
    """Are the counters there, and all of them zero?"""
    return isinstance(usage, dict) and counter(usage.get("input")) == 0 and counter(usage.get("output")) == 0


def read_cost(usage: Any) -> str | None:
    """USD, worked out by the producer from its list of prices."""
    costs = usage.get("cost") if isinstance(usage, dict) else None
    return cost(costs.get("total")) if isinstance(costs, dict) else None


def of_raw(raw: bytes) -> Usage | None:
    """`Harness.usage` of all of them."""
    try:
        return read_usage(msgspec.json.decode(raw))
    except UNREADABLE:
        return None


def _first(usage: dict[str, Any], names: tuple[str, ...], nested: dict[str, Any], inner: tuple[str, ...]) -> int | None:
    candidates = [usage.get(name) for name in names] + [nested.get(name) for name in inner]
    return next((found for value in candidates if (found := counter(value)) is not None), None)
