"""The whole scrub of a hub, in steps of a fraction of a second: rows and sums, ownership, rollups, host by host.

In the background it rests three times as long as it works. What it corrects it counts and logs.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.errors import NotFound
from trueup_hub.ingest.changes import hint
from trueup_hub.ingest.digests import FIRST, following
from trueup_hub.ingest.mending import mend_owners, mend_ownership
from trueup_hub.ingest.rebuild import rebuild_rollups
from trueup_hub.ingest.scrub import correct_slice
from trueup_hub.sqlfiles import load

log = structlog.get_logger()

_SQL = load("scrub")
_REST = 3.0  # seconds of rest for each of work, in the background


class Scrubbed(Struct, kw_only=True):
    """What a scrub did. `rest`: seconds of rest for each of work."""

    rest: float = 0.0
    rows: int = 0
    corrected: int = 0  # rows that had been altered or lost
    decided: int = 0  # owner keys and sessions that were doubtful
    cells: int = 0  # of rollups
    seconds: float = 0.0  # of work
    longest: float = 0.0  # step

    @property
    def found(self) -> int:
        return self.corrected + self.decided + self.cells

    async def step(self, started: float) -> None:
        seconds = time.monotonic() - started
        self.seconds += seconds
        self.longest = max(self.longest, seconds)
        await asyncio.sleep(self.rest * seconds)


async def scrub_due(db: Database, every: timedelta) -> Scrubbed:
    """Scrub what was not scrubbed within `every`, gently; an interrupted scrub goes on with the hosts that are left."""
    done = Scrubbed(rest=_REST)
    await forget_lost_terms(db)
    while (host_no := await db.fetchval(_SQL["due_host"], every)) is not None:
        await _scrub_host(db, host_no, done)
    if await db.fetchval(_SQL["owners_due"], every):
        await _scrub_owners(db, done)
    if done.rows or done.found:
        log.info("scrubbed", **_account(done))
    return done


async def scrub_all(db: Database) -> Scrubbed:
    """Scrub everything now, without rest: rows and ownership of all hosts first, then their rollups."""
    done = Scrubbed()
    await forget_lost_terms(db)
    hosts = [record["host_no"] for record in await db.fetch(_SQL["hosts_of_all"])]
    ledgers = [ledger_no for host_no in hosts for ledger_no in await _scrub_ledgers(db, host_no, done)]
    await _scrub_owners(db, done)
    for host_no in hosts:
        await _scrub_rollups(db, host_no, done)
    await db.execute(_SQL["note_scrubbed"], ledgers)
    return done


async def scrub_again(db: Database) -> None:
    """Everything is due: it may not be what it was."""
    async with db.transaction() as connection:
        await connection.execute(_SQL["scrub_all_ledgers"])
        await connection.execute(_SQL["scrub_all_owners"])


async def forget_lost_terms(db: Database) -> None:
    """The dictionary itself may have been altered: what we remember of it must be what rows are read with."""
    known: dict[str | None, int] = db.caches.get("terms", {})
    remembered = dict(known)  # before the dictionary is read: what is added meanwhile stays
    stored = {term: number for number, term in await db.fetch("SELECT term_no, term FROM terms")}
    for term, number in remembered.items():
        if term is not None and stored.get(term) != number:
            known.pop(term, None)


async def _scrub_host(db: Database, host_no: int, done: Scrubbed) -> None:
    ledgers = await _scrub_ledgers(db, host_no, done)
    await _scrub_rollups(db, host_no, done)
    await db.execute(_SQL["note_scrubbed"], ledgers)


async def _scrub_ledgers(db: Database, host_no: int, done: Scrubbed) -> list[int]:
    ledgers = [record["ledger_no"] for record in await db.fetch(_SQL["ledgers_of"], host_no)]
    for ledger_no in ledgers:
        corrected = 0
        low: bytes | None = FIRST
        while low is not None:
            started = time.monotonic()
            try:
                found = await correct_slice(db, host_no, ledger_no, low)
            except NotFound:  # its host is being forgotten
                break
            done.rows += found.rows
            corrected += found.corrected
            done.decided += await mend_ownership(db, host_no, ledger_no, found.low, found.high)
            low = following(found.high)
            await done.step(started)
        done.corrected += corrected
        if corrected:
            log.warning("rows at the hub are not what their ledger sent", ledger_no=ledger_no, rows=corrected)
    return ledgers


async def _scrub_rollups(db: Database, host_no: int, done: Scrubbed) -> None:
    cells = await _steps(rebuild_rollups(db, host_no), done)
    done.cells += cells
    if cells:
        log.warning("rollups were not what the rows say", host_no=host_no, cells=cells)
        if (host_id := await db.fetchval(_SQL["host_id_of"], host_no)) is not None:
            async with db.connection() as connection:
                await hint(connection, host_id)


async def _scrub_owners(db: Database, done: Scrubbed) -> None:
    done.decided += await _steps(mend_owners(db), done)
    await db.execute(_SQL["note_owners_scrubbed"])


async def _steps(counts: AsyncIterator[int], done: Scrubbed) -> int:
    total, started = 0, time.monotonic()
    async for count in counts:
        total += count
        await done.step(started)
        started = time.monotonic()
    return total


def _account(done: Scrubbed) -> dict[str, float]:
    counts = {name: getattr(done, name) for name in ("rows", "corrected", "decided", "cells")}
    return counts | {name: round(getattr(done, name), 3) for name in ("seconds", "longest")}
