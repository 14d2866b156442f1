"""Counters of one generation (formats/antigravity.md). Zeros are not written: what a known block lacks is 0."""

from collections.abc import Mapping
from typing import Any

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.antigravity.protobuf import Fields, integer
from trueup_agent.harnesses.base import Usage
from trueup_agent.harnesses.values import counter

MAX_PLAUSIBLE = 2_000_000  # more tokens of one generation mean that the fields are other ones

# Numbers in the protobuf. 9 and 10 are the two parts of the output; which of them is thinking is not settled, so they
# are kept and not told.
_INPUT, _OUTPUT, _CACHE_READ = "2", "3", "5"
_NUMBERS = ("1", _INPUT, _OUTPUT, "4", _CACHE_READ, "6", "9", "10")
_NAMES = ("inputTokens", "outputTokens", "cacheReadTokens", "thinkingOutputTokens")


def of_block(block: Fields) -> dict[str, int]:
    """What is stored of a usage block: numbers by field."""
    return {name: n for name in _NUMBERS if (n := counter(integer(block, int(name)))) is not None}


def of_json(said: Any) -> dict[str, int]:
    """The same of a sidecar, where numbers are text."""
    if not isinstance(said, Mapping):
        return {}
    return {name: n for name in _NAMES if (n := _number(said.get(name))) is not None}


def of_counters(said: Mapping[str, int]) -> Usage:
    """Input excludes what the cache served, output includes thinking. Nothing but zeros: not filled in yet."""
    names = _NAMES if any(name in said for name in _NAMES) else (_INPUT, _OUTPUT, _CACHE_READ, "")
    fresh, output, read = (said.get(name, 0) for name in names[:3])
    if not (fresh or output or read):
        return Usage()
    thinking = said.get(names[3])
    return Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        output_tokens=output,
        reasoning_tokens=thinking if thinking is not None and thinking <= output else None,
        context_tokens=fresh + read,
    )


def is_plausible(usage: Usage) -> bool:
    counters = (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens)
    return all((n or 0) <= MAX_PLAUSIBLE for n in counters)


def of_raw(raw: bytes) -> Usage | None:
    said = json_text.object_of(raw)
    if said is None:
        return None
    return of_counters({name: n for name, value in said.items() if (n := counter(value)) is not None})


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17:
        value = int(value)
    return counter(value)
