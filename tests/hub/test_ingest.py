"""One ledger against one hub: batches in, rows, digests and receipts out."""

import msgspec
import pytest

from ledgers import NOON, Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest import position
from trueup_hub.ingest.cells import KEYS
from trueup_hub.ingest.verify import verify
from trueup_shared import __version__, keys, wire

SESSION = keys.session_key("claude", "s1")


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    return Ledger(db, await add_host(db, "laptop"))


async def test_a_pushed_ledger_is_stored_counted_and_converged(db: Database, ledger: Ledger) -> None:
    ledger.put(SESSION, session())
    ledger.put(message_key(1), message(1))
    ledger.put(message_key(2), message(2, role="assistant", kind="answer", tool_names=["Bash", "Bash"]))
    put_events(ledger, range(5))
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.acked_seq, receipt.inserted, receipt.rejected) == ("converged", 8, 8, [])
    assert receipt.digest == ledger.digest
    slot = await db.fetchrow("SELECT sum(n) AS n, sum(s_output_tokens) AS o, sum(r_cost) AS priced FROM usage_slots")
    assert tuple(slot) == (5, 510, 5)
    activity = await db.fetchrow("SELECT messages, user_messages, tool_calls FROM activity_slots WHERE messages > 0")
    assert tuple(activity) == (2, 1, 2)
    assert await db.fetchval("SELECT sum(sessions) FROM activity_slots") == 1
    assert await verify(db) == {}


async def test_batches_short_of_the_head_are_behind_and_the_last_converges(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(10))
    assert [(await ledger.push(4)).verdict for _ in range(3)] == ["behind", "behind", "converged"]
    where = await position(db, ledger.host_no, ledger.host_id, ledger.ledger_id)
    assert (where.acked_seq, where.batch_no, where.last_batch_id, where.state) == (
        10,
        3,
        ledger.last_batch,
        "converged",
    )
    assert where.digest == ledger.digest


async def test_a_ledger_that_the_hub_does_not_know_is_all_zeros(db: Database, ledger: Ledger) -> None:
    where = await position(db, ledger.host_no, ledger.host_id, ledger.ledger_id)
    names = {"hub_version": __version__, "features": list(wire.FEATURES)}
    assert where == wire.Position(host_id=ledger.host_id, ledger_id=ledger.ledger_id, **names)


async def test_a_replayed_batch_gets_the_same_receipt_and_changes_nothing(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(3))
    batch = ledger.batch()
    first, again = await ledger.send(batch), await ledger.send(batch)
    assert msgspec.msgpack.encode(first) == msgspec.msgpack.encode(again)
    assert await db.fetchval("SELECT count(*) FROM events") == 3
    put_events(ledger, range(3, 5))
    await ledger.push()
    assert await verify(db) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"from_seq": 1, "to_seq": 2},
        {"from_seq": 9, "to_seq": 12},
        {"previous_batch_id": None},
        {"previous_batch_id": bytes(16)},
        {"batch_no": 1},
        {"to_seq": 2},
    ],
)
async def test_a_batch_that_does_not_continue_the_ledger_is_refused_with_the_position(
    db: Database, ledger: Ledger, changes: dict[str, object]
) -> None:
    put_events(ledger, range(3))
    await ledger.push()
    put_events(ledger, range(3, 6))
    with pytest.raises(PositionMismatch) as refused:
        await ledger.send(ledger.batch(**changes))
    assert isinstance(refused.value.position, wire.Position)
    assert refused.value.position.acked_seq == 3
    assert (await ledger.push()).verdict == "converged"


async def test_a_restated_row_replaces_what_it_added(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(4))
    await ledger.push()
    ledger.put(event_key(1), event(1, output_tokens=5000, at=NOON + 7_200_000_000, model="claude-opus-4-1"))
    receipt = await ledger.push()
    assert (receipt.updated, receipt.inserted, receipt.verdict) == (1, 0, "converged")
    assert await db.fetchval("SELECT sum(s_output_tokens) FROM usage_slots") == 100 + 5000 + 102 + 103
    assert await verify(db) == {}


async def test_rows_sent_again_unchanged_take_the_ledgers_seq_and_nothing_else_of_them_is_written(
    db: Database, ledger: Ledger
) -> None:
    put_events(ledger, range(4))
    ledger.put(SESSION, session())
    ledger.put(message_key(1), message(1))
    await ledger.push()
    for (table, key), body in list(ledger.rows.items()):
        ledger.put(key, body)
        assert ledger.seqs[table, key] == ledger.seq
    receipt = await ledger.push()
    assert (receipt.unchanged, receipt.inserted, receipt.updated, receipt.verdict) == (6, 0, 0, "converged")
    for table, name in ((1, "session"), (2, "message"), (3, "event")):
        rows = await db.fetch(f"SELECT {name}_key, seq, batch_no FROM {name}s")
        assert {row[0]: row[1] for row in rows} == {key: n for (t, key), n in ledger.seqs.items() if t == table}
        assert {row[2] for row in rows} == {1}
    assert await verify(db) == {}


async def test_tombstones_take_rows_out_of_everything(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(3))
    ledger.put(SESSION, session())
    ledger.put(message_key(1), message(1))
    await ledger.push()
    for table, key in list(ledger.rows):
        ledger.remove(table, key)
    receipt = await ledger.push()
    assert (receipt.removed, receipt.verdict, receipt.digest) == (5, "converged", bytes(16))
    for table in ("events", "messages", "sessions", *KEYS):
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    # The owner row stays as a lock, vacant; a row that comes back counts again.
    assert await db.fetchval("SELECT count(*) FROM event_owners WHERE ledger_no IS NULL") == 3
    put_events(ledger, range(3))
    assert (await ledger.push()).verdict == "converged"
    assert await verify(db) == {}


async def test_a_tombstone_of_an_unknown_row_is_no_error(db: Database, ledger: Ledger) -> None:
    ledger.remove(keys.EVENTS, event_key(1))
    ledger.remove(keys.SESSIONS, SESSION)
    receipt = await ledger.push()
    assert (receipt.removed, receipt.verdict) == (0, "converged")
    assert await verify(db) == {}


async def test_the_peak_follows_when_its_event_goes_or_shrinks(db: Database, ledger: Ledger) -> None:
    put_events(ledger, (1,), context_tokens=900_000)
    put_events(ledger, (2,), context_tokens=500)
    put_events(ledger, (3,), context_tokens=700)
    await ledger.push()
    peaks = "SELECT (SELECT max(max_context_tokens) FROM {}) FROM usage_slots LIMIT 1"
    ledger.put(event_key(1), event(1, context_tokens=600))
    await ledger.push()
    for table in ("usage_slots", "session_slots", "session_totals", "usage_days", "project_days"):
        assert await db.fetchval(peaks.format(table)) == 700
    ledger.remove(keys.EVENTS, event_key(3))
    ledger.put(event_key(1), event(1, context_tokens=None))
    await ledger.push()
    assert await db.fetchval(peaks.format("usage_days")) == 500
    assert await verify(db) == {}


async def test_unknown_and_zero_survive_as_they_are(db: Database, ledger: Ledger) -> None:
    ledger.put(
        event_key(1), event(1, input_tokens=0, output_tokens=None, cache_read_tokens=None, model=None, provider=None)
    )
    ledger.put(event_key(2), event(2, undivided_tokens=77, input_tokens=None, output_tokens=None, lower_bounds=128))
    await ledger.push()
    row = await db.fetchrow(
        "SELECT sum(s_input_tokens), sum(r_input_tokens), sum(r_output_tokens), sum(r_total_tokens),"
        " sum(l_undivided_tokens), sum(l_total_tokens), sum(unpriced_tokens) FROM usage_slots"
    )
    assert tuple(row) == (0, 1, 0, 1, 1, 1, 50 + 1127)  # one has no model, of the other not everything has a price
    assert await verify(db) == {}


async def test_reported_cost_is_kept_apart_by_unit(db: Database, ledger: Ledger) -> None:
    ledger.put(event_key(1), event(1, reported_cost="0.0123456789", reported_cost_unit="usd"))
    ledger.put(event_key(2), event(2, reported_cost="3", reported_cost_unit="credits", web_searches=2))
    ledger.put(event_key(3), event(3, reported_cost="9", reported_cost_unit="points", derived=16 | 256))
    await ledger.push()
    row = await db.fetchrow(
        "SELECT sum(s_reported_usd), sum(s_reported_credits), sum(r_reported_usd), sum(s_web_searches) FROM usage_slots"
    )
    assert tuple(row) == (12_345_679, 3_000_000_000, 1, 2)
    assert await verify(db) == {}


async def test_a_session_row_that_comes_late_changes_no_sum(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(2))
    ledger.put(message_key(1), message(1))
    await ledger.push()
    before = await db.fetch("SELECT * FROM usage_slots")
    ledger.put(SESSION, session())
    assert (await ledger.push()).verdict == "converged"
    assert await db.fetch("SELECT * FROM usage_slots") == before
    ledger.remove(keys.SESSIONS, SESSION)
    assert (await ledger.push()).verdict == "converged"
    assert await verify(db) == {}
