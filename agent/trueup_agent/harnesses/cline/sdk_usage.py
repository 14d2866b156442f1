"""Usage of one request in a session of Cline's SDK: `inputTokens` is the whole prompt (formats/cline.md, Tokens)."""

from collections.abc import Mapping
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import MAX_AMOUNT, counter, plain

COUNTERS = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens")
# Kept of a message's `metrics`, and of the sums in a manifest.
KEPT = (*COUNTERS, "cost", "totalCost")
SUM = "sum"  # added by us: a session's running total


def kept(metrics: Mapping[str, Any], is_sum: bool = False) -> dict[str, Any]:
    found = {name: value for name in KEPT if (value := plain(metrics.get(name))) is not None}
    return found | {SUM: True} if is_sum else found


def read(raw: Mapping[str, Any]) -> tuple[Usage, bool]:
    """Counters, and whether they contradict each other. An object of zeros says that nothing is known."""
    prompt, output, cached, written = (counter(raw.get(name)) for name in COUNTERS)
    if not any((prompt, output, cached, written)):
        return Usage(), False
    plain = None if prompt is None else prompt - (cached or 0) - (written or 0)
    is_contradictory = plain is not None and plain < 0
    usage = Usage(
        input_tokens=None if is_contradictory else plain,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        context_tokens=None if raw.get(SUM) else prompt,
    )
    return usage, is_contradictory


def cost_of(raw: Mapping[str, Any]) -> float | None:
    """USD."""
    cost = raw.get("totalCost" if raw.get(SUM) else "cost")
    if not isinstance(cost, int | float) or isinstance(cost, bool):
        return None
    return float(cost) if 0 <= cost < MAX_AMOUNT else None


def of_raw(raw: bytes) -> Usage | None:
    """The counters of a stored event; None where it is none of the SDK's."""
    try:
        found = json_text.decode(raw)
    except json_text.UNREADABLE:
        return None
    if not isinstance(found, dict) or not any(name in found for name in COUNTERS):
        return None
    return read(found)[0]
