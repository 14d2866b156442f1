"""What the counters of a message mean, which depends on the interface it went through (formats/piebald.md, Tokens)."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import MAX_COUNTER

COUNTERS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
API = "api"  # added to what is logged: `openai` where the message's configuration is one of that interface
OPENAI = "openai"
_OPENAI_MODEL = re.compile(r"(?:^|/)(?:gpt-|chatgpt|o\d|codex)")


def of_row(row: Mapping[str, Any], model: str | None) -> tuple[Usage, bool]:
    """The counters, and whether they contradict each other. Nothing is reported where all are missing or zero."""
    fresh, read, write, output, reasoning = (counter(row.get(name)) for name in COUNTERS)
    if not (fresh or read or write or output or reasoning):
        return Usage(), False
    contradicts = False
    context = None
    if row.get(API) == OPENAI or _OPENAI_MODEL.search(model or ""):
        context = fresh
        if fresh is not None:
            # Reads and writes can overlap: what is in either is taken out once.
            fresh -= max(read or 0, write or 0)
            contradicts = fresh < 0
        if output is not None and reasoning is not None:
            output = min(output + reasoning, MAX_COUNTER)
    elif fresh is not None:
        context = min(fresh + (read or 0) + (write or 0), MAX_COUNTER)
    usage = Usage(
        input_tokens=None if contradicts else fresh,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output,
        reasoning_tokens=reasoning,
        context_tokens=context,
    )
    return usage, contradicts


def raw_usage(row: Mapping[str, Any]) -> bytes:
    found = {name: row.get(name) for name in COUNTERS if counter(row.get(name)) is not None}
    return msgspec.json.encode(found | ({API: row[API]} if row.get(API) else {}))


def of_raw(raw: bytes, model: str | None) -> Usage | None:
    try:
        return of_row(msgspec.json.decode(raw, type=dict[str, Any]), model)[0]
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
