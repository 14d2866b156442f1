"""What a request costs at list price: one function over one dated table, `prices.json` (written by `make prices`).

Money is integer nanodollars. None means that the model has no list price: its tokens are counted as unpriced, never
as free. Context bands, tiers and speeds belong to a single request, so a request is priced whole and sums are sums of
requests.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from msgspec import Struct

from trueup_shared.metrics import MAX_COUNTER

Bands = tuple[tuple[int, int], ...]  # (prompt tokens above which it holds, picodollars a token), ascending
Rates = dict[str, Bands]
Steps = tuple[tuple[int, tuple[int, ...]], ...]  # (prompt tokens above which they hold, rates of _KINDS), ascending

_KINDS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "web_search")

_TABLE_BYTES = Path(__file__).with_name("prices.json").read_bytes()
DIGEST = blake2b(_TABLE_BYTES, digest_size=16).hexdigest()
DATE = re.search(rb'"date": "([\d-]+)"', _TABLE_BYTES).group(1).decode()  # type: ignore[union-attr]

_PICO_PER_NANO = 1000
_HALF = _PICO_PER_NANO // 2

Price = tuple[int | None, int | None]  # cost and cache savings in nanodollars: both, or neither
_NO_PRICE: Price = (None, None)


class _Plan(Struct, frozen=True):
    """The prices of one model in one mode: steps by the moment (µs UTC) from which they hold, ascending."""

    periods: tuple[tuple[int, Steps], ...]


def cost_nanousd(
    provider: str | None,
    model: str | None,
    at: int,
    *counters: int | str | None,
    **named: int | str | None,
) -> int | None:
    """The first of `price`."""
    return price(provider, model, at, *counters, **named)[0]  # type: ignore[arg-type]


def price(
    provider: str | None,
    model: str | None,
    at: int,
    input_tokens: int | None,
    cache_read_tokens: int | None,
    cache_write_tokens: int | None,
    cache_write_1h_tokens: int | None,
    output_tokens: int | None,
    service_tier: str | None = None,
    speed: str | None = None,
    context_tokens: int | None = None,
    web_searches: int | None = None,
    input_undivided_tokens: int | None = None,
    undivided_tokens: int | None = None,
) -> Price:
    """(cost, cache savings) of one request at list price, in nanodollars, at `at` (µs UTC).

    What was not reported is not charged. The savings are what its cached prompt tokens would have cost as fresh input,
    less what they did cost: reads save, writes may cost, so that they may be negative. Both are None when the model
    has no price, when counters are not divided into what has one or nothing was reported, and beyond what can be
    stored (9 million dollars for one request: a broken log). A cache write of unknown lifetime is charged as five
    minutes (formats/claude.md).
    """
    if input_undivided_tokens is not None or undivided_tokens is not None:
        return _NO_PRICE
    if input_tokens is None and output_tokens is None and cache_read_tokens is None and cache_write_tokens is None:
        return _NO_PRICE
    plan = _plan(provider, model, service_tier, speed) if model else None
    if plan is None:
        return _NO_PRICE
    steps = plan.periods[0][1]
    for start, later in plan.periods[1:]:
        if at < start:
            break
        steps = later
    fresh, read, write = input_tokens or 0, cache_read_tokens or 0, cache_write_tokens or 0
    prompt = context_tokens if context_tokens is not None else fresh + read + write
    long_lived = min(cache_write_1h_tokens or 0, write)
    rates = steps[0][1]
    for above, banded in steps[1:]:
        if prompt > above:
            rates = banded
    input_, cache_read, cache_write, cache_write_1h, output, web_search = rates
    cached = read * cache_read + (write - long_lived) * cache_write + long_lived * cache_write_1h
    cost = fresh * input_ + cached + (output_tokens or 0) * output + (web_searches or 0) * web_search
    nano = (cost + _HALF) // _PICO_PER_NANO
    saved = ((read + write) * input_ - cached + _HALF) // _PICO_PER_NANO
    return (nano, saved) if nano <= MAX_COUNTER and saved <= MAX_COUNTER else _NO_PRICE


def _steps(rates: Rates) -> Steps:
    """Rates of all kinds side by side, so that a request looks its bands up once."""
    limits = sorted({above for kind in _KINDS for above, _ in rates[kind][1:]})
    return tuple((limit, tuple(_rate(rates[kind], limit + 1) for kind in _KINDS)) for limit in (-1, *limits))


def _rate(bands: Bands, prompt: int) -> int:
    rate = bands[0][1]
    for above, banded in bands[1:]:
        if prompt > above:
            rate = banded
    return rate


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(_TABLE_BYTES)
    return {vendor["id"]: vendor for vendor in table["providers"]}


@lru_cache(maxsize=4096)
def _plan(provider: str | None, model: str, service_tier: str | None, speed: str | None) -> _Plan | None:
    info = _model(provider, canonical_model(model))
    if info is None:
        return None
    wanted = [["speed", speed], ["service_tier", service_tier]]
    if service_tier == "batch":
        wanted.append(["processing", "batch"])
    variants = [variant for variant in info["variants"] if variant["when"] in wanted]
    starts = sorted({_micros(entry["from"]) for entry in (*info["prices"], *variants)} | {0})
    periods = []
    for start in starts:
        rates: Rates = {}
        for entry in (*info["prices"], *variants):
            if _micros(entry["from"]) <= start:
                rates = rates | _bands(entry["rates"])
        if rates:
            periods.append((start, _steps(_complete(rates))))
    return _Plan(tuple(periods))


def _bands(rates: dict[str, Any]) -> Rates:
    return {name: tuple((above, pico) for above, pico in bands) for name, bands in rates.items()}


def _complete(rates: Rates) -> Rates:
    """A vendor that states no cache price charges the input price; one without lifetimes charges every write alike."""
    read = rates.get("cache_read", rates["input"])
    write = rates.get("cache_write", rates["input"])
    searches = rates.get("web_search", ((0, 0),))
    return rates | {
        "cache_read": read,
        "cache_write": write,
        "cache_write_1h": rates.get("cache_write_1h", write),
        "web_search": searches,
    }


def _micros(date: str | None) -> int:
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1_000_000 if date else 0


def _model(provider: str | None, model: str) -> dict[str, Any] | None:
    """The table's entry for a model: of its vendor where that is known, else of one whose names look like it."""
    table = _table()
    vendors = [table[provider]] if provider in table else [v for v in table.values() if _matches(v["match"], model)]
    for vendor in vendors:
        for info in vendor["models"]:
            if _matches(info["match"], model):
                found: dict[str, Any] = info
                return found
    return None


_PREFIX = re.compile(r"^(?:[a-z]{2,6}\.)?(?:anthropic|openai|google|mistral|deepseek|meta|moonshotai|x-ai|zai)[./]")
_SUFFIX = re.compile(r"(?:\[1m\]|-v\d+(?::\d+)?|@latest)+$")
_CUSTOM = re.compile(r"custom:(.+?)(?:-\[[^\]]*\])?(?:-\d+)?$")  # Droid: a user's own, with a note and a number


def canonical_model(model: str) -> str:
    """The vendor's own name of a model that a gateway calls `us.anthropic.claude-x-v1:0` or `anthropic/claude-x`."""
    if (custom := _CUSTOM.match(model)) is not None:
        model = custom.group(1)
    return _SUFFIX.sub("", _PREFIX.sub("", model)).replace("@", "-")


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda model, text: model == text,
    "starts_with": lambda model, text: model.startswith(text),
    "ends_with": lambda model, text: model.endswith(text),
    "contains": lambda model, text: text in model,
    "regex": lambda model, text: re.search(text, model) is not None,
}


def _matches(clause: dict[str, Any] | None, model: str) -> bool:
    if clause is None:
        return False
    ((kind, value),) = clause.items()
    if kind == "or":
        return any(_matches(part, model) for part in value)
    if kind == "and":
        return all(_matches(part, model) for part in value)
    return _TESTS[kind](model, value)
