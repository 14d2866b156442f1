"""Hermes's counters are canonical: input without the cache, output with the reasoning (formats/hermes.md, Tokens)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses import values
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.json_text import UNREADABLE

COUNTERS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
COSTS = ("estimated_cost_usd", "actual_cost_usd", "cost_status", "cost_source")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def usage_of(row: Mapping[str, Any]) -> Usage:
    usage = Usage()
    for name in COUNTERS:
        setattr(usage, name, values.counter(row.get(name)))
    return usage


def of_raw(raw: bytes) -> Usage | None:
    try:
        return usage_of(_decode(raw))
    except UNREADABLE:
        return None


def cost_of(row: Mapping[str, Any]) -> tuple[str | None, str]:
    """(USD, status). A zero is a price only in a plan: else nobody knew one, or it is not billed yet."""
    estimated, actual = (_amount(row[name]) for name in COSTS[:2])
    if actual is not None and (actual != "0" or row["cost_status"] == "actual"):
        return actual, "reported"
    if row["cost_status"] == "included":
        # `none` says that there was no price for the model, not that it was free.
        return (None if row["cost_source"] in (None, "", "none") else estimated), "included"
    return (None if estimated == "0" else estimated), "estimated"


def _amount(value: Any) -> str | None:
    return values.amount(value) if type(value) in (int, float) else None
