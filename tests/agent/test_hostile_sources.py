"""Sources that were made to hurt whoever reads them: one that does must not keep the others from being read."""

import os
import sqlite3
from pathlib import Path

import pytest

from databases import write
from scanned import scanned

_TOTALS = {"cost": 0.5, "prompt_tokens": 9, "completion_tokens": 1, "created_at": 1760000000}
_SESSIONS = {"sessions": [{"id": id_, "updated_at": 1760000000, **_TOTALS} for id_ in ("s0", "s1")]}


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), "9" * 100_000, b"\xff" * 9])
async def test_a_time_that_is_none_does_not_end_the_next_reading(tmp_path: Path, odd: object) -> None:
    path = write(tmp_path / "crush.db", _SESSIONS)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE sessions SET updated_at = ? WHERE id = 's1'", (odd,))
    db.close()
    seen = await scanned(tmp_path, "crush", tmp_path)
    os.utime(path)
    await seen.scan()
    assert seen.result.unreadable == {}
    assert "s0" in [session.session_id for session in seen.sessions()]
    with sqlite3.connect(seen.ledger_path) as ledger:
        assert ledger.execute("SELECT max(length(parser_state)) FROM sources").fetchone()[0] < 10_000
    ledger.close()
