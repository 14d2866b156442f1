"""A full push: full batches confirm what the ledger has, ordinary ones go on, the commit removes the rest."""

import asyncio
from typing import Any

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest import generations, position
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    """12 rows, pushed."""
    made = Ledger(db, await add_host(db, "laptop"))
    made.put(SESSION, session())
    for n in range(3):
        made.put(message_key(n), message(n))
    put_events(made, range(8))
    await made.push()
    return made


async def where(ledger: Ledger) -> wire.Position:
    return await position(ledger.db, ledger.host_no, ledger.host_id, ledger.ledger_id)


async def stored(ledger: Ledger) -> dict[tuple[int, bytes], int]:
    """(table, key) -> seq of what the hub has of a ledger, stale or not."""
    found: dict[tuple[int, bytes], int] = {}
    for table, name in ((1, "session"), (2, "message"), (3, "event")):
        rows = await ledger.db.fetch(
            f"SELECT {name}_key, seq FROM {name}s WHERE ledger_no = $1 AND row_digest IS NOT NULL",
            await ledger.number(),
        )
        found |= {(table, row[0]): row[1] for row in rows}
    return found


async def settled(ledger: Ledger) -> None:
    """The hub has exactly the ledger's rows, under its numbers; all sums and rollups are those of the rows."""
    assert await stored(ledger) == {place: ledger.seqs[place] for place in ledger.rows}
    assert await verify(ledger.db) == {}
    assert (await recompute_digest(ledger.db, ledger.host_no, await ledger.number())).faithful
    assert (await where(ledger)).digest == ledger.digest


def lose(ledger: Ledger, *places: tuple[int, bytes]) -> None:
    """The ledger no longer has these and has no tombstone either, as after a restored backup."""
    for place in places:
        del ledger.rows[place], ledger.seqs[place]


async def test_a_full_push_of_what_the_hub_has_confirms_it_and_writes_no_row(db: Database, ledger: Ledger) -> None:
    sql = "SELECT xmin::text, event_key::text FROM events UNION ALL SELECT xmin::text, message_key::text FROM messages"
    before = sorted(map(tuple, await db.fetch(sql)))
    opened = await ledger.open_generation()
    assert (opened.open_generation, opened.generation, opened.full_seq, opened.full_target) == (1, 0, 0, 12)
    receipts = [await ledger.send(ledger.full_batch(5)) for _ in range(3)]
    assert [(r.full_seq, r.acked_seq, r.unchanged) for r in receipts] == [(5, 12, 5), (10, 12, 5), (12, 12, 2)]
    assert {(r.inserted, r.updated, r.removed, r.verdict) for r in receipts} == {(0, 0, 0, "converged")}
    done = await ledger.commit()
    assert done == wire.Committed(
        generation=1, acked_seq=12, removed=0, corrected=0, digest=ledger.digest, verdict="converged"
    )
    after = await where(ledger)
    assert (after.generation, after.open_generation, after.full_seq, after.full_target) == (1, 0, 0, 0)
    assert sorted(map(tuple, await db.fetch(sql))) == before
    assert await db.fetchval("SELECT count(*) FROM confirmations") == 0
    await settled(ledger)


async def test_what_is_missing_comes_what_differs_is_restated_and_what_is_too_much_goes(
    db: Database, ledger: Ledger
) -> None:
    lose(ledger, (keys.EVENTS, event_key(0)), (keys.MESSAGES, message_key(0)))
    ledger.rows[keys.EVENTS, event_key(1)] = event(1, output_tokens=7)
    ledger.rows[keys.EVENTS, event_key("late")] = event(3)
    ledger.seqs[keys.EVENTS, event_key("late")] = 3
    await ledger.open_generation()
    receipt = await ledger.send(ledger.full_batch())
    assert (receipt.inserted, receipt.updated, receipt.unchanged, receipt.removed) == (1, 1, 9, 0)
    assert receipt.verdict == "behind"
    done = await ledger.commit()
    assert (done.removed, done.corrected, done.verdict) == (2, 0, "converged")
    await settled(ledger)


async def test_rows_that_moved_changed_or_vanished_meanwhile_are_as_the_ordinary_batches_say(
    db: Database, ledger: Ledger
) -> None:
    await ledger.open_generation()
    await ledger.send(ledger.full_batch(6))
    ledger.put(event_key(0), event(0, output_tokens=9))  # confirmed, and changed
    ledger.remove(keys.MESSAGES, message_key(0))  # confirmed, and gone
    ledger.put(event_key(7), event(7, output_tokens=9))  # not yet confirmed, and changed
    ledger.remove(keys.EVENTS, event_key(6))  # not yet confirmed, and gone
    put_events(ledger, [50])
    receipt = await ledger.push()
    assert (receipt.acked_seq, receipt.full_seq, receipt.verdict) == (17, 6, "converged")
    while ledger.full_seq < ledger.full_target:
        assert (await ledger.send(ledger.full_batch(2))).verdict == "converged"
    done = await ledger.commit()
    assert (done.removed, done.verdict, done.acked_seq) == (0, "converged", 17)
    await settled(ledger)


async def test_an_unchanged_row_takes_the_seq_that_it_comes_with_and_one_of_a_seq_that_never_was_goes(
    db: Database, ledger: Ledger
) -> None:
    for name in ("events", "messages", "sessions"):
        await db.execute(f"UPDATE {name} SET seq = seq + 500")
    lose(ledger, (keys.EVENTS, event_key(0)))
    done = await ledger.push_full(2)
    assert (done.removed, done.verdict) == (1, "converged")
    await settled(ledger)


async def test_a_full_push_goes_on_where_it_was_interrupted_and_replays_are_answered_as_before(
    db: Database, ledger: Ledger
) -> None:
    lose(ledger, (keys.EVENTS, event_key(0)))
    opened = await ledger.open_generation()
    assert await ledger.open_generation() == opened
    while ledger.full_seq < ledger.full_target:
        batch = ledger.full_batch(5)
        receipt = await ledger.send(batch)
        for _ in range(2):
            assert await ledger.send(batch) == receipt
        before = await where(ledger)
        assert await ledger.open_generation() == before  # also when the agent begins anew
        assert before.full_seq == receipt.full_seq
    done = await ledger.commit()
    for _ in range(2):
        assert await ledger.commit() == done
    await ledger.push()
    assert await ledger.commit() == done, "the kept answer, whatever came since"
    assert (await ledger.open_generation()).open_generation == 2
    await settled(ledger)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"generation": 2}, "generation 2, open is 1"),
        ({"generation": 0}, "generation 0, open is 1"),
        ({"from_seq": 0}, "the hub is at 4"),
        ({"from_seq": 5, "to_seq": 8}, "the hub is at 4"),
        ({"to_seq": 13}, "from 4 to 12"),
        ({"to_seq": 4}, "from 4 to 12"),
        ({"to_seq": 2}, "do not ascend"),
        ({"previous_batch_id": bytes(16)}, "follows another batch"),
        ({"batch_no": 2}, "do not ascend"),
    ],
)
async def test_a_full_batch_that_does_not_fit_is_refused_with_the_position_and_changes_nothing(
    db: Database, ledger: Ledger, changes: dict[str, Any], reason: str
) -> None:
    await ledger.open_generation()
    await ledger.send(ledger.full_batch(4))
    before = await where(ledger)
    with pytest.raises(PositionMismatch, match=reason) as raised:
        await ledger.send(ledger.full_batch(4, **changes))
    assert raised.value.position == before == await where(ledger)
    assert await db.fetchval("SELECT count(*) FROM confirmations") == 1
    assert (await ledger.push_full()).verdict == "converged"
    await settled(ledger)


async def test_a_full_batch_needs_an_open_generation(ledger: Ledger) -> None:
    batch = ledger.full_batch(from_seq=0, to_seq=12, generation=1)
    with pytest.raises(PositionMismatch, match="open is none"):
        await ledger.send(batch)


async def test_a_generation_is_opened_after_the_ledgers_last_batch_only(ledger: Ledger) -> None:
    before = await where(ledger)
    ledger.last_batch = bytes(16)
    with pytest.raises(PositionMismatch) as raised:
        await ledger.open_generation()
    assert raised.value.position == before == await where(ledger)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"number": 2}, "generation 2 is not open"),
        ({"number": 0}, "generation 0 is not open"),
        ({"last_batch_id": bytes(16)}, "batches came"),
        ({"at_seq": 11}, "batches came"),
    ],
)
async def test_a_commit_of_another_moment_is_refused_and_removes_nothing(
    ledger: Ledger, changes: dict[str, Any], reason: str
) -> None:
    lose(ledger, (keys.EVENTS, event_key(0)))
    await ledger.open_generation()
    await ledger.send(ledger.full_batch())
    rows, before = await stored(ledger), await where(ledger)
    with pytest.raises(PositionMismatch, match=reason) as raised:
        await ledger.commit(**changes)
    assert raised.value.position == before
    assert await stored(ledger) == rows
    assert (await ledger.commit()).removed == 1


async def test_a_commit_before_the_last_full_batch_or_after_an_ordinary_one_is_refused(ledger: Ledger) -> None:
    lose(ledger, (keys.EVENTS, event_key(0)))
    await ledger.open_generation()
    await ledger.send(ledger.full_batch(6))
    with pytest.raises(PositionMismatch, match="seq 6 of 12"):
        await ledger.commit()
    await ledger.send(ledger.full_batch())
    put_events(ledger, [20])
    with pytest.raises(PositionMismatch, match="batches came"):
        await ledger.commit()  # the ledger is ahead
    await ledger.push()
    assert (await ledger.commit()).verdict == "converged"
    await settled(ledger)


async def test_a_ledger_that_the_hub_does_not_know_can_be_pushed_in_full(db: Database, ledger: Ledger) -> None:
    new = Ledger(db, await add_host(db, "new", 1))
    with pytest.raises(PositionMismatch, match="generation 1 is not open"):
        await new.commit(1)
    put_events(new, range(20, 25))
    assert (await new.open_generation()).full_target == 0
    assert (await new.push_full(2)).verdict == "converged"
    await settled(new)


async def test_a_ledger_that_was_superseded_during_its_full_push_is_back_and_begins_anew(
    db: Database, ledger: Ledger
) -> None:
    await ledger.open_generation()
    await ledger.send(ledger.full_batch())
    await db.execute("UPDATE ledgers SET superseded_at = now()")
    with pytest.raises(PositionMismatch, match="generation 1 is not open") as raised:
        await ledger.commit()
    assert raised.value.position == await where(ledger)
    await db.execute("UPDATE ledgers SET superseded_at = now()")
    opened = await ledger.open_generation()
    assert (opened.acked_seq, opened.full_target, opened.open_generation) == (0, 0, 1)
    ledger.acked = 0
    assert (await ledger.push()).unchanged == 12
    assert (await ledger.push_full()).verdict == "converged"
    await settled(ledger)


async def test_a_commit_whose_digest_is_not_the_hubs_says_diverged_and_ends_the_generation(ledger: Ledger) -> None:
    await ledger.open_generation()
    await ledger.send(ledger.full_batch())
    done = await ledger.commit(head_digest=bytes(16))
    assert (done.verdict, done.digest) == ("diverged", ledger.digest)
    after = await where(ledger)
    assert (after.state, after.generation, after.open_generation) == ("diverged", 1, 0)


async def test_two_commits_at_once_remove_once_and_agree(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "_CHUNK_ROWS", 1)
    lose(ledger, *((keys.EVENTS, event_key(n)) for n in range(5)))
    await ledger.open_generation()
    await ledger.send(ledger.full_batch())
    answers = await asyncio.gather(*(ledger.commit() for _ in range(3)), return_exceptions=True)
    done = await ledger.commit()
    assert (done.removed, done.verdict) == (5, "converged")
    assert all(answer == done or isinstance(answer, PositionMismatch) for answer in answers)
    assert done in answers
    await settled(ledger)
