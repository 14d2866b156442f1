"""Sums prove what was received; recomputing them from the columns proves what is stored."""

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")
EVERY_FIELD = {
    "owner_key": keys.series_key("claude", "s1"),
    "service_tier": "batch",
    "speed": "fast",
    "cache_write_1h_tokens": 0,
    "reasoning_tokens": 7,
    "input_undivided_tokens": 2**53 - 1,
    "undivided_tokens": 1,
    "lower_bounds": 511,
    "derived": 0,
    "web_searches": 3,
    "reported_cost": "0.10",
    "reported_cost_unit": "usd",
    "reported_cost_status": "estimated",
    "flags": wire.CLOCK_SKEW,
    "time_quality": 3,
}


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    ledger = Ledger(db, await add_host(db, "laptop"))
    put_events(ledger, range(3))
    ledger.put(event_key("every"), event(5, **EVERY_FIELD))
    ledger.put(event_key("few"), wire.EventBody(session_key=SESSION, at=event().at, harness="codex"))
    ledger.put(message_key(1), message(1, tool_names=["Bash", "mcp__x"], model="m", event_key=event_key(1)))
    ledger.put(message_key(2), wire.MessageBody(session_key=SESSION, tool_names=[], size_chars=0))
    everything = {
        "parent_key": bytes(16),
        "relationship": "fork",
        "git_branch": "ä/b",
        "harness_version": "2.1",
        "os_user": "me",
    }
    ledger.put(SESSION, session(**everything))
    ledger.put(keys.session_key("claude", "s2"), wire.SessionBody())
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.rejected) == ("converged", [])
    return ledger


async def test_every_row_is_rebuilt_from_its_columns_bit_for_bit(db: Database, ledger: Ledger) -> None:
    recomputed = await recompute_digest(db, ledger.host_no, await ledger.number())
    assert recomputed.faithful
    assert keys.digest_bytes(recomputed.digest) == ledger.digest
    assert await verify(db) == {}


@pytest.mark.parametrize(
    "table, key, change",
    [
        (keys.EVENTS, event_key(1), "UPDATE events SET output_tokens = output_tokens + 1 WHERE event_key = $1"),
        (keys.EVENTS, event_key("every"), "UPDATE events SET derived = NULL WHERE event_key = $1"),
        (keys.EVENTS, event_key(2), "UPDATE events SET input_tokens = NULL WHERE event_key = $1"),
        (keys.EVENTS, event_key(2), "UPDATE events SET model = 0 WHERE event_key = $1"),
        (keys.EVENTS, event_key(0), "UPDATE events SET at = at + interval '1 microsecond' WHERE event_key = $1"),
        (keys.MESSAGES, message_key(1), "UPDATE messages SET tool_names = tool_names[:1] WHERE message_key = $1"),
        (keys.SESSIONS, SESSION, "UPDATE sessions SET git_branch = 'main' WHERE session_key = $1"),
    ],
)
async def test_a_column_changed_by_hand_is_named(
    db: Database, ledger: Ledger, table: int, key: bytes, change: str
) -> None:
    assert await db.execute(change, key) == "UPDATE 1"
    recomputed = await recompute_digest(db, ledger.host_no, await ledger.number())
    assert recomputed.differing == [(table, key)]
    assert recomputed.digest != recomputed.stored_digest


async def test_a_row_that_vanished_is_noticed_by_the_sum(db: Database, ledger: Ledger) -> None:
    await db.execute("DELETE FROM events WHERE event_key = $1", event_key(1))
    recomputed = await recompute_digest(db, ledger.host_no, await ledger.number())
    assert recomputed.differing == [] and not recomputed.faithful


@pytest.mark.parametrize(
    "check, change",
    [
        ("usage_slots", "UPDATE usage_slots SET s_output_tokens = s_output_tokens + 1"),
        ("usage_slots", "UPDATE usage_slots SET max_context_tokens = NULL"),
        ("session_slots", "DELETE FROM session_slots WHERE harness > 0"),
        ("usage_days UTC", "UPDATE usage_days SET l_total_tokens = l_total_tokens + 1"),
        ("session_totals", "UPDATE session_totals SET last_slot = last_slot + 1"),
        ("session_totals", "UPDATE session_totals SET harness = harness + 1"),
        ("project_days UTC", "UPDATE project_days SET s_cost = s_cost + 1"),
        ("activity_days UTC", "UPDATE activity_days SET user_messages = 9"),
        ("measures", "DELETE FROM measures WHERE measure = 's_output_tokens'"),
        ("usage_slots", "UPDATE events SET cost_nanousd = 1"),
        ("activity_differences", "UPDATE activity_slots SET tool_calls = 9"),
        ("session_differences", "UPDATE sessions SET digest = digest + 1"),
        ("ledger_differences", "UPDATE ledgers SET events = events + 1"),
        ("owner_differences", "UPDATE events SET counted = NOT counted WHERE owner_key IS NULL"),
        ("series_differences", "UPDATE events SET counted = NOT counted WHERE owner_key IS NOT NULL"),
        ("owner_differences", "UPDATE event_owners SET ledger_no = NULL"),
        ("stray_owners", "UPDATE event_owners SET owner_key = gen_random_uuid()"),
        ("chosen_differences", "UPDATE sessions SET chosen = NOT chosen"),
    ],
)
async def test_the_verification_notices_what_was_changed_by_hand(
    db: Database, ledger: Ledger, check: str, change: str
) -> None:
    assert await verify(db) == {}
    await db.execute(change)
    assert check in await verify(db)
