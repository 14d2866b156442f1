"""Running totals end right on the hub: rows of a real ledger, restated and withdrawn as more of them is seen."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from backports import zstd

import ledgers
from ledger_rows import NOON, POLICY, event, update
from trueup_agent.ledger import Ledger
from trueup_agent.push.batches import BatchSize, prepare
from trueup_agent.records import SERIES, EventRecord
from trueup_hub.db import Database
from trueup_hub.ingest import apply_batch
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

FAMILY = keys.series_key("fake", "s")


class Machine:
    """A ledger whose batches go straight into the hub's ingest."""

    def __init__(self, ledger: Ledger, db: Database, host: tuple[int, str]) -> None:
        self.ledger = ledger
        self._db, self.host = db, host
        self._acked, self._number, self._last = 0, 0, None

    async def saw(self, *records: EventRecord, replaces: Sequence[str] = (), **update_: Any) -> wire.Receipt:
        """Read these, and push; `replaces`: ids of ledgers whose place this one took."""
        await self.ledger.write([update(*records, **update_)])
        self._number += 1
        batch = await prepare(
            self.ledger, BatchSize(), 1 << 20, from_seq=self._acked, batch_no=self._number, previous=self._last
        )
        assert batch.body is not None
        decoded = msgspec.msgpack.decode(zstd.decompress(batch.body), type=wire.Batch)
        decoded = msgspec.structs.replace(decoded, replaces=list(replaces))
        receipt = await apply_batch(self._db, *self.host, self.ledger.ledger_id, decoded)
        self._acked, self._last = receipt.acked_seq, receipt.batch_id
        return receipt


@asynccontextmanager
async def machine(db: Database, name: str, folder: Path, host: tuple[int, str] | None = None) -> AsyncIterator[Machine]:
    ledger = await Ledger.open(folder / name, POLICY)
    try:
        yield Machine(ledger, db, host or await ledgers.add_host(db, name))
    finally:
        await ledger.close()


def total(minute: int, output: int, name: str = "") -> EventRecord:
    fields = {"family": FAMILY, "owner_key": FAMILY, "rule": SERIES, "at": NOON + minute * 60_000_000}
    return event(name or f"{output}", output_tokens=output, **fields)


async def counted(db: Database) -> list[int]:
    rows = await db.fetch("SELECT output_tokens FROM events WHERE counted ORDER BY at")
    slots = await db.fetchval("SELECT sum(s_output_tokens) FROM usage_slots")
    assert sum(row[0] for row in rows) == slots
    assert await verify(db) == {}
    return [row[0] for row in rows]


async def test_an_observation_that_comes_late_restates_what_it_divides(db: Database, tmp_path: Path) -> None:
    async with machine(db, "ana", tmp_path) as ana:
        await ana.saw(total(0, 100), total(9, 300))
        assert await counted(db) == [100, 200]
        assert (await ana.saw(total(5, 250))).verdict == "converged"
        assert await counted(db) == [100, 150, 50]


async def test_an_observation_that_turns_out_to_add_nothing_leaves_the_hub(db: Database, tmp_path: Path) -> None:
    async with machine(db, "ana", tmp_path) as ana:
        await ana.saw(total(9, 100, "late"))
        assert (await ana.saw(total(1, 100, "early"))).verdict == "converged"
        assert await counted(db) == [100]
        assert await db.fetchval("SELECT count(*) FROM events") == 1


async def test_of_two_machines_that_watched_one_session_the_one_that_saw_more_counts_whole(
    db: Database, tmp_path: Path
) -> None:
    async with machine(db, "ana", tmp_path) as ana, machine(db, "bea", tmp_path) as bea:
        await ana.saw(total(0, 100), total(9, 300))
        await bea.saw(total(0, 100), total(5, 200), total(9, 300), total(12, 350))
        assert await counted(db) == [100, 100, 100, 50]
        await ana.saw(total(20, 500))
        assert await counted(db) == [100, 200, 200]


async def test_a_total_that_began_anew_adds_up_on_the_hub(db: Database, tmp_path: Path) -> None:
    async with machine(db, "ana", tmp_path) as ana:
        await ana.saw(total(0, 100))
        await ana.saw(total(5, 40))
        await ana.saw(total(9, 70))
        assert await counted(db) == [100, 40, 30]
        bits = await db.fetch("SELECT lower_bounds, derived FROM events ORDER BY at")
        assert [tuple(row) for row in bits] == [(None, 16), (16, None), (None, 16)]


async def test_a_reinstalled_machine_does_not_double_running_totals(db: Database, tmp_path: Path) -> None:
    """It reads again what is left of the logs: the last total, which stands for all that came before."""
    async with (
        machine(db, "old", tmp_path) as old,
        machine(db, "new", tmp_path, old.host) as new,
    ):
        await old.saw(total(0, 100), total(9, 300), total(12, 350))
        receipt = await new.saw(total(12, 350), replaces=[old.ledger.ledger_id])
        assert receipt.verdict == "converged"
        assert sum(await counted(db)) == 350
        await supersede_pending(db)
        assert sum(await counted(db)) == 350
        await new.saw(total(20, 500))
        assert sum(await counted(db)) == 500
        await supersede_pending(db)
        assert sum(await counted(db)) == 500
