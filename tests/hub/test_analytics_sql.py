import pytest

from trueup_hub.analytics.sources import Reading, sql
from trueup_hub.db import Database
from trueup_hub.params import COUNTED
from trueup_hub.sqlfiles import load

TABLES = {
    "usage_by_bucket": ("usage_slots", "usage_days 0", "project_days 0"),
    "counts_by_bucket": ("activity_slots", "activity_days 0"),
}


@pytest.mark.parametrize("counted", COUNTED)
@pytest.mark.parametrize("module", ["analytics", "capabilities", "session", "sessions", "trust"])
async def test_every_block_is_understood_by_the_migrated_database(db: Database, module: str, counted: str) -> None:
    async with db.connection() as connection:
        for name in load(module):
            for table in TABLES.get(name, ("",)):
                for whole in (False, True):
                    reading = Reading(counted, whole, frozenset({"n", "s_output_tokens"}))
                    await connection.prepare(sql(module, name, table=table, reading=reading))
