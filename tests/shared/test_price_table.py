"""A price table in a file is taken whole or refused with one line; no binary fraction is in it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from trueup_shared.price_table import PriceError, read_table
from trueup_shared.prices import RELEASED, PriceList

RATES = {"input": [[0, 1_000_000]], "output": [[0, 2_000_000]]}


def table() -> dict[str, Any]:
    model = {"id": "m", "match": {"equals": "m"}, "prices": [{"from": None, "rates": RATES}], "variants": []}
    vendor = {"id": "maker", "match": {"starts_with": "m"}, "models": [model]}
    return json.loads(json.dumps({"date": "2031-01-31", "source": "by hand", "providers": [vendor]}))


def model_of(found: dict[str, Any]) -> Any:
    return found["providers"][0]["models"][0]


def nested(depth: int) -> dict[str, Any]:
    return {"equals": "m"} if depth == 1 else {"or": [nested(depth - 1)]}


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a date that is none": (lambda t: t.update(date="soon"), "Invalid RFC3339 encoded date - at `$.date`"),
    "no source": (lambda t: t.pop("source"), "Object missing required field `source`"),
    "a field that nobody knows": (lambda t: t.update(colour=1), "Object contains unknown field `colour`"),
    "a vendor twice": (lambda t: t["providers"].append(t["providers"][0]), "vendor 'maker' is there twice"),
    "no price": (lambda t: model_of(t).update(prices=[]), "model 'm' of 'maker' has no price"),
    "no output": (lambda t: model_of(t)["prices"][0]["rates"].pop("output"), "needs both 'input' and 'output'"),
    "a fraction": (lambda t: model_of(t)["prices"][0]["rates"].update(input=[[0, 0.5]]), "Expected `int`, got `float`"),
    "a negative rate": (lambda t: model_of(t)["prices"][0]["rates"].update(input=[[0, -1]]), "is not between 0 and"),
    "no band from 0 on": (
        lambda t: model_of(t)["prices"][0]["rates"].update(input=[[5, 1]]),
        "must begin at 0 and ascend",
    ),
    "no band": (lambda t: model_of(t)["prices"][0]["rates"].update(input=[]), "must begin at 0 and ascend"),
    "bands out of order": (
        lambda t: model_of(t)["prices"][0]["rates"].update(input=[[0, 1], [9, 1], [9, 2]]),
        "must begin at 0 and ascend",
    ),
    "a kind that nobody knows": (
        lambda t: model_of(t)["prices"][0]["rates"].update(fine=[[0, 1]]),
        "Invalid enum value 'fine'",
    ),
    "two tests": (lambda t: model_of(t).update(match={"equals": "a", "contains": "b"}), "a match must name one test"),
    "a test that nobody knows": (lambda t: model_of(t).update(match={"is": "a"}), "there is no test 'is' of a text"),
    "a test of no text": (lambda t: model_of(t).update(match={"equals": 1}), "there is no test 'equals' of a text"),
    "an empty or": (lambda t: model_of(t).update(match={"or": []}), "'or' needs a list of tests"),
    "tests without end": (lambda t: model_of(t).update(match=nested(11)), "nested more than 10 deep"),
    "too many bands": (
        lambda t: model_of(t)["prices"][0]["rates"].update(input=[[n, 1] for n in range(21)]),
        "more than 20 bands of 'input'",
    ),
    "a source of several lines": (lambda t: t.update(source="a\nb"), "'source' must be one printable line"),
    "a source with a NUL": (lambda t: t.update(source="a\0b"), "'source' must be one printable line"),
    "a source without end": (lambda t: t.update(source="a" * 201), "at most 200 characters"),
    "a bad regular expression": (lambda t: model_of(t).update(match={"regex": "("}), "'(' is no regular expression"),
}


BOMBS = (
    *("^(a+)+$", "(?:a|a)*b", "(a{0,9}){9}", "a*a*a*b", "a{2,}.*a{,9}b", "a" * 301, "a?" * 17 + "b"),
    *("(?:a|a)" * 17 + "b", "a{99999999999999999999}", "(" * 200 + ")" * 200, r"[]x](\+|a)+", "(?x)(a+) +$"),
)


@pytest.mark.parametrize("pattern", BOMBS, ids=lambda pattern: pattern[:12])
def test_a_pattern_that_could_try_without_end_is_refused(pattern: str) -> None:
    wrong = table()
    model_of(wrong)["match"] = {"regex": pattern}
    with pytest.raises(PriceError, match=r"could take too long|is no regular expression"):
        read_table(json.dumps(wrong).encode())


@pytest.mark.parametrize("pattern", [r"^claude-(?:opus|sonnet)-\d{8}$", r"^(?!.*-[tT]ts(?:$|-))", r"\)\+\*{2}[)+*|?]+"])
def test_an_ordinary_pattern_is_not(pattern: str) -> None:
    fine = table()
    model_of(fine)["match"] = {"regex": pattern}
    read_table(json.dumps(fine).encode())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_one_line(mistake: str) -> None:
    change, words = MISTAKES[mistake]
    wrong = table()
    change(wrong)
    with pytest.raises(PriceError) as raised:
        read_table(json.dumps(wrong).encode())
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"date": ' + b" " * 2**24])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(PriceError):
        PriceList(content)


def test_a_table_by_hand_prices_what_it_says() -> None:
    prices = PriceList(json.dumps(table()).encode())
    assert (prices.date, prices.source) == ("2031-01-31", "by hand")
    assert prices.price(None, "m", 1, 3, None, None, None, 2) == (7_000, 0)
    assert prices.price(None, "other", 1, 3, None, None, None, 2) == (None, None)
    assert prices.digest != RELEASED.digest


def test_a_price_that_begins_later_leaves_what_is_before_it_without_one() -> None:
    later = table()
    model_of(later)["prices"][0]["from"] = "1970-01-02"
    prices = PriceList(json.dumps(later).encode())
    assert prices.price(None, "m", 86_400_000_000 - 1, 3, None, None, None, 2) == (None, None)
    assert prices.price(None, "m", 86_400_000_000, 3, None, None, None, 2) == (7_000, 0)


def test_no_number_of_the_table_is_a_binary_fraction() -> None:
    def numbers(value: Any) -> Any:
        if isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                yield from numbers(part)
        elif isinstance(value, int | float):
            yield value

    found = list(numbers(json.loads(RELEASED.content)))
    assert len(found) > 2000
    assert {type(number) for number in found} == {int}
