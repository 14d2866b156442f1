"""Prices agree with the library that the table was written from; what has no price is unpriced, not free."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trueup_shared import prices

NOW = 1_790_000_000_000_000
COUNTED = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
GOLDEN = Path(__file__).parents[1] / "golden" / "prices.json"


def cost(model: str | None, **counters: int | str | None) -> int | None:
    given = {name: counters.pop(name, None) for name in COUNTED}
    return prices.cost_nanousd(None, model, NOW, **given, **counters)  # type: ignore[arg-type]


def test_a_request_costs_what_the_source_library_says() -> None:
    wrong = []
    for provider, model, day, *counters, tier, speed, nanousd in json.loads(GOLDEN.read_text()):
        at = int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) * 1_000_000
        got = prices.cost_nanousd(provider, model, at, *counters, tier, speed)
        if got is None or abs(Decimal(nanousd) - got) > Decimal("0.5"):
            wrong.append((model, day, counters, tier, speed, nanousd, got))
    assert not wrong


@pytest.mark.parametrize("undivided", ["input_undivided_tokens", "undivided_tokens"])
def test_what_is_not_divided_into_what_has_a_price_has_none(undivided: str) -> None:
    assert cost("claude-sonnet-4-5-20250929", output_tokens=910) is not None
    assert cost("claude-sonnet-4-5-20250929", output_tokens=910, **{undivided: 1420}) is None


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4-5-20250929",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic/claude-sonnet-4.5",
        "claude-sonnet-4-5@20250929",
        "claude-sonnet-4-5[1m]",
    ],
)
def test_a_gateways_name_of_a_model_costs_what_the_model_costs(model: str) -> None:
    assert cost(model, input_tokens=1000, output_tokens=1000) == 18_000_000


@pytest.mark.parametrize("model", ["<synthetic>", "my-own-llama", None])
def test_a_model_without_a_list_price_has_no_cost(model: str | None) -> None:
    assert cost(model, input_tokens=1000, output_tokens=1000) is None


def test_a_request_without_divided_counters_has_no_cost() -> None:
    assert cost("claude-sonnet-4-5") is None


def test_a_reported_zero_costs_nothing_and_is_priced() -> None:
    assert cost("claude-sonnet-4-5", input_tokens=0, output_tokens=0) == 0


def test_a_cache_write_of_unknown_lifetime_is_charged_as_five_minutes() -> None:
    unknown = cost("claude-sonnet-4-5", cache_write_tokens=1000)
    assert unknown == cost("claude-sonnet-4-5", cache_write_tokens=1000, cache_write_1h_tokens=0)
    assert unknown < cost("claude-sonnet-4-5", cache_write_tokens=1000, cache_write_1h_tokens=1000)


def test_a_search_is_charged_beside_the_tokens() -> None:
    without = cost("claude-sonnet-4-5", input_tokens=10, output_tokens=10)
    assert cost("claude-sonnet-4-5", input_tokens=10, output_tokens=10, web_searches=2) == without + 20_000_000


def test_a_cost_that_cannot_be_stored_is_unknown() -> None:
    assert cost("claude-sonnet-4-5", input_tokens=2**53 - 1, output_tokens=0) is None


# Sonnet 4.5: 3 $ fresh, 0.30 $ read, 3.75 $ and 6 $ written for a million tokens; 6, 0.60, 7.50 and 12 $ in prompts
# of more than 200,000 tokens. In nanodollars.
@pytest.mark.parametrize(
    ("counters", "saved"),
    [
        ({"input_tokens": 500, "output_tokens": 70}, 0),
        ({"cache_read_tokens": 1000}, 2_700_000),
        ({"cache_write_tokens": 1000}, -750_000),
        ({"cache_write_tokens": 1000, "cache_write_1h_tokens": 1000}, -3_000_000),
        ({"cache_read_tokens": 10_000, "cache_write_tokens": 1000, "cache_write_1h_tokens": 400}, 25_350_000),
        ({"cache_read_tokens": 200_000}, 540_000_000),
        ({"cache_read_tokens": 200_000, "cache_write_tokens": 1}, 1_079_998_500),
        ({"cache_read_tokens": 1000, "context_tokens": 200_001}, 5_400_000),
    ],
)
def test_the_cache_saves_what_its_tokens_would_have_cost_as_fresh_input(counters: dict[str, int], saved: int) -> None:
    model, at = "claude-sonnet-4-5-20250929", 1_762_000_000_000_000  # 2025-11-01: long prompts cost more then
    given = {name: counters.get(name) for name in COUNTED}
    cost, found = prices.RELEASED.price(None, model, at, *given.values(), context_tokens=counters.get("context_tokens"))
    fresh = (given["input_tokens"] or 0) + (given["cache_read_tokens"] or 0) + (given["cache_write_tokens"] or 0)
    prompt = counters.get("context_tokens", fresh)
    uncached, nothing = prices.RELEASED.price(
        None, model, at, fresh, None, None, None, given["output_tokens"], None, None, prompt
    )
    assert (found, nothing) == (saved, 0)
    assert (uncached or 0) - (cost or 0) == saved


def test_savings_that_cannot_be_stored_are_unknown_and_so_is_their_cost() -> None:
    assert prices.RELEASED.price(None, "claude-sonnet-4-5", NOW, None, 2**53 // 1000, None, None, None) == (None, None)
    assert None not in prices.RELEASED.price(None, "claude-sonnet-4-5", NOW, None, 2**53 // 5_401, None, None, None)


def test_the_table_says_its_date_and_digest() -> None:
    assert datetime.fromisoformat(prices.DATE)
    assert len(bytes.fromhex(prices.DIGEST)) == 16
