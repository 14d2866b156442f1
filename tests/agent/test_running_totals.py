"""What the harnesses that report running totals have in common, on their golden data."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from golden_homes import golden_home
from scanned import scanned
from trueup_agent.files import DiskFiles
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.records import SERIES, EventRecord
from trueup_shared.metrics import COUNTERS

pytestmark = pytest.mark.parametrize("harness", ["goose", "zed", "crush", "hermes", "vibe", "warp"])


def events(harness: str, home: Path) -> Iterator[EventRecord]:
    known = HARNESSES[harness]
    for folder in known.folders_of_root(home):
        for source in known.sources(folder, []):
            files = DiskFiles(source)
            for piece in known.parser(source, None, files).read(everything=True):  # type: ignore[union-attr]
                yield from piece.events
            files.close()


def test_usage_derived_from_raw_usage_is_what_was_read(harness: str, tmp_path: Path) -> None:
    compared = 0
    for event in events(harness, golden_home(harness, tmp_path)):
        if event.raw_usage is not None:
            facts = Facts(provider=event.provider, model=event.model, identity=event.identity, usage=Usage())
            usage = HARNESSES[harness].usage(event.raw_usage, facts)
            assert usage is not None
            fields = (*COUNTERS, "lower_bounds", "derived")
            assert [getattr(usage, name) for name in fields] == [getattr(event, name) for name in fields]
            compared += 1
    assert compared


def test_a_total_is_named_by_its_series_and_by_what_was_seen(harness: str, tmp_path: Path) -> None:
    found = [event for event in events(harness, golden_home(harness, tmp_path)) if event.rule == SERIES]
    assert found
    assert all(event.family == event.owner_key != event.key for event in found)
    assert len({event.key for event in found}) == len(found)


async def test_looking_again_changes_nothing(harness: str, tmp_path: Path) -> None:
    seen = await scanned(tmp_path, harness, golden_home(harness, tmp_path))
    before = (seen.totals(), [row.seq for row in seen.events()])
    for full in (False, True):
        await seen.scan(full=full)
        assert (seen.totals(), [row.seq for row in seen.events()]) == before
