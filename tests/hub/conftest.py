"""A hub of its own for each test."""

from pathlib import Path
from typing import Any

import pytest

from hub_client import HubClient, start_hub
from trueup_hub.db import Database
from trueup_hub.settings import HubSettings


@pytest.fixture
async def hub(aiohttp_client: Any, db: Database, tmp_path: Path) -> HubClient:
    return await start_hub(aiohttp_client, db, HubSettings(data_dir=tmp_path))
