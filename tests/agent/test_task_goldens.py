"""Small homes whose figures were worked out by hand from the pages: Cline, Roo Code, Amp, Droid."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scanned import scanned
from trueup_agent.ledger.rows import StoredEvent

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def plain(event: StoredEvent, names: list[str]) -> dict[str, Any]:
    at = datetime.fromtimestamp(event.at / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = {name: getattr(event, name, None) for name in names}
    return shown | {"at": at, "is_lower_bound": bool(event.lower_bounds)}


@pytest.mark.parametrize("harness", ["cline", "roocode", "amp", "droid"])
async def test_the_home_gives_the_rows_that_its_page_says(tmp_path: Path, harness: str) -> None:
    expected = json.loads((GOLDEN / harness / "expected.json").read_text(encoding="utf-8"))
    seen = await scanned(tmp_path, harness, GOLDEN / harness / "home", home=True)
    names = list(expected["events"][0])
    assert [plain(event, names) for event in seen.events()] == expected["events"]
    assert {session.session_id: session.project_path for session in seen.sessions()} == expected["sessions"]
    totals = seen.totals()
    assert totals["messages"] == expected["messages"]
    assert totals["skipped"] == totals["unknown"] == {}
    await seen.scan(full=True)
    assert seen.totals() == totals
