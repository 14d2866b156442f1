"""A row on which the transaction itself fails is rejected by itself; the rest of the batch is stored.

What makes rows fail are constraints that this database has and the hub does not know of, and mistakes in its own code.
"""

import asyncio
from typing import Any

import asyncpg
import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.errors import HubError
from trueup_hub.ingest import changes, poison
from trueup_hub.ingest.verify import verify
from trueup_shared import keys
from trueup_shared.prices import Price, PriceList

CONSTRAINTS = {
    keys.SESSIONS: "ALTER TABLE sessions ADD CONSTRAINT no CHECK (git_branch <> 'poison')",
    keys.MESSAGES: "ALTER TABLE messages ADD CONSTRAINT no CHECK (size_chars <> 666)",
    keys.EVENTS: "ALTER TABLE events ADD CONSTRAINT no CHECK (output_tokens <> 666666)",
}
POISON = {
    keys.SESSIONS: (keys.session_key("claude", "bad"), session("bad", git_branch="poison")),
    keys.MESSAGES: (message_key("bad"), message(1, size_chars=666)),
    keys.EVENTS: (event_key("bad"), event(1, output_tokens=666_666)),
}


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    return Ledger(db, await add_host(db, "laptop"))


def put_good(ledger: Ledger, numbers: range) -> None:
    ledger.put(keys.session_key("claude", "s1"), session())
    for n in numbers:
        ledger.put(event_key(n), event(n))
        ledger.put(message_key(n), message(n))


async def rejections(db: Database) -> set[tuple[int, bytes, str]]:
    return {tuple(row) for row in await db.fetch("SELECT table_no, row_key, code FROM rejections")}


@pytest.mark.parametrize("table", CONSTRAINTS)
async def test_a_batch_of_nothing_but_such_a_row_goes_through(db: Database, ledger: Ledger, table: int) -> None:
    await db.execute(CONSTRAINTS[table])
    key, body = POISON[table]
    ledger.put(key, body)
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.acked_seq, receipt.inserted) == ("converged", 1, 0)
    (rejected,) = receipt.rejected
    assert (rejected.table, rejected.key, rejected.seq, rejected.code) == (table, key, 1, "failed")
    assert "CheckViolationError" in rejected.reason
    assert await rejections(db) == {(table, key, "failed")}
    assert await verify(db) == {}


async def test_among_many_good_rows_only_they_are_rejected(db: Database, ledger: Ledger) -> None:
    bad = {(table, key, "failed") for table, (key, _) in POISON.items()}
    for table, constraint in CONSTRAINTS.items():
        await db.execute(constraint)
        put_good(ledger, range(400 * table, 400 * table + 400))
        ledger.put(*POISON[table])
    put_good(ledger, range(300))
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.inserted, len(receipt.rejected)) == ("converged", 3001, 3)
    assert await rejections(db) == bad
    assert await db.fetchval("SELECT sum(n) FROM usage_slots") == 1500
    assert await verify(db) == {}


async def test_a_mistake_of_ours_costs_the_rows_that_it_concerns(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = PriceList.price

    def wrong(prices: PriceList, provider: str | None, model: str | None, *rest: Any) -> Price:
        if model == "claude-cursed-4":
            raise ValueError("invalid literal for int(): '4\0'")  # the database's door takes these for its own
        return right(prices, provider, model, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(PriceList, "price", wrong)
        put_events(ledger, range(50))
        put_events(ledger, range(50, 53), model="claude-cursed-4")
        receipt = await ledger.push()
    assert (receipt.verdict, receipt.inserted) == ("converged", 50)
    assert {row.key for row in receipt.rejected} == {event_key(n) for n in range(50, 53)}
    assert {row.reason for row in receipt.rejected} == {
        "the hub failed at it: ValueError: invalid literal for int(): '4'"
    }
    assert await verify(db) == {}


async def test_the_version_before_leaves_the_sums_and_a_repair_brings_the_row_when_the_hub_can_take_it(
    db: Database, ledger: Ledger
) -> None:
    put_good(ledger, range(5))
    await ledger.push()
    await db.execute(CONSTRAINTS[keys.EVENTS])
    ledger.put(event_key(3), event(3, output_tokens=666_666))
    receipt = await ledger.push()
    assert (receipt.verdict, len(receipt.rejected)) == ("converged", 1)
    assert await db.fetchval("SELECT sum(n) FROM usage_slots") == 4
    assert await verify(db) == {}

    repair = ledger.batch(kind="repair", events=_row_of(ledger, event_key(3)), head_digest=ledger.digest)
    assert len((await ledger.send(repair)).rejected) == 1
    await db.execute("ALTER TABLE events DROP CONSTRAINT no")
    repair = ledger.batch(kind="repair", events=_row_of(ledger, event_key(3)), head_digest=ledger.digest)
    receipt = await ledger.send(repair)
    assert (receipt.verdict, receipt.rejected) == ("converged", [])
    assert await rejections(db) == set()
    assert await db.fetchval("SELECT sum(s_output_tokens) FROM usage_slots") == 666_666 + 100 + 101 + 102 + 104
    assert await verify(db) == {}


def _row_of(ledger: Ledger, key: bytes) -> list[Any]:
    acked, ledger.acked = ledger.acked, ledger.seqs[keys.EVENTS, key] - 1
    try:
        return ledger.batch(1).events
    finally:
        ledger.acked = acked


async def test_of_rows_that_fail_only_together_the_first_are_stored(db: Database, ledger: Ledger) -> None:
    await db.execute("CREATE UNIQUE INDEX one ON messages (size_chars) WHERE size_chars = 777")
    put_good(ledger, range(20))
    for n in range(20, 23):
        ledger.put(message_key(n), message(n, size_chars=777))
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.inserted, len(receipt.rejected)) == ("converged", 42, 2)
    assert await db.fetchval("SELECT count(*) FROM messages WHERE size_chars = 777") == 1
    assert await verify(db) == {}


async def test_where_very_many_fail_the_search_ends_and_what_is_left_is_rejected_together(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poison, "SEARCH_SECONDS", 0.0)
    await db.execute(CONSTRAINTS[keys.EVENTS])
    put_good(ledger, range(10))
    ledger.put(*POISON[keys.EVENTS])
    receipt = await ledger.push()
    assert (receipt.verdict, receipt.inserted, len(receipt.rejected)) == ("converged", 0, 22)
    assert all("one of 22 rows" in row.reason for row in receipt.rejected)
    assert await verify(db) == {}


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DiskFullError("no space left on device"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        OSError("connection reset"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_row_is_blamed_for_the_state_of_the_database(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*args: object) -> None:
        raise error

    put_good(ledger, range(3))
    batch = ledger.batch()
    with monkeypatch.context() as patch:
        patch.setattr(changes, "apply_events", fail)
        with pytest.raises((type(error), HubError)) as raised:
            await ledger.send(batch)
    assert raised.value is error or raised.value.__cause__ is error
    assert await db.fetchval("SELECT count(*) FROM rejections") == 0
    assert (await ledger.send(batch)).inserted == 7


async def test_no_row_is_blamed_where_it_fails_without_any(db: Database, ledger: Ledger) -> None:
    put_good(ledger, range(3))
    await ledger.push()
    await db.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$")
    await db.execute("CREATE TRIGGER no BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION no()")
    ledger.remove(keys.EVENTS, event_key(1))
    put_good(ledger, range(5, 9))
    batch = ledger.batch()
    with pytest.raises(asyncpg.RaiseError, match="never"):
        await ledger.send(batch)
    assert await rejections(db) == set()
    await db.execute("DROP TRIGGER no ON events")
    receipt = await ledger.send(batch)
    assert (receipt.verdict, receipt.removed) == ("converged", 1)
    assert await verify(db) == {}


async def test_while_others_push_the_same_requests_the_search_does_no_harm(db: Database, ledger: Ledger) -> None:
    """It takes locks in another order than batches do."""
    await db.execute(CONSTRAINTS[keys.EVENTS])
    others = [ledger, *[Ledger(db, await add_host(db, f"host {n}", n + 1)) for n in range(3)]]
    for number, each in enumerate(others):
        put_good(each, range(60 * number, 60 * number + 200))
        each.put(event_key(f"bad {number}"), event(1, output_tokens=666_666))
        put_good(each, range(500, 560))
    receipts = await asyncio.gather(*(each.push() for each in others))
    assert [(receipt.verdict, len(receipt.rejected)) for receipt in receipts] == [("converged", 1)] * 4
    assert await db.fetchval("SELECT sum(n) FROM usage_slots") == 60 * 3 + 200 + 60
    assert await verify(db) == {}
