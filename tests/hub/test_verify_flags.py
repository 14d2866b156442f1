"""Sums that agree with wrong flags are wrong: verify decides by its own rule who counts, and names what does not."""

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, session
from trueup_hub.db import Database
from trueup_hub.ingest.rebuild import rebuild_rollups
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all
from trueup_hub.verification import differences
from trueup_shared import keys

S1 = keys.session_key("claude", "s1")
SERIES = keys.series_key("claude", "s1")
KEY = event_key(1).hex()
# What a hub would have if it had decided otherwise: flags, owners and claims agree, and so do all sums.
OTHERWISE = {
    "owner_differences": [
        f"UPDATE events SET counted = NOT counted WHERE event_key = '{KEY}'",
        f"""WITH owner AS (SELECT * FROM event_owners WHERE owner_key = '{KEY}'),
            claim AS (SELECT * FROM event_claims WHERE owner_key = '{KEY}'),
            moved AS (UPDATE event_owners o SET (host_no, ledger_no) = (c.host_no, c.ledger_no) FROM claim c
                      WHERE o.owner_key = c.owner_key)
            UPDATE event_claims c SET (host_no, ledger_no) = (o.host_no, o.ledger_no) FROM owner o
            WHERE c.owner_key = o.owner_key""",
    ],
    "series_differences": [
        "UPDATE events SET counted = NOT counted WHERE owner_key IS NOT NULL",
        f"""WITH owner AS (SELECT * FROM event_owners WHERE owner_key = '{SERIES.hex()}'),
            claim AS (SELECT * FROM event_claims WHERE owner_key = '{SERIES.hex()}'),
            moved AS (UPDATE event_owners o SET (host_no, ledger_no) = (c.host_no, c.ledger_no) FROM claim c
                      WHERE o.owner_key = c.owner_key)
            UPDATE event_claims c SET (host_no, ledger_no) = (o.host_no, o.ledger_no) FROM owner o
            WHERE c.owner_key = o.owner_key""",
    ],
    "chosen_differences": [
        "UPDATE sessions SET chosen = NOT chosen",
        """UPDATE session_owners o SET (host_no, ledger_no) = (s.host_no, s.ledger_no) FROM sessions s
            WHERE s.session_key = o.session_key AND s.chosen""",
    ],
    "conflict_differences": ["UPDATE event_claims SET conflict = NOT conflict WHERE owner_key = '" + KEY + "'"],
}


@pytest.fixture
async def hosts(db: Database) -> list[Ledger]:
    """Two hosts with one session, a request of it with other numbers, and a series."""
    ledgers = [Ledger(db, await add_host(db, name, n)) for n, name in enumerate(("first", "second"))]
    for n, ledger in enumerate(ledgers):
        ledger.put(S1, session("s1"))
        ledger.put(event_key(1), event(1, session_key=S1, output_tokens=100 + n))
        ledger.put(event_key(2), event(2, session_key=S1))
        for m in range(3 + 2 * n):
            ledger.put(message_key(m), message(m, session_key=S1))
        ledger.put(event_key(f"series {n}"), event(7, owner_key=SERIES, session_key=S1, output_tokens=10 + n))
        assert (await ledger.push()).verdict == "converged"
    assert await verify(db) == {}
    return ledgers


@pytest.mark.parametrize("check", OTHERWISE)
async def test_wrong_flags_are_named_although_all_sums_agree_with_them_and_are_mended(
    db: Database, hosts: list[Ledger], check: str
) -> None:
    before = await state(db)
    for sql in OTHERWISE[check]:
        assert int((await db.execute(sql)).split()[-1]) > 0
    for ledger in hosts:
        async for _ in rebuild_rollups(db, ledger.host_no):
            pass
    assert (await verify(db)).keys() == {check}
    [named, *_] = [one for one in await differences(db) if one.check == check]
    assert named.label in ("first", "second")
    assert "rule" in named.what
    await scrub_all(db)
    assert await verify(db) == {}
    assert await state(db) == before


async def state(db: Database) -> list[list[str]]:
    return [
        [str(tuple(row)) for row in await db.fetch(sql)]
        for sql in (
            "SELECT host_no, event_key, counted FROM events ORDER BY 1, 2",
            "SELECT owner_key, host_no, contested FROM event_owners ORDER BY 1",
            "SELECT owner_key, host_no, conflict FROM event_claims ORDER BY 1, 2",
            "SELECT host_no, session_key, chosen FROM sessions ORDER BY 1, 2",
            "SELECT to_jsonb(u) FROM usage_slots u ORDER BY 1",
            "SELECT to_jsonb(a) FROM activity_slots a ORDER BY 1",
        )
    ]


@pytest.mark.parametrize("column", ["cost_nanousd", "cache_savings_nanousd"])
async def test_a_cost_that_its_price_table_does_not_give_is_named_and_mended(
    db: Database, hosts: list[Ledger], column: str
) -> None:
    await db.execute(f"UPDATE events SET {column} = 5 WHERE event_key = $1 AND counted", event_key(1))
    for ledger in hosts:
        async for _ in rebuild_rollups(db, ledger.host_no):
            pass
    assert await verify(db) == {}  # sums agree with it
    assert {one.check for one in await differences(db)} == {"altered_costs"}
    assert (await scrub_all(db)).corrected == 1
    assert await differences(db) == []
    assert await verify(db) == {}
