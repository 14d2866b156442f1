"""What a usage object of Kimi CLI (`input_other`) and Kimi Code (`inputOther`) says (formats/kimi.md, Tokens)."""

from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.lines import UNREADABLE
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import BIT, MAX_COUNTER

Vector = tuple[int | None, int | None, int | None, int | None]

_NAMES = (
    ("input_other", "inputOther"),
    ("input_cache_read", "inputCacheRead"),
    ("input_cache_creation", "inputCacheCreation"),
    ("output", "output"),
)


def vector(usage: Any) -> Vector:
    """(plain input, read from the cache, written to it, output) as logged."""
    if not isinstance(usage, dict):
        return None, None, None, None
    fresh, read, written, output = (counter(usage.get(old, usage.get(new))) for old, new in _NAMES)
    return fresh, read, written, output


def read_usage(usage: Any) -> Usage | None:
    """None where nothing is reported; all zero is what stands there before anything is known."""
    fresh, read, written, output = vector(usage)
    total = counter(usage.get("total")) if isinstance(usage, dict) else None
    if not (fresh or read or written or output):
        return Usage(undivided_tokens=total) if total else None
    known = [part for part in (fresh, read, written) if part is not None]
    return Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written or None,  # 0 wherever the provider does not tell
        output_tokens=output,
        context_tokens=min(sum(known), MAX_COUNTER) if known else None,
        lower_bounds=BIT["context_tokens"] if known and (fresh is None or read is None) else 0,
    )


def is_placeholder(usage: Any) -> bool:
    """Are the counters there, and all of them zero?"""
    fresh, _, _, output = vector(usage)
    return fresh == 0 and output == 0


def of_raw(raw: bytes) -> Usage | None:
    try:
        return read_usage(msgspec.json.decode(raw))
    except UNREADABLE:
        return None
