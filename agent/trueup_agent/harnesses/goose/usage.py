"""Goose's counters: the prompt contains what came from the cache and went into it (formats/goose.md, Tokens)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import contradicts, divide
from trueup_agent.harnesses.json_text import UNREADABLE
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import BIT

COUNTERS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
TOTAL = "accumulated_"  # before the names of what a session used so far
LAST = "last_"  # before the names of what its last request used

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def of_raw(raw: bytes) -> Usage | None:
    try:
        return usage_of(_decode(raw))[0]
    except UNREADABLE:
        return None


def usage_of(raw: Mapping[str, Any]) -> tuple[Usage, bool]:
    """Of a request, of a session's total or of its last request, by the names in `raw`; and whether it contradicts."""
    prefix = next((prefix for prefix in (TOTAL, LAST) if prefix + COUNTERS[0] in raw), "")
    prompt, output, read, write = (counter(raw.get(prefix + name)) for name in COUNTERS)
    usage = divide(prompt, read, write, output, None, one_request=prefix != TOTAL)
    if prefix == LAST:
        usage.lower_bounds = BIT["input_undivided_tokens"] | BIT["output_tokens"]
    return usage, contradicts(prompt, usage)
