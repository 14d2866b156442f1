"""A thread's usage: the running total, and the last request of each prompt (formats/zed.md, Tokens)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.json_text import UNREADABLE
from trueup_agent.harnesses.values import counter
from trueup_shared.metrics import BIT

# As the producer names them -> as we do. Zeros are left out when it writes.
NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
}
_PROMPT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")

Counts = Mapping[str, Any]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def raw_usage(document: Mapping[str, Any]) -> dict[str, Counts]:
    """What is kept of a thread: the running total, the sum over prompts of their last requests, and the last request.

    Each is left out where it is unknown: an empty object is one that nobody filled.
    """
    raw: dict[str, Counts] = {}
    total = _counts(document.get("cumulative_token_usage"))
    if total:
        raw["total"] = total
    per_prompt = document.get("request_token_usage")
    listed = list(per_prompt.values()) if isinstance(per_prompt, dict) else per_prompt
    requests = [counts for one in (listed if isinstance(listed, list) else []) if (counts := _counts(one))]
    if requests:
        raw["requests"] = {name: _sum(requests, name) for name in NAMES}
        raw["last"] = requests[-1]
    if isinstance(per_prompt, dict) and (last := _of_last_prompt(document, per_prompt)):
        raw["last"] = last
    return raw


def usage_of(raw: Mapping[str, Counts]) -> Usage:
    """Per counter the greater of total and sum. Where the sum is greater the total was not kept up to date, and of all
    but the last request of a prompt nothing is known."""
    usage = Usage()
    total, requests = raw.get("total"), raw.get("requests")
    is_stale = False
    for name, ours in NAMES.items():
        known = [_of(counts, name) for counts in (total, requests) if counts is not None]
        numbers = [number for number in known if number is not None]
        if numbers:
            setattr(usage, ours, max(numbers))
        is_stale |= requests is not None and (_of(requests, name) or 0) > (_of(total or {}, name) or 0)
    if is_stale:
        usage.lower_bounds = sum(BIT[ours] for ours in NAMES.values())
    prompt = [_of(raw["last"], name) for name in _PROMPT] if "last" in raw else [None]
    if None not in prompt:
        usage.context_tokens = sum(number or 0 for number in prompt)
    return usage


def of_raw(raw: bytes) -> Usage | None:
    try:
        decoded = _decode(raw)
    except UNREADABLE:
        return None
    return usage_of({name: counts for name, counts in decoded.items() if isinstance(counts, dict)})


def _counts(value: Any) -> dict[str, Any]:
    return {name: value[name] for name in NAMES if name in value} if isinstance(value, dict) else {}


def _of(counts: Counts, name: str) -> int | None:
    """What is left out is zero; what is no counter is unknown."""
    return counter(counts[name]) if name in counts else 0


def _sum(requests: list[dict[str, Any]], name: str) -> int | None:
    numbers = [_of(counts, name) for counts in requests]
    return None if None in numbers else sum(number or 0 for number in numbers)


def _of_last_prompt(document: Mapping[str, Any], per_prompt: Mapping[str, Any]) -> dict[str, Any]:
    messages = document.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        user = message.get("User") if isinstance(message, dict) else None
        id_ = user.get("id") if isinstance(user, dict) else None
        if isinstance(id_, str) and (counts := _counts(per_prompt.get(id_))):
            return counts
    return {}
