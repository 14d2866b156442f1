"""From a change of what lies beside a source, or of a database's log, to the ledger at once: no rescan is needed."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kinds_harness import Kinds, kinds
from trueup_agent import collect, discover
from trueup_agent.collect import PassMemory, collect_paths, scan
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy
from trueup_agent.settings import AgentSettings, HarnessSettings, Loaded, Places
from trueup_agent.watch import Watcher

__all__ = ["kinds"]


@pytest.fixture
def settings(tmp_path: Path, kinds: Kinds) -> Loaded:
    (tmp_path / "h" / "kinds").mkdir(parents=True)
    others = {name: HarnessSettings(enabled=False) for name in HARNESSES if name != "kinds"}
    places = Places(homes=[tmp_path / "h"], platform="linux", harnesses=others)
    return Loaded(agent=AgentSettings(), places=places, data_dir=tmp_path / "data")


@pytest.fixture
async def ledger(settings: Loaded) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(settings.data_dir, Policy())
    yield ledger
    await ledger.close()


async def counted(ledger: Ledger) -> dict[str, tuple[int, str | None]]:
    return {row[0]: row[1:] for row in await ledger.query("SELECT identity, output_tokens, model FROM events")}


@asynccontextmanager
async def watching(ledger: Ledger, settings: Loaded) -> AsyncIterator[asyncio.Event]:
    """The event is set after each hand-over."""
    news, stop, memory = asyncio.Event(), asyncio.Event(), PassMemory()

    async def changed(paths: set[Path]) -> None:
        await collect_paths(ledger, settings, paths, memory)
        news.set()

    watcher = Watcher(lambda: discover.watched_folders(settings.places), changed)
    task = asyncio.create_task(watcher.watch_forever(stop))
    while watcher.mode == "starting":  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)  # the watches are set in the first step of tasks that exist by now
    try:
        yield news
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)


async def test_a_commit_to_a_write_ahead_log_is_in_the_ledger_within_a_second(ledger: Ledger, settings: Loaded) -> None:
    path = settings.places.homes[0] / "kinds" / "d.rows"
    db = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = wal",
        "CREATE TABLE requests (n INTEGER PRIMARY KEY, id, tokens)",
        "INSERT INTO requests VALUES (1, 1, 10)",
    ):
        db.execute(statement)
    await scan(ledger, settings)
    marks = path.stat()
    async with watching(ledger, settings):
        db.execute("INSERT INTO requests VALUES (2, 2, 20)")
        assert path.stat() == marks  # only the log says so
        async with asyncio.timeout(1):
            while len(await counted(ledger)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    db.close()


async def test_a_transaction_that_was_under_way_is_read_when_its_journal_goes(ledger: Ledger, settings: Loaded) -> None:
    path = settings.places.homes[0] / "kinds" / "d.rows"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE requests (n INTEGER PRIMARY KEY, id, tokens)")
    db.execute("PRAGMA cache_size = 2")
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO requests VALUES (?, ?, 1)", [(n, n) for n in range(1, 2001)])
    await scan(ledger, settings)
    assert await counted(ledger) == {}
    async with watching(ledger, settings):
        db.execute("COMMIT")
        async with asyncio.timeout(2):
            while len(await counted(ledger)) < 2000:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    db.close()


async def test_a_companion_that_changes_alone_leads_to_its_source(
    ledger: Ledger, settings: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.places.homes[0] / "kinds"
    (folder / "a.lines").write_text('{"id": 1, "tokens": 10}\n')
    (folder / "c.tree").mkdir()
    await scan(ledger, settings)
    monkeypatch.setattr(discover, "discover", None)  # nobody looks around
    (folder / "a.model").write_text("large.")
    (folder / "c.tree" / "7").write_text(json.dumps({"id": 7, "tokens": 70}))
    await collect_paths(ledger, settings, [folder / "a.model", folder / "c.tree" / "7"])
    assert await counted(ledger) == {"[1]": (10, "large"), "[7]": (70, None)}


async def test_a_companion_that_comes_before_its_log_is_no_stranger_for_good(
    ledger: Ledger, settings: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "LOOKS_APART", 0)
    folder, memory = settings.places.homes[0] / "kinds", PassMemory()
    (folder / "a.model").write_text("small.")
    await collect_paths(ledger, settings, [folder / "a.model"], memory)
    (folder / "a.lines").write_text('{"id": 1, "tokens": 10}\n')
    await collect_paths(ledger, settings, [folder / "a.lines"], memory)
    assert await counted(ledger) == {"[1]": (10, "small")}
    (folder / "a.model").write_text("large.")
    await collect_paths(ledger, settings, [folder / "a.model"], memory)
    assert await counted(ledger) == {"[1]": (10, "large")}


async def test_unknown_files_are_looked_up_a_tenth_of_the_time_at_most_and_none_is_forgotten(
    ledger: Ledger, settings: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(collect, "monotonic", lambda: clock[0])
    folder, memory = settings.places.homes[0] / "kinds", PassMemory()
    memory.look_after = 1001.0
    (folder / "a.lines").write_text('{"id": 1, "tokens": 10}\n')
    await collect_paths(ledger, settings, [folder / "a.lines"], memory)
    assert await counted(ledger) == {}
    clock[0] = 1002.0
    await collect_paths(ledger, settings, [], memory)
    assert await counted(ledger) == {"[1]": (10, None)}


def test_a_harness_that_is_not_to_be_watched_is_not(settings: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert discover.watched_folders(settings.places) == [settings.places.homes[0] / "kinds"]
    monkeypatch.setattr(Kinds, "is_watched", False)
    assert discover.watched_folders(settings.places) == []
