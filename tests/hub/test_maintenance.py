"""`trueup hub verify`, `backup` and `restore`, on a real PostgreSQL and its real tools."""

import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hub_process import running_hub
from ledger_rows import POLICY
from ledgers import Ledger as Rows
from ledgers import add_host, event_key, message, message_key, put_events, session
from processes import Result, environment, trueup
from pushing import Machine, machine, port_of
from trueup_agent.ledger import Ledger
from trueup_hub.backup import back_up, restore, without_password
from trueup_hub.db import Database, create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.errors import HubError
from trueup_hub.ingest.verify import verify
from trueup_hub.migrate import migrations
from trueup_shared import keys

S1 = keys.session_key("claude", "s1")


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return environment(tmp_path / "home", tmp_path / "data", TRUEUP_DATABASE_URL=database_url)


@pytest.fixture
async def ledger(db: Database) -> Rows:
    ledger = Rows(db, await add_host(db, "ana"))
    ledger.put(S1, session("s1"))
    put_events(ledger, range(3))
    ledger.put(message_key(1), message(1))
    await ledger.push()
    return ledger


@pytest.fixture
async def empty_url(pg: EmbeddedPg) -> AsyncIterator[str]:
    """Of a database without any table."""
    await create_database(pg.url("postgres"), "empty")
    yield pg.url("empty")
    await drop_database(pg.url("postgres"), "empty")


def hub(env: Mapping[str, str], *args: str | Path) -> Result:
    return trueup("hub", *args, env=dict(env))


async def contents(db: Database) -> list[Any]:
    tables = ("hosts", "ledgers", "sessions", "messages", "events", "usage_slots", "usage_days", "batches")
    return [sorted(map(str, await db.fetch(f"SELECT to_jsonb(t) - 'scrubbed_at' FROM {table} t"))) for table in tables]


async def restored(url: str, file: Path, *, replace: bool = True) -> None:
    db = await Database.open(url)
    try:
        await restore(db, url, file, os.environ, replace=replace)
    finally:
        await db.close()


async def test_what_differs_is_named_by_check_and_host_and_mended_on_request(
    env: dict[str, str], db: Database, ledger: Rows
) -> None:
    told = hub(env, "verify")
    assert (told.status, told.out) == (0, "Everything agrees with the rows that are stored.\n")
    await db.execute("UPDATE usage_days SET n = n + 1")
    told = hub(env, "verify")
    assert told.status == 3
    assert "ana: cells of usage by day are not what the counted requests say, in UTC (usage_days UTC: 1)" in told.out
    assert "trueup hub verify --repair" in told.out
    mended = hub(env, "verify", "--repair", "--json")
    assert mended.status == 0
    [found] = mended.json.pop("found")
    assert (found["check"], found["host_id"], found["count"]) == ("usage_days UTC", ledger.host_id, 1)
    assert mended.json | {"found": []} == {"clean": True, "found": [], "left": [], "waiting": []}
    assert await verify(db) == {}


async def test_rows_that_only_their_agent_can_bring_again_leave_the_hub_not_converged(
    env: dict[str, str], db: Database, ledger: Rows
) -> None:
    await db.execute("UPDATE events SET output_tokens = 7 WHERE event_key = $1", event_key(1))
    mended = hub(env, "verify", "--repair")
    assert mended.status == 3
    assert "ana: rows whose columns are not what their ledger sent (altered_rows: 1)" in mended.out
    assert "All of that is mended." in mended.out
    assert f"ana: its agent brings what differs from its ledger {ledger.ledger_id}" in mended.out


async def test_a_backup_comes_back_as_it_was_by_the_commands(
    env: dict[str, str], db: Database, ledger: Rows, tmp_path: Path
) -> None:
    before, file = await contents(db), tmp_path / "hub.backup"
    (tmp_path / "hub.backup.part").write_text("what a backup that was cut off left, for all to read")
    told = hub(env, "backup", file)
    assert told.status == 0, told.err
    assert str(tmp_path / "data" / "hub" / "hub.key") in told.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not file.with_name("hub.backup.part").exists()
    put_events(ledger, range(3, 9))
    await ledger.push()
    await db.execute("CREATE TABLE notes (note text)")
    await db.execute("UPDATE ledgers SET scrubbed_at = now()")
    await db.close()  # a restore refuses while a hub or a command has the database
    told = hub(env, "restore", file, "--replace", "--json")
    assert (told.status, told.json) == (0, {"restored": str(file)}), told.err
    again = await Database.open(env["TRUEUP_DATABASE_URL"])
    try:
        assert await contents(again) == before
        assert await verify(again) == {}
        assert await again.fetchval("SELECT scrubbed_at IS NULL FROM ledgers")
        assert await again.fetchval("SELECT to_regclass('notes') IS NOT NULL")  # not ours
    finally:
        await again.close()


async def test_a_restored_hub_is_brought_up_to_date_by_its_agents(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    async with running_hub(database_url, tmp_path / "hub") as hub, machine(hub, tmp_path / "ana") as ana:
        await ana.write(0, 9)
        assert (await ana.push()).verdict == "converged"
        await back_up(hub.auth.db, database_url, file, os.environ)
        await ana.write(5, 19, output_tokens=3)
        assert (await ana.push()).verdict == "converged"
        before, port = await hub.get("analytics/summary"), port_of(hub)
        await hub.http.close()
        with pytest.raises(HubError, match="a hub is running"):
            await restored(database_url, file)
        stopped = ana
    await restored(database_url, file)
    async with running_hub(database_url, tmp_path / "hub", port) as hub:
        assert (await hub.get("analytics/summary"))["totals"] != before["totals"]
        ledger = await Ledger.open(stopped.data_dir, POLICY)
        try:
            again = Machine(stopped.data_dir, ledger, stopped.host)
            result = await again.push()
        finally:
            await ledger.close()
        assert (result.verdict, result.identity) == ("converged", [])
        after = await hub.get("analytics/summary")
        assert (after["totals"], after["coverage"]) == (before["totals"], before["coverage"])
        assert await verify(hub.auth.db) == {}


async def test_a_backup_of_the_first_schema_is_brought_to_this_releases(
    db: Database, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    old = await Database.open(empty_url)
    await old.execute("CREATE TABLE migrations (number int4 PRIMARY KEY, name text NOT NULL, applied_at timestamptz)")
    await old.execute(migrations()[0][2])
    await old.execute("INSERT INTO migrations VALUES (1, 'first', now())")
    host = await add_host(old, "ana")
    await old.execute("INSERT INTO ledgers (host_no, ledger_id, first_contact_at) VALUES ($1, $2, now())", *host)
    await back_up(old, empty_url, tmp_path / "old", os.environ)
    await old.close()
    await db.close()
    await restored(database_url, tmp_path / "old", replace=False)  # it had tables, but no host
    again = await Database.open(database_url)
    try:
        assert await again.fetchval("SELECT label FROM hosts") == "ana"
        assert await again.fetchval("SELECT max(number) FROM migrations") == migrations()[-1][0]
        assert await again.fetchval("SELECT scrubbed_at IS NULL FROM ledgers")
    finally:
        await again.close()


async def test_a_restore_refuses_what_would_do_harm_and_leaves_everything_as_it_is(
    db: Database, database_url: str, empty_url: str, ledger: Rows, tmp_path: Path
) -> None:
    file = tmp_path / "hub.backup"
    await back_up(db, database_url, file, os.environ)
    with pytest.raises(HubError, match="exists: choose another name"):
        await back_up(db, database_url, file, os.environ)
    with pytest.raises(HubError, match=r"cannot write .*No such file"):
        await back_up(db, database_url, tmp_path / "no" / "x", os.environ)
    before = await contents(db)
    await db.execute("UPDATE migrations SET number = 99 WHERE number = 1")
    await back_up(db, database_url, tmp_path / "newer", os.environ)
    await db.execute("UPDATE migrations SET number = 1 WHERE number = 99")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cut").write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    other = await Database.open(empty_url)
    with pytest.raises(HubError, match="no hub in this database yet"):
        await back_up(other, empty_url, tmp_path / "other", os.environ)
    await other.execute("CREATE TABLE hosts (n int4)")
    await back_up(other, empty_url, tmp_path / "other", os.environ)
    await other.close()
    with pytest.raises(HubError, match="a hub is running on this database: stop it"):
        await restored(database_url, file)
    await db.close()
    with pytest.raises(HubError, match="has hosts already: --replace"):
        await restored(database_url, file, replace=False)
    with pytest.raises(HubError, match="no such file"):
        await restored(database_url, tmp_path / "none", replace=False)
    for name, why in (
        ("none", "no such file"),
        ("text", "is no backup of a hub"),
        ("cut", "pg_restore failed: .*end of file"),
        ("other", "a backup of something else"),
        ("newer", "was not restored, .* as it was: .*has schema 99, this trueup knows"),
    ):
        with pytest.raises(HubError, match=why):
            await restored(database_url, tmp_path / name)
    again = await Database.open(database_url)
    try:
        assert await contents(again) == before
    finally:
        await again.close()


def test_no_password_is_in_the_address_that_a_list_of_processes_shows() -> None:
    for url, shown in (
        ("postgresql://ana:s%40cret@db:5432/trueup?sslmode=require", "postgresql://ana@db:5432/trueup?sslmode=require"),
        ("postgresql://ana@/trueup?host=%2Frun&password=s%40cret", "postgresql://ana@/trueup?host=%2Frun"),
    ):
        assert without_password(url) == (shown, {"PGPASSWORD": "s@cret"})
