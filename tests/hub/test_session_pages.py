"""Pages of the list of sessions while batches come in between: what stands still is listed once."""

import random
from typing import Any

import pytest

from trueup_hub.analytics.sessions import list_sessions
from trueup_hub.db import Database
from trueup_hub.params import Query
from usage_data import event, machine, session

DAY = {"timezone": "UTC", "from": "2026-11-03", "to": "2026-11-03"}


def rows(n: int, output: int) -> list[Any]:
    at = f"2026-11-03T{n // 60:02}:{n % 60:02}Z"
    name = f"s{n}"
    return [
        session(name, at),
        event(f"e{n}", name, at, output_tokens=output, model="claude-opus-4-1", input_tokens=n % 3),
    ]


@pytest.mark.parametrize("sort", ["started_at", "output_tokens", "cost", "last_active_at", "messages"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_walk_lists_every_session_that_stands_still_once(db: Database, sort: str, order: str) -> None:
    rng = random.Random(f"{sort} {order}")
    sender, other = await machine(db, "ana"), await machine(db, "bob")
    await sender.send(*(row for n in range(40) for row in rows(n, n // 4)))  # several have one value
    common = Query(DAY.items()).common("UTC")
    seen: list[str] = []
    cursor, moving, number = None, set(range(0, 40, 8)), 100
    while True:
        page = await list_sessions(db, common, sort, order, 6, cursor)
        seen += [one.session_id or "" for one in page.sessions]
        if (cursor := page.next_cursor) is None:
            break
        # New sessions, sessions that use more or less, and copies of what is there from another machine.
        number += 1
        await other.send(*rows(number, rng.randrange(12)), *rows(rng.randrange(40), 99))
        for n in rng.sample(sorted(moving), 2):
            await sender.send(*rows(n, rng.randrange(200)))
    still = {f"s{n}" for n in range(40) if n not in moving}
    assert still <= set(seen)
    assert [name for name in still if seen.count(name) > 1] == []
