"""A row that the hub cannot accept is rejected by itself, on both sides of the sums."""

from typing import Any

import pytest
from msgspec import Raw, msgpack, to_builtins

from ledgers import NOON, Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    return Ledger(db, await add_host(db, "laptop"))


def fields(body: wire.Body, **changes: Any) -> dict[str, Any]:
    """A body as a map from field number to value, with values of any kind put in."""
    return msgpack.decode(wire.encode_body(body)) | changes


async def test_a_refused_row_is_listed_and_the_others_count(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(3))
    ledger.put_raw(keys.EVENTS, event_key(9), fields(event(9), **{"11": -5}))
    receipt = await ledger.push()
    assert receipt.inserted == 3
    (rejected,) = receipt.rejected
    assert (rejected.table, rejected.key, rejected.seq, rejected.code) == (keys.EVENTS, event_key(9), 4, "bad_value")
    assert "11" in rejected.reason
    row = await db.fetchrow("SELECT table_no, row_key, seq, code, batch_no FROM rejections")
    assert tuple(row) == (keys.EVENTS, event_key(9), 4, "bad_value", 1)
    assert await verify(db) == {}


@pytest.mark.parametrize(
    "table, body",
    [
        (keys.EVENTS, fields(event(), **{"3": 5})),
        (keys.EVENTS, fields(event(), **{"3": None})),
        (keys.EVENTS, fields(event(), **{"11": 2**53})),
        (keys.EVENTS, fields(event(), **{"11": 1.5})),
        (keys.EVENTS, fields(event(), **{"7": "a\0b"})),
        (keys.EVENTS, fields(event(), **{"7": "x" * 513})),
        (keys.EVENTS, fields(event(), **{"2": b"short"})),
        (keys.EVENTS, fields(event(), **{"23": "1e99"})),
        (keys.EVENTS, fields(event(), **{"4": 9})),
        (keys.EVENTS, "no map"),
        (keys.MESSAGES, fields(message(), **{"6": ["ok", "\0"]})),
        (keys.MESSAGES, fields(message(), **{"1": None})),
        (keys.SESSIONS, fields(session(), **{"2": ""})),
        (keys.SESSIONS, fields(session(), **{"7": "b\0"})),
    ],
)
async def test_a_value_that_cannot_be_stored_is_refused_and_the_ledger_converges(
    db: Database, ledger: Ledger, table: int, body: Any
) -> None:
    put_events(ledger, range(2))
    ledger.put_raw(table, event_key(9), body)
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.inserted, len(receipt.rejected)) == ("converged", 2, 1)
    assert await verify(db) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"\xc0",
        msgpack.encode(["short", 1, None, {}]),
        msgpack.encode([event_key(9), 99, None, to_builtins({"2": SESSION, "3": NOON, "5": "claude"})]),
        msgpack.encode([event_key(0), 1, None, {"2": SESSION, "3": NOON, "5": "claude"}]),
        msgpack.encode([event_key(9), 1, None, {"5": b"\xff"}]).replace(b"\xc4\x01\xff", b"\xa1\xff"),
    ],
    ids=["not a row", "bad key", "seq of another batch", "key twice", "not UTF-8"],
)
async def test_what_is_no_row_of_the_batch_is_refused_by_itself(db: Database, ledger: Ledger, raw: bytes) -> None:
    put_events(ledger, range(2))
    batch = ledger.batch()
    batch = ledger.batch(events=[*batch.events, Raw(raw)])
    receipt = await ledger.send(batch)
    assert (receipt.inserted, len(receipt.rejected)) == (2, 1)
    assert await db.fetchval("SELECT count(*) FROM rejections") == 1
    assert await verify(db) == {}


async def test_a_bad_tombstone_is_refused_by_itself(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(2))
    bad = [msgpack.encode([9, bytes(16), 1]), msgpack.encode("x"), msgpack.encode([keys.EVENTS, event_key(1), 2])]
    receipt = await ledger.send(ledger.batch(tombstones=[Raw(raw) for raw in bad]))
    assert (receipt.inserted, receipt.removed, len(receipt.rejected)) == (2, 0, 3)
    assert await verify(db) == {}


async def test_an_accepted_version_leaves_the_sums_when_a_newer_one_is_refused_and_comes_back(
    db: Database, ledger: Ledger
) -> None:
    put_events(ledger, range(2))
    ledger.put(SESSION, session())
    ledger.put(message_key(1), message(1))
    await ledger.push()
    good = dict(ledger.rows)
    ledger.put_raw(keys.EVENTS, event_key(1), fields(event(1), **{"11": -1}))
    ledger.put_raw(keys.SESSIONS, SESSION, fields(session(), **{"2": ""}))
    ledger.put_raw(keys.MESSAGES, message_key(1), fields(message(1), **{"7": -1}))
    receipt = await ledger.push()
    assert (len(receipt.rejected), receipt.removed) == (3, 0)
    for table in ("events", "messages", "sessions"):
        assert await db.fetchval(f"SELECT count(*) FROM {table} WHERE stale") == 1, table
    assert await db.fetchval("SELECT sum(n) FROM usage_slots") == 1
    assert await db.fetchval("SELECT count(*) FROM activity_slots") == 0
    assert await verify(db) == {}
    for (_, key), body in good.items():
        ledger.put(key, body)
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.rejected) == ("converged", [])
    assert await db.fetchval("SELECT count(*) FROM rejections") == 0
    assert await db.fetchval("SELECT rejected_digest FROM ledgers") == 0
    assert await verify(db) == {}


async def test_a_refused_row_that_goes_takes_its_rejection_with_it(db: Database, ledger: Ledger) -> None:
    put_events(ledger, range(2))
    await ledger.push()
    ledger.put_raw(keys.EVENTS, event_key(1), fields(event(1), **{"11": -1}))
    await ledger.push()
    ledger.put_raw(keys.EVENTS, event_key(1), fields(event(1), **{"11": -2}))
    await ledger.push()
    assert await db.fetchval("SELECT rejected FROM ledgers") == 1
    ledger.remove(keys.EVENTS, event_key(1))
    receipt = await ledger.push()
    assert receipt.verdict == "converged"
    assert await db.fetchval("SELECT count(*) FROM rejections") == 0
    assert await db.fetchval("SELECT rejected FROM ledgers") == 0
    assert await verify(db) == {}
