"""Know at once when a log grows (watchfiles), and rescan so that what the watcher missed is found all the same."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import structlog
from watchfiles import Change, awatch

from trueup_agent.harnesses.folders import ignore, walk
from trueup_agent.waiting import first_of, unless
from trueup_shared import logs

log = structlog.get_logger()

# A record must be on the hub's API within a second: hand over after 40 ms of quiet, in a steady stream every 250 ms.
QUIET_MS = 40
AT_MOST_MS = 250
# Directories that do not exist yet are not in such a hurry.
APPEAR_MS = 400

Folders = Callable[[], Iterable[Path]]
Changed = Callable[[set[Path]], Awaitable[None]]


class Watcher:
    """Watches the data folders of all harnesses, those that exist and those that may come.

    `mode` is `watching`, or `rescan_only` where the system gives us no watches (then `reason` says why).
    """

    def __init__(self, folders: Folders, changed: Changed) -> None:
        self._folders = folders
        self._changed = changed
        self._present: dict[Path, int] = {}
        self._round_over = asyncio.Event()
        # Directories that are closed to us must be passed over; but whoever asks for that is not told either when the
        # system's limit of watches is reached. So it is asked for only when there are some.
        self._some_closed = False
        self.mode = "starting"
        self.reason: str | None = None

    async def watch_forever(self, stop: asyncio.Event) -> None:
        """Hand over changed files until `stop`. Starts over whenever a folder appears or is replaced."""
        before: dict[Path, int] | None = None
        while not stop.is_set():
            self._round_over = asyncio.Event()
            self._present, absent = _split(self._folders())
            # Of those, a file may be older than its watch. What was there at the start is the first scan's.
            fresh = (
                [] if before is None else [path for path, inode in self._present.items() if before.get(path) != inode]
            )
            before, was = self._present, self.mode
            self.mode, self.reason = "watching", None
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end_round(stop), name="end of round")
                tasks.create_task(self._watch_present(was), name="watch folders")
                tasks.create_task(self._watch_for(absent, was), name="watch for folders")
                # awatch sets its watches before it first waits: this task comes after them.
                tasks.create_task(self._catch_up(fresh), name="catch up")

    async def rescan_forever(
        self, scan: Callable[[], Coroutine[Any, Any, None]], seconds: float, stop: asyncio.Event
    ) -> None:
        """One pass over everything now, and then every `seconds`."""
        while not stop.is_set():
            await unless(stop, scan())
            self.look_again()
            await first_of(stop, seconds=seconds)

    def look_again(self) -> None:
        """After a rescan: start over if folders came or were replaced, or if there was no watching the last time."""
        if self.mode == "rescan_only" or _split(self._folders())[0] != self._present:
            self._round_over.set()

    async def _end_round(self, stop: asyncio.Event) -> None:
        """awatch takes one event to stop by; ours has two reasons."""
        await first_of(stop, self._round_over)
        self._round_over.set()

    async def _changes(self, was: str, *paths: Path, **options: Any) -> AsyncIterator[set[tuple[Change, str]]]:
        """awatch until the round is over. Without watches (a limit is reached, no inotify) the rescan remains."""
        options |= {"stop_event": self._round_over, "ignore_permission_denied": self._some_closed}
        try:
            async for found in awatch(*paths, **options):
                yield found
        except FileNotFoundError:
            self._round_over.set()  # went away between looking and watching
        except (OSError, RuntimeError) as error:
            if isinstance(error, PermissionError) and not self._some_closed:
                self._some_closed = True
                self._round_over.set()
                return
            if "rescan_only" not in (was, self.mode):
                consequence = "logs are read by rescan only"
                log.warning("not_watching", consequence=consequence, **{logs.ERROR: _in_words(error)})
            self.mode, self.reason = "rescan_only", _in_words(error)

    async def _catch_up(self, fresh: list[Path]) -> None:
        if _split(self._folders())[0] != self._present:
            self._round_over.set()
        await self._hand_over(set(), fresh)

    async def _hand_over(self, files: set[Path], folders: list[Path]) -> None:
        paths = files | await asyncio.to_thread(_files_below, folders)
        if paths:
            await self._changed(paths)

    async def _watch_present(self, was: str) -> None:
        if not self._present:
            return
        tops = [folder for folder in self._present if not any(parent in self._present for parent in folder.parents)]
        async for found in self._changes(was, *tops, watch_filter=None, step=QUIET_MS, debounce=AT_MOST_MS):
            # What goes away counts as well: a log was moved, or a database's journal ended a transaction.
            paths = {Path(path) for _, path in found}
            # A directory's own watch is set after it was made: files may have come in between.
            await self._hand_over(paths, [Path(path) for change, path in found if change == Change.added])

    async def _watch_for(self, absent: list[Path], was: str) -> None:
        """Folders that are not there yet: watch the nearest parents for the next step towards them."""
        if not absent:
            return
        nearest = {next(parent for parent in folder.parents if parent.is_dir()) for folder in absent}
        steps = {str(path) for folder in absent for path in (folder, *folder.parents)}

        def is_a_step(change: Change, path: str) -> bool:
            return path in steps

        async for _ in self._changes(was, *nearest, watch_filter=is_a_step, step=APPEAR_MS, recursive=False):
            self._round_over.set()


def _split(folders: Iterable[Path]) -> tuple[dict[Path, int], list[Path]]:
    """Folders that exist, with their inode: one that was removed and made again needs a new watch. And the others."""
    present, absent = {}, []
    for folder in folders:
        try:
            present[folder] = folder.stat().st_ino
        except OSError:
            absent.append(folder)
    return present, absent


def _files_below(folders: Iterable[Path]) -> set[Path]:
    return {
        parent / name
        for folder in folders
        if folder.is_dir()
        for parent, _, names in walk(folder, ignore)
        for name in names
    }


def _in_words(error: OSError | RuntimeError) -> str:
    """The library's text of a limit names an internal type, and not what to do."""
    if "watch limit" in str(error):
        return "the system's limit of watches is reached: raise fs.inotify.max_user_watches"
    return str(error)
