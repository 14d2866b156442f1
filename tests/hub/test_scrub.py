"""A scrub makes the sums tell the truth about the columns: whatever was altered or lost shows, and is counted."""

import pytest

from ledgers import Ledger, add_host, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.ingest import scrub
from trueup_hub.ingest.digests import recompute_digest, recomputed_buckets, recomputed_rows, recomputed_sessions
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

S1, S2 = (keys.session_key("claude", name) for name in ("s1", "s2"))


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    """Two sessions, each with three events and three messages."""
    ledger = Ledger(db, await add_host(db, "laptop"))
    for name, key, first in (("s1", S1, 0), ("s2", S2, 3)):
        ledger.put(key, session(name))
        put_events(ledger, range(first, first + 3), session_key=key)
        for n in range(first, first + 3):
            ledger.put(message_key(n), message(n, session_key=key))
    assert (await ledger.push()).verdict == "converged"
    return ledger


async def sums(db: Database) -> dict[str, object]:
    """The differences of what a scrub of rows answers for."""
    found = await verify(db)
    return {name: found[name] for name in ("session_differences", "ledger_differences") if name in found}


async def corrected(db: Database, ledger: Ledger) -> int:
    return await scrub.correct_ledger(db, ledger.host_no, await ledger.number())


async def verdict(db: Database) -> str:
    return str(await db.fetchval("SELECT verdict FROM ledgers"))


async def test_a_ledger_that_is_as_it_was_sent_stays_as_it_is(db: Database, ledger: Ledger) -> None:
    before = await db.fetchrow("SELECT * FROM ledgers")
    assert await corrected(db, ledger) == 0
    assert await db.fetchrow("SELECT * FROM ledgers") == before


EVENT, MESSAGE = f"event_key = '{event_key(1).hex()}'", f"message_key = '{message_key(1).hex()}'"
SESSION = f"session_key = '{S1.hex()}'"
# SQL that does the damage, and how many rows a scrub says were altered or lost.
DAMAGES = {
    "an altered counter": (f"UPDATE events SET output_tokens = 7 WHERE {EVENT}", 1),
    "an altered key": (f"UPDATE events SET event_key = gen_random_uuid() WHERE {EVENT}", 1),
    "an event in another session": (f"UPDATE events SET session_key = '{S2.hex()}' WHERE {EVENT}", 3),
    "an event in an unknown session": (f"UPDATE events SET session_key = event_key WHERE {EVENT}", 3),
    "an altered message": (f"UPDATE messages SET size_chars = 9 WHERE {MESSAGE}", 1),
    "an altered session": (f"UPDATE sessions SET git_branch = 'x' WHERE {SESSION}", 1),
    "a lost term": ("DELETE FROM terms WHERE term = 'claude-sonnet-4-5'", 6),
    "a lost event": (f"DELETE FROM events WHERE {EVENT}", 1),
    "a lost message": (f"DELETE FROM messages WHERE {MESSAGE}", 1),
    "a lost copy of a session": (f"DELETE FROM sessions WHERE {SESSION}", 1),
    "all rows of a session lost": (
        f"WITH e AS (DELETE FROM events WHERE {SESSION}), m AS (DELETE FROM messages WHERE {SESSION})"
        f" DELETE FROM sessions WHERE {SESSION}",
        1,
    ),
    "an invented copy of a session": (
        "INSERT INTO sessions (host_no, ledger_no, session_key, chosen, rows, digest)"
        " SELECT host_no, ledger_no, gen_random_uuid(), true, 2, 5 FROM ledgers",
        2,
    ),
    "a row that became stale": (f"UPDATE events SET stale = true WHERE {EVENT}", 1),
    "a wrong sum of a session": (f"UPDATE sessions SET digest = digest + 1 WHERE {SESSION}", 1),
    "a wrong count of a session": (f"UPDATE sessions SET messages = 0 WHERE {SESSION}", 1),
    "a wrong sum of the ledger": ("UPDATE ledgers SET digest = 5", 1),
    "a wrong count of the ledger": ("UPDATE ledgers SET messages = 5", 1),
    "an invented rejection": (
        f"INSERT INTO rejections SELECT host_no, ledger_no, 3, '{S1.hex()}', true, 1, 'x', 'x', '{S1.hex()}', 1, now()"
        " FROM ledgers",
        1,
    ),
    "an altered cost": (f"UPDATE events SET cost_nanousd = 5 WHERE {EVENT}", 1),
    "altered savings": (f"UPDATE events SET cache_savings_nanousd = 5 WHERE {EVENT}", 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_was_altered_or_lost_is_counted_and_the_sums_are_those_of_what_is_there(
    db: Database, ledger: Ledger, damage: str
) -> None:
    sql, rows = DAMAGES[damage]
    assert int((await db.execute(sql)).split()[-1]) > 0
    number = await ledger.number()
    assert await corrected(db, ledger) == rows
    assert await sums(db) == {}
    assert (await recompute_digest(db, ledger.host_no, number)).faithful
    digest = int(await db.fetchval("SELECT digest + rejected_digest FROM ledgers"))
    assert await verdict(db) == ("converged" if keys.digest_bytes(digest) == ledger.digest else "diverged")
    assert await db.fetchval("SELECT corrected FROM ledgers") == rows
    assert await db.fetchval("SELECT corrected_at IS NOT NULL FROM ledgers")
    assert await corrected(db, ledger) == 0


async def test_buckets_sessions_and_rows_are_recomputed_from_the_columns(db: Database, ledger: Ledger) -> None:
    place = (ledger.host_no, await ledger.number())
    await db.execute("UPDATE events SET output_tokens = 7 WHERE event_key = $1", event_key(1))
    await db.execute("DELETE FROM messages WHERE message_key = $1", message_key(4))
    whole = (await recompute_digest(db, *place)).digest
    async with db.snapshot() as connection:
        buckets = await recomputed_buckets(connection, *place)
        listed = await recomputed_sessions(connection, *place, S1[0])
        rows = await recomputed_rows(connection, *place, S1)
    assert sum(buckets) % keys.DIGEST_MODULUS == whole
    [s1] = [found for found in listed if found.key == S1]
    assert (s1.rows, len(rows)) == (7, 7)
    assert s1.digest == keys.digest_bytes(sum(int.from_bytes(row.digest, "big") for row in rows))
    sent = {
        (table, key): keys.row_digest(table, key, wire.encode_body(body)) for (table, key), body in ledger.rows.items()
    }
    differing = [(r.table, r.key) for r in rows if keys.digest_bytes(sent[r.table, r.key]) != r.digest]
    assert differing == [(keys.EVENTS, event_key(1))]
    assert {(r.table, r.key): r.seq for r in rows}.items() <= ledger.seqs.items()
