"""Forgetting a host: its access ends at once, its rows go in chunks, after each of which all totals are right.

What its rows set aside counts again. The last chunk takes the host itself; only the audit remembers it. Killed in the
middle, it goes on where it was: what is left is found by looking.
"""

from collections.abc import AsyncGenerator
from uuid import UUID

import structlog
from msgspec import Struct

from trueup_hub.auth import Auth
from trueup_hub.db import Database, retried
from trueup_hub.errors import NotFound
from trueup_hub.ingest.changes import hint, ledger_transaction, remove_rows
from trueup_hub.sqlfiles import load
from trueup_shared import keys, logs

log = structlog.get_logger()

_SQL = load("forgetting")
CHUNK_ROWS = 2000
_TABLES = ((keys.EVENTS, "some_events"), (keys.MESSAGES, "some_messages"), (keys.SESSIONS, "some_sessions"))
_WITH_LEDGER = ("sources", "host_status", "rejections", "batches", "confirmations", "directives", "ledgers")


class Forgotten(Struct, frozen=True):
    """How far it is: rows that went in this run, rows that are left."""

    removed: int
    left: int


async def begin(auth: Auth, host_id: UUID, actor: str) -> bool:
    """End the access of a host and mark it. False when there is no such host."""
    if await auth.db.fetchval(_SQL["host_number"], host_id) is None:
        return False
    auth.revocations.forget(host_id)  # first, so that it holds even if the database is lost before the next backup
    await auth.db.execute(_SQL["mark_forgotten"], host_id, actor)
    return True


async def begin_again(auth: Auth) -> None:
    """Mark those that were forgotten once and are there: the database was restored from a backup of before."""
    for host_id in auth.revocations.forgotten():
        await auth.db.execute(_SQL["mark_forgotten"], host_id, "the hub, as it did before")


async def forget_host(db: Database, host_id: UUID, chunk: int = CHUNK_ROWS) -> AsyncGenerator[Forgotten, None]:
    """Remove a host that is marked, a chunk of rows with each step; nothing when there is none."""
    host_no = await db.fetchval(_SQL["marked_host"], host_id)
    if host_no is None:
        return
    removed = 0
    for (ledger_no,) in await db.fetch(_SQL["ledgers_of_host"], host_no):
        while not await _remove_ledger(db, host_no, ledger_no):
            for table, block in _TABLES:
                while gone := await _remove_some(db, host_no, ledger_no, table, block, chunk):
                    removed += gone
                    yield Forgotten(removed, await db.fetchval(_SQL["rows_left"], host_no))
    if await db.fetchval(_SQL["remove_host"], host_no) is not None:
        log.info("forgot a host", **{logs.HOST: str(host_id)}, rows=removed)
        async with db.connection() as connection:
            await hint(connection, str(host_id))  # its last rows went before it
    yield Forgotten(removed, 0)


async def _remove_some(db: Database, host_no: int, ledger_no: int, table: int, block: str, chunk: int) -> int:
    async def attempt() -> int:
        async with ledger_transaction(db, host_no, ledger_no) as (tx, _):
            records = await tx.connection.fetch(_SQL[block], host_no, ledger_no, chunk)
            if records:
                await remove_rows(tx, {table: [record[0] for record in records]})
            return tx.counts.removed

    try:
        return await retried(attempt)
    except NotFound:  # somebody else forgets it too, and was faster
        return 0


async def _remove_ledger(db: Database, host_no: int, ledger_no: int) -> bool:
    """False while it has rows: of a batch that came in before the host was marked.

    A batch that waits for the ledger's row finds neither it nor a host that may have one.
    """
    async with db.transaction() as connection:
        await connection.execute(_SQL["lock_ledger_row"], host_no, ledger_no)
        if await connection.fetchval(_SQL["has_rows"], host_no, ledger_no):
            return False
        for table in _WITH_LEDGER:
            await connection.execute(_SQL[f"remove_{table}"], host_no, ledger_no)
    return True


async def forget_pending(db: Database, chunk: int = CHUNK_ROWS) -> int:
    """Go on with every host that is marked; how many rows went."""
    number = 0
    for record in await db.fetch(_SQL["marked_hosts"]):
        steps = [step.removed async for step in forget_host(db, UUID(bytes=record["host_id"]), chunk)]
        number += max(steps, default=0)
    return number
