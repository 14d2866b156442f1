"""What the hub does by itself: jobs again and again whatever fails, a scrub after a life that did not end in order."""

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub_process import running_hub
from ledgers import Ledger, add_host, event_key, put_events
from processes import TRUEUP, environment
from trueup_hub import app, housekeeping
from trueup_hub.db import Database
from trueup_hub.errors import Busy, DatabaseUnavailable
from trueup_hub.housekeeping import Job, keep_house
from trueup_hub.ingest.verify import verify


async def test_a_job_that_fails_is_told_and_tried_again_and_disturbs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_RETRY_SECONDS", 0.01)
    runs: dict[str, int] = {"good": 0, "busy": 0, "broken": 0}
    enough = asyncio.Event()

    async def run(name: str) -> None:
        runs[name] += 1
        if runs["busy"] > 2 and runs["broken"] > 2:
            enough.set()
        if name == "busy":
            raise Busy("the database was too busy")
        if name == "broken":
            raise ZeroDivisionError

    jobs = [
        Job("good", 3600, lambda: run("good")),
        Job("busy", 3600, lambda: run("busy")),
        Job("broken", 3600, lambda: run("broken")),
    ]
    with capture_logs() as logs:
        house = asyncio.create_task(keep_house(jobs))
        await asyncio.wait_for(enough.wait(), 10)
        assert not house.done()
        house.cancel()
        await asyncio.gather(house, return_exceptions=True)
    assert runs["good"] == 1
    told = {entry["job"]: entry for entry in logs}
    assert told["busy"]["error"] == "the database was too busy"
    assert told["broken"]["exc_info"] is True
    assert told["broken"]["log_level"] == "error"


async def test_a_job_whose_connection_is_cut_does_not_end_the_hub(
    database_url: str, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []

    async def sleep(hubs: Database) -> None:
        try:
            await hubs.fetchval("SELECT pg_sleep(60)")
        except DatabaseUnavailable:
            ends.append("cut")
            raise

    monkeypatch.setattr(housekeeping, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(app, "jobs", lambda hubs, settings: [Job("sleep", 60, lambda: sleep(hubs))])
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query ~ $1"
    )
    async with running_hub(database_url, tmp_path) as hub:
        async with asyncio.timeout(20):
            while len(ends) < 3:
                await db.fetchval(cut, "^SELECT pg_sleep")
                await asyncio.sleep(0.02)
        assert (await hub.get("trust"))["trust"]["hosts"]["total"] == 0


async def serve(env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """A hub that answers."""
    command = [*TRUEUP, "hub", "serve", "--port", "0"]
    hub = await asyncio.create_subprocess_exec(
        *command, env=dict(env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert hub.stdout is not None
    assert b"http" in await asyncio.wait_for(hub.stdout.readline(), 60)
    return hub


async def end(hub: asyncio.subprocess.Process, number: int = signal.SIGTERM) -> int:
    hub.send_signal(number)
    return await asyncio.wait_for(hub.wait(), 30)


async def test_a_hub_that_was_killed_is_scrubbed_when_it_starts_again_and_one_that_was_stopped_is_not(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    ledger = Ledger(db, await add_host(db, "ana"))
    put_events(ledger, range(3))
    await ledger.push()
    await db.execute("UPDATE ledgers SET scrubbed_at = now(); UPDATE hub_state SET scrubbed_at = now()")
    (tmp_path / "home").mkdir()
    env = environment(tmp_path / "home", tmp_path / "data", TRUEUP_DATABASE_URL=database_url)

    hub = await serve(env)
    before = await db.fetchval("SELECT scrubbed_at FROM ledgers")
    assert await end(hub) == 0
    assert await db.fetchval("SELECT stopped FROM hub_state")
    await db.execute("UPDATE usage_slots SET n = n + 1")
    hub = await serve(env)
    await asyncio.sleep(0.5)
    assert await db.fetchval("SELECT scrubbed_at FROM ledgers") == before
    assert (await verify(db)).keys() == {"usage_slots"}

    await end(hub, signal.SIGKILL)
    assert not await db.fetchval("SELECT stopped FROM hub_state")
    await db.execute("UPDATE events SET output_tokens = 7 WHERE event_key = $1", event_key(1))
    hub = await serve(env)
    deadline = time.monotonic() + 20
    while await db.fetchval("SELECT scrubbed_at IS NULL OR scrubbed_at = $1 FROM ledgers", before):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert await db.fetchval("SELECT verdict FROM ledgers") == "diverged"
    assert await verify(db) == {}
    assert await end(hub) == 0


async def test_a_job_that_is_cancelled_ends_although_its_database_goes_at_that_moment(db: Database) -> None:
    """The error of its clean-up comes in the place of the cancellation: a hub whose PostgreSQL died never ended."""
    began = asyncio.Event()

    async def work() -> None:
        async with db.transaction() as connection:
            began.set()
            try:
                await asyncio.sleep(3600)
            finally:
                connection.terminate()

    house = asyncio.create_task(keep_house([Job("cut", 3600, work)]))
    await began.wait()
    house.cancel()
    _, pending = await asyncio.wait([house], timeout=5)
    assert not pending
