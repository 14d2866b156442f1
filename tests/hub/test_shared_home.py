"""The same home on two hosts counts once, whichever pushes first, and rightly again when one of them goes away."""

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, session
from trueup_hub.db import Database
from trueup_hub.ingest import forgetting, jobs
from trueup_hub.ingest.verify import verify
from trueup_shared import keys

SESSION = keys.session_key("claude", "s1")
SERIES = keys.series_key("claude", "s1")


async def page(db: Database) -> dict[str, list[int]]:
    """By host: requests, messages and starts of sessions that count."""
    rows = await db.fetch(
        "SELECT label, (SELECT coalesce(sum(n), 0)::int FROM usage_slots u WHERE u.host_no = h.host_no),"
        " (SELECT coalesce(sum(messages), 0)::int FROM activity_slots a WHERE a.host_no = h.host_no),"
        " (SELECT coalesce(sum(sessions), 0)::int FROM activity_slots a WHERE a.host_no = h.host_no) FROM hosts h"
    )
    return {label: numbers for label, *numbers in map(tuple, rows) if any(numbers)}


@pytest.mark.parametrize("way", ["forgotten", "tombstones", "retired"])
@pytest.mark.parametrize("pushed_first", [0, 1])
async def test_one_home_on_two_hosts_counts_once_and_rightly_again_when_one_goes_away(
    db: Database, pushed_first: int, way: str
) -> None:
    """Both synchronise one home; the second has something of its own. The first enrolled counts while it has it."""
    hosts = [await add_host(db, name, n) for n, name in enumerate(("first", "second"))]
    ledgers = [Ledger(db, host) for host in hosts]
    for ledger in ledgers:
        ledger.put(SESSION, session())
        for n in range(10):
            ledger.put(event_key(n), event(n))
            ledger.put(message_key(n), message(n))
        ledger.put(event_key("total"), event(10, owner_key=SERIES))
    ledgers[1].put(event_key("own"), event(11))
    for index in (pushed_first, 1 - pushed_first):
        await ledgers[index].push()
    assert await page(db) == {"first": [11, 10, 1], "second": [1, 0, 0]}
    if way == "forgotten":
        await db.execute("UPDATE hosts SET forgotten_at = now() WHERE host_no = $1", hosts[0][0])
        await forgetting.forget_pending(db, 5)
    elif way == "tombstones":
        for place in list(ledgers[0].rows):
            ledgers[0].remove(*place)
        await ledgers[0].push(6)
        await ledgers[0].push()
    else:  # what it sent stays and counts
        await db.execute("UPDATE hosts SET retired_at = now(), revoked_at = now() WHERE host_no = $1", hosts[0][0])
        await jobs.settle_pending(db)
    expected = {"first": [11, 10, 1], "second": [1, 0, 0]} if way == "retired" else {"second": [12, 10, 1]}
    assert await page(db) == expected
    assert await verify(db) == {}
