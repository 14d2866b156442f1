"""Every harness: when its logs are gone and its data version rises, raw usage gives the numbers that the logs gave."""

import shutil
from pathlib import Path

import pytest

from golden_homes import golden_home
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import LedgerReader
from trueup_agent.ledger.rows import StoredEvent
from trueup_shared.metrics import COUNTERS


def numbers(events: list[StoredEvent]) -> dict[bytes, dict[str, object]]:
    names = (*COUNTERS, "lower_bounds", "derived", "reported_cost")
    return {event.key: {name: getattr(event, name) for name in names} for event in events}


@pytest.mark.parametrize("harness", HARNESSES)
async def test_reading_everything_again_by_a_parser_that_says_the_same_changes_nothing(
    tmp_path: Path, harness: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = await scanned(tmp_path, harness, golden_home(harness, tmp_path / "logs"))
    with LedgerReader(seen.ledger_path.parent) as reader:
        head = reader.head()
    monkeypatch.setattr(HARNESSES[harness], "data_version", 99)
    result = await seen.scan()
    assert (result.inserted, result.restated, result.removed) == (0, 0, 0)
    with LedgerReader(seen.ledger_path.parent) as reader:
        assert reader.head() == head
        assert reader.floors() == {harness: 99}
    rows = [*seen.events(), *seen.set_aside(), *seen.messages(), *seen.sessions()]
    assert {(row.data_version, row.old_data) for row in rows} == {(99, 0)}


@pytest.mark.parametrize("harness", HARNESSES)
async def test_raw_usage_gives_the_numbers_that_the_logs_gave(
    tmp_path: Path, harness: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = golden_home(harness, tmp_path / "logs")
    seen = await scanned(tmp_path, harness, logs)
    before, aside = numbers(seen.events()), numbers(seen.set_aside())
    assert before
    shutil.rmtree(logs)
    logs.mkdir()
    await seen.scan()
    monkeypatch.setattr(HARNESSES[harness], "data_version", 99)
    await seen.scan()
    after = seen.events()
    assert (numbers(after), numbers(seen.set_aside())) == (before, aside)
    assert all(event.gone for event in after)
    without = [event for event in after if event.old_data]
    assert all(event.raw_usage is None for event in without)
    assert all(event.data_version == 99 for event in after if not event.old_data)
