"""What was altered in the hub's database while the hub was down: nobody asks, and all is as before."""

from pathlib import Path
from typing import Any

from agent_process import Home, daemon, trueup, until
from hub_process import Hub, running_hub
from pushing import port_of
from trueup_hub.db import Database
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.verify import verify

DAMAGE = (
    "UPDATE events SET output_tokens = output_tokens + 5 WHERE ctid IN (SELECT ctid FROM events LIMIT 3)",
    "DELETE FROM events WHERE ctid IN (SELECT ctid FROM events LIMIT 5)",
    "DELETE FROM messages WHERE role IN (SELECT term_no FROM terms WHERE term = 'user')",
    "DELETE FROM usage_slots",
    "UPDATE event_owners SET (host_no, ledger_no) = (NULL, NULL)",
    "UPDATE hub_state SET stopped = false",  # it was killed
)


async def shown(hub: Hub) -> Any:
    summary = await hub.get("analytics/summary")
    return summary["totals"], summary["coverage"]


async def converged(hub: Hub) -> bool:
    return bool((await hub.get("trust"))["trust"]["hosts"]["converged"])


async def test_a_hub_that_was_killed_and_altered_is_whole_again_without_anyone_asking(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    home.append(30)
    async with running_hub(database_url, tmp_path / "hub") as hub:
        code, port = await make_enroll_code(hub.auth.db), port_of(hub)
        done = await trueup("agent", "enroll", hub.url, "--code", code, "--label", "ana", env=home.env())
        assert done.status == 0, done.err
        env = {"TRUEUP_HEARTBEAT_SECONDS": "1"}
        async with daemon(home, **env):
            await until(lambda: converged(hub), "the first push")
        before = await shown(hub)
    for sql in DAMAGE:
        await db.execute(sql)
    async with running_hub(database_url, tmp_path / "hub", port) as hub, daemon(home, **env):

        async def whole() -> bool:
            return (
                bool(await db.fetchval("SELECT scrubbed_at IS NOT NULL AND corrected > 0 FROM ledgers"))
                and await converged(hub)
                and await verify(db) == {}
            )

        await until(whole, "scrubbed, repaired and converged")
        assert await shown(hub) == before
