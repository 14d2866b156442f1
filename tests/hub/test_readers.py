"""Whoever reads can only read, and sees no secrets: as a role of its own, wherever the database lets us have one."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs

from trueup_hub import readers
from trueup_hub.db import Database, create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.migrate import migrate


async def role_of(db: Database) -> str:
    async with db.snapshot() as connection:
        return str(await connection.fetchval("SELECT current_user"))


async def test_reads_run_as_the_reader_again_and_again(db: Database) -> None:
    assert [await role_of(db) for _ in range(3)] == ["trueup_reader"] * 3
    assert await db.fetchval("SELECT current_user") == "trueup"


async def test_a_connection_that_reads_refuses_to_write(db: Database) -> None:
    async with db.snapshot() as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("INSERT INTO terms (term) VALUES ('x')")
    async with db._reading_pool.acquire() as connection:  # outside of a transaction that says so itself
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("INSERT INTO terms (term) VALUES ('x')")
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO terms (term) VALUES ('x')")


async def test_the_reader_sees_every_table_and_column_but_those_with_secrets(db: Database) -> None:
    columns = await db.fetch(
        "SELECT table_name, column_name,"
        " has_column_privilege('trueup_reader', table_name::regclass, column_name, 'SELECT') AS readable"
        " FROM information_schema.columns WHERE table_schema = 'public'"
    )
    hidden = {(table, column) for table, column, readable in columns if not readable}
    assert {table for table, _ in hidden} == {*readers.SECRET_TABLES, "hosts"}
    assert {column for table, column in hidden if table == "hosts"} == {"credential_hash", "secret_hash"}
    assert not [column for _, column, readable in columns if readable and column.endswith("_hash")]
    assert not await db.fetch(
        "SELECT FROM information_schema.role_table_grants"
        " WHERE grantee = 'trueup_reader' AND privilege_type <> 'SELECT'"
    )
    for table in readers.SECRET_TABLES:
        async with db.snapshot() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")


async def test_what_a_later_release_adds_is_readable_from_its_start_on_but_no_hash(db: Database) -> None:
    await db.execute("ALTER TABLE events ADD COLUMN later int4")
    await db.execute("ALTER TABLE hosts ADD COLUMN later int4, ADD COLUMN later_hash bytea")
    await db.execute("CREATE TABLE afterwards (one int4)")
    await migrate(db)
    async with db.snapshot() as connection:
        await connection.fetch("SELECT later FROM events")
        await connection.fetch("SELECT later FROM hosts")
        await connection.fetch("SELECT one FROM afterwards")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT later_hash FROM hosts")


@pytest.fixture
async def managed_url(pg: EmbeddedPg) -> AsyncIterator[str]:
    """An empty database whose user may make neither roles nor itself a member of one."""
    main = await asyncpg.connect(pg.url("postgres"))
    await main.execute("CREATE ROLE managed LOGIN PASSWORD 'managed'")
    await create_database(pg.url("postgres"), "managed")
    await main.execute("ALTER DATABASE managed OWNER TO managed")
    secret = pg.url("managed").split("@")[0].removeprefix("postgresql://")
    yield pg.url("managed").replace(secret, "managed:managed")
    await drop_database(pg.url("postgres"), "managed")
    await main.execute("DROP ROLE managed")
    await main.close()


async def test_where_the_user_may_not_become_the_reader_reads_are_read_only_and_the_administrator_is_told(
    pg: EmbeddedPg, managed_url: str
) -> None:
    db = await Database.open(managed_url)
    try:
        await migrate(db)
        with capture_logs() as lines:
            await readers.tell_administrator(db)
        [told] = lines
        assert told["run"] == "GRANT trueup_reader TO managed"
        assert await role_of(db) == "managed"
        async with db.snapshot() as connection:
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("INSERT INTO terms (term) VALUES ('x')")
    finally:
        await db.close()
    main = await asyncpg.connect(pg.url("managed"))
    await main.execute(told["run"])
    await main.close()
    db = await Database.open(managed_url)
    try:
        with capture_logs() as lines:
            await readers.tell_administrator(db)
        assert (lines, await role_of(db)) == ([], "trueup_reader")
    finally:
        await db.close()
