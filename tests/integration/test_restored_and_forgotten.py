"""A host that was forgotten stays forgotten, also when the hub is restored from a backup of before."""

import os
from pathlib import Path
from uuid import UUID

from hub_process import Hub, running_hub
from pushing import machine
from trueup_hub.backup import back_up, restore
from trueup_hub.db import Database
from trueup_hub.ingest import forgetting
from trueup_hub.ingest.verify import verify


async def labels(hub: Hub) -> list[str]:
    return [label for (label,) in await hub.auth.db.fetch("SELECT label FROM hosts")]


async def test_a_restore_does_not_bring_back_what_was_forgotten(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    async with running_hub(database_url, tmp_path / "hub") as hub:
        async with machine(hub, tmp_path / "ana") as ana, machine(hub, tmp_path / "ben", "ben") as ben:
            await ana.write(0, 9)
            await ana.push()
            await ben.write(5, 14)
            await ben.push()
            await back_up(hub.auth.db, database_url, file, os.environ)
            assert await forgetting.begin(hub.auth, UUID(ana.host.host_id), "admin")
            await forgetting.forget_pending(hub.auth.db)
        assert await labels(hub) == ["ben"]
        before = await hub.get("analytics/summary")
    db = await Database.open(database_url)
    try:
        await restore(db, database_url, file, os.environ, replace=True)
        assert await db.fetchval("SELECT count(*) FROM hosts") == 2
    finally:
        await db.close()
    async with running_hub(database_url, tmp_path / "hub") as hub:
        await forgetting.forget_pending(hub.auth.db)  # or the hub's own job did it already
        assert await labels(hub) == ["ben"]
        assert (await hub.get("analytics/summary"))["totals"] == before["totals"]
        assert await hub.auth.db.fetchval("SELECT count(*) FROM audit WHERE action = 'host.forget'") == 1
        assert await verify(hub.auth.db) == {}
