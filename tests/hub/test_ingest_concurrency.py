"""Several batches at once on the same keys: no deadlock, no sum wrong, whatever the order of their statements."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ledgers import Ledger, add_host, empty, event, event_key, message, message_key, put_events, session
from trueup_hub.db import Database
from trueup_hub.ingest import apply, events
from trueup_hub.ingest.verify import verify
from trueup_shared import keys

SESSION = keys.session_key("claude", "s1")
_GATED = ("fetch", "fetchval", "fetchrow", "fetchmany", "execute", "executemany", "copy_to_table")


@pytest.fixture(params=[1, 1000], ids=["claims by COPY", "claims one by one"], autouse=True)
def bulk_keys(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_BULK_KEYS", request.param)


@pytest.fixture
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadlock fails the test instead of being retried."""

    async def once(attempt: Callable[[], Any], times: int = 1) -> Any:
        return await attempt()

    monkeypatch.setattr(apply, "retried", once)


async def test_many_ledgers_that_push_the_same_keys_at_once_count_them_once(db: Database, no_retries: None) -> None:
    ledgers = [Ledger(db, await add_host(db, f"host{n}", n)) for n in range(6)]
    for n, ledger in enumerate(ledgers):
        order = list(range(600))
        random.Random(n).shuffle(order)
        ledger.put(SESSION, session())
        put_events(ledger, order, context_tokens=n)
        for m in range(20 + n):
            ledger.put(message_key(m), message(m))

    async def push(ledger: Ledger) -> None:
        while ledger.acked < ledger.seq:
            await ledger.push(150)

    await asyncio.gather(*map(push, ledgers))
    assert await db.fetchval("SELECT count(*) FROM events") == 3600
    assert await db.fetchval("SELECT sum(n) FROM usage_slots") == 600
    assert await verify(db) == {}


class Gate:
    """Lets each of two batches run one statement at a time, in a given order. A blocked statement holds up nobody."""

    def __init__(self) -> None:
        self.turns = [asyncio.Semaphore(0), asyncio.Semaphore(0)]
        self.done = [asyncio.Event(), asyncio.Event()]

    async def passes(self, who: int, statement: Callable[[], Any]) -> Any:
        self.done[who].set()
        await self.turns[who].acquire()
        return await statement()

    async def step(self, who: int) -> None:
        self.done[who].clear()
        self.turns[who].release()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.done[who].wait(), 0.03)

    def open(self) -> None:
        for turn in self.turns:
            for _ in range(10_000):
                turn.release()


class GatedConnection:
    def __init__(self, connection: Any, gate: Gate, who: int) -> None:
        self._connection, self._gate, self._who = connection, gate, who

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in _GATED:
            return method
        return lambda *args, **named: self._gate.passes(self._who, lambda: method(*args, **named))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async def nothing() -> None: ...

        async with self._connection.transaction():
            yield
            await self._gate.passes(self._who, nothing)  # the commit is a step of its own


class GatedDatabase:
    def __init__(self, db: Database, gate: Gate, who: int) -> None:
        self._db, self._gate, self._who, self.caches = db, gate, who, db.caches

    @contextlib.asynccontextmanager
    async def ingest(self) -> AsyncIterator[Any]:
        async with self._db.ingest() as connection:
            yield GatedConnection(connection, self._gate, self._who)


def prepare(ledger: Ledger, random_: random.Random) -> None:
    for _ in range(random_.randrange(1, 8)):
        n = random_.randrange(4)
        choice = random_.random()
        if choice < 0.6:
            ledger.put(
                event_key(n),
                event(n, output_tokens=random_.choice([None, 1, 2]), context_tokens=random_.choice([1, 9])),
            )
        elif choice < 0.8:
            ledger.put(message_key(n), message(n))
        elif ledger.rows:
            ledger.remove(*random_.choice(sorted(ledger.rows)))


@pytest.mark.parametrize("seed", range(6))
async def test_two_batches_whose_statements_interleave_end_exact(db: Database, no_retries: None, seed: int) -> None:
    random_ = random.Random(seed)
    hosts = [await add_host(db, f"host{n}", n) for n in range(2)]
    for _ in range(4):
        ledgers = [Ledger(db, host) for host in hosts]
        for ledger in ledgers:
            prepare(ledger, random_)
            if random_.random() < 0.8:
                await ledger.push()
        for ledger in ledgers:
            prepare(ledger, random_)
        gate = Gate()
        for who, ledger in enumerate(ledgers):
            ledger.db = GatedDatabase(db, gate, who)  # type: ignore[assignment]
        pushes = [asyncio.create_task(ledger.push()) for ledger in ledgers]
        for _ in range(30):
            await gate.step(random_.randrange(2))
        gate.open()
        receipts = await asyncio.wait_for(asyncio.gather(*pushes), 20)
        assert {receipt.verdict for receipt in receipts} == {"converged"}
        assert await verify(db) == {}
        await empty(db)
