"""The whole scrub of a hub, in steps of a fraction of a second: rows and sums, ownership, rollups, host by host.

In the background it rests three times as long as it works. What it corrects it counts and logs.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import structlog
from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.errors import NotFound
from trueup_hub.ingest.changes import hint
from trueup_hub.ingest.digests import FIRST, following
from trueup_hub.ingest.mending import mend_owners, mend_ownership
from trueup_hub.ingest.rebuild import rebuild_rollups
from trueup_hub.ingest.scrub import correct_slice, drop_rows_of_nobody
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
    """Scrub the hosts that were not scrubbed within `every`, gently; an interrupted scrub begins anew."""
    done = Scrubbed(rest=_REST)
    await _scrub(db, [record["host_no"] for record in await db.fetch(_SQL["due_hosts"], every)], done)
    if await db.fetchval(_SQL["owners_due"], every):
        await _scrub_owners(db, done)
    if done.rows or done.found:
        log.info("scrubbed", **_account(done))
    return done


async def scrub_all(db: Database) -> Scrubbed:
    """Scrub everything now, without rest."""
    done = Scrubbed()
    hosts = [record["host_no"] for record in await db.fetch(_SQL["hosts_of_all"])]
    await _scrub(db, hosts, done)
    await _scrub_owners(db, done)
    return done


async def scrub_host(db: Database, host_no: int) -> None:
    """What is made of a host's rows is not what it should be: scrub it now."""
    await _scrub(db, [host_no], Scrubbed())


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


async def _scrub(db: Database, hosts: Sequence[int], done: Scrubbed) -> None:
    """Rows of all of them first, for ownership is decided by copies at other hosts; rollups last."""
    if not hosts:
        return
    await forget_lost_terms(db)
    dropped = await drop_rows_of_nobody(db)
    done.corrected += sum(dropped.values())
    hosts = sorted({*hosts, *dropped})
    ledgers = {host_no: [row[0] for row in await db.fetch(_SQL["ledgers_of"], host_no)] for host_no in hosts}
    places = [(host_no, ledger_no) for host_no, numbers in ledgers.items() for ledger_no in numbers]
    for place in places:
        corrected = await _steps(_correct(db, *place, done), done)
        done.corrected += corrected
        if corrected:
            log.warning("rows at the hub are not what their ledger sent", ledger_no=place[1], rows=corrected)
    for place in places:
        done.decided += await _steps(mend_ownership(db, *place), done)
    for host_no, numbers in ledgers.items():
        await _scrub_rollups(db, host_no, done)
        await db.execute(_SQL["note_scrubbed"], numbers)


async def _correct(db: Database, host_no: int, ledger_no: int, done: Scrubbed) -> AsyncIterator[int]:
    low: bytes | None = FIRST
    with contextlib.suppress(NotFound):  # its host is being forgotten
        while low is not None:
            found = await correct_slice(db, host_no, ledger_no, low)
            done.rows += found.rows
            low = following(found.high)
            yield found.corrected


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
