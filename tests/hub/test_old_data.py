"""Events that an older parser read and whose logs are gone are counted beside every number that they are part of."""

from typing import Any

import pytest

from ledgers import Ledger, add_host, event, event_key
from trueup_hub.db import Database
from trueup_hub.params import Query
from trueup_hub.trust import trust_report
from trueup_shared import wire

OLD = wire.OLD_DATA


async def old_data(db: Database, **asked: str) -> int:
    return (await trust_report(db, Query(asked.items()).common("UTC"))).trust.old_data


@pytest.fixture
async def two_hosts(db: Database) -> tuple[Ledger, Ledger]:
    ana, bo = Ledger(db, await add_host(db, "ana", 1)), Ledger(db, await add_host(db, "bo", 2))
    day = 24 * 60
    rows: list[tuple[Ledger, int, dict[str, Any]]] = [
        (ana, 1, {"flags": OLD}),
        (ana, 2, {"flags": OLD | wire.CLOCK_SKEW, "model": "claude-opus-4-1"}),
        (ana, 3, {"flags": wire.CLOCK_SKEW}),
        (ana, 4 + day, {"flags": OLD}),
        (bo, 1, {"flags": OLD}),  # a copy, set aside
        (bo, 5, {"flags": OLD, "project": "other"}),
    ]
    for ledger, n, fields in rows:
        ledger.put(event_key(n), event(n, **fields))
    for ledger in (ana, bo):
        await ledger.push()
    return ana, bo


async def test_they_are_filtered_like_the_numbers_beside_them(db: Database, two_hosts: tuple[Ledger, Ledger]) -> None:
    assert await old_data(db) == 4
    assert await old_data(db, host="ana") == 3
    assert await old_data(db, host="bo") == 1
    assert await old_data(db, model="claude-opus-4-1") == 1
    assert await old_data(db, project="other") == 1
    assert await old_data(db, **{"from": "2026-03-02", "to": "2026-03-02"}) == 3
    assert await old_data(db, harness="claude") == 4


async def test_what_could_be_read_again_after_all_is_no_longer_among_them(
    db: Database, two_hosts: tuple[Ledger, Ledger]
) -> None:
    ana, _ = two_hosts
    ana.put(event_key(1), event(1))
    await ana.push()
    assert await old_data(db, host="ana") == 2
