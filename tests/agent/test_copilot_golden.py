"""A session of two runs, with a database that was adopted within the first: totals by hand, keys frozen.

A release that derives another key for the same request would count it again.
"""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

from copilot_files import store
from scanned import Scanned, scanned

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "copilot"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))


def told(seen: Scanned, name: str) -> dict[str, Any]:
    totals = seen.totals()
    return {figure: totals[figure] for figure in EXPECTED[name]}


async def test_the_golden_home_gives_the_figures_and_keys_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(GOLDEN / "home", home)
    seen = await scanned(tmp_path, "copilot", home, home=True)
    assert told(seen, "log") == EXPECTED["log"]
    assert seen.totals()["cost"] == {"aiu": Decimal("1.5")}
    store(home, EXPECTED["database"])
    await seen.scan()
    assert told(seen, "log_and_database") == EXPECTED["log_and_database"]
    assert seen.totals()["cost"] == {"aiu": Decimal("1.5")}
    rows = (*seen.events(), *seen.set_aside())
    assert {row.identity: row.key.hex() for row in rows} == EXPECTED["keys"]
    assert [session.title for session in seen.sessions()] == ["Fix the cart"]
