"""The one list of counters and metrics: a name here runs unchanged through SQL, function, route, test and page.

Definitions: design section 1 (counters), section 8 (metrics).
"""

from typing import Literal

from msgspec import Struct

# Order is part of the wire: bit i of `lower_bounds` and `derived` speaks of COUNTERS[i] (docs/wire.md). Append only.
COUNTERS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "input_undivided_tokens",
    "undivided_tokens",
    "context_tokens",
)
GAUGE = "context_tokens"  # the prompt size of one request: a maximum, never a sum
ADDITIVE_COUNTERS = COUNTERS[:-1]

# What `total_tokens` of an event adds up: the parts that are not contained in another one.
TOTAL_PARTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "input_undivided_tokens",
    "undivided_tokens",
)

BIT = {name: 1 << i for i, name in enumerate(COUNTERS)}

MAX_COUNTER = 2**53 - 1  # survives SQLite, msgpack, PostgreSQL and a browser's number


class Metric(Struct, frozen=True):
    """What an analytics endpoint can be asked for. Counts are never null; tokens and money are when unreported."""

    name: str
    kind: Literal["count", "tokens", "money"]
    additive: bool


METRICS = (
    Metric("messages", "count", True),
    Metric("sessions", "count", True),  # sessions that started there
    Metric("active_sessions", "count", False),  # sessions with any usage there
    Metric("tool_calls", "count", True),
    Metric("input_tokens", "tokens", True),
    Metric("cache_read_tokens", "tokens", True),
    Metric("cache_write_tokens", "tokens", True),
    Metric("output_tokens", "tokens", True),
    Metric("reasoning_tokens", "tokens", True),
    Metric("total_tokens", "tokens", True),
    Metric("peak_context_tokens", "tokens", False),
    Metric("cost", "money", True),
    Metric("cache_savings", "money", True),  # may be negative: what the cache cost more than it saved
)
METRIC = {m.name: m for m in METRICS}


def total_tokens(
    input_tokens: int | None,
    cache_read_tokens: int | None,
    cache_write_tokens: int | None,
    output_tokens: int | None,
    input_undivided_tokens: int | None,
    undivided_tokens: int | None,
) -> int | None:
    """Sum of an event's reported parts, in the order of TOTAL_PARTS; None when none is reported."""
    reported = [
        n
        for n in (
            input_tokens,
            cache_read_tokens,
            cache_write_tokens,
            output_tokens,
            input_undivided_tokens,
            undivided_tokens,
        )
        if n is not None
    ]
    return sum(reported) if reported else None


def total_is_reported(
    input_tokens: int | None,
    output_tokens: int | None,
    input_undivided_tokens: int | None,
    undivided_tokens: int | None,
) -> bool:
    """An event's total counts as reported when it has an input kind and output, or one number for everything."""
    has_input = input_tokens is not None or input_undivided_tokens is not None
    return (has_input and output_tokens is not None) or undivided_tokens is not None


# A total is a lower bound (or derived) when any of its parts is.
TOTAL_BITS = sum(BIT[name] for name in TOTAL_PARTS)
