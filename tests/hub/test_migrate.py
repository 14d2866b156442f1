import asyncio
import socket

import pytest

from trueup_hub.db import Database
from trueup_hub.errors import DatabaseUnavailable
from trueup_hub.ingest import add_zone
from trueup_hub.migrate import _LOCK, migrate, migrations


async def test_migrating_twice_changes_nothing(db: Database) -> None:
    assert await migrate(db) == []
    assert await db.fetchval("SELECT count(*) FROM migrations") == len(migrations())


async def test_replicas_that_start_together_migrate_once(pg, db: Database) -> None:
    await db.execute("DROP SCHEMA public CASCADE")
    await db.execute("CREATE SCHEMA public")
    applied = await asyncio.gather(*(migrate(db) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]


async def test_a_start_waits_for_another_hub_that_migrates_or_fills_a_zone_however_long(database_url: str) -> None:
    db = await Database.open(database_url, query_timeout=0.2)

    async def started() -> None:
        await migrate(db)
        await add_zone(db, "Asia/Kathmandu")

    try:
        async with db.connection() as other, other.transaction():
            await other.execute("LOCK TABLE zones IN EXCLUSIVE MODE")
            await other.execute("SELECT pg_advisory_lock($1)", _LOCK)
            start = asyncio.create_task(started())
            await asyncio.sleep(0.5)
            await other.execute("SELECT pg_advisory_unlock($1)", _LOCK)
            await asyncio.sleep(0.5)
            assert not start.done()
        await start
        assert await db.fetchval("SHOW statement_timeout") == "200ms"
    finally:
        await db.close()


async def test_a_database_of_a_newer_release_is_refused_with_one_line(db: Database) -> None:
    await db.execute("INSERT INTO migrations (number, name) VALUES (9999, '9999_later')")
    with pytest.raises(DatabaseUnavailable, match=r"has schema 9999.*upgrade trueup"):
        await migrate(db)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://nobody:x@127.0.0.1:1/trueup",
        "postgresql://nobody:x@/trueup?host=/nonexistent",
        "not a url",
    ],
)
async def test_a_wrong_database_address_is_one_clear_error(url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await Database.open(url)


async def test_a_port_where_nobody_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueup_hub.db._CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}/trueup"
        with pytest.raises(DatabaseUnavailable, match=f"cannot be reached: no answer .at {place}"):
            await Database.open(f"postgresql://ana:s3cret@{place}")


async def test_a_wrong_password_is_one_clear_error(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="password"):
        await Database.open(database_url.replace("trueup:", "trueup:not"))


async def test_keys_are_bytes_and_json_is_values(db: Database) -> None:
    key = bytes(range(16))
    assert await db.fetchval("SELECT $1::uuid", key) == key
    assert await db.fetchval("SELECT $1::uuid[]", [key, key]) == [key, key]
    assert await db.fetchval("SELECT $1::jsonb", {"a": [1, None]}) == {"a": [1, None]}


async def test_every_fact_table_can_be_sharded_by_host(db: Database) -> None:
    for table in ("sessions", "messages", "events", "usage_slots", "session_slots", "activity_slots", "batches"):
        key = await db.fetch(
            "SELECT a.attname FROM pg_index i"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indrelid = $1::text::regclass AND i.indisunique",
            table,
        )
        assert "host_no" in {row["attname"] for row in key}, table
    assert await db.fetchval("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0
    assert await db.fetchval("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 0
