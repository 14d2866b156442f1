"""Whoever names parser versions when: a counter is what the batch that brought its row last let it be."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import Ledger, add_host, empty, event, event_key
from trueup_hub.db import Database
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire
from trueup_shared.metrics import COUNTERS

SERIES = keys.series_key("claude", "series")
STATED = {"claude": wire.ParserVersion(1, 1)}

counters = st.fixed_dictionaries(
    {
        name: st.sampled_from([None, 0, 0, 7])
        for name in ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "context_tokens")
    }
)
steps = st.tuples(
    st.integers(0, 1),  # of which ledger
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), counters),
        st.tuples(st.just("remove"), st.integers(0, 4), st.none()),
        st.tuples(st.sampled_from(["push", "push in full"]), st.integers(1, 3), st.booleans()),
    ),
)


class Expected(Ledger):
    """Knows for each row whether the last batch that held it named a version."""

    def __init__(self, db: Database, host: tuple[int, str]) -> None:
        super().__init__(db, host)
        self.arrived: dict[bytes, tuple[wire.EventBody, bool]] = {}

    async def send(self, batch: wire.Batch) -> wire.Receipt:
        receipt = await super().send(batch)
        for raw in batch.events:
            row = msgspec.msgpack.decode(raw, type=wire.EventRow)
            self.arrived[row.key] = row.body, bool(batch.parsers)
        for raw in batch.tombstones:
            self.arrived.pop(msgspec.msgpack.decode(raw, type=wire.Tombstone).key, None)
        return receipt

    def counters(self) -> dict[bytes, dict[str, int | None]]:
        return {
            key: {name: None if (value := getattr(body, name)) == 0 and not stated else value for name in COUNTERS}
            for key, (body, stated) in self.arrived.items()
        }


async def stored(db: Database, ledger: Expected) -> dict[bytes, dict[str, int | None]]:
    rows = await db.fetch("SELECT * FROM events WHERE ledger_no = $1", await ledger.number())
    return {row["event_key"]: {name: row[name] for name in COUNTERS} for row in rows}


@settings(
    max_examples=(settings.default or settings()).max_examples // 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(steps, min_size=4, max_size=30))
async def test_a_counter_is_what_the_last_batch_with_its_row_let_it_be(
    db: Database, steps: list[tuple[int, tuple[str, int, Any]]]
) -> None:
    await empty(db)
    await db.execute("DELETE FROM hosts")
    ledgers = [Expected(db, await add_host(db, name, n)) for n, name in enumerate(("first", "second"))]
    for index, (what, n, value) in steps:
        ledger = ledgers[index]
        if what == "put":
            key = event_key(n) if n < 3 else event_key(f"{index} {n}")
            ledger.put(key, event(n, **value, owner_key=None if n < 3 else SERIES))
        elif what == "remove" and ledger.rows:
            ledger.remove(*sorted(ledger.rows)[n % len(ledger.rows)])
        elif what in ("push", "push in full"):
            ledger.versions = STATED if value else {}
            await (ledger.push(n) if what == "push" else ledger.push_full(n))
    for ledger in ledgers:
        assert (await ledger.push()).verdict == "converged"
        assert await stored(db, ledger) == ledger.counters()
        assert (await recompute_digest(db, ledger.host_no, await ledger.number())).faithful
    assert await verify(db) == {}
