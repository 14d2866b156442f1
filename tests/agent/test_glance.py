"""A look that takes no lock says what a pass would find: nothing, or that there is something."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from claude_home import FOLDER, loaded, make_logs, scan_home, write_logs
from trueup_agent.glance import nothing_new
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy

LOGS = make_logs(2)


async def test_where_nothing_changed_it_is_the_result_of_a_pass(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    assert nothing_new(loaded(home, data)) is None
    await scan_home(home, data)
    ledger = await Ledger.open(data, Policy())  # somebody else is writing
    result = nothing_new(loaded(home, data))
    await ledger.close()
    passed, _ = await scan_home(home, data)
    assert result is not None
    assert result.harnesses == passed.harnesses
    assert (result.inserted, result.bytes_read) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda home: (home / min(LOGS)).write_bytes(LOGS[min(LOGS)] + b"\n"),
        lambda home: (home / min(LOGS)).write_bytes(b""),
        lambda home: (home / min(LOGS)).unlink(),
        lambda home: shutil.copy(home / min(LOGS), home / FOLDER / "new.jsonl"),
        lambda home: HARNESSES["claude"].__setattr__("data_version", 2),
    ],
    ids=["grown", "emptied", "gone", "new", "another parser"],
)
async def test_whatever_a_pass_would_do_something_about_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    assert nothing_new(loaded(home, data)) is not None
    monkeypatch.setattr(HARNESSES["claude"], "data_version", HARNESSES["claude"].data_version)
    change(home)
    assert nothing_new(loaded(home, data)) is None
    await scan_home(home, data)
    assert nothing_new(loaded(home, data)) is not None


async def test_another_policy_is_seen(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    settings = loaded(home, data)
    hidden = msgspec.structs.replace(settings, agent=msgspec.structs.replace(settings.agent, send_project="none"))
    assert nothing_new(hidden) is None
