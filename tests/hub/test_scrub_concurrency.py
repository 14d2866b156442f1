"""A scrub beside ingest: it finds nothing where nothing was done, holds up one ledger for a slice, and rests often."""

import asyncio
import contextlib
import random
from datetime import timedelta
from typing import Any

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key, session
from trueup_hub import scrubbing
from trueup_hub.db import Database
from trueup_hub.ingest import mending, rebuild, scrub
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all, scrub_due
from trueup_shared import keys

SESSIONS = [keys.session_key("claude", f"s{n}") for n in range(6)]
SERIES = [keys.series_key("claude", f"s{n}") for n in range(2)]


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "_SLICE_ROWS", 3)
    monkeypatch.setattr(rebuild, "_SLICE_ROWS", 4)
    monkeypatch.setattr(rebuild, "_CELLS_AT_ONCE", 2)
    monkeypatch.setattr(mending, "_SLICE_ROWS", 3)
    monkeypatch.setattr(mending, "_OWNERS_AT_ONCE", 3)


def change(ledger: Ledger, seed: random.Random) -> None:
    """Some rows written, restated and removed; the ledgers have many of them in common."""
    for _ in range(seed.randint(1, 6)):
        n, key = seed.randrange(20), seed.choice(SESSIONS)
        kind = seed.randrange(5)
        if kind == 0:
            ledger.put(event_key(n), event(n, session_key=key, output_tokens=seed.choice([None, 5, 7])))
        elif kind == 1:
            name = f"{ledger.ledger_id} {n}"
            ledger.put(event_key(name), event(n, session_key=key, owner_key=seed.choice(SERIES)))
        elif kind == 2:
            ledger.put(message_key(n), message(n, session_key=key))
        elif kind == 3:
            ledger.put(key, session(f"s{n}", git_branch=seed.choice([None, "main"])))
        elif ledger.rows:
            ledger.remove(*seed.choice(sorted(ledger.rows)))


async def test_a_scrub_beside_batches_finds_nothing_to_correct(db: Database, small_slices: None) -> None:
    ledgers = [Ledger(db, await add_host(db, f"host {n}", n)) for n in range(3)]
    done = asyncio.Event()
    scrubs = []

    async def push(ledger: Ledger, seed: random.Random) -> None:
        for _ in range(25):
            change(ledger, seed)
            assert (await ledger.push()).verdict == "converged"

    async def keep_scrubbing() -> None:
        while not done.is_set():
            scrubs.append(await scrub_all(db))

    scrubber = asyncio.create_task(keep_scrubbing())
    await asyncio.gather(*(push(ledger, random.Random(n)) for n, ledger in enumerate(ledgers)))
    done.set()
    await scrubber
    assert len(scrubs) > 1
    assert [(one.corrected, one.cells) for one in scrubs] == [(0, 0)] * len(scrubs)
    assert await verify(db) == {}


async def test_damage_done_while_batches_come_is_gone_after_the_next_scrub_and_push(
    db: Database, small_slices: None
) -> None:
    ledgers = [Ledger(db, await add_host(db, f"host {n}", n)) for n in range(2)]
    seed = random.Random(7)
    damages = (
        "UPDATE usage_slots SET n = n + 5, s_output_tokens = s_output_tokens + 9",
        "UPDATE session_slots SET max_context_tokens = 77",
        "UPDATE events SET counted = false",
        "DELETE FROM event_claims",
        "UPDATE sessions SET digest = 3",
        "UPDATE activity_slots SET messages = messages + 1",
        "UPDATE ledgers SET digest = 4",
    )

    async def push(ledger: Ledger, seed: random.Random) -> None:
        for _ in range(3):
            change(ledger, seed)
            await ledger.push()

    for sql in damages:
        await asyncio.gather(*(push(ledger, seed) for ledger in ledgers))
        await db.execute(sql)
        await asyncio.gather(scrub_all(db), *(push(ledger, seed) for ledger in ledgers))
        await scrub_all(db)  # a batch may take the last event out of a damaged cell before it is mended
        assert await verify(db) == {}, sql
        for ledger in ledgers:
            assert (await ledger.push()).verdict == "converged"


async def test_two_scrubs_at_once_mend_a_cell_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two replicas, or of one and `trueup hub verify --repair`."""
    ledger = Ledger(db, await add_host(db, "ana"))
    ledger.put(event_key(1), event(1))
    await ledger.push()
    both, mend = asyncio.Barrier(2), rebuild._mend

    async def mend_together(*args: Any) -> None:
        with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
            await asyncio.wait_for(both.wait(), 0.2)
        await mend(*args)

    monkeypatch.setattr(rebuild, "_mend", mend_together)
    await db.execute("UPDATE usage_slots SET s_output_tokens = s_output_tokens + 1000")
    await asyncio.gather(scrub_all(db), scrub_all(db))
    assert await verify(db) == {}


async def test_a_slice_holds_up_the_batches_of_its_own_ledger_alone(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [Ledger(db, await add_host(db, f"host {n}", n)) for n in range(2)]
    for ledger in (first, second):
        ledger.put(event_key(1), event(1))
        await ledger.push()
    inside, go_on, look = asyncio.Event(), asyncio.Event(), scrub._look

    async def waiting_look(*args: Any) -> scrub._Found:
        inside.set()
        await go_on.wait()
        return await look(*args)

    monkeypatch.setattr(scrub, "_look", waiting_look)
    scrubber = asyncio.create_task(scrub.correct_ledger(db, first.host_no, await first.number()))
    await inside.wait()
    for ledger in (first, second):
        ledger.put(event_key(1), event(1, output_tokens=9))
    own = asyncio.create_task(first.push())
    assert (await asyncio.wait_for(second.push(), 10)).verdict == "converged"
    assert not own.done()
    go_on.set()
    assert await scrubber == 0
    assert (await own).verdict == "converged"
    assert await verify(db) == {}


async def test_what_was_scrubbed_is_left_alone_until_it_is_due_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_REST", 0.1)
    ledger = Ledger(db, await add_host(db, "ana"))
    ledger.put(event_key(1), event(1))
    await ledger.push()
    day = timedelta(days=1)
    assert (await scrub_due(db, day)).rows == 1
    await db.execute("UPDATE usage_slots SET n = 7")
    again = await scrub_due(db, day)
    assert (again.rows, again.found, again.seconds) == (0, 0, 0.0)
    await db.execute("UPDATE ledgers SET scrubbed_at = now() - interval '25 hours'")
    later = await scrub_due(db, day)
    assert (later.rows, later.cells) == (1, 1)
    assert await verify(db) == {}


async def test_the_scrub_rests_three_times_as_long_as_it_works(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    ledger = Ledger(db, await add_host(db, "ana"))
    ledger.put(event_key(1), event(1))
    await ledger.push()
    monkeypatch.setattr(scrubbing.asyncio, "sleep", sleep)
    done = await scrub_due(db, timedelta(days=1))
    assert sum(rests) == pytest.approx(3 * done.seconds)
    assert max(rests) == pytest.approx(3 * done.longest)
