"""What is read of whole sessions, and added up only of those across an end, is what their slots say."""

from itertools import cycle, product
from typing import Any

import pytest

from population import Facts
from population_fleet import asked
from trueup_hub.analytics.buckets import buckets
from trueup_hub.analytics.scope import Scope, open_scope
from trueup_hub.params import COUNTED

RANGES = (
    {},
    {"from": "2026-03-07", "to": "2026-03-08"},
    {"from": "2026-03-08", "to": "2026-04-02"},
)
FILTERS = (
    {},
    {"host": "ana"},
    {"host": "ana,bob", "project": "alpha"},
    {"label": "team:web"},
)


async def answers(scope: Scope) -> dict[str, Any]:
    listed = [
        await scope.fetch("sessions", "list_sessions", sort, 1, None, None, 500, True)
        for sort in ("started_at", "messages", "last_active_at", "cost", "peak_context_tokens")
    ]
    top = [await scope.fetch("analytics", "top_sessions", metric, 100) for metric in ("total_tokens", "cache_savings")]
    return {
        "figures": await scope.fetch("analytics", "sessions_figures"),
        "listed": listed,
        "top": top,
        "active": {
            granularity: await scope.active_sessions(buckets(scope.first, scope.last, scope.zone, granularity))
            for granularity in ("hour", "day", "week")
        },
    }


@pytest.mark.parametrize("counted", COUNTED)
async def test_whole_sessions_are_what_their_slots_say(facts: Facts, counted: str) -> None:
    several = await facts.db.fetchrow(
        "SELECT count(*) FILTER (WHERE host_no = -1), count(*) FILTER (WHERE project = -1),"
        " count(*) FILTER (WHERE last_slot - first_slot > 96) FROM session_totals"
    )
    assert min(several or ()) > 0  # of several hosts, of several projects, longer than a day
    zones = cycle(("America/St_Johns", "Asia/Kathmandu", "UTC"))
    for (span, filters), zone in zip(product(RANGES, FILTERS), zones, strict=False):
        async with open_scope(facts.db, asked({**span, **filters, "timezone": zone, "counted": counted})) as scope:
            whole = await answers(scope)
            assert scope.reading.whole_sessions
            scope.reading = scope.reading._replace(whole_sessions=False)
            assert await answers(scope) == whole, (span, filters, zone)
