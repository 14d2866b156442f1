"""Usage of one request in a task of Cline and its forks (formats/cline.md, roocode.md, kilo.md: Tokens).

`tokensIn` excludes what came from the cache in Cline and in old forks, and includes it in late ones.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trueup_agent.harnesses import json_text
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.values import MAX_AMOUNT, counter, epoch, plain
from trueup_shared.metrics import BIT
from trueup_shared.prices import cost_nanousd

COUNTERS = ("tokensIn", "tokensOut", "cacheReads", "cacheWrites")
# What is kept of the JSON in an entry's `text`; prompts are not.
KEPT = (
    *COUNTERS,
    "cost",
    "apiProtocol",
    "usageMissing",
    "inferenceProvider",
    "cancelReason",
)
# Added by us: `ts` of the entry, `say` for entries other than requests, `newItem`: the task has a history item of the
# generation whose totals are inclusive.
TS, SAY, NEW_ITEM = "ts", "say", "newItem"

DELETED, SUBAGENTS, CONDENSED, FAST_APPLY = "deleted_api_reqs", "subagent_usage", "condense_context", "fastApply"

# Producers whose recorded cost comes from whoever was paid; others work it out from list prices.
_BILLING = {"openrouter", "cline", "kilocode", "roo", "requesty"}
_OPENAI_LIKE = re.compile(r"openai|azure|codex")
_OPENAI_MODEL = re.compile(r"(?:^|/)(?:gpt-|o\d|codex)")
_COST_TOLERANCE = 0.02


class Request(msgspec.Struct, frozen=True, gc=False):
    usage: Usage
    uncertain: bool = False  # nobody can tell whether `tokensIn` includes the cache: it is taken as it stands


def kept(info: Mapping[str, Any], ts: int | None, say: str | None = None, new_item: bool = False) -> dict[str, Any]:
    """The usage-related part of an entry's JSON: what `read` needs and what is stored."""
    found: dict[str, Any] = {name: value for name in KEPT if (value := plain(info.get(name))) is not None}
    if ts is not None:
        found[TS] = ts
    if say is not None:
        found[SAY] = say
    if new_item:
        found[NEW_ITEM] = True
    return found


def of_raw(raw: bytes, facts: Facts, late_is_inclusive: bool) -> Usage | None:
    """For `Harness.usage`: the counters of a stored event by today's rules."""
    try:
        found = json_text.decode(raw)
    except json_text.UNREADABLE:
        return None
    return read(found, late_is_inclusive, facts.provider, facts.model).usage if isinstance(found, dict) else None


def read(raw: Mapping[str, Any], late_is_inclusive: bool, provider: str | None, model: str | None) -> Request:
    """`raw` as `kept` gives it. Nothing is reported where the producer says so, and where all it has are zeros."""
    plain, output, cached, written = (counter(raw.get(n)) for n in COUNTERS)
    if raw.get("usageMissing") is True or not any((plain, output, cached, written)):
        return Request(Usage())
    beside = (cached or 0) + (written or 0)
    uncertain = False
    if plain is not None and beside and plain >= beside:  # fewer cannot include the cache
        if late_is_inclusive:
            includes = _is_late(raw) or _cost_says_inclusive(raw, plain, provider, model)
            uncertain = includes is None
            plain -= beside if includes else 0
        else:
            uncertain = bool(cached) and _is_openai(provider, model)
    one_request = raw.get(SAY) not in (DELETED, SUBAGENTS)
    usage = Usage(
        input_tokens=plain,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        context_tokens=plain + beside if one_request and plain is not None else None,
    )
    if raw.get("cancelReason"):
        usage.lower_bounds = sum(bit for name, bit in BIT.items() if getattr(usage, name) is not None)
    return Request(usage, uncertain)


def lacks_usage(raw: Mapping[str, Any]) -> bool:
    """A request that ended in the ordinary way, and whose usage is not where the format has it."""
    if raw.get("cancelReason") or raw.get("usageMissing") is True:
        return False
    return counter(raw.get("tokensIn")) is None and counter(raw.get("tokensOut")) is None


def cost_of(raw: Mapping[str, Any]) -> float | None:
    """USD; a number that money can be."""
    cost = raw.get("cost")
    if not isinstance(cost, int | float) or isinstance(cost, bool):
        return None
    return float(cost) if 0 <= cost < MAX_AMOUNT else None


def cost_status(provider: str | None) -> str:
    return "reported" if provider in _BILLING else "estimated"


def _is_late(raw: Mapping[str, Any]) -> bool | None:
    return True if isinstance(raw.get("apiProtocol"), str) or raw.get(NEW_ITEM) is True else None


def _is_openai(provider: str | None, model: str | None) -> bool:
    if provider is not None and _OPENAI_LIKE.search(provider):
        return True
    return provider is None and model is not None and _OPENAI_MODEL.search(model) is not None


def _cost_says_inclusive(raw: Mapping[str, Any], plain: int, provider: str | None, model: str | None) -> bool | None:
    """Which reading of `tokensIn` the recorded cost fits, at list price; None where that cannot be told."""
    cost, at = cost_of(raw), epoch(raw.get(TS), 1000)
    if not cost or at is None:
        return None
    cached, written, output = (counter(raw.get(n)) for n in ("cacheReads", "cacheWrites", "tokensOut"))

    def distance(input_tokens: int) -> float | None:
        price = cost_nanousd(provider, model, at, input_tokens, cached, written, None, output)
        return None if price is None else abs(price / 1e9 - cost) / cost

    as_part, beside = distance(plain - (cached or 0) - (written or 0)), distance(plain)
    if as_part is None or beside is None or min(as_part, beside) > _COST_TOLERANCE:
        return None
    return as_part < beside
