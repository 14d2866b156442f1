"""What a commit removes: in chunks, each leaving true totals, whatever interrupts it; other copies take over."""

from typing import Any

import pytest
from msgspec import Raw, msgpack

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest import generations, position
from trueup_hub.ingest.cells import KEYS
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")


class Cut(Exception):
    """The connection went."""


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    """20 events, 5 messages and a session, pushed."""
    made = Ledger(db, await add_host(db, "laptop"))
    put_events(made, range(20))
    for n in range(5):
        made.put(message_key(n), message(n))
    made.put(SESSION, session())
    await made.push()
    return made


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "_CHUNK_ROWS", 3)
    monkeypatch.setattr(generations, "_ROUND_ROWS", 7)


def lose(ledger: Ledger, *places: tuple[int, bytes]) -> None:
    for place in places:
        ledger.rows.pop(place, None)
        del ledger.seqs[place]


def lose_most(ledger: Ledger) -> None:
    """17 events, 4 messages and the session."""
    lose(ledger, *((keys.EVENTS, event_key(n)) for n in range(3, 20)))
    lose(ledger, *((keys.MESSAGES, message_key(n)) for n in range(1, 5)), (keys.SESSIONS, SESSION))


async def counted(db: Database) -> int:
    number: int = await db.fetchval("SELECT coalesce(sum(n), 0)::int FROM usage_slots")
    return number


@pytest.mark.usefixtures("small_chunks")
async def test_a_commit_cut_off_anywhere_leaves_true_totals_and_goes_on_when_asked_again(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_most(ledger)
    await ledger.open_generation()
    await ledger.send(ledger.full_batch())
    remove_rows, calls = generations.remove_rows, 0

    async def cut(tx: Any, gone: Any) -> None:
        nonlocal calls
        calls += 1
        await remove_rows(tx, gone)
        if calls % 2 == 0:  # every second chunk fails after its statements, before its commit
            raise Cut

    monkeypatch.setattr(generations, "remove_rows", cut)
    left, done = [await counted(db)], None
    while done is None:
        try:
            done = await ledger.commit()
        except Cut:
            left.append(await counted(db))
            assert await verify(db) == {}
            assert (await position(db, ledger.host_no, ledger.host_id, ledger.ledger_id)).open_generation == 1
    assert len(left) > 4
    assert left == sorted(left, reverse=True)
    assert (done.removed, done.verdict) == (22, "converged")
    assert await counted(db) == 3
    assert await verify(db) == {}
    monkeypatch.setattr(generations, "remove_rows", remove_rows)
    lose(ledger, (keys.EVENTS, event_key(0)))
    assert (await ledger.push_full()).removed == 1, "each full push counts its own"


@pytest.mark.usefixtures("small_chunks")
async def test_a_batch_that_comes_between_two_chunks_is_not_lost_and_the_commit_is_asked_again(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_most(ledger)
    await ledger.open_generation()
    await ledger.send(ledger.full_batch())
    remove_rows, calls = generations._Commit._remove, 0

    async def interrupted(commit: Any, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            ledger.put(event_key(5), event(5))  # it was to be removed, and is there again
            await ledger.push()
        await remove_rows(commit, *args)

    monkeypatch.setattr(generations._Commit, "_remove", interrupted)
    with pytest.raises(PositionMismatch, match="batches came"):
        await ledger.commit()
    assert await verify(db) == {}
    done = await ledger.commit()
    assert (done.verdict, await counted(db)) == ("converged", 4)
    assert await verify(db) == {}


async def test_copies_of_another_ledger_count_when_a_commit_removes_the_ones_that_did(
    db: Database, ledger: Ledger
) -> None:
    other = Ledger(db, await add_host(db, "server", 1))
    put_events(other, range(20))
    other.put(SESSION, session())
    for n in range(2):  # ours has five of them, and then one
        other.put(message_key(n), message(n))
    series = {"owner_key": keys.series_key("claude", "total")}
    ledger.put(event_key("mine"), event(5, output_tokens=900, **series))
    other.put(event_key("theirs"), event(5, output_tokens=800, **series))
    await ledger.push()
    await other.push()
    by_host = "SELECT count(*) FROM events WHERE counted AND host_no = $1"
    assert [await db.fetchval(by_host, one.host_no) for one in (ledger, other)] == [21, 0]
    lose_most(ledger)
    lose(ledger, (keys.EVENTS, event_key("mine")))
    done = await ledger.push_full(5)
    assert (done.removed, done.verdict) == (23, "converged")
    assert [await db.fetchval(by_host, one.host_no) for one in (ledger, other)] == [3, 18]
    assert await db.fetchval("SELECT count(*) FROM sessions WHERE chosen AND ledger_no = $1", await other.number()) == 1
    assert await db.fetchval("SELECT count(*) FROM event_claims") == 3
    assert await verify(db) == {}
    assert (await other.push()).verdict == "converged"


async def test_removing_all_of_a_ledger_leaves_nothing_of_it(db: Database, ledger: Ledger) -> None:
    lose(ledger, *list(ledger.rows))
    done = await ledger.push_full()
    assert (done.removed, done.digest, done.verdict) == (26, bytes(16), "converged")
    for table in ("events", "messages", "sessions", *KEYS):
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    assert await verify(db) == {}


async def test_rejections_are_renewed_by_the_full_batches_and_those_of_rows_that_are_gone_go(
    db: Database, ledger: Ledger
) -> None:
    bad = msgpack.decode(wire.encode_body(event(1))) | {"11": -1}
    for n in ("kept", "mended", "gone", 1):
        ledger.put_raw(keys.EVENTS, event_key(n), bad)
    unreadable = ledger.batch(head_digest=None)
    unreadable.events.append(Raw(msgpack.encode(["short", 1, None, {}])))
    assert len((await ledger.send(unreadable)).rejected) == 5
    assert await db.fetchval("SELECT count(*) FROM events WHERE stale") == 1  # an older version of 1
    body, seq = event(30), ledger.seqs[keys.EVENTS, event_key("mended")]
    ledger.put(event_key("mended"), body)
    ledger.seqs[keys.EVENTS, event_key("mended")] = seq  # as after an upgrade of the hub
    for n in ("mended", "gone"):
        ledger.raw.pop((keys.EVENTS, event_key(n)), None)
    del ledger.seqs[keys.EVENTS, event_key("gone")]
    ledger.seq = ledger.acked
    await ledger.open_generation()
    receipt = await ledger.send(ledger.full_batch())
    assert sorted(r.key or b"" for r in receipt.rejected) == sorted(event_key(n) for n in ("kept", 1))
    assert (receipt.inserted, receipt.unchanged) == (1, 25)
    done = await ledger.commit()
    assert (done.verdict, done.removed) == ("converged", 0)
    left = await db.fetch("SELECT row_key FROM rejections")
    assert sorted(row[0] for row in left) == sorted(event_key(n) for n in ("kept", 1))
    assert await db.fetchval("SELECT rejected FROM ledgers") == 2
    assert await verify(db) == {}


async def test_a_row_refused_by_a_full_batch_leaves_the_sums_and_the_ledger_still_converges(
    db: Database, ledger: Ledger
) -> None:
    place = (keys.EVENTS, event_key(4))
    seq = ledger.seqs[place]
    ledger.put_raw(*place, msgpack.decode(wire.encode_body(event(4))) | {"11": -1})
    ledger.seqs[place], ledger.seq = seq, ledger.acked
    await ledger.open_generation()
    receipt = await ledger.send(ledger.full_batch())
    assert ([r.key for r in receipt.rejected], receipt.unchanged) == ([event_key(4)], 25)
    assert await counted(db) == 19
    done = await ledger.commit()
    assert (done.verdict, done.removed) == ("converged", 0)
    assert await verify(db) == {}


async def test_a_commit_finds_rows_that_were_altered_behind_the_hubs_back_and_a_repair_mends_them(
    db: Database, ledger: Ledger
) -> None:
    await db.execute("UPDATE events SET output_tokens = 5 WHERE event_key = $1", event_key(7))
    await ledger.open_generation()
    assert (await ledger.send(ledger.full_batch())).unchanged == 26
    done = await ledger.commit()
    assert (done.corrected, done.verdict) == (1, "diverged")
    where = await position(db, ledger.host_no, ledger.host_id, ledger.ledger_id)
    assert (where.state, where.digest) == ("diverged", done.digest)
    assert await db.fetchval("SELECT scrubbed_at IS NULL AND corrected = 1 FROM ledgers")
    receipt = await ledger.send(ledger.repair([(keys.EVENTS, event_key(7))]))
    assert (receipt.updated, receipt.verdict) == (1, "converged")
    assert await db.fetchval("SELECT output_tokens FROM events WHERE event_key = $1", event_key(7)) == 107
