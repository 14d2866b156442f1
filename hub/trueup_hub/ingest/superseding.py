"""A superseded ledger keeps what only it knew: what its successor has as well is dropped from it, in chunks.

Nothing is dropped that counts better than what the successor has: a better copy of a request, the greater part of a
series, the fuller copy of a session.
"""

from collections.abc import Awaitable, Callable, Iterable

import structlog

from trueup_hub.db import Database, retried
from trueup_hub.ingest import ownership
from trueup_hub.ingest.changes import Keys, ledger_transaction, remove_rows
from trueup_hub.ingest.copies import EVENT_COLUMNS, EventCopy, stored_event
from trueup_hub.ingest.settling import copies_at, rank_series
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.sqlfiles import load
from trueup_shared import keys
from trueup_shared.wire import Tombstone

log = structlog.get_logger()

_COLUMNS = ", ".join(EVENT_COLUMNS)
_SQL = {name: text.replace("{columns}", _COLUMNS) for name, text in load("identity").items()}
CHUNK_ROWS = 2000

# A page of a table after a key: (last key, None at the end; those to drop).
Page = tuple[bytes | None, list[bytes]]
Reader = Callable[[Transaction, int, bytes, int], Awaitable[Page]]


async def supersede_pending(db: Database, chunk: int = CHUNK_ROWS) -> int:
    """Supersede what can be, and drop what successors have; how many rows. One that is revived meanwhile is left."""
    await db.execute(_SQL["supersede"])
    number = 0
    for host_no, ledger_no, successor in await db.fetch(_SQL["to_drop_from"]):
        rows = 0
        for table, read in ((keys.EVENTS, _events), (keys.MESSAGES, _messages), (keys.SESSIONS, _sessions)):
            rows += await _drop(db, host_no, ledger_no, successor, table, read, chunk)
        await db.execute(_SQL["dropped"], host_no, ledger_no)
        log.info("superseded a ledger", ledger_no=ledger_no, by=successor, dropped=rows)
        number += rows
    return number


async def _drop(
    db: Database, host_no: int, ledger_no: int, successor: int, table: int, read: Reader, chunk: int
) -> int:
    number, after = 0, bytes(16)

    async def step() -> tuple[bytes | None, int]:
        async with ledger_transaction(db, host_no, ledger_no) as (tx, _):
            if not await tx.connection.fetchval(_SQL["is_frozen"], host_no, ledger_no, successor):
                return None, 0
            last, gone = await read(tx, successor, after, chunk)
            if gone:
                await remove_rows(tx, {table: gone})
            return last, len(gone)

    while True:
        last, dropped = await retried(step)
        number += dropped
        if last is None:
            return number
        after = last


async def _events(tx: Transaction, successor: int, after: bytes, chunk: int) -> Page:
    records = await tx.connection.fetch(_SQL["page_of_events"], tx.host_no, tx.ledger_no, after, chunk)
    copies = [stored_event(record) for record in records]
    theirs = {
        copy.event_key: copy for copy in await copies_at(tx, [(tx.host_no, successor, c.event_key) for c in copies])
    }
    series = await rank_series(tx, {copy.owner_key for copy in copies if copy.owner_key is not None})
    versions = await tx.versions({tx.ledger_no, successor})
    ours, other = (tx.host_no, tx.ledger_no), (tx.host_no, successor)

    def droppable(copy: EventCopy) -> bool:
        if copy.owner_key is not None:
            ranks = series[copy.owner_key]
            return other in ranks and ranks[other] >= ranks.get(ours, 0)
        their = theirs.get(copy.event_key)
        if their is None or their.stale or their.owner_key is not None:
            return False
        return copy.stale or ownership.rank(their, versions) >= ownership.rank(copy, versions)

    last = copies[-1].event_key if len(copies) == chunk else None
    return last, [copy.event_key for copy in copies if droppable(copy)]


async def _messages(tx: Transaction, successor: int, after: bytes, chunk: int) -> Page:
    return await _by_sql(tx, "page_of_messages", successor, after, chunk)


async def _sessions(tx: Transaction, successor: int, after: bytes, chunk: int) -> Page:
    return await _by_sql(tx, "page_of_sessions", successor, after, chunk)


async def _by_sql(tx: Transaction, block: str, successor: int, after: bytes, chunk: int) -> Page:
    records = await tx.connection.fetch(_SQL[block], tx.host_no, tx.ledger_no, after, chunk, successor)
    last = records[-1][0] if len(records) == chunk else None
    return last, [key for key, droppable in records if droppable]


async def remove_from_predecessors(db: Database, host_no: int, ledger_id: str, gone: Keys) -> None:
    """What a ledger withdraws goes from those whose place it took as well, before its own batch is applied.

    In transactions of their own: a batch that is sent again after a crash does it again.
    """
    if not any(gone.values()):
        return
    for record in await db.fetch(_SQL["predecessors"], host_no, ledger_id):
        await _remove(db, host_no, record["ledger_no"], gone)


async def _remove(db: Database, host_no: int, ledger_no: int, gone: Keys) -> None:
    async def attempt() -> None:
        async with ledger_transaction(db, host_no, ledger_no) as (tx, _):
            await remove_rows(tx, gone)

    await retried(attempt)


def withdrawn(tombstones: Iterable[Tombstone]) -> dict[int, set[bytes]]:
    """Their keys by table; not what a repair deletes because the ledger never had it (seq 0)."""
    gone: dict[int, set[bytes]] = {}
    for tombstone in tombstones:
        if tombstone.seq > 0:
            gone.setdefault(tombstone.table, set()).add(tombstone.key)
    return gone
