"""Several batches at once on the same keys: whatever the order of their statements, they end as one after the other."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import Ledger, add_host, empty, event, event_key, message, message_key, put_events, session
from stepping import Steps
from trueup_hub.db import Database
from trueup_hub.ingest import apply_batch, events, jobs
from trueup_hub.ingest.cells import KEYS
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")
SERIES = keys.series_key("claude", "series")
EXAMPLES = (settings.default or settings()).max_examples // 10


@pytest.mark.parametrize("bulk_keys", [1, 1000], ids=["claims by COPY", "claims one by one"])
async def test_many_ledgers_that_push_the_same_keys_at_once_count_them_once(
    db: Database, monkeypatch: pytest.MonkeyPatch, bulk_keys: int
) -> None:
    monkeypatch.setattr(events, "_BULK_KEYS", bulk_keys)
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


# Few keys and few values, so that ledgers meet and the best copy changes.
copies = st.tuples(st.just("event"), st.integers(0, 2), st.sampled_from([None, 1, 2]), st.sampled_from([None, 16]))
changes = st.one_of(
    copies,
    copies,
    st.tuples(st.just("series"), st.integers(0, 1), st.sampled_from([5, 9]), st.none()),
    st.tuples(st.just("message"), st.integers(0, 4), st.none(), st.none()),
    st.tuples(st.just("session"), st.booleans(), st.none(), st.none()),
    st.tuples(st.just("remove"), st.integers(0, 20), st.none(), st.none()),
)
# What a ledger has at first: often all keys, for a new key makes one batch wait for the other at once; then its batch.
all_keys = st.tuples(
    *(
        st.tuples(st.just("event"), st.just(n), st.sampled_from([None, 1, 2]), st.sampled_from([None, 16]))
        for n in range(3)
    )
)
versions = st.sampled_from([0, 1])  # at which the ledger has derived its rows again, by its first batch and its second
ledger_changes = st.tuples(
    st.one_of(all_keys, st.lists(changes, max_size=6)), versions, st.lists(changes, min_size=1, max_size=5), versions
)


def change(ledger: Ledger, what: str, n: int, value: Any, bits: int | None) -> None:
    if what == "event":
        ledger.put(event_key(n), event(n, output_tokens=value, lower_bounds=bits, context_tokens=value))
    elif what == "series":
        ledger.put(event_key(f"{ledger.ledger_id} {n}"), event(n, owner_key=SERIES, output_tokens=value))
    elif what == "message":
        ledger.put(message_key(n), message(n, size_chars=ledger.seq))
    elif what == "session":
        ledger.put(SESSION, session(git_branch="main" if n else None))
    elif ledger.rows:
        ledger.remove(*sorted(ledger.rows)[n % len(ledger.rows)])


_ENDS = {
    "events": "SELECT l.ledger_id, event_key, counted, stale FROM events JOIN ledgers l USING (host_no, ledger_no)",
    "owners": "SELECT owner_key, l.ledger_id, contested FROM event_owners JOIN ledgers l USING (host_no, ledger_no)",
    "claims": "SELECT owner_key, l.ledger_id, conflict FROM event_claims JOIN ledgers l USING (host_no, ledger_no)",
    "sessions": "SELECT l.ledger_id, session_key, chosen, s.messages, s.rows, s.digest FROM sessions s"
    " JOIN ledgers l USING (host_no, ledger_no)",
    "ledgers": "SELECT ledger_id, acked_seq, digest, sessions, messages, events, verdict FROM ledgers",
    **{table: f"SELECT * FROM {table}" for table in KEYS},
}


async def ends(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that a reader can see of what counts."""
    found = {name: [tuple(row) for row in await db.fetch(sql)] for name, sql in _ENDS.items()}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


async def push(db: Any, ledger: Ledger, batch: wire.Batch) -> wire.Receipt:
    return await apply_batch(db, ledger.host_no, ledger.host_id, ledger.ledger_id, batch)


async def decide(db: Any) -> None:
    await jobs.decide_again(db, [SERIES, *(event_key(n) for n in range(3))], search=True)


def fill(ledger: Ledger, some: list[Any], version: int) -> wire.Batch:
    ledger.versions = {"claude": wire.ParserVersion(version, version)}
    for one in some:
        change(ledger, *one)
    return ledger.batch()


@pytest.fixture
async def hosts(db: Database) -> list[tuple[int, str]]:
    return [await add_host(db, f"host{n}", n) for n in range(3)]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    contents=st.lists(ledger_changes, min_size=2, max_size=3),
    schedule=st.lists(st.integers(0, 3), min_size=20, max_size=60),
    failing=st.lists(st.integers(1, 14), max_size=3, unique=True),
    job=st.sampled_from([None, decide, jobs.settle_pending]),
    bulk_keys=st.sampled_from([1, 1000]),
)
async def test_interleaved_statements_of_batches_end_as_one_batch_after_the_other(
    db: Database,
    hosts: list[tuple[int, str]],
    contents: list[Any],
    schedule: list[int],
    failing: list[int],
    job: Callable[[Any], Any] | None,
    bulk_keys: int,
) -> None:
    """Two or three batches, perhaps while the hub decides their keys anew; deadlocks are put in, none arises."""
    await empty(db)
    db.caches["all_new"] = {}
    ledgers = [Ledger(db, host) for host, _ in zip(hosts, contents, strict=False)]
    before, batches = [], []
    for ledger, (first, version, then, next_version) in zip(ledgers, contents, strict=True):
        before.append(fill(ledger, first, version))
        await ledger.send(before[-1])
        batches.append(fill(ledger, then, next_version))
    steps = Steps(db)
    work: list[Any] = [push(steps.database(failing), *pair) for pair in zip(ledgers, batches, strict=True)]
    if job is not None:
        work.append(job(steps.database()))
    with mock.patch.object(events, "_BULK_KEYS", bulk_keys):
        receipts = await asyncio.wait_for(steps.run(work, schedule), 60)
    assert {receipt.verdict for receipt in receipts[: len(ledgers)]} == {"converged"}
    assert steps.deadlocks == 0
    await jobs.settle_pending(db)
    assert await verify(db) == {}
    interleaved = await ends(db)
    await empty(db)
    for batch_of_each in (before, batches):
        for ledger, batch in zip(reversed(ledgers), reversed(batch_of_each), strict=True):
            await push(db, ledger, batch)
    await jobs.settle_pending(db)
    serial = await ends(db)
    for name, rows in interleaved.items():
        assert rows == serial[name], name


async def test_a_batch_waits_for_one_that_has_its_keys_and_is_applied_again_after_a_deadlock(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    """What the test above rests on: statements do wait for each other, and what fails is retried whole."""
    ledgers = [Ledger(db, host) for host in hosts[:2]]
    for ledger in ledgers:
        put_events(ledger, range(5))
    steps = Steps(db)
    work = [
        push(steps.database(failing), ledger, ledger.batch())
        for ledger, failing in zip(ledgers, ((), (9,)), strict=True)
    ]
    await steps.run(work, [0] * 7 + [1] * 7)
    assert steps.lock_waits > 0
    assert await db.fetchval("SELECT count(*) FROM events WHERE counted") == 5
    assert await verify(db) == {}
