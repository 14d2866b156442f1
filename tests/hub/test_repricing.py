"""Stored requests priced again: totals are right after each chunk, whatever else goes on, and nothing counts twice."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from ledgers import Ledger, add_host, event, event_key, put_events
from price_tables import apply, everything, fill, reprice, table, three, totals
from trueup_hub import repricing
from trueup_hub.db import Database
from trueup_hub.errors import HubError
from trueup_hub.ingest.verify import verify
from trueup_hub.pricing import establish, facts
from trueup_hub.repricing import Sums
from trueup_hub.scrubbing import scrub_all
from trueup_shared.money import micro
from trueup_shared.price_overrides import NO_OVERRIDES


def sums(nanos: tuple[int, int, int]) -> Sums:
    return Sums(micro(nanos[0]), micro(nanos[1]), nanos[2])


async def audited(db: Database, action: str = "prices.reprice") -> list[dict[str, object]]:
    return [row[0] for row in await db.fetch("SELECT detail FROM audit WHERE action = $1 ORDER BY audit_no", action)]


async def test_after_each_chunk_all_totals_agree_and_in_the_end_they_are_the_new_tables(db: Database) -> None:
    await three(db)
    before, rows = await totals(db), await db.fetchval("SELECT count(*) FROM events")
    new = table(times=3, without="gpt", **{"in-house": 1_000_000})
    number, steps = await apply(db, new), 0
    async for step in repricing.go_on(db, number, 9):
        steps += 1
        now = await totals(db)
        assert [a - b for a, b in zip(now, before, strict=True)] == pytest.approx(
            [
                (step.after.cost_microusd - step.before.cost_microusd) * 1000,
                (step.after.cache_savings_microusd - step.before.cache_savings_microusd) * 1000,
                step.after.unpriced_tokens - step.before.unpriced_tokens,
            ],
            abs=1000,
        )
        assert await verify(db) == {}
    assert steps > 10
    assert (step.ended, step.seen, step.rows, step.events) == (True, rows, rows, rows)
    assert (step.before, step.after) == (sums(before), sums(await totals(db)))
    assert step.before.unpriced_tokens != step.after.unpriced_tokens > 0
    assert await db.fetchval("SELECT count(DISTINCT price_no) FROM events") == 1
    [line] = await audited(db)
    tables = [row[0] for row in await db.fetch("SELECT digest FROM prices ORDER BY price_no")]
    assert (line["tables_before"], line["table_after"]) == (tables[:1], tables[1])
    assert (line["outcome"], line["events"], line["counted"]) == (
        "done",
        rows,
        await db.fetchval("SELECT sum(n) FROM usage_slots"),
    )
    assert line["before"] == {name: getattr(step.before, name) for name in Sums.__struct_fields__}
    assert line["after"] == {name: getattr(step.after, name) for name in Sums.__struct_fields__}
    assert (await scrub_all(db)).found == 0


async def test_rows_are_not_priced_with_a_table_that_another_one_has_replaced(db: Database) -> None:
    mine = await establish(db, NO_OVERRIDES, applied=table(times=2))
    theirs = await apply(db, table(times=3))
    with pytest.raises(HubError, match="another price table was put in force"):
        await repricing.begin(db, mine, "me")
    assert [row[0] for row in await db.fetch("SELECT repricing_no FROM repricings WHERE outcome IS NULL")] == [theirs]


async def test_a_dry_run_changes_nothing_and_says_what_then_happens(db: Database) -> None:
    await three(db)
    stored, new = await everything(db), table(times=2, without="opus")
    async for step in repricing.dry_run(db, new, 11):
        told = step
    assert await everything(db) == stored
    assert told.ended and told.events > 50
    assert await reprice(db, await apply(db, new)) == told


async def test_to_price_again_with_the_same_table_changes_nothing_and_is_noted(db: Database) -> None:
    await three(db)
    before = await totals(db)
    done = await reprice(db, await repricing.begin(db, await establish(db, NO_OVERRIDES), "a test"))
    assert (done.events, done.counted, done.digests) == (0, 0, [])
    assert done.seen == done.rows > 50
    assert await totals(db) == before
    assert len(await audited(db)) == 1


async def test_a_table_with_fewer_models_makes_tokens_unpriced_and_not_free(db: Database) -> None:
    ledger = Ledger(db, await add_host(db, "ana"))
    put_events(ledger, range(2))
    await ledger.push()
    cost, saved, unpriced = await totals(db)
    assert cost > 0 and saved > 0 and unpriced == 0
    await reprice(db, await apply(db, table(without="sonnet")))
    assert await totals(db) == (0, 0, 2 * 1060 + 100 + 101)
    assert await db.fetchval("SELECT sum(r_cost) + sum(r_cache_savings) FROM usage_slots") == 0
    await reprice(db, await apply(db, table(day="2031-02-01")))
    assert await totals(db) == (cost, saved, unpriced)
    assert await verify(db) == {}


async def test_beside_batches_that_flip_and_replace_copies_nothing_is_counted_wrongly(db: Database) -> None:
    ledgers = await three(db)
    new = table(times=2, **{"in-house": 5})
    number = await apply(db, new)

    async def push(ledger: Ledger, seed: int) -> None:
        for turn in range(4):
            fill(ledger, seed + turn, first=turn * 12)
            await ledger.push(15)
            while ledger.acked < ledger.seq:
                await ledger.push(15)

    async def watch() -> None:
        for _ in range(6):
            assert await verify(db) == {}
            await asyncio.sleep(0)

    work = [reprice(db, number), reprice(db, number, 5), watch()]
    await asyncio.gather(*(push(ledger, 10 * n) for n, ledger in enumerate(ledgers, 1)), *work)
    assert await verify(db) == {}
    assert await db.fetchval("SELECT count(DISTINCT price_no) FROM events") == 1
    assert len(await audited(db)) == 1
    stored = await totals(db)
    again = await reprice(db, await apply(db, table(times=2, day="2031-02-01", **{"in-house": 5})))
    assert again.before == again.after == sums(stored) == sums(await totals(db))


async def test_who_would_flip_a_copy_that_is_being_priced_waits_until_that_is_written(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [Ledger(db, await add_host(db, name, n)) for n, name in enumerate(("first", "second"))]
    put_events(first, range(3), lower_bounds=16)
    await first.push()
    put_events(second, range(3))  # exact: these count from now on
    read, write, rows = asyncio.Event(), asyncio.Event(), repricing._rows

    async def waiting_rows(*args: Any) -> Any:
        found = await rows(*args)
        read.set()
        await write.wait()
        return found

    monkeypatch.setattr(repricing, "_rows", waiting_rows)
    worker = asyncio.create_task(reprice(db, await apply(db, table(times=2))))
    await read.wait()
    push = asyncio.create_task(second.push())
    done, _ = await asyncio.wait([push], timeout=0.3)
    assert not done
    write.set()
    await asyncio.gather(worker, push)
    assert await db.fetchval("SELECT count(*) FROM events WHERE counted AND host_no = $1", second.host_no) == 3
    assert await verify(db) == {}


async def test_killed_between_chunks_it_goes_on_where_it_was_and_counts_nothing_twice(db: Database) -> None:
    await three(db)
    before, rows = await totals(db), await db.fetchval("SELECT count(*) FROM events")
    number = await apply(db, table(times=2))
    async with aclosing(repricing.go_on(db, number, 7)) as steps:
        for _ in range(3):
            step = await anext(steps)
    assert 0 < step.events < rows and not step.ended
    assert await verify(db) == {}
    assert await repricing.begin(db, await establish(db, NO_OVERRIDES), "another") == number
    await repricing.go_on_with_all(db)
    done = await repricing.state(db, number)
    assert (done.ended, done.events, done.before) == (True, rows, sums(before))
    assert await verify(db) == {}
    await repricing.go_on_with_all(db)
    assert len(await audited(db)) == 1


async def test_one_to_another_table_takes_the_place_of_one_that_was_interrupted(db: Database) -> None:
    await three(db)
    before = await totals(db)
    async with aclosing(repricing.go_on(db, await apply(db, table(times=2)), 7)) as steps:
        step = await anext(steps)
    number = await apply(db, table(times=3, day="2031-02-01"))
    await repricing.go_on_with_all(db)
    first, second = await audited(db)
    assert (first["outcome"], first["events"], second["outcome"]) == ("replaced", step.events, "done")
    assert len((await repricing.state(db, number)).digests) == 2
    assert (await totals(db))[0] == 3 * before[0]
    assert await verify(db) == {}


async def test_what_no_sum_can_hold_keeps_its_price_and_stops_nothing(db: Database) -> None:
    greedy, ledger = Ledger(db, await add_host(db, "greedy")), Ledger(db, await add_host(db, "ana", 1))
    for n in range(1100):
        greedy.put(event_key(f"greedy {n}"), event(0, model="in-house", input_tokens=9_000_000, cache_read_tokens=None))
    put_events(ledger, range(2))
    await greedy.push()
    await ledger.push()
    done = await reprice(db, await apply(db, table(**{"in-house": 10**12})), 1000)
    assert done.ended
    kept = done.rows - done.events
    assert 0 < kept < 200
    assert (await facts(db)).priced_otherwise == kept
    assert await db.fetchval("SELECT count(DISTINCT price_no) FROM events WHERE host_no = $1", ledger.host_no) == 1
    assert await verify(db) == {}


async def test_a_table_of_another_release_is_left_for_it_to_go_on_with(db: Database) -> None:
    await three(db)
    number = await apply(db, table(times=2))
    await db.execute("UPDATE prices SET digest = 'other rules' WHERE applied")
    db.caches.pop("prices", None)
    stored = await totals(db)
    with pytest.raises(HubError, match="another release"):
        await reprice(db, number)
    assert await totals(db) == stored
    assert await verify(db) == {}
