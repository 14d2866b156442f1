"""The watcher against a real file system."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from trueup_agent import watch
from trueup_agent.watch import Watcher


class Seen:
    """Paths that were handed over, and a way to wait for one."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.news = asyncio.Condition()

    async def changed(self, paths: set[Path]) -> None:
        async with self.news:
            self.paths |= paths
            self.news.notify_all()

    async def wait_for(self, *paths: Path, seconds: float = 10) -> None:
        async with self.news:
            await asyncio.wait_for(self.news.wait_for(lambda: set(paths) <= self.paths), seconds)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the watcher has no event for it
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(watcher: Watcher) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(watcher.watch_forever(stop))
    await until(lambda: watcher.mode != "starting")
    # The watches are set in the first step of tasks that exist by now.
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)


def folders(*paths: Path) -> Callable[[], list[Path]]:
    return lambda: list(paths)


async def test_an_append_to_a_log_is_handed_over_within_half_a_second(tmp_path: Path) -> None:
    log = tmp_path / "a" / "log.jsonl"
    log.parent.mkdir()
    log.write_text("{}\n")
    seen = Seen()
    async with watching(Watcher(folders(tmp_path), seen.changed)):
        with log.open("a") as file:
            file.write("{}\n")
        await seen.wait_for(log, seconds=0.5)


async def test_a_file_made_together_with_its_directories_is_found(tmp_path: Path) -> None:
    seen = Seen()
    async with watching(Watcher(folders(tmp_path), seen.changed)):
        log = tmp_path / "project" / "session" / "subagents" / "log.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text("{}\n")
        await seen.wait_for(log)


async def test_a_folder_that_comes_later_is_watched_from_then_on(tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "projects"
    seen = Seen()
    async with watching(Watcher(folders(folder), seen.changed)):
        folder.mkdir(parents=True)
        first = folder / "first.jsonl"
        first.write_text("{}\n")
        await seen.wait_for(first)
        second = folder / "second.jsonl"
        second.write_text("{}\n")
        await seen.wait_for(second)


async def test_a_folder_that_was_replaced_is_watched_again_after_the_next_look(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    seen = Seen()
    watcher = Watcher(folders(folder), seen.changed)
    async with watching(watcher):
        folder.rename(tmp_path / "old")
        folder.mkdir()
        log = folder / "log.jsonl"
        log.write_text("{}\n")
        watcher.look_again()
        await seen.wait_for(log)
        later = folder / "later.jsonl"
        later.write_text("{}\n")
        await seen.wait_for(later)


async def test_without_watches_left_it_says_so_once_and_tries_again_with_each_rescan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, refused = watch.awatch, 0

    def no_watches_left(*args: object, ignore_permission_denied: bool, **kwargs: object) -> object:
        nonlocal refused
        refused += 1
        assert not ignore_permission_denied  # else watchfiles keeps quiet about the limit
        raise OSError(28, "OS file watch limit reached.")

    monkeypatch.setattr(watch, "awatch", no_watches_left)
    seen = Seen()
    watcher = Watcher(folders(tmp_path), seen.changed)
    async with watching(watcher):
        assert watcher.mode == "rescan_only"
        assert watcher.reason == "the system's limit of watches is reached: raise fs.inotify.max_user_watches"
        before = refused
        watcher.look_again()
        await until(lambda: refused > before)
        monkeypatch.setattr(watch, "awatch", real)
        watcher.look_again()
        await until(lambda: watcher.mode == "watching")
        await asyncio.sleep(0.05)
        assert watcher.reason is None
        (tmp_path / "log.jsonl").write_text("{}\n")
        await seen.wait_for(tmp_path / "log.jsonl")
    said = [line for line in capsys.readouterr().out.splitlines() if "not_watching" in line]
    assert len(said) == 1


async def test_a_directory_that_is_closed_to_us_does_not_keep_the_others_from_being_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = watch.awatch

    def as_for_a_closed_directory(*paths: Path, ignore_permission_denied: bool, **options: Any) -> Any:
        if not ignore_permission_denied:
            raise PermissionError(13, "Permission denied")
        return real(*paths, ignore_permission_denied=True, **options)

    monkeypatch.setattr(watch, "awatch", as_for_a_closed_directory)
    seen = Seen()
    watcher = Watcher(folders(tmp_path), seen.changed)
    async with watching(watcher):
        (tmp_path / "log.jsonl").write_text("{}\n")
        await seen.wait_for(tmp_path / "log.jsonl")
        assert watcher.mode == "watching"


async def test_rescans_go_on_until_stop_and_a_stop_does_not_wait_for_the_one_that_runs(tmp_path: Path) -> None:
    stop, scans = asyncio.Event(), 0
    third = asyncio.Event()

    async def scan() -> None:
        nonlocal scans
        scans += 1
        if scans == 3:
            third.set()
            await asyncio.sleep(3600)

    watcher = Watcher(folders(tmp_path), Seen().changed)
    task = asyncio.create_task(watcher.rescan_forever(scan, 0.01, stop))
    await asyncio.wait_for(third.wait(), 5)
    stop.set()
    await asyncio.wait_for(task, 1)
    assert scans == 3
