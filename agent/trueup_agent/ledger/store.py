"""The ledger: one SQLite file, one writer. Everything that changes it goes through here."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import time_ns
from typing import Any

import aiosqlite
import msgspec
from msgspec import Struct

from trueup_agent.harnesses.base import Harness
from trueup_agent.ledger import compare, forget, gone, identity, outbox, rederive, reread, restate, schema, sources
from trueup_agent.ledger.identity import Reason, Replaced
from trueup_agent.ledger.lock import WriterLock
from trueup_agent.ledger.outbox import BatchRows
from trueup_agent.ledger.sources import SourceInfo
from trueup_agent.ledger.tables import STORES, TABLES
from trueup_agent.ledger.updates import SourceUpdate
from trueup_agent.ledger.writing import WriteCounts, Writer
from trueup_agent.policy import Policy
from trueup_shared import digest_sets, keys, wire


class Head(Struct, frozen=True):
    """Where the ledger stands: `rows` counts sessions, messages and events."""

    seq: int
    digest: bytes
    rows: int


class Rechecked(Struct, frozen=True):
    """Rows whose digest was not that of their columns; whether the ledger's sum and number of rows were right."""

    restated: int
    sum_was_right: bool


class Ledger:
    """Holds the lock of its data directory from `open` to `close`. Safe to use from several tasks."""

    def __init__(self, path: Path, db: aiosqlite.Connection, lock: WriterLock, policy: Policy) -> None:
        self.path = path
        self.policy = policy
        self.ledger_id = ""
        self.replaced: list[Replaced] = []  # newest first
        # Whoever reads sources holds this, so that two passes never take the same bytes at once.
        self.collecting = asyncio.Lock()
        self._db = db
        self._lock = lock
        # One connection: a write of another task would land inside our transaction and be rolled back with it.
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(cls, data_dir: Path, policy: Policy) -> "Ledger":
        """Open or make the ledger of `data_dir`; rows that another policy or price table changes are restated.

        Raises LedgerBusy when another process holds the lock, LedgerTooNew, LedgerUnusable.
        """
        path = schema.ledger_path(data_dir)
        lock = WriterLock(data_dir / schema.LOCK_FILE)
        with schema.translated(path):
            schema.make_data_dir(data_dir)
            lock.take()
        ledger = None
        try:
            with schema.translated(path):
                schema.make_file(path)
                db = await _connect(path)
                ledger = cls(path, db, lock, policy)
                await schema.migrate(ledger._db, path)
                await ledger._settle()
        except BaseException:
            if ledger is not None:
                await ledger._db.close()
            lock.release()
            raise
        return ledger

    async def close(self) -> None:
        async with self._one_at_a_time:
            await self._db.close()
            self._lock.release()

    async def write(self, updates: Sequence[SourceUpdate]) -> WriteCounts:
        """Rows, the positions of their sources and parser states, in one transaction."""
        async with self.writer() as writer:
            await writer.write(updates)
            await sources.save(self._db, [update.source for update in updates])
        return writer.counts

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Writer]:
        """A transaction: committed at the end of the block, rolled back when it raises."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                writer = Writer(self._db, self.policy)
                try:
                    await writer.begin()
                    yield writer
                    await writer.close()
                except BaseException:
                    await self._db.rollback()
                    raise

    async def head(self) -> Head:
        [row] = await self._read("SELECT seq, digest, rows FROM ledger")
        return Head(*row)

    async def read_batch(self, from_seq: int, max_rows: int, last: int | None = None) -> BatchRows:
        """Rows and tombstones whose seq lies in (from_seq, to_seq], at most `max_rows`, as they are now.

        With `last`: rows alone, with a seq up to it.
        """
        async with self._reading():
            return await outbox.read_batch(self._db, self.policy, from_seq, max_rows, last)

    async def read_repair(self, places: Sequence[compare.Place], acked_seq: int) -> BatchRows:
        """These rows, and deletions of those that are not here; what changed after `acked_seq` is left out."""
        async with self._reading():
            return await compare.read_repair(self._db, self.policy, places, acked_seq)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """A transaction in which everything that is read is of one moment."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                await self._db.execute("BEGIN")
                try:
                    yield
                finally:
                    await self._db.rollback()

    async def record_batch(self, batch_no: int, batch_id: bytes, from_seq: int, to_seq: int, kind: str) -> None:
        """On the disk when this returns: only then may the request leave."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                await outbox.record_batch(self._db, batch_no, batch_id, from_seq, to_seq, kind)

    async def knows_batch(self, batch_id: bytes) -> bool:
        return bool(await self._read("SELECT 1 FROM batches WHERE batch_id = ?", (batch_id,)))

    async def oldest_batch_no(self) -> int | None:
        """The first batch of the kept history."""
        [row] = await self._read("SELECT min(batch_no) FROM batches")
        return None if row[0] is None else int(row[0])

    @property
    def replaces(self) -> list[str]:
        """Ids of ledgers that this one took the place of, newest first, as they travel."""
        return identity.replaces(self.replaced)

    async def take_new_identity(self, reason: Reason, why: str, also: str | None = None) -> None:
        """The same rows under a new ledger id, which has sent nothing yet; `also`: another id that it replaces."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                self.ledger_id = await identity.take_new(self._db, reason, why, also)
                self.replaced = await identity.load(self._db)

    async def replace(self, ledger_id: str, reason: Reason, why: str) -> None:
        """This ledger takes the place of another one of this machine."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                await identity.replace(self._db, ledger_id, reason, why)
                self.replaced = await identity.load(self._db)

    async def record_receipt(self, receipt: wire.Receipt) -> None:
        await self.set_meta("last_receipt", msgspec.json.encode(receipt).decode())

    async def last_receipt(self) -> wire.Receipt | None:
        value = await self.get_meta("last_receipt")
        return None if value is None else msgspec.json.decode(value, type=wire.Receipt)

    async def sources(self) -> list[SourceInfo]:
        """All of them, without the parsers' states."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                return await sources.load(self._db)

    async def sources_of(self, keys: Sequence[bytes]) -> list[SourceInfo]:
        async with self._one_at_a_time:
            with schema.translated(self.path):
                return await sources.load_of(self._db, keys)

    async def sources_below(self, folders: Iterable[str]) -> list[SourceInfo]:
        """Sources that lie anywhere below one of these folders."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                return await sources.load_below(self._db, folders)

    async def sources_at(self, paths: Iterable[str]) -> list[SourceInfo]:
        """Sources that lie at one of these paths, or whose companions do."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                return await sources.load_at(self._db, paths)

    async def use_digest_set(self, number: int) -> None:
        """Encode and sum by another digest set from now on: one pass over all rows.

        A new seq goes only to rows of which other fields travel.
        """
        before = self.policy
        async with self.collecting:  # rows that are being read have digests of the set until now
            try:
                async with self.writer() as writer:
                    self.policy = writer.policy = msgspec.structs.replace(before, digest_set=number)
                    await restate.restate_all(writer, before)
                    await writer.execute("UPDATE ledger SET digest_set = ?", [(number,)])
            except BaseException:
                self.policy = before
                raise

    async def rewrite_file(self) -> bool:
        """Leave nothing of what was deleted in the file: see ledger/forget.py."""
        async with self._one_at_a_time:
            with schema.translated(self.path):
                return await forget.rewrite_file(self._db)

    async def shrink(self) -> None:
        """Give back the page cache that a large pass filled."""
        await self._read("PRAGMA shrink_memory")

    async def set_meta(self, name: str, value: str) -> None:
        async with self._one_at_a_time:
            with schema.translated(self.path):
                await self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    async def get_meta(self, name: str) -> str | None:
        rows = await self._read("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """A single read on the writer's connection."""
        return await self._read(sql, parameters)

    async def rederive(self, harness: Harness) -> WriteCounts:
        """Called when every source of `harness` that can be read was read by its parser: see ledger/rederive.py."""
        counts = WriteCounts()
        known = [source for source in await self.sources() if source.harness == harness.id]
        plan = rederive.Plan.of(harness.data_version, known)
        for table, name in STORES:
            after: int | None = 0
            [(last,)] = await self._read(f"SELECT max(seq) FROM {name}")  # what is written again moves behind it
            while after is not None and last is not None:
                async with self.writer() as writer:
                    after = await rederive.rederive(writer, table, name, harness, plan, after, last)
                counts.add(writer.counts)
        async with self.writer() as writer:
            await rederive.finish(writer, harness.id, harness.data_version)
        return counts

    async def withdraw_missing(self, given: reread.Given, harnesses: set[str]) -> WriteCounts:
        """After a pass that read everything of `harnesses` again, with nobody else reading (see ledger/reread.py)."""
        counts = WriteCounts()
        tables = {table.number: table for table in TABLES}
        for number, missing in await asyncio.to_thread(
            lambda: list(reread.missing(self.path.parent, given, harnesses))
        ):
            async with self.writer() as writer:
                await rederive.withdraw(writer, tables[number], missing)
            counts.add(writer.counts)
        async with self.writer() as writer:
            for source, seen in given.whole.values():
                if source.harness in harnesses:
                    await gone.mark(writer, msgspec.structs.replace(source, reread=False), seen)
        return counts

    async def recheck(self) -> Rechecked:
        """Compute every row's digest from its columns again, and the ledger's sum from theirs, as they are now."""
        async with self.writer() as writer:
            await restate.restate_all(writer)
            right = await writer.recount()
        return Rechecked(writer.counts.restated, right)

    async def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        async with self._one_at_a_time:
            with schema.translated(self.path):
                return list(await self._db.execute_fetchall(sql, parameters))

    async def _settle(self) -> None:
        """Give a new ledger its identity; bring an old one to this policy and these prices."""
        known = await self._read("SELECT ledger_id, digest_set FROM ledger")
        if not known:
            await self._db.execute(
                "INSERT OR IGNORE INTO ledger VALUES (1, ?, ?, 0, ?, 0, ?)",
                (str(uuid.uuid4()), time_ns() // 1000, bytes(keys.KEY_BYTES), digest_sets.newest()),
            )
            known = await self._read("SELECT ledger_id, digest_set FROM ledger")
        self.ledger_id, agreed = known[0]
        # A set that only a later release knows cannot be gone on with.
        digest_set = agreed if agreed in digest_sets.FIELD_SETS else digest_sets.newest()
        self.policy = msgspec.structs.replace(self.policy, digest_set=digest_set)
        self.replaced = await identity.load(self._db)
        basis = restate.basis(self.policy)
        if await self.get_meta(restate.BASIS) != basis or digest_set != agreed:
            async with self.writer() as writer:
                await restate.restate_all(writer)
                await writer.execute("UPDATE ledger SET digest_set = ?", [(digest_set,)])
                await writer.execute(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", [(restate.BASIS, basis)]
                )
        if await self.get_meta(forget.REWRITE_DUE) is not None:
            await self.rewrite_file()


async def _connect(path: Path) -> aiosqlite.Connection:
    """Cancelled, it waits for the thread that opens the file, which would otherwise outlive the loop it answers to."""
    # The statements of lookups by many paths take up to a megabyte each: a few are enough (128 by default).
    connecting = asyncio.ensure_future(aiosqlite.connect(path, isolation_level=None, cached_statements=16))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await (await connecting).close()
        raise
