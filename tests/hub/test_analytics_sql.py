import pytest

from trueup_hub.analytics.sources import sql
from trueup_hub.db import Database
from trueup_hub.params import COUNTED
from trueup_hub.sqlfiles import load


@pytest.mark.parametrize("counted", COUNTED)
@pytest.mark.parametrize("module", ["analytics", "capabilities", "session", "sessions", "trust"])
async def test_every_block_is_understood_by_the_migrated_database(db: Database, module: str, counted: str) -> None:
    async with db.connection() as connection:
        for name in load(module):
            await connection.prepare(sql(module, name, counted=counted))
