"""Counters of Cursor: of bubbles, where they are more than placeholders, and of its server (formats/cursor.md)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import counter

INPUT, OUTPUT, CONTEXT = "inputTokens", "outputTokens", "contextTokensUsed"
CACHE_READ, CACHE_WRITE = "cacheReadTokens", "cacheWriteTokens"
SERVER = "tokenUsage"  # what the raw usage of the server's events is wrapped in


def of_bubble(said: Mapping[str, Any]) -> Usage:
    """0 stands for unknown. The prompt includes what the cache served. The context is a gauge, sampled now and then."""
    prompt, output = counter(said.get(INPUT)) or None, counter(said.get(OUTPUT)) or None
    seen = counter(said.get(CONTEXT)) or None
    context = max(prompt or 0, seen or 0) or None
    return Usage(input_undivided_tokens=prompt, output_tokens=output, context_tokens=context)


def of_server(said: Mapping[str, Any]) -> Usage:
    """The input excludes the cache. An event may be many requests, so that it says nothing of the context."""
    return Usage(
        input_tokens=counter(said.get(INPUT)),
        cache_read_tokens=counter(said.get(CACHE_READ)),
        cache_write_tokens=counter(said.get(CACHE_WRITE)),
        output_tokens=counter(said.get(OUTPUT)),
    )


def kept(said: Any, names: tuple[str, ...]) -> dict[str, int]:
    """Those counters that are numbers."""
    if not isinstance(said, Mapping):
        return {}
    return {name: n for name in names if (n := counter(said.get(name))) is not None}


def in_dollars(cents: str | None) -> str | None:
    """An amount as decimal text."""
    return None if cents is None else format((Decimal(cents) / 100).normalize(), "f")


def of_raw(raw: bytes) -> Usage | None:
    said = json_text.object_of(raw)
    if said is None:
        return None
    of_server_event = said.get(SERVER)
    return of_server(of_server_event) if isinstance(of_server_event, dict) else of_bubble(said)
