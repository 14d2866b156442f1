"""A hub of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub_client import HubClient, start_hub
from population import Facts, Rows
from population_fleet import fill, make_database
from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.settings import HubSettings


@pytest.fixture
async def hub(aiohttp_client: Any, db: Database, tmp_path: Path) -> HubClient:
    return await start_hub(aiohttp_client, db, HubSettings(data_dir=tmp_path))


@pytest.fixture(scope="session")
def population_database(pg: EmbeddedPg) -> tuple[str, Rows]:
    """A database that is only read (population_fleet.py), made once, and its rows."""
    return make_database(pg, "population", fill)


@pytest.fixture
async def facts(population_database: tuple[str, Rows]) -> AsyncIterator[Facts]:
    """It, opened for a test."""
    url, rows = population_database
    db = await Database.open(url)
    yield Facts(db, rows)
    await db.close()
