"""Prices agree with the library that the table was written from; what has no price is unpriced, not free."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trueup_shared import prices

NOW = 1_790_000_000_000_000
GOLDEN = Path(__file__).parents[1] / "golden" / "prices.json"


def cost(model: str | None, **counters: int | str | None) -> int | None:
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
    given = {name: counters.pop(name, None) for name in names}
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


def test_the_table_says_its_date_and_digest() -> None:
    assert datetime.fromisoformat(prices.DATE)
    assert len(bytes.fromhex(prices.DIGEST)) == 16
