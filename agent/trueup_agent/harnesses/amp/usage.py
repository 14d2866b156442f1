"""Usage of one inference in an Amp thread (formats/amp.md, Tokens)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import MAX_AMOUNT, counter, plain

_PROMPT = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
_KEPT = (*_PROMPT, "outputTokens", "totalInputTokens", "credits", "model")
_LEDGER = "tokens"  # the ledger's counters stand in an object of this name
_OPENAI = re.compile(r"gpt-|o\d")


def kept(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The usage-related part of a message's `usage`."""
    return _plain(usage, _KEPT)


def kept_of_ledger(event: Mapping[str, Any]) -> dict[str, Any]:
    tokens = event.get(_LEDGER)
    counted = _plain(tokens, ("input", "output")) if isinstance(tokens, Mapping) else {}
    return {_LEDGER: counted} | _plain(event, ("credits", "model"))


def _plain(record: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    return {name: value for name in wanted if (value := plain(record.get(name))) is not None}


def read(raw: Mapping[str, Any]) -> Usage:
    """Zeros alone say that nothing is known yet. Whether the ledger's input includes the cache is undocumented."""
    if _LEDGER in raw:
        tokens = raw[_LEDGER]
        prompt, output = counter(tokens.get("input")), counter(tokens.get("output"))
        return Usage(input_undivided_tokens=prompt, output_tokens=output) if prompt or output else Usage()
    plain, cached, written = (counter(raw.get(name)) for name in _PROMPT)
    output = counter(raw.get("outputTokens"))
    if not any((plain, cached, written, output)):
        return Usage()
    context = counter(raw.get("totalInputTokens"))
    if context is None and plain is not None:
        context = plain + (cached or 0) + (written or 0)
    model = raw.get("model")
    if plain == 0 and written and isinstance(model, str) and _OPENAI.match(model):
        # OpenAI charges no writes: what is not from the cache is reported as if it were written to it.
        plain, written = written, 0
    return Usage(
        input_tokens=plain,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        context_tokens=context,
    )


def differs_from_total(raw: Mapping[str, Any]) -> bool:
    """Does its own total differ from the sum of its parts? Neither is repaired."""
    parts = [counter(raw.get(name)) for name in _PROMPT]
    total = counter(raw.get("totalInputTokens"))
    return total is not None and None not in parts and total != sum(part or 0 for part in parts)


def credits_of(raw: Mapping[str, Any]) -> float | None:
    paid = raw.get("credits")
    if not isinstance(paid, int | float) or isinstance(paid, bool):
        return None
    return float(paid) if 0 <= paid < MAX_AMOUNT else None


def of_raw(raw: bytes) -> Usage | None:
    try:
        found = json_text.decode(raw)
    except json_text.UNREADABLE:
        return None
    if not isinstance(found, dict) or not isinstance(found.get(_LEDGER, {}), dict):
        return None
    return read(found)
