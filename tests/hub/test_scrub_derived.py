"""Ownership and rollups are derived from rows: whatever is done to them, a scrub derives them anew."""

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.ingest import add_zone
from trueup_hub.ingest.cells import KEYS
from trueup_hub.ingest.verify import count_differences, verify
from trueup_hub.scrubbing import scrub_all
from trueup_shared import keys

S1, S2 = (keys.session_key("claude", name) for name in ("s1", "s2"))
SERIES = keys.series_key("claude", "s2")
TOTALS = (
    "SELECT host_no, to_jsonb(usage_slots) FROM usage_slots ORDER BY 1, 2",
    "SELECT host_no, to_jsonb(usage_days) FROM usage_days ORDER BY 1, 2",
    "SELECT host_no, to_jsonb(session_slots) FROM session_slots ORDER BY 1, 2",
    "SELECT host_no, to_jsonb(activity_slots) FROM activity_slots ORDER BY 1, 2",
    "SELECT host_no, to_jsonb(session_totals) FROM session_totals ORDER BY 2",
    "SELECT host_no, to_jsonb(project_days) FROM project_days ORDER BY 1, 2",
    "SELECT host_no, to_jsonb(activity_days) FROM activity_days ORDER BY 1, 2",
    "SELECT host_no, to_jsonb(event_owners) FROM event_owners WHERE ledger_no IS NOT NULL ORDER BY 2",
    "SELECT host_no, to_jsonb(event_claims) FROM event_claims ORDER BY 2",
    "SELECT host_no, to_jsonb(session_owners) FROM session_owners ORDER BY 2",
)


@pytest.fixture
async def hosts(db: Database) -> list[Ledger]:
    """Two hosts that share a session with its requests and a series; each has something of its own."""
    ledgers = [Ledger(db, await add_host(db, name, n)) for n, name in enumerate(("first", "second"))]
    for n, ledger in enumerate(ledgers):
        ledger.put(S1, session("s1"))
        put_events(ledger, range(5), session_key=S1)
        put_events(ledger, range(100 + n * 20, 110 + n * 20), session_key=S1)
        for m in range(3 + 8 * n):
            ledger.put(message_key(m), message(m, session_key=S1, tool_names=["Bash"]))
        ledger.put(event_key(f"series {n}"), event(7, owner_key=SERIES, session_key=S2, output_tokens=10 + n))
    ledgers[1].put(event_key(0), event(0, session_key=S1, context_tokens=99_999, lower_bounds=16))
    for ledger in ledgers:
        assert (await ledger.push()).verdict == "converged"
    await add_zone(db, "Asia/Kathmandu")
    assert await verify(db) == {}
    return ledgers


async def totals(db: Database) -> list[list[tuple[object, ...]]]:
    return [[tuple(record) for record in await db.fetch(sql)] for sql in TOTALS]


KEY = f"event_key = '{event_key(1).hex()}'"
OWNER = f"owner_key = '{event_key(1).hex()}'"
DAMAGES = {
    "a counted flag taken": f"UPDATE events SET counted = false WHERE {KEY} AND counted",
    "a counted flag given": f"UPDATE events SET counted = true WHERE {KEY}",
    "all flags turned": "UPDATE events SET counted = NOT counted",
    "a series that nobody counts": "UPDATE events SET counted = false WHERE owner_key IS NOT NULL",
    "an owner lost": f"DELETE FROM event_owners WHERE {OWNER}",
    "all owners lost": "DELETE FROM event_owners",
    "an owner that is another": f"UPDATE event_owners SET (host_no, ledger_no) = (2, 2) WHERE {OWNER}",
    "an owner that is vacant": f"UPDATE event_owners SET (host_no, ledger_no) = (NULL, NULL) WHERE {OWNER}",
    "owners that are no more contested": "UPDATE event_owners SET contested = false",
    "owners that are contested by nobody": "UPDATE event_owners SET contested = true",
    "a claim lost": f"DELETE FROM event_claims WHERE {OWNER}",
    "all claims lost": "DELETE FROM event_claims",
    "owners and claims lost": "WITH o AS (DELETE FROM event_owners) DELETE FROM event_claims",
    "an invented claim": f"INSERT INTO event_claims SELECT '{event_key(100).hex()}', 2, 2, false",
    "a claim without an owner": "INSERT INTO event_claims SELECT gen_random_uuid(), 1, 1, false",
    "a claim that is said to conflict": "UPDATE event_claims SET conflict = NOT conflict",
    "a copy chosen twice": "UPDATE sessions SET chosen = true",
    "a session of which no copy is chosen": "UPDATE sessions SET chosen = false",
    "the owners of sessions lost": "DELETE FROM session_owners",
    "the owners of sessions vacant": "UPDATE session_owners SET (host_no, ledger_no) = (NULL, NULL)",
    "cells with another cost": "UPDATE session_slots SET s_cost = s_cost + 1",
    "cells with other savings": "UPDATE usage_slots SET s_cache_savings = s_cache_savings - 1",
    "days with other savings": "UPDATE usage_days SET r_cache_savings = r_cache_savings + 1",
    "days of projects with other unpriced tokens": "UPDATE project_days SET unpriced_tokens = unpriced_tokens + 1",
    "totals of sessions with other savings": "UPDATE session_totals SET s_cache_savings = s_cache_savings + 1",
    "slots that say more": "UPDATE usage_slots SET s_output_tokens = s_output_tokens + 1, n = n + 3",
    "slots that say less": "UPDATE usage_slots SET s_output_tokens = 0, r_output_tokens = 0, n = 1",
    "slots without a peak": "UPDATE usage_slots SET max_context_tokens = NULL",
    "peaks too high": "UPDATE session_slots SET max_context_tokens = 1234567",
    "days too high": "UPDATE usage_days SET max_context_tokens = 1234567, s_cost = 1",
    "slots lost": "DELETE FROM usage_slots WHERE host_no = 1",
    "all rollups lost": f"TRUNCATE {', '.join(KEYS)}, measures",
    "an invented slot": "INSERT INTO usage_slots SELECT (u).* FROM (SELECT u FROM usage_slots u LIMIT 1) x"
    " ON CONFLICT (host_no, slot, harness, provider, model, project) DO UPDATE SET slot = 7",
    "an invented session cell": "UPDATE session_slots SET session_key = gen_random_uuid() WHERE host_no = 1",
    "an invented day": "UPDATE usage_days SET day = '2020-02-02'",
    "activity that is wrong": "UPDATE activity_slots SET messages = 9, tool_calls = 0, sessions = 5",
    "activity lost": "DELETE FROM activity_slots",
    "days of activity that are wrong": "UPDATE activity_days SET messages = 9, sessions = sessions - 1",
    "days of projects too high": "UPDATE project_days SET max_context_tokens = 1234567, n = n + 1",
    "days of projects under another one": "UPDATE project_days SET project = project + 1 WHERE host_no = 1",
    "totals of sessions that say more": "UPDATE session_totals SET s_output_tokens = s_output_tokens + 1, n = n + 3",
    "totals of sessions with another span": "UPDATE session_totals SET first_slot = 5, last_slot = 3, harness = -1",
    "totals of sessions of another host": "UPDATE session_totals SET host_no = 2, max_context_tokens = NULL",
    "totals of sessions of nobody": "UPDATE session_totals SET session_key = gen_random_uuid(), host_no = 77",
    "totals of a shared session under another key": "UPDATE session_totals SET session_key = gen_random_uuid()"
    " WHERE host_no = -1",
    "totals of sessions lost": "DELETE FROM session_totals",
    "measures that are not noted": "DELETE FROM measures WHERE measure LIKE '%output%' OR measure LIKE 'max%'",
}


async def test_what_is_derived_is_derived_anew(db: Database, hosts: list[Ledger]) -> None:
    before = await totals(db)
    for damage, sql in DAMAGES.items():
        await db.execute(sql)
        # Who is marked as contested without need costs a look and changes no number.
        noticed = await verify(db)
        assert noticed or damage == "owners that are contested by nobody", damage
        assert noticed or await totals(db) != before, damage
        done = await scrub_all(db)
        assert await verify(db) == {}, damage
        assert await totals(db) == before, damage
        assert done.corrected == 0, damage
        contested = ("a claim that is said to conflict", "owners that are contested by nobody")  # decided anew anyway
        assert done.decided + done.cells > 0 or damage in contested, damage
    assert (await scrub_all(db)).found == 0


async def test_what_a_scrub_rebuilds_leaves_no_difference_to_count(db: Database, hosts: list[Ledger]) -> None:
    await db.execute("UPDATE usage_slots SET s_cost = s_cost + 1")
    counted = await count_differences(db)
    assert counted.keys() == {"usage_slots"}
    assert counted["usage_slots"].keys() == {1, 2}
    assert (await verify(db, 1)).keys() == {"usage_slots"}
    await db.execute("UPDATE usage_slots SET s_cost = s_cost - 1 WHERE host_no = 1")
    assert await verify(db, 1) == {}
    await scrub_all(db)
    assert await count_differences(db) == {}


async def test_a_row_that_was_lost_counts_elsewhere_at_once_where_another_ledger_has_it(
    db: Database, hosts: list[Ledger]
) -> None:
    await db.execute(f"DELETE FROM events WHERE {KEY} AND counted")
    await scrub_all(db)
    assert await verify(db) == {}
    assert await db.fetchval(f"SELECT counted FROM events WHERE {KEY}")


async def test_a_session_of_which_only_a_stale_row_is_left_is_not_chosen_whoever_pushed_last(db: Database) -> None:
    ledgers = [Ledger(db, await add_host(db, f"host {n}", n)) for n in range(2)]
    for ledger in ledgers:
        ledger.put(S1, session("s1"))
        await ledger.push()
    ledgers[0].put_raw(keys.SESSIONS, S1, {"1": 5})
    assert len((await ledgers[0].push()).rejected) == 1
    ledgers[1].put(S1, session("s1", git_branch="main"))
    await ledgers[1].push()
    assert await verify(db) == {}
    assert await db.fetchval("SELECT host_no FROM sessions WHERE chosen") == ledgers[1].host_no
    assert (await scrub_all(db)).found == 0
