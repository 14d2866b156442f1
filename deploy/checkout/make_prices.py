"""Freeze genai-prices into the dated table that agent and hub both carry (`make prices`).

Only vendors' own list prices of text tokens: what resellers charge is not a list price of the model. One exception:
what Anthropic charges for models in fast mode, where the source has it under names of OpenRouter alone, which passes it
on. Prices that depend on the hour of the day are left out (the all-day price stays). Rates become integers: picodollars
per token or search.
"""

import json
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data_snapshot import get_snapshot

VENDORS = [
    "anthropic",
    "openai",
    "google",
    "x-ai",
    "deepseek",
    "mistral",
    "moonshotai",
    "zai",
    "zhipuai",
    "minimax",
    "meta",
    "cohere",
    "arcee",
]
RATES = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
}
CLAUSES = {
    "ClauseEquals": "equals",
    "ClauseStartsWith": "starts_with",
    "ClauseEndsWith": "ends_with",
    "ClauseContains": "contains",
    "ClauseRegex": "regex",
}


def clause(value: Any) -> Any:
    kind = type(value).__name__
    if kind in ("ClauseOr", "ClauseAnd"):
        name = "or" if kind == "ClauseOr" else "and"
        return {name: [clause(part) for part in getattr(value, f"{name}_")]}
    return {CLAUSES[kind]: getattr(value, CLAUSES[kind])}


def picodollars(usd_per_million: Decimal) -> int:
    scaled = Decimal(usd_per_million) * 1_000_000
    if scaled != scaled.to_integral_value():
        raise SystemExit(f"{usd_per_million} USD per million tokens is no whole number of picodollars a token")
    return int(scaled)


def rates(prices: Any) -> dict[str, Any]:
    """Rate name -> [[prompt tokens above which it holds, picodollars], …]."""
    result: dict[str, Any] = {}
    for field, name in RATES.items():
        price = getattr(prices, field, None)
        if price is None:
            continue
        if hasattr(price, "tiers"):
            result[name] = [[0, picodollars(price.base)]] + [[t.start, picodollars(t.price)] for t in price.tiers]
        else:
            result[name] = [[0, picodollars(price)]]
    searches = getattr(prices, "web_searches_kcount", None)
    if searches is not None and not hasattr(searches, "tiers"):
        result["web_search"] = [[0, int(Decimal(searches) * 1_000_000_000)]]
    return result


def start(constraint: Any) -> str | None:
    return constraint.start_date.isoformat() if constraint is not None else None


def dated(constraint: Any) -> bool:
    return constraint is None or hasattr(constraint, "start_date")


def model(info: Any) -> dict[str, Any] | None:
    periods = info.prices if isinstance(info.prices, list) else None
    if periods is None:
        prices = [{"from": None, "rates": rates(info.prices)}]
    else:
        prices = [{"from": start(p.constraint), "rates": rates(p.prices)} for p in periods if dated(p.constraint)]
    prices = [p for p in prices if {"input", "output"} <= p["rates"].keys()]
    if not prices:
        return None
    variants = [
        {"when": sorted(variant.when.items())[0], "from": start(variant.constraint), "rates": rates(variant.prices)}
        for variant in info.price_variants or []
        if dated(variant.constraint) and len(variant.when) == 1 and rates(variant.prices)
    ]
    prices.sort(key=lambda p: p["from"] or "")
    return {"id": info.id, "match": clause(info.match), "prices": prices, "variants": variants}


def add_fast(models: list[dict[str, Any]], resold: dict[str, Any]) -> None:
    """Fast mode as `anthropic/claude-x-4.6-fast`. A write for an hour is twice the input, as in every mode."""
    for m in models:
        plain = m["prices"][-1]["rates"]
        listed = any(variant["when"] == ("speed", "fast") for variant in m["variants"])
        info = resold.get(f"anthropic/{re.sub(r'(?<=[0-9])-(?=[0-9]$)', '.', m['id'])}-fast")
        if listed or info is None or isinstance(info.prices, list) or "cache_write_1h" not in plain:
            continue
        if plain["cache_write_1h"][0][1] != 2 * plain["input"][0][1]:
            raise SystemExit(f"{m['id']}: a write for an hour is not twice the input any more")
        fast = rates(info.prices)
        fast["cache_write_1h"] = [[above, 2 * rate] for above, rate in fast["input"]]
        m["variants"].append({"when": ("speed", "fast"), "from": None, "rates": fast})


def main() -> None:
    providers = []
    found = {provider.id: provider for provider in get_snapshot().providers}
    resold = {info.id: info for info in found["openrouter"].models}
    for name in VENDORS:
        provider = found[name]
        models = [m for m in map(model, provider.models) if m is not None]
        if name == "anthropic":
            add_fast(models, resold)
        match = clause(provider.model_match) if provider.model_match else None
        providers.append({"id": name, "match": match, "models": models})
    table = {
        "date": datetime.now(UTC).date().isoformat(),
        "source": f"genai-prices {version('genai-prices')}",
        "providers": providers,
    }
    lines = ",\n".join(
        json.dumps({**p, "models": []}, separators=(",", ":"))[:-2]
        + "\n"
        + ",\n".join(json.dumps(m, separators=(",", ":")) for m in p["models"])
        + "]}"
        for p in providers
    )
    head = json.dumps({"date": table["date"], "source": table["source"]})[:-1]
    Path(sys.argv[1]).write_text(f'{head}, "providers": [\n{lines}\n]}}\n')


main()
