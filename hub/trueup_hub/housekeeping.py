"""What the hub does by itself: named jobs, each again and again. A job that fails is logged and tried again; no failure
of one ends the hub. Jobs may run on several replicas at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from functools import partial

import structlog
from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.errors import HubError
from trueup_hub.ingest.forgetting import forget_pending
from trueup_hub.ingest.jobs import settle_pending
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.pricing import count_uses
from trueup_hub.repricing import go_on_with_all
from trueup_hub.scrubbing import scrub_again, scrub_due
from trueup_hub.settings import HubSettings
from trueup_hub.sqlfiles import load

log = structlog.get_logger()

_SQL = load("scrub")
_RETRY_SECONDS = 60.0


class Job(Struct, frozen=True):
    """`seconds` lie between the end of a run and the next."""

    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]


def jobs(db: Database, settings: HubSettings) -> list[Job]:
    return [
        Job("scrub", 600, partial(scrub_due, db, timedelta(hours=settings.scrub_hours))),
        Job("settle", 60, partial(settle_pending, db)),
        Job("supersede", 60, partial(supersede_pending, db)),
        Job("forget", 60, partial(forget_pending, db)),
        Job("reprice", 60, partial(go_on_with_all, db)),
        Job("price tables", 6 * 3600, partial(count_uses, db)),
    ]


async def keep_house(found: Iterable[Job]) -> None:
    """Until it is cancelled."""
    async with asyncio.TaskGroup() as group:
        for job in found:
            group.create_task(_repeat(job), name=job.name)


async def _repeat(job: Job) -> None:
    while True:
        pause = job.seconds
        try:
            await job.run()
        except HubError as error:  # the database is away, or busy
            pause = min(pause, _RETRY_SECONDS)
            log.warning("a job is tried again later", job=job.name, error=str(error))
        except Exception:
            pause = min(pause, _RETRY_SECONDS)
            log.exception("a job failed and is tried again later", job=job.name)
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def life(db: Database) -> AsyncIterator[None]:
    """From start to stop. Where the one before did not end in order, everything is to be scrubbed."""
    if not await db.fetchval(_SQL["begin_life"]):
        log.info("the hub did not end in order: everything is scrubbed")
        await scrub_again(db)
    yield
    with contextlib.suppress(HubError):  # a database that is away: the next start scrubs
        await db.execute(_SQL["end_life"])
