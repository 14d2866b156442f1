"""Price tables that differ from this release's, and what a hub has stored, for tests of repricing."""

import json
from typing import Any

from trueup_hub.db import Database
from trueup_shared.price_overrides import NO_OVERRIDES, Overrides
from trueup_shared.prices import RELEASED, PriceList

LATER = "2031-01-31"
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
