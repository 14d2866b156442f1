"""A machine that goes on under a new ledger counts once; what only the old one knew stays; nobody is locked out."""

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest import position
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")
SERIES = keys.series_key("claude", "s1")
OUTPUT_BIT = 16


@pytest.fixture
async def host(db: Database) -> tuple[int, str]:
    return await add_host(db, "ana")


def fill(ledger: Ledger, first: int, last: int) -> None:
    for n in range(first, last):
        ledger.put(event_key(n), event(n))
        ledger.put(message_key(n), message(n))
    ledger.put(SESSION, session())


async def replace(old: Ledger, new: Ledger) -> wire.Receipt:
    """The new one pushes all it has, and says whose place it took."""
    return await new.send(new.batch(replaces=[old.ledger_id]))


async def rows(db: Database, ledger: Ledger) -> list[int]:
    number = await ledger.number()
    return [
        await db.fetchval(f"SELECT count(*) FROM {table} WHERE ledger_no = $1", number)
        for table in ("events", "messages", "sessions")
    ]


async def counted(db: Database) -> tuple[int, int]:
    """Requests and tokens that count."""
    row = await db.fetchrow("SELECT sum(n)::int, sum(s_output_tokens)::int FROM usage_slots")
    assert row is not None
    return row[0] or 0, row[1] or 0


async def ask(ledger: Ledger) -> wire.Position:
    return await position(ledger.db, ledger.host_no, ledger.host_id, ledger.ledger_id)


async def test_what_the_new_ledger_has_too_is_dropped_from_the_old_and_the_rest_counts(
    db: Database, host: tuple[int, str]
) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 30)
    await old.push()
    fill(new, 10, 40)
    assert (await replace(old, new)).verdict == "converged"
    expected = await counted(db)
    assert expected[0] == 40
    assert await supersede_pending(db, chunk=7) == 20 + 20 + 1
    assert await rows(db, old) == [10, 10, 1]
    assert await counted(db) == expected
    assert await verify(db) == {}
    assert await supersede_pending(db) == 0


async def test_the_old_ledger_stays_whole_until_the_new_one_has_converged(db: Database, host: tuple[int, str]) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 5)
    await old.push()
    fill(new, 0, 5)
    await new.send(new.batch(3, replaces=[old.ledger_id]))
    assert await supersede_pending(db) == 0
    assert await rows(db, old) == [5, 5, 1]
    await new.push()
    assert await supersede_pending(db) == 11
    assert await counted(db) == (5, 510)
    assert await verify(db) == {}


async def test_better_copies_and_fuller_sessions_stay_with_the_old_ledger(db: Database, host: tuple[int, str]) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    old.put(event_key(1), event(1))
    new.put(event_key(1), event(1, lower_bounds=OUTPUT_BIT))
    for n in range(6):
        old.put(message_key(n), message(n))
    new.put(message_key(0), message(0))
    for n in range(4):
        old.put(event_key(f"total {n}"), event(n, owner_key=SERIES))
    new.put(event_key("total 3"), event(3, owner_key=SERIES))
    await old.push()
    await replace(old, new)
    expected = await counted(db)
    assert expected == (5, 101 + 100 + 101 + 102 + 103)
    assert await supersede_pending(db, chunk=2) == 0
    assert await counted(db) == expected
    assert await db.fetchval("SELECT sum(messages) FROM activity_slots") == 6
    assert await verify(db) == {}


async def test_running_totals_are_not_doubled_by_a_reinstall(db: Database, host: tuple[int, str]) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    for n in range(4):
        old.put(event_key(f"old {n}"), event(n, owner_key=SERIES, output_tokens=100))
    await old.push()
    new.put(event_key("new"), event(9, owner_key=SERIES, output_tokens=5000))  # it saw the last total only
    await replace(old, new)
    assert await counted(db) == (1, 5000)
    assert await supersede_pending(db, chunk=3) == 4
    assert await counted(db) == (1, 5000)
    assert await verify(db) == {}


async def test_what_the_new_ledger_withdraws_goes_from_the_old_one_too(db: Database, host: tuple[int, str]) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 9)
    await old.push()
    fill(new, 5, 9)
    await replace(old, new)
    for when in ("before", "after"):
        n = 0 if when == "before" else 1
        new.remove(keys.EVENTS, event_key(n))  # it never had these rows: a forgotten session is named all the same
        new.remove(keys.MESSAGES, message_key(n))
        assert (await new.push()).verdict == "converged"
        assert (await counted(db))[0] == 9 - 1 - n
        if when == "before":
            await supersede_pending(db)
    assert await rows(db, old) == [3, 7, 1]  # its copy of the session is the fuller one
    assert await verify(db) == {}


async def test_what_a_repair_deletes_stays_with_the_old_ledger(db: Database, host: tuple[int, str]) -> None:
    """It is not in the new ledger, which says nothing about what only the old one knew."""
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 3)
    await old.push()
    fill(new, 1, 3)
    await replace(old, new)
    await supersede_pending(db)
    deletion = wire.Tombstone(keys.EVENTS, event_key(0), 0)
    await new.send(new.batch(kind="repair", tombstones=[deletion], head_digest=new.digest))
    assert (await counted(db))[0] == 3
    assert await verify(db) == {}


async def test_a_superseded_ledger_that_is_heard_of_again_is_refilled_by_its_agent(
    db: Database, host: tuple[int, str]
) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 10)
    await old.push()
    fill(new, 0, 10)
    await replace(old, new)
    await supersede_pending(db)
    assert await rows(db, old) == [0, 0, 0]
    where = await ask(old)
    # By its last batch an agent knows that it is its own ledger, and not an older file of it.
    assert (where.acked_seq, where.last_batch_id, where.generation) == (0, old.last_batch, 0)
    old.acked = 0
    assert (await old.push()).verdict == "converged"
    assert (await counted(db))[0] == 10
    assert await verify(db) == {}
    await replace(old, new)
    assert await supersede_pending(db) == 0  # both are alive: neither is dropped


async def test_a_batch_to_a_superseded_ledger_is_told_to_begin_anew(db: Database, host: tuple[int, str]) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 3)
    await old.push()
    fill(new, 0, 3)
    await replace(old, new)
    await supersede_pending(db)
    old.put(event_key(99), event(99))
    with pytest.raises(PositionMismatch) as refused:
        await old.push()
    assert refused.value.position.acked_seq == 0  # type: ignore[attr-defined]


async def test_a_ledger_that_both_machines_of_a_clone_write_is_never_superseded(
    db: Database, host: tuple[int, str]
) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 3)
    await old.push()
    fill(new, 0, 3)
    await replace(old, new)
    await ask(old)
    await new.send(new.batch(replaces=[old.ledger_id]))
    assert await supersede_pending(db) == 0
    assert await rows(db, old) == [3, 3, 1]
    new.remove(keys.EVENTS, event_key(0))
    await new.push()
    assert (await counted(db))[0] == 3  # the other machine has it


async def test_the_last_of_a_row_of_ledgers_takes_the_place_of_all(db: Database, host: tuple[int, str]) -> None:
    ledgers = [Ledger(db, host, name) for name in ("one", "two", "three")]
    for n, ledger in enumerate(ledgers):
        fill(ledger, n, 5)
        names = [other.ledger_id for other in reversed(ledgers[:n])]
        await ledger.send(ledger.batch(replaces=names))
        if n == 1:
            await supersede_pending(db)
    await supersede_pending(db)
    assert [(await rows(db, ledger))[0] for ledger in ledgers] == [1, 1, 3]
    assert (await counted(db))[0] == 5
    ledgers[2].remove(keys.EVENTS, event_key(0))
    await ledgers[2].push()
    assert (await counted(db))[0] == 4
    assert await verify(db) == {}


async def test_a_ledger_restored_from_a_backup_takes_the_place_of_the_one_that_replaced_it(
    db: Database, host: tuple[int, str]
) -> None:
    old, new = Ledger(db, host, "old"), Ledger(db, host, "new")
    fill(old, 0, 4)
    await old.push()
    fill(new, 0, 5)
    await replace(old, new)
    await supersede_pending(db)
    await ask(old)
    old.acked = 0
    assert (await replace(new, old)).verdict == "converged"
    assert await supersede_pending(db) == 4 + 4 + 1
    assert await rows(db, new) == [1, 1, 1]
    assert (await counted(db))[0] == 5
    assert await verify(db) == {}


async def test_ledgers_of_other_hosts_are_never_replaced(db: Database, host: tuple[int, str]) -> None:
    other = Ledger(db, await add_host(db, "bea", 1))
    mine = Ledger(db, host)
    put_events(other, range(3))
    await other.push()
    put_events(mine, range(3))
    await mine.send(mine.batch(replaces=[other.ledger_id, "nonsense", mine.ledger_id]))
    assert await db.fetchval("SELECT count(*) FROM ledgers WHERE replaced_by IS NOT NULL") == 0
    assert await supersede_pending(db) == 0
