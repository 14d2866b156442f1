"""Prices of one's own: what they lie over, and one line for each mistake in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_shared.price_overrides import (
    NO_OVERRIDES,
    decode_overrides,
    encode_overrides,
    parse_overrides,
    read_overrides,
)
from trueup_shared.price_table import KINDS, PriceError
from trueup_shared.prices import RELEASED, PriceList

NOW = 1_796_000_000_000_000


def under(text: str) -> PriceList:
    return PriceList(RELEASED.content, parse_overrides(text))


def cost(prices: PriceList, model: str = "claude-opus-4-8", provider: str | None = None, **more: Any) -> int | None:
    """Of a thousand tokens of each kind, those for an hour apart."""
    return prices.price(provider, model, NOW, 1000, 1000, 2000, 1000, 1000, **more)[0]


MISTAKES: Mapping[str, str] = {
    "[[model]]\ninput = 1": "[[model]] 1 needs 'match': which models",
    "[[model]]\nmatch = 'x'": "[[model]] 1 ('x') names no rate: " + ", ".join(KINDS),
    "[[model]]\nmatch = 'x'\ninputs = 1": "[[model]] 1 ('x'): there is no 'inputs'",
    "[[model]]\nmatch = 'x'\ninput = '1'": "[[model]] 1 ('x'): 'input' must be dollars, 0 or more",
    "[[model]]\nmatch = 'x'\ninput = true": "[[model]] 1 ('x'): 'input' must be dollars, 0 or more",
    "[[model]]\nmatch = 'x'\ninput = -0.1": "[[model]] 1 ('x'): 'input' must be dollars, 0 or more",
    "[[model]]\nmatch = 'x'\ninput = nan": "[[model]] 1 ('x'): 'input' must be dollars, 0 or more",
    "[[model]]\nmatch = 'x'\ninput = inf": "[[model]] 1 ('x'): 'input' must be dollars, 0 or more",
    "[[model]]\nmatch = 'x'\ninput = 1e999999": "[[model]] 1 ('x'): 'input' is no price: 1E+999999",
    "[[model]]\nmatch = 'x'\ninput = 1e7": "[[model]] 1 ('x'): 'input' is no price: 1E+7",
    "[[model]]\nmatch = 'x'\ninput = 0.0000001": "[[model]] 1 ('x'): 'input' is finer than picodollars: 1E-7",
    "[[model]]\nmatch = 'x'\ninput = 1\nabove = 1.5": "[[model]] 1 ('x'): 'above' must be a number of tokens",
    "[[model]]\nmatch = 'x'\ninput = 1\nabove = -1": "[[model]] 1 ('x'): 'above' must be a number of tokens",
    "[[model]]\nmatch = 'x'\ninput = 1\nfrom = 'soon'": "[[model]] 1 ('x'): 'from' must be a day, as in 2026-01-31",
    "[[model]]\nmatch = 'x'\ninput = 1\nfrom = 2026-01-01T00:00:00Z": (
        "[[model]] 1 ('x'): 'from' must be a day, as in 2026-01-31"
    ),
    "[[model]]\nmatch = 'x'\ninput = 1\nspeed = 1": "[[model]] 1 ('x'): 'speed' must be a text",
    "[[model]]\nmatch = 7\ninput = 1": "[[model]] 1: 'match' must be a text",
    "[[model]]\nmatch = 'x'\ninput = 1\n[[model]]\nmatch = 'y'": "[[model]] 2 ('y') names no rate: " + ", ".join(KINDS),
    "[model]\nmatch = 'x'": "write [aliases] as a table and each [[model]] in two brackets",
    "[models.x]\ninput = 1": "there is no 'models': write [aliases] and [[model]]",
    "aliases = 1": "write [aliases] as a table and each [[model]] in two brackets",
    "[aliases]\nx = 1": "alias 'x' must name a model",
    "[aliases]\nx = ''": "alias 'x' must name a model",
    "model = [1]": "[[model]] 1 must be a table",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_named_in_one_line(text: str) -> None:
    with pytest.raises(PriceError) as raised:
        parse_overrides(text)
    assert str(raised.value) == MISTAKES[text]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    def said(name: str, content: bytes | None) -> str:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(PriceError) as raised:
            read_overrides(tmp_path / name)
        assert "\n" not in str(raised.value)
        return str(raised.value).replace(str(tmp_path), "")

    assert said("none.toml", None) == "/none.toml: No such file or directory"
    assert said(".", None).endswith(": Is a directory")
    assert said("latin.toml", b"# caf\xe9") == "/latin.toml: not UTF-8 text"
    assert said("cut.toml", b"[[model]]\nmatch = ").startswith("/cut.toml: not TOML: ")
    assert said("long.toml", b"#" * (1024 * 1024 + 1)) == "/long.toml: more than 1024 KiB"
    assert said("deep.toml", b"x = " + b"[" * 100_000).startswith("/deep.toml: not TOML: ")
    assert said("digits.toml", b"[[model]]\nmatch = 'm'\ninput = " + b"1" * 5_000).startswith(
        "/digits.toml: not TOML: "
    )
    many = said("many.toml", b"[[model]]\nmatch = '*'\ninput = 1\n" * 1_001)
    assert many == "/many.toml: more than 1000 aliases and models"


def test_an_empty_file_changes_nothing_not_even_the_digest(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_bytes(b"\xef\xbb\xbf# nothing yet\n")
    assert read_overrides(tmp_path / "empty.toml") == NO_OVERRIDES
    assert under("").digest == RELEASED.digest


def test_the_digest_is_of_what_the_file_says_not_of_how_it_is_written() -> None:
    one = under("[[model]]\nmatch = 'x'\ninput = 2.5\noutput = 1")
    assert one.digest == under('# mine\n[[model]]\noutput = 1.0\nmatch = "x"\ninput = 2.50').digest
    assert one.digest != under("[[model]]\nmatch = 'x'\ninput = 2.6\noutput = 1").digest != RELEASED.digest


def test_what_an_entry_does_not_name_stays_as_listed() -> None:
    # Opus 4.8: 5 $ fresh, 0.50 read, 6.25 and 10 written, 25 out
    assert cost(RELEASED) == 46_750_000
    assert cost(under("[[model]]\nmatch = 'claude-opus-4-8'\noutput = 20")) == 41_750_000
    assert cost(under("[[model]]\nmatch = 'claude-opus-4-8'\ncache_write_1h = 0")) == 36_750_000
    assert cost(under("[[model]]\nmatch = 'claude-opus-4-7'\noutput = 20")) == 46_750_000


def test_a_mode_is_priced_as_listed_until_an_entry_names_the_mode() -> None:
    fast = {"speed": "fast"}  # twice as much of everything
    plain = "[[model]]\nmatch = 'claude-opus-4-8'\noutput = 20\n"
    named = "[[model]]\nmatch = 'claude-opus-4-8'\nspeed = 'fast'\noutput = 40\n"
    assert cost(under(plain), **fast) == cost(RELEASED, **fast) == 93_500_000
    for text in (plain + named, named + plain):  # the order does not matter between them
        assert (cost(under(text)), cost(under(text), **fast)) == (41_750_000, 83_500_000)


def test_an_entry_for_fast_mode_is_what_makes_it_known() -> None:
    assert cost(RELEASED, "claude-opus-4-5", speed="fast") is None
    own = under("[[model]]\nmatch = 'claude-opus-4-5'\nspeed = 'fast'\noutput = 150")
    assert cost(own, "claude-opus-4-5", speed="fast") == 46_750_000 + 125_000_000


def test_the_later_of_two_entries_counts_and_a_longer_prompt_has_its_own() -> None:
    text = "[[model]]\nmatch='*'\ninput=1\noutput=1\n[[model]]\nmatch='mine'\ninput=2\n"
    own = under(text + "[[model]]\nmatch='mine'\nabove=5000\noutput=9")
    assert cost(own, "mine") == 2000 * 1000 + 3000 * 2000 + 1000 * 1000
    assert cost(own, "mine", context_tokens=5000) == cost(own, "mine")
    assert cost(own, "mine", context_tokens=5001) == 2000 * 1000 + 3000 * 2000 + 9000 * 1000
    assert cost(own, "claude-opus-4-8", "x") == 1_000_000 + 500_000 + 6_250_000 + 10_000_000 + 1_000_000


def test_the_first_alias_that_fits_counts_whatever_the_provider_is() -> None:
    names = "[aliases]\n'prod-*' = 'claude-opus-4-8'\n'prod-x' = 'gpt-5.1'\n'local' = 'in-house'\n"
    own = under(names + "[[model]]\nmatch='in-house'\ninput=1\noutput=1")
    assert cost(own, "prod-x", "openai") == cost(RELEASED)
    assert cost(own, "local", "ollama") == 5_000_000
    assert cost(own, "prod", "azure") is None


amounts = st.integers(0, 10**12).map(lambda pico: (pico, f"{pico // 10**6}.{pico % 10**6:06d}"))


@given(
    rates=st.dictionaries(st.sampled_from(["input", "output", "cache_read"]), amounts, min_size=1),
    above=st.integers(0, 9),
)
def test_dollars_are_read_exactly_and_come_back_from_the_database_as_they_were(
    rates: dict[str, tuple[int, str]], above: int
) -> None:
    text = "".join(f"{kind} = {shown}\n" for kind, (_, shown) in rates.items())
    read = parse_overrides(f"[aliases]\n'a' = 'b'\n[[model]]\nmatch = 'm'\nfrom = 2026-02-28\nabove = {above}\n{text}")
    assert dict(read.models[0].rates) == {kind: pico for kind, (pico, _) in rates.items()}
    assert decode_overrides(encode_overrides(read)) == read
