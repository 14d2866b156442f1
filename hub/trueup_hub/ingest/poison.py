"""Rows on which the transaction itself fails: found by halving, so that they are rejected alone and the rest is stored.

What is tried is rolled back in the end, so nothing that is found out here is half applied.
"""

import contextlib
from collections.abc import Iterator, Sequence
from operator import attrgetter
from time import monotonic
from typing import Any, NamedTuple

from msgspec import Struct, field

from trueup_hub.db import Connection, Database, Record, is_fault_of_a_row
from trueup_hub.ingest.changes import add_terms, apply_changes, new_transaction
from trueup_hub.ingest.decode import Decoded
from trueup_hub.ingest.position import lock_ledger
from trueup_hub.pricing import InForce, in_force, released
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire

_SQL, _OWNERSHIP = load("ingest"), load("ownership")

Failed = dict[tuple[int, bytes], str]  # (table, key) -> why

# After that long whatever still fails together is rejected together: an agent waits for the answer.
SEARCH_SECONDS = 20.0


class SuspectError(Exception):
    """Applying failed, perhaps because of a row. `cause` is what was raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextlib.contextmanager
def suspected() -> Iterator[None]:
    """Stand between the work and the database's door, which takes some errors of Python for its own."""
    try:
        yield
    except Exception as error:
        if not is_fault_of_a_row(error):
            raise
        raise SuspectError(error) from error


class _Row(NamedTuple):
    session_key: bytes
    table: int
    row: Any
    dimensions: tuple[str | None, ...]  # of an event


async def find_failing(db: Database, host_no: int, ledger_id: str, batch: wire.Batch, decoded: Decoded) -> Failed:
    """The rows that cannot be applied, each with the reason; empty when it is no row's fault."""
    rows = [_Row(row.key, keys.SESSIONS, row, ()) for row in decoded.sessions]
    rows += [_Row(row.body.session_key or b"", keys.MESSAGES, row, ()) for row in decoded.messages]
    rows += [
        _Row(row.body.session_key or b"", keys.EVENTS, row, names)
        for row, names in zip(decoded.events, decoded.event_dimensions, strict=True)
    ]
    rows.sort(key=attrgetter("session_key"))
    async with db.ingest() as connection:
        await released(db, connection)
        transaction = connection.transaction()
        await transaction.start()
        try:
            ledger = await lock_ledger(connection, host_no, ledger_id)
            priced = await in_force(db, connection)
            search = _Search(db, connection, ledger, batch, decoded, priced, monotonic() + SEARCH_SECONDS)
            await search.lock()
            if await search.fails(()) is None:
                await search.sift(rows)
        finally:
            if not connection.is_closed():
                await transaction.rollback()
    return search.failed


class _Search(Struct):
    """Groups that can be applied stay applied while the search goes on: a row may fail only together with others."""

    db: Database
    connection: Connection
    ledger: Record
    batch: wire.Batch
    decoded: Decoded
    priced: InForce
    until: float
    failed: Failed = field(default_factory=dict)

    async def lock(self) -> None:
        """All owners at once, as a batch would, and then sessions in their order: groups alone would lock crosswise."""
        owners = sorted({event.body.owner_key or event.key for event in self.decoded.events})
        place = (self.ledger["host_no"], self.ledger["ledger_no"])
        await self.connection.execute(_SQL["claim_owners"], b"".join(owners), *place)
        await self.connection.execute(_OWNERSHIP["lock_owners"], owners)

    async def sift(self, rows: Sequence[_Row]) -> None:
        cause = await self.fails(rows)
        if cause is None:
            return
        if len(rows) == 1 or monotonic() > self.until:
            among = "" if len(rows) == 1 else f"one of {len(rows)} rows, of which some cannot be applied: "
            self.failed |= {(row.table, row.row.key): among + _in_words(cause) for row in rows}
            return
        middle = len(rows) // 2
        await self.sift(rows[:middle])
        await self.sift(rows[middle:])

    async def fails(self, rows: Sequence[_Row]) -> Exception | None:
        """Why these cannot be applied after what was applied before; without rows, the deletions of the batch."""
        part = Decoded([], [], [], [], [], [])
        for _, table, row, dimensions in rows:
            (part.sessions, part.messages, part.events)[table - 1].append(row)
            if table == keys.EVENTS:
                part.event_dimensions.append(dimensions)
        gone: dict[int, set[bytes]] = {}
        refused: dict[int, set[bytes]] = {}
        if not rows:
            for tombstone in self.decoded.tombstones:
                gone.setdefault(tombstone.table, set()).add(tombstone.key)
            for refusal in self.decoded.refused:
                if refusal.key is not None:
                    refused.setdefault(refusal.table, set()).add(refusal.key)
        try:
            # Terms outlive the search: they are known to all from now on.
            async with self.db.connection() as other:
                with suspected():
                    terms = await add_terms(self.db, other, part)
            with suspected():
                async with self.connection.transaction():
                    tx = new_transaction(
                        *(self.db, self.connection, self.ledger, terms),
                        batch_no=self.batch.batch_no,
                        parsers=self.batch.parsers,
                        priced=self.priced,
                        careful=True,
                    )
                    await apply_changes(tx, part, gone, refused)
        except SuspectError as suspect:
            return suspect.cause
        return None


def _in_words(cause: Exception) -> str:
    """One line."""
    return " ".join(f"the hub failed at it: {type(cause).__name__}: {cause}".replace("\0", "").split())
