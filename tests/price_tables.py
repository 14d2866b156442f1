"""Price tables that differ from this release's, and what a hub has stored, for tests of repricing."""

import json
import random
from typing import Any

from ledgers import Ledger, add_host, event, event_key
from trueup_hub import repricing
from trueup_hub.db import Database
from trueup_hub.pricing import establish
from trueup_hub.repricing import Repriced
from trueup_shared import keys
from trueup_shared.price_overrides import NO_OVERRIDES, Overrides
from trueup_shared.prices import RELEASED, PriceList

LATER = "2031-01-31"
SERIES = keys.series_key("claude", "series")
MODELS = ("claude-sonnet-4-5", "claude-opus-4-8", "gpt-5.1", "in-house", None)
_SUMS = (
    "coalesce(sum(s_cost), 0)::int8, coalesce(sum(s_cache_savings), 0)::int8, coalesce(sum(unpriced_tokens), 0)::int8"
)


def table(
    times: int = 1, without: str = "-", day: str = LATER, overrides: Overrides = NO_OVERRIDES, **new: int
) -> PriceList:
    """This release's table with all rates `times` as high, no models with `without` in their ids, and `new` models at
    so many picodollars for a token of whatever kind."""
    found: dict[str, Any] = json.loads(RELEASED.content)
    found["date"], found["source"] = day, "by hand"
    for vendor in found["providers"]:
        vendor["models"] = (
            [model for model in vendor["models"] if without not in model["id"]] if without != "-" else vendor["models"]
        )
        for model in vendor["models"]:
            for entry in (*model["prices"], *model["variants"]):
                for bands in entry["rates"].values():
                    bands[:] = [[above, rate * times] for above, rate in bands]
    models = [
        {
            "id": name,
            "match": {"equals": name},
            "prices": [{"from": None, "rates": {"input": [[0, rate]], "output": [[0, rate]]}}],
        }
        for name, rate in new.items()
    ]
    found["providers"].append(
        {"id": "own", "match": {"or": [m["match"] for m in models]} if models else None, "models": models}
    )
    return PriceList(json.dumps(found).encode(), overrides)


async def totals(db: Database) -> tuple[int, int, int]:
    """(cost, cache savings, unpriced tokens) as answers have them: nanodollars."""
    found = {tuple(row) for t in ("usage_slots", "session_slots") for row in await db.fetch(f"SELECT {_SUMS} FROM {t}")}
    found |= {tuple(row) for row in await db.fetch(f"SELECT {_SUMS} FROM usage_days WHERE zone_no = 0")}
    [sums] = found
    return sums


async def everything(db: Database) -> dict[str, list[str]]:
    """All that is stored."""
    tables = [row[0] for row in await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return {name: sorted(map(str, await db.fetch(f"SELECT to_jsonb(t) FROM {name} t"))) for name in tables}


def fill(ledger: Ledger, seed: int, first: int = 0, number: int = 40) -> None:
    """Requests of every kind of price, most of which other ledgers have as well, some with other numbers."""
    random_ = random.Random(seed)
    for n in range(first, first + number):
        if random_.random() < 0.8:
            body = event(
                n,
                session_key=keys.session_key("claude", f"s{n % 3}"),
                model=random_.choice(MODELS),
                provider=None,
                speed=random_.choice([None, "fast"]),
                service_tier=random_.choice([None, "standard", "priority", "batch"]),
                lower_bounds=random_.choice([None, 16, 2, 18]),
                cache_write_1h_tokens=random_.choice([None, 20]),
                web_searches=random_.choice([None, 0, 2]),
                context_tokens=random_.choice([None, 300_000]),
                undivided_tokens=random_.choice([None] * 5 + [70]),
            )
            ledger.put(event_key(n), body)
    for n in range(seed % 3, 4):
        ledger.put(event_key(f"{seed} {first} {n}"), event(n, owner_key=SERIES, model="claude-opus-4-8"))


async def three(db: Database) -> list[Ledger]:
    hosts = [await add_host(db, name, n) for n, name in enumerate(("first", "second", "third"))]
    ledgers = [Ledger(db, host) for host in hosts]
    for seed, ledger in enumerate(ledgers):
        fill(ledger, seed)
        await ledger.push()
    return ledgers


async def apply(db: Database, prices: PriceList) -> int:
    return await repricing.begin(db, await establish(db, NO_OVERRIDES, "a test", prices), "a test")


async def reprice(db: Database, number: int, chunk: int = 7) -> Repriced:
    async for step in repricing.go_on(db, number, chunk):
        done = step
    return done
