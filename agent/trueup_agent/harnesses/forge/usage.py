"""What the `usage` of a message says (formats/forge.md): counts of the provider, or estimates of the client."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.inclusive import contradicts, divide
from trueup_agent.harnesses.values import counter

NAMES = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")


def vector(usage: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Actual counts in the order of NAMES; None for estimates and for what is missing."""
    return tuple(_actual(usage.get(name)) for name in NAMES)


def of_usage(usage: Mapping[str, Any]) -> tuple[Usage, bool]:
    """The counters, and whether they contradict each other. The prompt contains what came from the cache."""
    prompt, output, _, cached = vector(usage)
    if not (prompt or output or cached):
        return Usage(), False
    if prompt is None and not cached:
        cached = None  # zero is what the client begins with
    divided = divide(prompt, cached, None, output, None)
    return divided, contradicts(prompt, divided)


def of_raw(raw: bytes) -> Usage | None:
    try:
        return of_usage(msgspec.json.decode(raw, type=dict[str, Any]))[0]
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _actual(count: Any) -> int | None:
    if not isinstance(count, Mapping):
        return None
    return counter(count.get("actual", count.get("Actual")))
