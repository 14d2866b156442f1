"""A batch is applied in one transaction, in this order of locks: ledger, new event owners, existing event owners,
session owners, rollup cells; each kind in the order of its keys. Facts are read and written under their owner's lock.
"""

from typing import Any

import msgspec
from msgspec import Struct

from trueup_hub.db import Connection, Database, OutOfRange, Record, UniqueViolation, retried
from trueup_hub.errors import PositionMismatch
from trueup_hub.ingest.decode import Decoded, Refused, decode_batch
from trueup_hub.ingest.events import apply_events
from trueup_hub.ingest.incoming import digest_of, message_copies
from trueup_hub.ingest.messages import plan_messages
from trueup_hub.ingest.rollups import Rollup, write_rollups
from trueup_hub.ingest.sessions import Activity, apply_sessions
from trueup_hub.ingest.terms import Terms
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.ingest.zones import zones_for_ingest
from trueup_hub.sqlfiles import load
from trueup_shared import keys, prices, wire
from trueup_shared.harnesses import DATA_VERSIONS

_SQL = load("ingest")
CHANNEL = "trueup_update"  # live.py listens
_ANALYSE_FROM = 1000  # rows of a batch: smaller ones leave statistics to autovacuum


async def apply_batch(db: Database, host_no: int, host_id: str, ledger_id: str, batch: wire.Batch) -> wire.Receipt:
    """Apply a batch whole or not at all.

    PositionMismatch when it does not continue the ledger, Busy when it is to be sent again. A batch that was applied
    before gets the receipt that it got then.
    """
    decoded = decode_batch(batch)
    careful = False

    async def attempt() -> wire.Receipt:
        async with db.ingest() as connection:
            terms = await _add_terms(db, connection, decoded)
            price_no = await _price_table(db, connection)
            async with connection.transaction():
                ledger, receipt = await _lock_ledger(connection, host_no, host_id, ledger_id, batch)
                if receipt is not None:
                    return receipt
                tx = Transaction(
                    db=db,
                    connection=connection,
                    host_no=host_no,
                    ledger_no=ledger["ledger_no"],
                    batch_no=batch.batch_no,
                    terms=terms,
                    rollup=Rollup(usd=terms["usd"], credits=terms["credits"]),
                    parsers=batch.parsers,
                    careful=careful,
                )
                receipt = await _Application(tx, ledger, ledger_id, batch, decoded, price_no).run()
            await _after_commit(connection, host_id, receipt)
            return receipt

    try:
        return await retried(attempt)
    except UniqueViolation:
        # A row that is here under another owner key than it has now: look every row up.
        careful = True
        return await retried(attempt)
    except OutOfRange:
        # A sum does not fit. The rows that claim too much are refused by themselves, or the ledger would be stuck.
        decoded = decode_batch(batch, modest=True)
        return await retried(attempt)


async def position(db: Database, host_no: int, host_id: str, ledger_id: str) -> wire.Position:
    """Where the hub is with a ledger; zeros for one that it does not know."""
    record = await db.fetchrow(_SQL["position_of_ledger"], host_no, ledger_id)
    return _position(record, host_id, ledger_id)


def _position(record: Record | None, host_id: str, ledger_id: str) -> wire.Position:
    if record is None:
        return wire.Position(host_id=host_id, ledger_id=ledger_id)
    total = int(record["digest"]) + int(record["rejected_digest"])
    return wire.Position(
        host_id=host_id,
        ledger_id=ledger_id,
        acked_seq=record["acked_seq"],
        last_batch_id=record["last_batch_id"],
        batch_no=record["batch_no"],
        generation=record["generation"],
        full_seq=record["full_seq"],
        digest=keys.digest_bytes(total),
        digest_set=record["digest_set"],
        state=record["verdict"],
    )


async def _lock_ledger(
    connection: Connection, host_no: int, host_id: str, ledger_id: str, batch: wire.Batch
) -> tuple[Record, wire.Receipt | None]:
    ledger = await connection.fetchrow(_SQL["lock_ledger"], host_no, ledger_id)
    if ledger is None:
        await connection.execute(_SQL["add_ledger"], host_no, ledger_id)
        ledger = await connection.fetchrow(_SQL["lock_ledger"], host_no, ledger_id)
        assert ledger is not None
    stored = await connection.fetchval(_SQL["stored_receipt"], host_no, ledger["ledger_no"], batch.batch_id)
    if stored is not None:
        return ledger, msgspec.msgpack.decode(stored, type=wire.Receipt)
    reason = None
    if batch.from_seq != ledger["acked_seq"]:
        reason = f"the batch starts at seq {batch.from_seq}, the hub is at {ledger['acked_seq']}"
    elif batch.previous_batch_id != ledger["last_batch_id"]:
        reason = "the batch follows another batch than the hub's last"
    elif batch.to_seq < batch.from_seq or batch.batch_no <= ledger["batch_no"]:
        reason = "the batch's numbers do not ascend"
    if reason is not None:
        raise PositionMismatch(reason, _position(ledger, host_id, ledger_id))
    return ledger, None


async def _add_terms(db: Database, connection: Connection, decoded: Decoded) -> Terms:
    wanted: set[str | None] = {"usd", "credits", "user", "prompt", *DATA_VERSIONS}
    for names in set(decoded.event_dimensions):
        wanted.update(names)
    for message in decoded.messages:
        m = message.body
        wanted.update((m.harness, m.project, m.model, m.role, m.kind))
        if m.tool_names:
            wanted.update(m.tool_names)
    for session in decoded.sessions:
        s = session.body
        wanted.update((s.harness, s.project, s.relationship, s.os_user))
    terms = Terms(db)
    await terms.add(connection, wanted)
    return terms


async def _price_table(db: Database, connection: Connection) -> int:
    if "price_no" not in db.caches:
        await connection.execute(_SQL["add_price_table"], prices.DIGEST, prices.DATE)
        db.caches["price_no"] = await connection.fetchval(
            "SELECT price_no FROM prices WHERE digest = $1", prices.DIGEST
        )
    number: int = db.caches["price_no"]
    return number


async def _after_commit(connection: Connection, host_id: str, receipt: wire.Receipt) -> None:
    """Hints that may be lost: NOTIFY inside the transaction would let commits of all batches wait for one another."""
    if receipt.inserted or receipt.updated or receipt.removed:
        await connection.execute(f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}, '{host_id}'; COMMIT")
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
    price_no: int

    async def run(self) -> wire.Receipt:
        tx, decoded = self.tx, self.decoded
        gone: dict[int, set[bytes]] = {keys.SESSIONS: set(), keys.MESSAGES: set(), keys.EVENTS: set()}
        for tombstone in decoded.tombstones:
            gone[tombstone.table].add(tombstone.key)
        refused: dict[int, set[bytes]] = {table: set() for table in gone}
        for row in decoded.refused:
            if row.key is not None:
                refused[row.table].add(row.key)

        rejected = await self._keep_rejections(gone)
        zones = await zones_for_ingest(tx.connection)
        await apply_events(tx, decoded, self.price_no, gone[keys.EVENTS], refused[keys.EVENTS])
        messages = await plan_messages(
            tx, message_copies(tx, decoded), gone[keys.MESSAGES], refused[keys.MESSAGES], self.batch.from_seq == 0
        )
        sessions = [(row, digest_of(keys.SESSIONS, row)) for row in decoded.sessions]
        activity = Activity(tx.terms["user"], tx.terms["prompt"])
        await apply_sessions(tx, sessions, gone[keys.SESSIONS], refused[keys.SESSIONS], messages, activity)
        receipt = await self._move_ledger(*rejected)
        await write_rollups(tx.connection, tx.rollup, zones)
        await activity.write(tx)
        return receipt

    async def _keep_rejections(self, gone: dict[int, set[bytes]]) -> tuple[int, int]:
        """Rejections of rows that come again are taken away first; the change of (number, digest sum)."""
        tx, number, digest = self.tx, 0, 0
        place = (tx.host_no, tx.ledger_no)
        if self.ledger["rejected"]:
            again = [(table, key) for table, keys_ in gone.items() for key in keys_]
            again += [(keys.SESSIONS, row.key) for row in self.decoded.sessions]
            again += [(keys.MESSAGES, row.key) for row in self.decoded.messages]
            again += [(keys.EVENTS, row.key) for row in self.decoded.events]
            again += [(row.table, row.row_key) for row in self.decoded.refused]
            columns = map(list, zip(*sorted(again), strict=True)) if again else ([], [])
            for record in await tx.connection.fetch(_SQL["rejections_of"], *place, *columns):
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
        verdict: wire.Verdict = "behind"
        total = keys.digest_bytes(digest + refused)
        if batch.head_digest is not None:
            verdict = "converged" if batch.head_digest == total else "diverged"
        receipt = wire.Receipt(
            ledger_id=self.ledger_id,
            batch_id=batch.batch_id,
            batch_no=batch.batch_no,
            acked_seq=batch.to_seq,
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
        )
        place = (tx.host_no, tx.ledger_no)
        counts = (ledger[name] + tx.rows[table] for table, name in ((1, "sessions"), (2, "messages"), (3, "events")))
        await tx.connection.execute(
            _SQL["move_ledger"],
            *(*place, batch.to_seq, batch.batch_id, batch.batch_no, digest, refused, ledger["rejected"] + rejected),
            *(*counts, verdict, batch.agent.version, batch.parsers, batch.policy, batch.digest_set),
        )
        encoded = msgspec.msgpack.encode(receipt)
        await tx.connection.execute(
            _SQL["put_batch"],
            *(*place, batch.batch_no, batch.batch_id, batch.from_seq, batch.to_seq, batch.agent.version, encoded),
        )
        return receipt


def _rejection_columns(row: Refused) -> tuple[Any, ...]:
    return (row.table, row.row_key, row.key is not None, row.seq, row.code, row.reason, row.digest)
