"""A ledger and a hub database that release 0.1.0 made go on in this one: recorded from that release itself."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from databases import GOLDEN
from hub_process import Hub, running_hub
from ledger_rows import recomputed
from pushing import Machine
from trueup_agent.credential import Host, save_host
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.directives import Directives
from trueup_agent.push.forever import Pusher
from trueup_agent.push.full import FullPush
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub.db import Database, create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_hub.migrate import migrations
from trueup_hub.scrubbing import scrub_all

MADE = GOLDEN / "upgrade"
TABLES = ("sessions", "messages", "events", "set_aside_events", "tombstones", "batches", "sources", "harnesses")


@pytest.fixture
def ledger_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "ledger"
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.executescript((MADE / "ledger-0002.sql").read_text())
    return folder


@pytest.fixture
async def hub(pg: EmbeddedPg, tmp_path: Path) -> AsyncIterator[Hub]:
    """Serves the database that was at schema 1 until now, with the key that it had."""
    key = tmp_path / "hub" / "hub" / "hub.key"
    key.parent.mkdir(parents=True)
    shutil.copy(MADE / "hub.key", key)
    key.chmod(0o600)
    await create_database(pg.url("postgres"), "upgraded")
    try:
        await make_database(pg.url("upgraded"))
        async with running_hub(pg.url("upgraded"), tmp_path / "hub") as upgraded:
            yield upgraded
    finally:
        await drop_database(pg.url("postgres"), "upgraded")


async def make_database(url: str) -> None:
    db = await Database.open(url)
    try:
        await db.execute(
            "CREATE TABLE migrations"
            " (number int4 PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        await db.execute(migrations()[0][2])
        await db.execute("DELETE FROM terms; DELETE FROM zones")  # the recorded ones are all
        await db.execute((MADE / "hub-0001.sql").read_text())
    finally:
        await db.close()


def content(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What the release before knew of each row, but for what says when it changed."""
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.row_factory = sqlite3.Row
        return {table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 2")] for table in TABLES}


async def opened(folder: Path, hub_url: str = "http://127.0.0.1:1") -> Machine:
    host = msgspec.json.decode((MADE / "host.json").read_bytes(), type=Host)
    host = msgspec.structs.replace(host, hub_url=hub_url)
    save_host(folder, host)
    return Machine(folder, await Ledger.open(folder, Policy()), host)


async def beat(machine: Machine) -> None:
    """The upgraded agent tells the hub what it is."""
    uplink = Uplink(machine.data_dir, AgentSettings(), machine.ledger)
    beats = Heartbeats(
        machine.ledger, Pusher(machine.ledger, uplink), Directives(machine.ledger, {}), Policy(), lambda: None
    )
    await beats._beat(await machine.ledger.sources())
    await uplink.close()


async def test_a_ledger_keeps_all_it_had_and_restates_old_data_once(ledger_dir: Path) -> None:
    before = content(ledger_dir)
    for _ in range(2):
        machine = await opened(ledger_dir)
        head = await machine.ledger.head()
        await machine.ledger.close()
        after = content(ledger_dir)
        assert (head.seq, head.rows) == (74 + 3, 74)
        assert (head.digest, head.rows) == recomputed(ledger_dir / "ledger.db")
    for table, rows in before.items():
        assert len(rows) == len(after[table]), table
        for old, new in zip(rows, after[table], strict=True):
            changed = {name for name in old if old[name] != new[name]}
            assert changed == ({"seq", "digest"} if old.get("old_data") else set()), table
    assert sum(bool(row["old_data"]) for row in before["events"]) == 3


async def test_both_sides_go_on_and_only_what_travels_in_another_form_is_sent(ledger_dir: Path, hub: Hub) -> None:
    db = hub.auth.db
    assert await db.fetchval("SELECT max(number) FROM migrations") == migrations()[-1][0]
    counted = await hub.get("analytics/summary", host="ana")
    machine = await opened(ledger_dir, hub.url)
    try:
        result = await machine.push()
        assert (result.verdict, result.rows_sent, result.updated, result.inserted) == ("converged", 3, 3, 0)
        assert (await machine.push()).batches == 0
        async with HubClient(hub.url, machine.host.credential) as client:
            full = await FullPush(machine.ledger, client, BatchSize()).run(0.0)
        assert (full.verdict, full.inserted, full.updated, full.unchanged, full.removed) == ("converged", 0, 0, 74, 0)
        await beat(machine)
    finally:
        await machine.ledger.close()
    async with asyncio.timeout(60):  # what caching saved was not kept before: a job of the hub fills it in
        while await db.fetchval("SELECT ended_at FROM repricings WHERE kind = 'savings'") is None:
            pass
    summary = await hub.get("analytics/summary", host="ana")
    priced = summary["coverage"]["cost_microusd"]["reported"]
    assert summary["coverage"].pop("cache_savings_microusd")["reported"] == priced > 0
    assert summary["totals"].pop("cache_savings_microusd") > 0
    for before in (counted["totals"], counted["coverage"]):
        del before["cache_savings_microusd"]
    assert (summary["totals"], summary["coverage"]) == (counted["totals"], counted["coverage"])
    assert summary["trust"]["old_data"] == 3
    for ledger_no, host_no in await db.fetch("SELECT ledger_no, host_no FROM ledgers"):
        assert (await recompute_digest(db, host_no, ledger_no)).faithful


async def test_zeros_that_no_parser_version_stood_for_are_unknown_from_now_on(hub: Hub) -> None:
    db = hub.auth.db
    await scrub_all(db)
    assert await verify(db) == {}
    summary = await hub.get("analytics/summary", host="other tool")
    coverage = summary["coverage"]
    assert (coverage["cache_read_tokens"]["events"], coverage["cache_read_tokens"]["reported"]) == (4, 0)
    assert (coverage["reasoning_tokens"]["reported"], summary["totals"]["reasoning_tokens"]) == (2, 14)
    assert summary["totals"]["cache_read_tokens"] is None
    flagged = {
        host["label"]: {flag["flag"]: flag for flag in host["flags"]} for host in (await hub.get("trust"))["hosts"]
    }
    assert "needs_resync" not in flagged["ana"]
    assert "pg push --full" in flagged["other tool"]["needs_resync"]["action"]
    assert "corrected" not in flagged["other tool"]
