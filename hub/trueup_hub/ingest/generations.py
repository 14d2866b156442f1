"""Full pushes: a generation is opened, its full batches confirm rows (apply.py), its commit removes the rest.

What a full batch held is kept by key, not stamped on rows. A row that the ledger restated or removed meanwhile came in
an ordinary batch with a higher seq, so of the rows with a seq up to `full_target` the ledger no longer has those that
no full batch held.
"""

import msgspec
from msgspec import Struct

from trueup_hub.db import Database, Record, retried
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest.changes import ledger_transaction, remove_rows
from trueup_hub.ingest.digests import FACTS
from trueup_hub.ingest.identity import heard
from trueup_hub.ingest.position import lock_ledger, position_of, read_ledger
from trueup_hub.ingest.scrub import correct_ledger
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire

_SQL = load("generations")
_CHUNK_ROWS = 2000  # removed in one transaction, during which the ledger's batches wait
_ROUND_ROWS = 50_000  # keys in memory


async def open_generation(
    db: Database, host_no: int, host_id: str, ledger_id: str, asked: wire.OpenGeneration
) -> wire.Position:
    """Begin a full push of what the hub has acknowledged, or go on with the one that is open.

    PositionMismatch when the ledger's last batch is another.
    """
    await heard(db, host_no, ledger_id)

    async def attempt() -> wire.Position:
        async with db.ingest() as connection, connection.transaction():
            ledger = await lock_ledger(connection, host_no, ledger_id)
            if ledger["last_batch_id"] != asked.last_batch_id:
                raise PositionMismatch("the hub's last batch is another", position_of(ledger, host_id, ledger_id))
            if not ledger["open_generation"]:
                await connection.execute(_SQL["open_generation"], host_no, ledger["ledger_no"])
                ledger = await lock_ledger(connection, host_no, ledger_id)
            return position_of(ledger, host_id, ledger_id)

    return await retried(attempt)


async def commit_generation(
    db: Database, host_no: int, host_id: str, ledger_id: str, number: int, asked: wire.CommitGeneration
) -> wire.Committed:
    """End a full push: remove what it did not confirm, recompute all digests, compare.

    In many transactions: interrupted anywhere, it goes on where it was when it is asked again. PositionMismatch unless
    the generation is open, sent to its end, and nothing came since `last_batch_id`.
    """
    await heard(db, host_no, ledger_id)
    ledger = await read_ledger(db, host_no, ledger_id)
    if ledger is not None and ledger["generation"] == number and ledger["committed"] is not None:
        return msgspec.msgpack.decode(ledger["committed"], type=wire.Committed)
    commit = _Commit(db, host_id, ledger_id, number, asked)
    return await commit.run(commit.checked(ledger))


class _Commit(Struct, frozen=True):
    db: Database
    host_id: str
    ledger_id: str
    number: int
    asked: wire.CommitGeneration

    def checked(self, ledger: Record | None) -> Record:
        """What holds when it is asked must hold in each of its transactions: batches may come in between."""
        reason = None
        if ledger is None or ledger["open_generation"] != self.number:
            reason = f"generation {self.number} is not open"
        elif ledger["last_batch_id"] != self.asked.last_batch_id or ledger["acked_seq"] != self.asked.at_seq:
            reason = "batches came after the one that the commit follows"
        elif ledger["full_seq"] != ledger["full_target"]:
            reason = f"the generation has come to seq {ledger['full_seq']} of {ledger['full_target']}"
        if ledger is None or reason is not None:
            raise PositionMismatch(reason or "", position_of(ledger, self.host_id, self.ledger_id))
        return ledger

    async def run(self, ledger: Record) -> wire.Committed:
        place = (ledger["host_no"], ledger["ledger_no"])
        for table in FACTS:
            while found := await self._unconfirmed(ledger, table):
                for i in range(0, len(found), _CHUNK_ROWS):
                    await self._remove(place, table, found[i : i + _CHUNK_ROWS])
        return await self._close(place, await correct_ledger(self.db, *place))

    async def _unconfirmed(self, ledger: Record, table: int) -> list[bytes]:
        name, key = FACTS[table]
        sql = _SQL["unconfirmed"].format(table=name, key=key)
        place = (ledger["host_no"], ledger["ledger_no"], ledger["full_target"], ledger["acked_seq"])
        async with self.db.ingest() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '15min'")
            return [row[0] for row in await connection.fetch(sql, *place, _ROUND_ROWS)]

    async def _remove(self, place: tuple[int, int], table: int, found: list[bytes]) -> None:
        async def attempt() -> None:
            async with ledger_transaction(self.db, *place) as (tx, ledger):
                self.checked(ledger)
                await remove_rows(tx, {table: found})
                await tx.connection.execute(_SQL["add_removed"], *place, tx.counts.removed)

        await retried(attempt)

    async def _close(self, place: tuple[int, int], corrected: int) -> wire.Committed:
        async def attempt() -> wire.Committed:
            async with ledger_transaction(self.db, *place) as (tx, locked):
                ledger = self.checked(locked)
                connection, before = tx.connection, ledger["opened_batch_no"]
                forgotten = await connection.fetch(_SQL["forget_rejections"], *place, before)
                refused = int(ledger["rejected_digest"]) - sum(int.from_bytes(row[0], "big") for row in forgotten)
                refused %= keys.DIGEST_MODULUS
                total = keys.digest_bytes(int(ledger["digest"]) + refused)
                committed = wire.Committed(
                    generation=self.number,
                    acked_seq=ledger["acked_seq"],
                    removed=ledger["full_removed"],
                    corrected=corrected,
                    digest=total,
                    verdict="converged" if total == self.asked.head_digest else "diverged",
                )
                rejected = ledger["rejected"] - len(forgotten)
                encoded = msgspec.msgpack.encode(committed)
                await connection.execute(
                    _SQL["close_generation"],
                    *(*place, rejected, refused, committed.verdict, encoded, self.asked.agent.version, corrected),
                    self.asked.head_digest,
                )
                await connection.execute(_SQL["drop_confirmations"], *place)
                return committed

        return await retried(attempt)
