"""A repair batch mends single rows where the ledger and the hub differ, and moves nothing but the chain."""

from typing import Any

import pytest
from msgspec import Raw, msgpack

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest import position
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    made = Ledger(db, await add_host(db, "laptop"))
    made.put(SESSION, session())
    for n in range(3):
        made.put(message_key(n), message(n))
    put_events(made, range(6))
    await made.push()
    return made


async def where(ledger: Ledger) -> wire.Position:
    return await position(ledger.db, ledger.host_no, ledger.host_id, ledger.ledger_id)


def ledger_differs(ledger: Ledger) -> list[tuple[int, bytes]]:
    """The hub has 3 rows too many, 2 rows otherwise than the ledger, and lacks 3."""
    extra = [(keys.EVENTS, event_key(0)), (keys.MESSAGES, message_key(0)), (keys.SESSIONS, SESSION)]
    for place in extra:
        del ledger.rows[place], ledger.seqs[place]
    other = {(keys.EVENTS, event_key(1)): event(1, output_tokens=3), (keys.MESSAGES, message_key(1)): message(7)}
    missing = {
        (keys.EVENTS, event_key("new")): event(2),
        (keys.MESSAGES, message_key("new")): message(2),
        (keys.SESSIONS, keys.session_key("claude", "s2")): session("s2"),
    }
    ledger.rows |= other | missing
    ledger.seqs |= {place: seq for seq, place in enumerate(missing, 3)}
    return [*extra, *other, *missing]


async def test_a_repair_mends_what_differs_and_moves_only_the_chain(db: Database, ledger: Ledger) -> None:
    differs = ledger_differs(ledger)
    before = await where(ledger)
    batch = ledger.repair(differs)
    assert {msgpack.decode(raw)[2] for raw in batch.tombstones} == {0}
    receipt = await ledger.send(batch)
    assert (receipt.inserted, receipt.updated, receipt.removed, receipt.rejected) == (3, 2, 3, [])
    assert (receipt.verdict, receipt.digest) == ("converged", ledger.digest)
    after = await where(ledger)
    assert (after.acked_seq, after.batch_no, after.last_batch_id) == (before.acked_seq, 2, batch.batch_id)
    assert await db.fetchval("SELECT kind FROM batches WHERE batch_no = 2") == "repair"
    assert (await recompute_digest(db, ledger.host_no, await ledger.number())).faithful
    assert await verify(db) == {}
    put_events(ledger, [30])
    assert (await ledger.push()).verdict == "converged"


async def test_a_replayed_repair_gets_the_same_receipt(db: Database, ledger: Ledger) -> None:
    batch = ledger.repair(ledger_differs(ledger))
    receipt = await ledger.send(batch)
    put_events(ledger, [30])
    await ledger.push()
    assert await ledger.send(batch) == receipt
    assert await verify(db) == {}


async def test_a_repair_behind_the_ledgers_head_compares_nothing(ledger: Ledger) -> None:
    put_events(ledger, [30])
    assert (await ledger.send(ledger.repair([(keys.EVENTS, event_key(1))]))).verdict == "behind"
    assert (await ledger.push()).verdict == "converged"


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"from_seq": 9, "to_seq": 9}, "made for seq 9, the hub is at 10"),
        ({"from_seq": 11, "to_seq": 11}, "made for seq 11"),
        ({"from_seq": 9}, "the hub is at 10"),
        ({"to_seq": 9}, "do not ascend"),
        ({"previous_batch_id": None}, "follows another batch"),
        ({"batch_no": 1}, "do not ascend"),
    ],
)
async def test_a_repair_made_for_another_position_is_refused_and_changes_nothing(
    ledger: Ledger, changes: dict[str, Any], reason: str
) -> None:
    before = await where(ledger)
    with pytest.raises(PositionMismatch, match=reason) as raised:
        await ledger.send(ledger.repair(ledger_differs(ledger), **changes))
    assert raised.value.position == before == await where(ledger)


async def test_a_row_that_an_ordinary_batch_will_bring_has_no_place_in_a_repair(ledger: Ledger) -> None:
    ledger.put(event_key(1), event(1, output_tokens=4))
    ledger.remove(keys.EVENTS, event_key(2))
    receipt = await ledger.send(ledger.repair([(keys.EVENTS, event_key(1)), (keys.EVENTS, event_key(2))]))
    assert [rejected.code for rejected in receipt.rejected] == ["bad_row", "bad_row"]
    assert (receipt.updated, receipt.removed) == (0, 0)


UNFAITHFUL = {
    "a field that the hub does not know": {"99": "later"},
    "a field that is nil": {"24": None},
}


@pytest.mark.parametrize("extra", UNFAITHFUL.values(), ids=UNFAITHFUL.keys())
async def test_a_row_that_the_hub_reads_otherwise_than_it_was_sent_is_rejected_by_a_repair_alone(
    db: Database, ledger: Ledger, extra: dict[str, Any]
) -> None:
    body = msgpack.decode(wire.encode_body(event(1))) | extra
    seq = ledger.seqs[keys.EVENTS, event_key(1)]
    ledger.put_raw(keys.EVENTS, event_key(1), body)
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.rejected, receipt.unchanged) == ("diverged", [], 1)
    receipt = await ledger.send(ledger.repair([(keys.EVENTS, event_key(1)), (keys.EVENTS, event_key(2))]))
    assert [(r.key, r.code) for r in receipt.rejected] == [(event_key(1), "not_faithful")]
    assert (receipt.verdict, receipt.unchanged) == ("converged", 1), "it counts as it was received"
    assert await db.fetchval("SELECT sum(n)::int FROM usage_slots") == 5
    assert await verify(db) == {}
    ledger.put(event_key(1), event(1))
    receipt = await ledger.push()
    assert (receipt.verdict, (await where(ledger)).rejected) == ("converged", 0)
    assert seq < ledger.seqs[keys.EVENTS, event_key(1)]
    assert await verify(db) == {}


async def test_fields_in_another_order_are_not_faithful_either(ledger: Ledger) -> None:
    fields = msgpack.decode(wire.encode_body(event(1)))
    ledger.put_raw(keys.EVENTS, event_key(1), dict(reversed(fields.items())))
    assert (await ledger.push()).verdict == "diverged"
    receipt = await ledger.send(ledger.repair([(keys.EVENTS, event_key(1))]))
    assert (receipt.verdict, [r.code for r in receipt.rejected]) == ("converged", ["not_faithful"])


async def test_a_repair_takes_rejections_without_a_key_away_and_those_of_the_keys_it_has(
    db: Database, ledger: Ledger
) -> None:
    bad = msgpack.decode(wire.encode_body(event(1))) | {"11": -1}
    for n in ("kept", "gone"):
        ledger.put_raw(keys.EVENTS, event_key(n), bad)
    batch = ledger.batch()
    batch.events.append(Raw(b"\xc0"))
    batch.tombstones.append(Raw(b"\xc0"))
    receipt = await ledger.send(batch)
    assert (len(receipt.rejected), receipt.verdict) == (4, "diverged")
    receipt = await ledger.send(ledger.repair([]))
    assert (receipt.verdict, (await where(ledger)).rejected) == ("converged", 2)
    del ledger.raw[keys.EVENTS, event_key("gone")]
    receipt = await ledger.send(ledger.repair([(keys.EVENTS, event_key("gone"))]))
    assert (receipt.verdict, receipt.removed) == ("converged", 0)
    assert [row[0] for row in await db.fetch("SELECT row_key FROM rejections")] == [event_key("kept")]
    assert await verify(db) == {}


async def test_what_a_repair_deletes_counts_from_another_ledger(db: Database, ledger: Ledger) -> None:
    other = Ledger(db, await add_host(db, "server", 1))
    put_events(other, range(6))
    await other.push()
    place = (keys.EVENTS, event_key(0))
    del ledger.rows[place], ledger.seqs[place]
    assert (await ledger.send(ledger.repair([place]))).verdict == "converged"
    counted = await db.fetch("SELECT host_no, count(*)::int FROM events WHERE counted GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in counted] == [(ledger.host_no, 5), (other.host_no, 1)]
    assert await verify(db) == {}


async def test_a_repair_may_come_while_a_generation_is_open(db: Database, ledger: Ledger) -> None:
    await ledger.open_generation()
    await ledger.send(ledger.full_batch(6))
    gone, other = (keys.EVENTS, event_key(0)), (keys.EVENTS, event_key(5))
    del ledger.rows[gone], ledger.seqs[gone]
    ledger.rows[other] = event(5, output_tokens=1)
    receipt = await ledger.send(ledger.repair([gone, other]))
    assert (receipt.full_seq, receipt.acked_seq, receipt.verdict) == (6, 10, "converged")
    receipt = await ledger.send(ledger.full_batch())
    assert (receipt.unchanged, receipt.updated) == (4, 0)
    done = await ledger.commit()
    assert (done.verdict, done.removed) == ("converged", 0)
    assert await verify(db) == {}
