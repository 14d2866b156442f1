"""Agent, hub and PostgreSQL are killed from outside at random moments, some in the middle of a transaction.

Nothing that was acknowledged is lost, nothing is counted twice, and after the last start all of it is there.
"""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import asyncpg
from hypothesis import settings

from agent_process import trueup, until
from fleet import Fleet

KILLS = 60 if settings().max_examples > 1_000 else 9  # `make soak`: many more
VICTIMS = ("agent", "hub", "postgres")


@contextlib.asynccontextmanager
async def held_in_transaction(fleet: Fleet) -> Any:
    """Batches come as far as the rollups, and wait there with everything else written and not committed."""
    holder = await asyncpg.connect(fleet.database())
    watcher = await asyncpg.connect(fleet.database())

    async def waits() -> bool:
        open_transactions = "application_name = 'trueup ingest' AND xact_start IS NOT NULL AND wait_event_type = 'Lock'"
        return bool(await watcher.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {open_transactions}"))

    try:
        await holder.execute("BEGIN; LOCK TABLE session_slots IN EXCLUSIVE MODE")
        fleet.home.append(2)
        await until(waits, "a batch is in the middle of its transaction")
        yield
    finally:
        for connection in (holder, watcher):
            with contextlib.suppress(Exception):  # its server may have been killed
                await connection.close(timeout=2)


async def test_kill_9_of_agent_hub_and_postgresql_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(11)
    fleet = Fleet(tmp_path)
    inside = 0
    try:
        await fleet.start_hub()
        await fleet.enroll()
        await fleet.start_agent()
        for number in range(KILLS):
            victim = VICTIMS[number % len(VICTIMS)]
            if number % 2:
                async with held_in_transaction(fleet):
                    inside += 1
                    await fleet.kill(victim)
            else:
                fleet.home.append(chance.randrange(1, 30))
                await asyncio.sleep(chance.random() * 0.3)
                fleet.note_receipt()
                await fleet.kill(victim)
            await fleet.keeps_what_it_acknowledged()
        assert inside == KILLS // 2

        pushed = await trueup("pg", "push", "--json", env=fleet.home.env(), seconds=100)
        assert (pushed.status, pushed.json["verdict"]) == (0, "converged"), pushed.err
        totals = (await fleet.get("analytics/summary"))["coverage"]["output_tokens"]
        assert totals["events"] == fleet.home.answers
    finally:
        await fleet.stop()
