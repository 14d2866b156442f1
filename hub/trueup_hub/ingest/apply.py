"""A batch is applied in one transaction: its ledger is locked, the chain checked, then rows change (changes.py)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct, field

from trueup_hub.db import Connection, Database, OutOfRange, Record, UniqueViolation, retried
from trueup_hub.directives import open_directives
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest.changes import add_terms, apply_changes, hint, new_transaction
from trueup_hub.ingest.decode import Decoded, Refused, decode_batch
from trueup_hub.ingest.identity import contact
from trueup_hub.ingest.jobs import decided_by
from trueup_hub.ingest.poison import Failed, SuspectError, find_failing, suspected
from trueup_hub.ingest.position import lock_ledger, position_of
from trueup_hub.ingest.redigest import change_digest_set
from trueup_hub.ingest.superseding import remove_from_predecessors, withdrawn
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.pricing import in_force, released
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire

_SQL, _GENERATIONS = load("ingest"), load("generations")
_MOST_SEARCHES = 2  # for rows that fail
_ANALYSE_FROM = 1000  # rows of a batch: smaller ones leave statistics to autovacuum


async def apply_batch(db: Database, host_no: int, host_id: str, ledger_id: str, batch: wire.Batch) -> wire.Receipt:
    """Apply a batch whole or not at all. Its digest set is one that this release knows.

    PositionMismatch when it does not continue the ledger, Busy when it is to be sent again. A batch that was applied
    before gets the receipt that it got then.
    """
    attempts = _Attempts(db, host_no, host_id, ledger_id, batch, decode_batch(batch))
    await contact(db, host_no, ledger_id, batch.replaces)
    await remove_from_predecessors(db, host_no, ledger_id, withdrawn(attempts.decoded.tombstones))
    while True:
        try:
            receipt = await retried(attempts.once)
            if receipt is not None:
                return receipt
            await change_digest_set(db, host_no, ledger_id, batch.digest_set)
        except SuspectError as suspect:
            if not await attempts.mend(suspect.cause):
                raise suspect.cause from None


class _Attempts(Struct):
    """One batch, tried in other ways when it fails: each remedy once."""

    db: Database
    host_no: int
    host_id: str
    ledger_id: str
    batch: wire.Batch
    decoded: Decoded
    careful: bool = False
    modest: bool = False
    failed: Failed = field(default_factory=dict)
    searches: int = 0

    async def once(self) -> wire.Receipt | None:
        """None where the ledger's sums are of another digest set than the batch. Raises SuspectError."""
        async with self.db.ingest() as connection:
            with suspected():
                receipt = await self._on(connection)
            if receipt is not None:
                await _after_commit(connection, self.host_id, receipt)
            return receipt

    async def _on(self, connection: Connection) -> wire.Receipt | None:
        batch, db = self.batch, self.db
        terms = await add_terms(db, connection, self.decoded)
        await released(db, connection)
        async with connection.transaction():
            ledger, receipt = await _lock_ledger(connection, self.host_no, self.host_id, self.ledger_id, batch)
            if receipt is not None:
                return receipt
            if ledger["digest_set"] != batch.digest_set:
                return None
            tx = new_transaction(
                *(db, connection, ledger, terms),
                batch_no=batch.batch_no,
                parsers=batch.parsers,
                priced=await in_force(db, connection),
                careful=self.careful,
            )
            return await _Application(tx, ledger, self.ledger_id, batch, self.decoded).run()

    async def mend(self, cause: Exception) -> bool:
        """Change what is tried next; False when it is no fault of the batch, or nothing helps."""
        if isinstance(cause, UniqueViolation) and not self.careful:
            self.careful = True  # a row that is here under another owner key than it has now: look every row up
        elif isinstance(cause, OutOfRange) and not self.modest:
            # A sum does not fit. The rows that claim too much are refused by themselves, or the ledger would be stuck.
            self.modest = True
            self.decoded = decode_batch(self.batch, modest=True, failed=self.failed)
        else:
            self.decoded = decode_batch(self.batch, failed=self.failed)
            search = partial(find_failing, self.db, self.host_no, self.ledger_id, self.batch, self.decoded)
            found = await retried(search) if self.searches < _MOST_SEARCHES else {}
            self.searches += 1
            self.failed |= found
            self.decoded = decode_batch(self.batch, failed=self.failed)
            return bool(found)
        return True


async def _lock_ledger(
    connection: Connection, host_no: int, host_id: str, ledger_id: str, batch: wire.Batch
) -> tuple[Record, wire.Receipt | None]:
    ledger = await lock_ledger(connection, host_no, ledger_id)
    stored = await connection.fetchval(_SQL["stored_receipt"], host_no, ledger["ledger_no"], batch.batch_id)
    if stored is not None:
        return ledger, msgspec.msgpack.decode(stored, type=wire.Receipt)
    if (reason := _misfit(ledger, batch)) is not None:
        raise PositionMismatch(reason, position_of(ledger, host_id, ledger_id))
    return ledger, None


def _misfit(ledger: Record, batch: wire.Batch) -> str | None:
    """Why the batch is not the next link of the ledger's chain."""
    if batch.previous_batch_id != ledger["last_batch_id"]:
        return "the batch follows another batch than the hub's last"
    if batch.batch_no <= ledger["batch_no"] or batch.to_seq < batch.from_seq:
        return "the batch's numbers do not ascend"
    at, place = ledger["acked_seq"], f"seq {batch.from_seq} … {batch.to_seq}"
    if batch.kind == "full":
        target = ledger["full_target"]
        if not batch.generation or batch.generation != ledger["open_generation"]:
            return f"the batch is of generation {batch.generation}, open is {ledger['open_generation'] or 'none'}"
        at = ledger["full_seq"]
        if not batch.from_seq < batch.to_seq <= target:
            return f"the batch is of {place}, the generation goes from {at} to {target}"
    elif batch.kind == "repair" and batch.to_seq != at:
        return f"the repair was made for seq {batch.to_seq}, the hub is at {at}"
    return f"the batch is of {place}, the hub is at {at}" if batch.from_seq != at else None


async def _after_commit(connection: Connection, host_id: str, receipt: wire.Receipt) -> None:
    if receipt.inserted or receipt.updated or receipt.removed:
        await hint(connection, host_id)
    if receipt.inserted >= _ANALYSE_FROM:
        for record in await connection.fetch(_SQL["tables_without_statistics"]):
            await connection.execute(f"ANALYZE {record['relname']}")


class _Application(Struct):
    """One batch inside its transaction."""

    tx: Transaction
    ledger: Record
    ledger_id: str
    batch: wire.Batch
    decoded: Decoded

    async def run(self) -> wire.Receipt:
        decoded = self.decoded
        gone: dict[int, set[bytes]] = {keys.SESSIONS: set(), keys.MESSAGES: set(), keys.EVENTS: set()}
        for tombstone in decoded.tombstones:
            gone[tombstone.table].add(tombstone.key)
        refused: dict[int, set[bytes]] = {table: set() for table in gone}
        for row in decoded.refused:
            if row.key is not None:
                refused[row.table].add(row.key)
        rejected = await self._keep_rejections(gone)
        await apply_changes(self.tx, decoded, gone, refused)
        if self.batch.kind == "full":
            await self._confirm()
        return await self._move_ledger(*rejected)

    async def _confirm(self) -> None:
        """Remember what came, and was perhaps rejected: the rest of the generation's rows goes when it is committed."""
        decoded, batch = self.decoded, self.batch
        held = [b"".join(row.key for row in rows) for rows in (decoded.sessions, decoded.messages, decoded.events)]
        for row in decoded.refused:
            if row.key is not None:
                held[row.table - 1] += row.key
        place = (self.tx.host_no, self.tx.ledger_no, batch.from_seq, batch.to_seq)
        await self.tx.connection.execute(_GENERATIONS["put_confirmation"], *place, *held)

    async def _keep_rejections(self, gone: Mapping[int, set[bytes]]) -> tuple[int, int]:
        """Rejections of rows that come again are taken away first; the change of (number, digest sum).

        A repair also takes those without a key, which nothing else would: what they stand for comes again or is gone.
        """
        tx, number, digest = self.tx, 0, 0
        place = (tx.host_no, tx.ledger_no)
        if self.ledger["rejected"]:
            again = [(table, key) for table, keys_ in gone.items() for key in keys_]
            again += [(keys.SESSIONS, row.key) for row in self.decoded.sessions]
            again += [(keys.MESSAGES, row.key) for row in self.decoded.messages]
            again += [(keys.EVENTS, row.key) for row in self.decoded.events]
            again += [(row.table, row.row_key) for row in self.decoded.refused]
            columns = map(list, zip(*sorted(again), strict=True)) if again else ([], [])
            keyless = self.batch.kind == "repair"
            for record in await tx.connection.fetch(_SQL["rejections_of"], *place, *columns, keyless):
                number, digest = number - 1, digest - int.from_bytes(record["digest"], "big")
        kept = {(row.table, row.row_key): row for row in self.decoded.refused}.values()
        for row in kept:
            number, digest = number + 1, digest + int.from_bytes(row.digest, "big")
            await tx.connection.execute(_SQL["put_rejection"], *place, *_rejection_columns(row), self.batch.batch_no)
        return number, digest

    async def _move_ledger(self, rejected: int, rejected_digest: int) -> wire.Receipt:
        tx, batch, ledger = self.tx, self.batch, self.ledger
        digest = (int(ledger["digest"]) + tx.digest) % keys.DIGEST_MODULUS
        refused = (int(ledger["rejected_digest"]) + rejected_digest) % keys.DIGEST_MODULUS
        total = keys.digest_bytes(digest + refused)
        compared = batch.head_digest is not None
        verdict: wire.Verdict = "behind"
        if compared:
            verdict = "converged" if batch.head_digest == total else "diverged"
        elif batch.kind == "full" and not (tx.digest or rejected_digest):
            verdict = ledger["verdict"]  # it confirmed what is here, and says nothing about the rest
        acked, full_seq = (
            (ledger["acked_seq"], batch.to_seq) if batch.kind == "full" else (batch.to_seq, ledger["full_seq"])
        )
        place = (tx.host_no, tx.ledger_no)
        receipt = wire.Receipt(
            ledger_id=self.ledger_id,
            batch_id=batch.batch_id,
            batch_no=batch.batch_no,
            acked_seq=acked,
            full_seq=full_seq,
            digest=total,
            verdict=verdict,
            inserted=tx.counts.inserted,
            updated=tx.counts.updated,
            unchanged=tx.counts.unchanged,
            removed=tx.counts.removed,
            rejected=[
                wire.Rejection(table=row.table, key=row.key, seq=row.seq, code=row.code, reason=row.reason)
                for row in self.decoded.refused
            ],
            directives=await open_directives(tx.connection, *place, batch.agent.features),
        )
        counts = (ledger[name] + tx.rows[table] for table, name in ((1, "sessions"), (2, "messages"), (3, "events")))
        await tx.connection.execute(
            _SQL["move_ledger"],
            *(*place, acked, full_seq, batch.batch_id, batch.batch_no, digest, refused),
            *(ledger["rejected"] + rejected, *counts, verdict, compared),
            *(batch.agent.version, batch.parsers, batch.policy, batch.digest_set),
            *(decided_by({name: parser.floor for name, parser in batch.parsers.items()}), batch.head_digest),
        )
        encoded = msgspec.msgpack.encode(receipt)
        await tx.connection.execute(
            _SQL["put_batch"],
            *(*place, batch.batch_no, batch.batch_id, batch.kind, batch.from_seq, batch.to_seq),
            *(batch.agent.version, encoded),
        )
        return receipt


def _rejection_columns(row: Refused) -> tuple[Any, ...]:
    return (row.table, row.row_key, row.key is not None, row.seq, row.code, row.reason, row.digest)
