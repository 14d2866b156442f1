"""A model under the names that clouds and gateways give it is priced as its maker's, and nothing else is."""

from collections.abc import Callable

import pytest

from trueup_shared.price_names import named
from trueup_shared.price_table import Table, read_table
from trueup_shared.prices import RELEASED, Price

TABLE: Table = read_table(RELEASED.content)
# As OpenRouter calls those whom the table calls …
MAKERS = {"mistral": "mistralai", "zai": "z-ai"}
SOLD = ("anthropic", "openai", "google", "x-ai", "deepseek", "mistral", "moonshotai", "zai", "minimax", "cohere")
THINK = ("anthropic", "openai", "x-ai")

Family = Callable[[str, str], list[str]]
FAMILIES: dict[str, tuple[tuple[str, ...], Family]] = {
    "bedrock": (
        SOLD,
        lambda maker, model: [
            f"{maker}.{model}-v1:0",
            f"us.{maker}.{model}-v1:0",
            f"global.{maker}.{model}",
            f"bedrock/eu.{maker}.{model}-v2:0",
            f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{maker}.{model}-v1:0",
            f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{maker}.{model}-v1:0",
        ],
    ),
    "vertex": (
        SOLD,
        lambda maker, model: [
            f"publishers/{maker}/models/{model}",
            f"projects/shop/locations/us-east5/publishers/{maker}/models/{model}@default",
            f"vertex_ai/{maker}/{model}@latest",
        ],
    ),
    "openrouter": (
        SOLD,
        lambda maker, model: [
            f"{MAKERS.get(maker, maker)}/{model}",
            f"openrouter/{MAKERS.get(maker, maker)}/{model}",
            *(f"{MAKERS.get(maker, maker)}/{model}:{tag}" for tag in ("free", "thinking", "online", "nitro", "floor")),
        ],
    ),
    "azure": (("openai",), lambda maker, model: [f"azure/{model}", f"azure_openai/{model}", f"litellm/azure/{model}"]),
    "a date": (
        SOLD,
        lambda maker, model: [
            f"{name}{date}"
            for name in (f"{maker}/{model}", f"eu.{maker}.{model}")
            for date in ("-2031-01-31", "-20310131", "@20310131")
            if not (maker == "google" and "claude" in model)  # Vertex lists these by their exact names alone
        ],
    ),
    "how hard it thinks": (
        THINK,
        lambda maker, model: [
            f"{maker}/{model}{effort}"
            for effort in ("-high", "-thinking", "-2031-01-31-xhigh-thinking", "-high-20310131", " (low)")
            if model.startswith(("claude-opus", "claude-sonnet", "gpt-5", "gpt-6", "grok-", "o1", "o3", "o4"))
        ],
    ),
    "capitals": (SOLD, lambda maker, model: [f"{maker}/{model.upper()}"]),
}


def price(model: str, provider: str | None = None, speed: str | None = None, tier: str | None = None) -> Price:
    return RELEASED.price(provider, model, 1_796_000_000_000_000, 1000, 9000, 100, 50, 700, tier, speed, None, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_model_of_the_table_costs_the_same_under_the_names_of_the_family(family: str) -> None:
    makers, names = FAMILIES[family]
    wrong, tried = [], 0
    for vendor in TABLE.providers:
        for model in vendor.models if vendor.id in makers else ():
            expected = price(model.id, vendor.id)
            if expected == (None, None):
                continue  # the id is no name: the clause wants more than it
            for name in names(vendor.id, model.id):
                tried += 1
                if price(name) != expected:
                    wrong.append((name, price(name), expected))
    assert not wrong
    assert tried > 100


@pytest.mark.parametrize(
    ("logged", "name", "maker"),
    [
        ("us.anthropic.claude-opus-4-6-v1", "claude-opus-4-6", "anthropic"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0:200k", "claude-3-5-sonnet-20240620", "anthropic"),
        ("openai.gpt-5.4", "gpt-5.4", "openai"),
        ("x-ai/grok-4-fast", "grok-4-fast", "x-ai"),
        ("custom:GLM-5.1-[Proxy]-0", "GLM-5.1", None),
        ("claude-sonnet-4-5[1m]", "claude-sonnet-4-5", None),
        ("github_copilot/gpt-5.1", "gpt-5.1", None),
    ],
)
def test_what_wraps_a_name_is_taken_off_and_says_whose_it_is(logged: str, name: str, maker: str | None) -> None:
    assert (named(logged).names[0], named(logged).maker) == (name, maker)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (None, "deepseek-r1:8b"),
        (None, "gpt-oss:20b"),
        (None, "deepseek-r1:latest"),
        ("ollama", "deepseek-r1"),
        ("lmstudio", "gpt-oss-20b"),
        ("azure", "prod-eu"),
        (None, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"),
        (None, "openrouter/auto"),
        (None, "someone/claude-sonnet-4-5-distill-7b"),
        (None, "devstral-huge-medium"),
        (None, ""),
        (None, ":free"),
        (None, "/"),
    ],
)
def test_what_only_looks_like_a_model_has_no_price(provider: str | None, model: str) -> None:
    assert price(model, provider) == (None, None)


def test_a_model_of_another_maker_behind_a_provider_is_priced_as_its_makers() -> None:
    for provider in ("openai", "google", "amazon-bedrock", "openrouter", "my-proxy", None):
        assert price("claude-3-7-sonnet-20250219", provider)[0] is not None, provider
    assert price("glm-4.6", "zai") != price("glm-4.6", "zhipuai")


def test_a_name_with_fast_or_batch_in_it_says_the_mode() -> None:
    assert price("anthropic/claude-opus-4.8-fast") == price("claude-opus-4-8", speed="fast")
    assert price("anthropic/claude-opus-4.8-fast") != price("claude-opus-4-8")
    assert price("openai/gpt-5.1:batch") == price("gpt-5.1", tier="batch") != price("gpt-5.1")
    assert price("x-ai/grok-4-fast")[0] is not None


def test_fast_mode_without_a_known_price_has_none() -> None:
    assert price("claude-opus-4-5", speed="fast") == price("anthropic/claude-opus-4.5-fast") == (None, None)
    assert None not in price("claude-opus-4-5", speed="standard")


@pytest.mark.parametrize("ending", ["-low", "-thinking", "(high)", "-20250101"])
def test_a_name_that_never_ends_is_looked_up_a_few_times(ending: str) -> None:
    """Logs and hosts name models: thousands of such names would hold a hub for hours."""
    name = ("o1" + ending * 200)[:512]
    assert len(named(name).names) < 10
    assert price("gpt-5.1-2025-11-13-thinking-high") == price("gpt-5.1")
