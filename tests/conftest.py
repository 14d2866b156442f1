"""Fixtures that any test may use: a PostgreSQL for the session, a migrated database for each test."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from trueup_hub.db import Database, create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.migrate import migrate

_numbers = itertools.count()


@pytest.fixture(scope="session")
def reachable_dir() -> Iterator[Path]:
    """A directory that other users can pass: an embedded PostgreSQL under root needs it (tmp_path lets nobody in)."""
    path = Path(tempfile.mkdtemp(prefix="trueup-tests-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def pg(reachable_dir: Path) -> Iterator[EmbeddedPg]:
    """A running cluster without fsync; its database `template_trueup` is migrated."""
    server = EmbeddedPg(reachable_dir / "pg", durable=False)

    async def start() -> None:
        await server.start()
        await create_database(server.url("postgres"), "template_trueup")
        db = await Database.open(server.url("template_trueup"))
        await migrate(db)
        await db.close()

    asyncio.run(start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def database_url(pg: EmbeddedPg) -> AsyncIterator[str]:
    """URL of a fresh migrated database, dropped after the test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await create_database(pg.url("postgres"), name, "template_trueup")
    yield pg.url(name)
    await drop_database(pg.url("postgres"), name)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database."""
    database = await Database.open(database_url)
    yield database
    await database.close()
