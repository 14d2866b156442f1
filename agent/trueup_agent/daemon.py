"""The life of `trueup agent run` on one page: what starts in which order, what stops it, and what kills it.

start   lock and open the ledger > listen on agent.sock > READY=1 > the tasks below
tasks   watch, rescan, push, heartbeat, watchdog: each that fails ends the process with exit status 1
stop    the first SIGTERM or SIGINT: what is in flight is finished, at most DRAIN_SECONDS, exit status 0
        the second: the process leaves at once; the ledger and the hub are made for that, as for kill -9
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from trueup_agent import control
from trueup_agent.collect import HeldLines, ScanResult, collect_paths, scan
from trueup_agent.discover import RootArg, watched_folders
from trueup_agent.errors import WorkerDied
from trueup_agent.ledger import Ledger
from trueup_agent.memory import give_back_memory
from trueup_agent.notify import Notifier
from trueup_agent.push.forever import Pusher, PushState
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.push import PushResult
from trueup_agent.push.uplink import HubSettings, Uplink
from trueup_agent.settings import Loaded
from trueup_agent.waiting import first_of
from trueup_agent.watch import Watcher
from trueup_shared import logs

log = structlog.get_logger()

DRAIN_SECONDS = 5.0
# How long `pg push` waits for a hub that says it is busy.
PATIENCE_SECONDS = 60.0


class ScanRequest(Struct, frozen=True):
    roots: list[RootArg] | None = None


class DaemonStatus(Struct, frozen=True, kw_only=True):
    """What only the running daemon knows."""

    pid: int
    started_at: float
    watching: str
    watching_reason: str | None
    push: PushState
    drift_suspected: list[str]
    last_error: str | None


@contextmanager
def stopped_by_signals(stop: Callable[[], Any]) -> Iterator[None]:
    """The first SIGTERM or SIGINT calls `stop`; the second ends the process there and then."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def leave(number: int, frame: object) -> None:
        os._exit(128 + number)

    def first() -> None:
        for number in before:
            signal.signal(number, leave)
        stop()

    for number in before:
        # Not loop.add_signal_handler: Windows has none, and a second signal must work while the loop is stuck.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(first))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hub_settings(loaded: Loaded) -> HubSettings:
    agent = loaded.agent
    return HubSettings(hub_url=agent.hub_url, enroll_code=agent.enroll_code, label=agent.label, ca_file=agent.hub_ca)


async def run(loaded: Loaded, notifier: Notifier) -> None:
    """Until a signal. Raises LedgerBusy and the like at the start, later an ExceptionGroup of what killed a task."""
    stop = asyncio.Event()
    with stopped_by_signals(stop.set):
        ledger = await Ledger.open(loaded.data_dir, loaded.agent.policy)
        uplink = Uplink(loaded.data_dir, hub_settings(loaded), ledger.ledger_id)
        try:
            daemon = Daemon(loaded, ledger, uplink)
            async with control.serve(loaded.data_dir, daemon.commands()):
                notifier.tell("READY=1")
                log.info("started", pid=os.getpid(), data_dir=str(loaded.data_dir), **{logs.LEDGER: ledger.ledger_id})
                await daemon.work(stop, notifier)
        finally:
            await uplink.close()
            await ledger.close()
        log.info("stopped")


class Daemon:
    """The tasks of a running agent and what they share. The ledger is open and ours."""

    def __init__(self, loaded: Loaded, ledger: Ledger, uplink: Uplink) -> None:
        self._loaded = loaded
        self._ledger = ledger
        self._started_at = time()
        self._scan_error: str | None = None
        self._held = HeldLines()
        self.pusher = Pusher(ledger, uplink)
        self.watcher = Watcher(lambda: watched_folders(loaded.places), self._changed)
        self.heartbeats = Heartbeats(ledger, self.pusher, loaded.agent.policy, self.last_error)

    async def work(self, stop: asyncio.Event, notifier: Notifier) -> None:
        """Run the tasks until `stop`, then let them finish what is in flight."""
        agent = self._loaded.agent
        works: dict[str, Coroutine[Any, Any, None]] = {
            "watch": self.watcher.watch_forever(stop),
            "rescan": self.watcher.rescan_forever(self._rescan, agent.rescan_seconds, stop),
            "push": self.pusher.push_forever(stop),
            "heartbeat": self.heartbeats.heartbeat_forever(agent.heartbeat_seconds, stop),
        }
        if notifier.watchdog_seconds:
            works["watchdog"] = _keep_watchdog_calm(notifier, notifier.watchdog_seconds / 2, stop)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work, name=name) for name, work in works.items()]
            await stop.wait()
            notifier.tell("STOPPING=1")
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:
                log.warning("not_drained", task=task.get_name())
                task.cancel()

    def commands(self) -> dict[str, control.Command]:
        """What other processes may ask for over agent.sock."""
        return {
            "scan": self._command_scan,
            "push": self._command_push,
            "wake": self._command_wake,
            "status": self._command_status,
        }

    def last_error(self) -> str | None:
        return self._scan_error or self.pusher.now.error

    async def _changed(self, paths: set[Path]) -> None:
        counts = await collect_paths(self._ledger, self._loaded, paths, self._held)
        if counts.inserted or counts.restated or counts.removed:
            self.pusher.wake()

    async def _rescan(self) -> None:
        """A worker that died cost nothing that the next pass does not find again."""
        try:
            await self._scan(None, lambda _: None)
            self._scan_error = None
        except WorkerDied as error:
            log.warning("scan_failed", **{logs.ERROR: str(error)})
            self._scan_error = str(error)
        await give_back_memory(self._ledger)

    async def _scan(self, roots: list[RootArg] | None, tell: control.Tell) -> ScanResult:
        def progress(done: int, of: int) -> None:
            self.pusher.wake()  # what was read is pushed while the rest is being read
            tell((done, of))

        result = await scan(self._ledger, self._loaded, roots, progress, self._held)
        self.pusher.wake()
        return result

    async def _command_scan(self, body: bytes, tell: control.Tell) -> ScanResult:
        return await self._scan(msgspec.json.decode(body, type=ScanRequest).roots, tell)

    async def _command_push(self, body: bytes, tell: control.Tell) -> PushResult | None:
        result = await self.pusher.push(tell, PATIENCE_SECONDS)
        self.pusher.wake(hurry=True)
        return result

    async def _command_wake(self, body: bytes, tell: control.Tell) -> None:
        """There is a new enrolment: do not wait out the back-off of the old one."""
        self.pusher.wake(hurry=True)

    async def _command_status(self, body: bytes, tell: control.Tell) -> DaemonStatus:
        return DaemonStatus(
            pid=os.getpid(),
            started_at=self._started_at,
            watching=self.watcher.mode,
            watching_reason=self.watcher.reason,
            push=self.pusher.now,
            drift_suspected=self.heartbeats.drift_suspected,
            last_error=self.last_error(),
        )


async def _keep_watchdog_calm(notifier: Notifier, seconds: float, stop: asyncio.Event) -> None:
    """As long as this runs the event loop does."""
    while not stop.is_set():
        notifier.tell("WATCHDOG=1")
        await first_of(stop, seconds=seconds)
