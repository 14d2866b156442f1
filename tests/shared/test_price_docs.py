"""Every price on docs/prices.md is what the table that comes with this release says."""

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trueup_shared.price_overrides import parse_overrides
from trueup_shared.prices import RELEASED, PriceList

PAGE = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()
[EXAMPLE] = re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
OWN = PriceList(RELEASED.content, parse_overrides(EXAMPLE))
COUNTERS = {"fresh": "input_tokens", "read": "cache_read_tokens", "written": "cache_write_tokens"} | {
    "of it 1 h": "cache_write_1h_tokens",
    "answered": "output_tokens",
    "searches": "web_searches",
}


def tables() -> list[list[dict[str, str]]]:
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


LISTED, NAMES, OVERRIDDEN = tables()


def nanousd(shown: str) -> int | None:
    return None if shown == "no price" else int(Decimal(shown.replace("$", "")) * 10**9)


def priced(prices: PriceList, row: dict[str, str]) -> tuple[int | None, int | None]:
    at = int(datetime.fromisoformat(f"{row['day']}T12:00:00+00:00").timestamp()) * 1_000_000
    counters = {name: int(row[head].replace(",", "")) if row.get(head) else None for head, name in COUNTERS.items()}
    mode = dict([row["mode"].split(": ")]) if row["mode"] else {}
    return prices.price(row.get("provider") or None, row["model"], at, **counters, **mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("row", LISTED, ids=lambda row: " ".join(row.values()))
def test_a_request_of_the_page_costs_and_saves_what_the_page_says(row: dict[str, str]) -> None:
    assert priced(RELEASED, row) == (nanousd(row["cost"]), nanousd(row["saved"]))


@pytest.mark.parametrize("row", OVERRIDDEN, ids=lambda row: " ".join(row.values()))
def test_prices_of_ones_own_are_what_the_page_says(row: dict[str, str]) -> None:
    assert priced(OWN, row)[0] == nanousd(row["cost"])


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row["as logged"])
def test_a_name_of_the_page_is_priced_as_the_page_says(row: dict[str, str]) -> None:
    [logged] = re.findall(r"^`([^`]+)`", row["as logged"])
    like = re.match(r"`([^`]+)`(?: of (\w+))?(?: in (fast|batch))?", row["priced as"])
    usage = (1_790_000_000_000_000 + 60 * 86_400_000_000, 1_000, 9_000, 100, 50, 700)
    got = RELEASED.price(None, logged, *usage)
    if like is None:
        assert (row["priced as"], got) == ("no price", (None, None))
    else:
        mode = {"fast": (None, "fast"), "batch": ("batch", None), None: (None, None)}[like[3]]
        assert got == RELEASED.price(like[2], like[1], *usage, *mode)
        assert None not in got
