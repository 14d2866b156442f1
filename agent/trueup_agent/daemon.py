"""The life of `trueup agent run` on one page: what starts in which order, what stops it, and what kills it.

start   lock and open the ledger > listen on agent.sock > READY=1 > the tasks below
tasks   watch, rescan, push, heartbeat, directives, renew, watchdog: each that fails ends the process with exit status 1
stop    the first SIGTERM or SIGINT: what is in flight is finished, at most DRAIN_SECONDS, exit status 0
        the second: the process leaves at once; the ledger and the hub are made for that, as for kill -9
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from time import time
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from trueup_agent import control
from trueup_agent.collect import PassMemory, collect_paths, scan
from trueup_agent.discover import RootArg, watched_folders
from trueup_agent.errors import DaemonLost, LedgerBusy, NoDaemon, WorkerDied
from trueup_agent.glance import ScanResult
from trueup_agent.ledger import Ledger
from trueup_agent.ledger.forget import Forgotten, Selection, forget
from trueup_agent.memory import give_back_memory
from trueup_agent.notify import Notifier
from trueup_agent.push.directives import Directives, Step, Task, works
from trueup_agent.push.forever import Pusher, PushState, Rekeyed
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.push import PATIENCE_SECONDS, PushResult
from trueup_agent.push.uplink import Uplink
from trueup_agent.resync import resync
from trueup_agent.settings import Loaded
from trueup_agent.signals import stopped_by_signals
from trueup_agent.waiting import first_of
from trueup_agent.watch import Watcher
from trueup_shared import logs

log = structlog.get_logger()

DRAIN_SECONDS = 5.0
BUSY_SECONDS = 60.0
BACKLOG_ROWS = 5_000


class ScanRequest(Struct, frozen=True):
    roots: list[RootArg] | None = None


class RekeyRequest(Struct, frozen=True):
    code: str | None = None


class DaemonStatus(Struct, frozen=True, kw_only=True):
    """What only the running daemon knows."""

    pid: int
    started_at: float
    watching: str
    watching_reason: str | None
    push: PushState
    last_error: str | None
    directives: list[Task] = []


async def run(loaded: Loaded, notifier: Notifier) -> bool:
    """Until a signal; True when it ended to be started anew (`Daemon.renew_after_backlog`).

    Raises LedgerBusy and the like at the start, later an ExceptionGroup of what killed a task.
    """
    stop = asyncio.Event()
    with stopped_by_signals(stop.set) as heard:
        ledger = await _open_ledger(loaded, stop)
        uplink = Uplink(loaded.data_dir, loaded.agent, ledger)
        try:
            daemon = Daemon(loaded, ledger, uplink)
            async with control.serve(loaded.data_dir, daemon.commands()):
                notifier.tell("READY=1")
                log.info("started", pid=os.getpid(), data_dir=str(loaded.data_dir), **{logs.LEDGER: ledger.ledger_id})
                await daemon.work(stop, notifier)
        finally:
            await uplink.close()
            await ledger.close()
        renewing = daemon.renewing and not heard  # told to stop while it ended to be started anew: it stops
        log.info("renewing" if renewing else "stopped")
        return renewing


async def _open_ledger(loaded: Loaded, stop: asyncio.Event) -> Ledger:
    """Waits for a command that is writing; but another daemon is there to stay: LedgerBusy."""
    deadline = time() + BUSY_SECONDS
    while True:
        try:
            return await Ledger.open(loaded.data_dir, loaded.agent.policy)
        except LedgerBusy:
            if stop.is_set() or time() > deadline or await ask_status(loaded.data_dir) is not None:
                raise
            await first_of(stop, seconds=0.2)


async def ask_status(data_dir: Path) -> DaemonStatus | None:
    """What the daemon of this data directory says of itself; None when there is none."""
    try:
        return await control.ask(data_dir, "status", None, DaemonStatus)
    except (NoDaemon, DaemonLost):
        return None


class Daemon:
    """The tasks of a running agent and what they share. The ledger is open and ours."""

    def __init__(self, loaded: Loaded, ledger: Ledger, uplink: Uplink) -> None:
        self._loaded = loaded
        self._ledger = ledger
        self._started_at = time()
        self._scan_error: str | None = None
        self._held = PassMemory()
        self._backlog_read = asyncio.Event()
        self._scanning = self._commands_in_flight = 0
        self.renewing = False
        self.pusher = Pusher(ledger, uplink)
        self.watcher = Watcher(lambda: watched_folders(loaded.places), self._changed)
        self.directives = Directives(ledger, works(self.pusher, self._scan_as_asked, self._resync))
        self.pusher.heed = self.directives.heed
        self.heartbeats = Heartbeats(ledger, self.pusher, self.directives, loaded.agent.policy, self.last_error)

    async def work(self, stop: asyncio.Event, notifier: Notifier) -> None:
        """Run the tasks until `stop`, then let them finish what is in flight."""
        agent = self._loaded.agent
        works: dict[str, Coroutine[Any, Any, None]] = {
            "watch": self.watcher.watch_forever(stop),
            "rescan": self.watcher.rescan_forever(self._rescan, agent.rescan_seconds, stop),
            "push": self.pusher.push_forever(stop),
            "heartbeat": self.heartbeats.heartbeat_forever(agent.heartbeat_seconds, stop),
            "directives": self.directives.carry_out_forever(stop),
            "renew": self.renew_after_backlog(stop),
        }
        if notifier.watchdog_seconds:
            works["watchdog"] = _keep_watchdog_calm(notifier, notifier.watchdog_seconds / 2, stop)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work, name=name) for name, work in works.items()]
            await stop.wait()
            if not self.renewing:
                notifier.tell("STOPPING=1")
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:
                log.warning("not_drained", task=task.get_name())
                task.cancel()

    def commands(self) -> dict[str, control.Command]:
        """What other processes may ask for over agent.sock."""
        commands: dict[str, control.Command] = {
            "scan": self._command_scan,
            "push": self._command_push,
            "full_push": self._command_full_push,
            "wake": self._command_wake,
            "forget": self._command_forget,
            "rekey": self._command_rekey,
            "status": self._command_status,
        }
        return {name: self._counted(command) for name, command in commands.items()}

    def _counted(self, command: control.Command) -> control.Command:
        async def counted(body: bytes, tell: control.Tell) -> Any:
            self._commands_in_flight += 1
            try:
                return await command(body, tell)
            finally:
                self._commands_in_flight -= 1

        return counted

    async def renew_after_backlog(self, stop: asyncio.Event) -> None:
        """Reading a large backlog leaves holes in Python's memory for good (measured: 72 MB, 57 MB after a new start).

        So once all of it is pushed, and nobody waits for us, the process is to start itself anew under its own pid.
        """
        await first_of(stop, self._backlog_read)
        while not stop.is_set() and (self._at_work or not self.pusher.settled):
            await first_of(stop, seconds=1)
        if not stop.is_set():
            self.renewing = True
            stop.set()

    @property
    def _at_work(self) -> bool:
        return bool(self._scanning or self._commands_in_flight or self.directives.running)

    def last_error(self) -> str | None:
        return self._scan_error or self.pusher.now.error

    async def _changed(self, paths: set[Path]) -> None:
        try:
            counts = await collect_paths(self._ledger, self._loaded, paths, self._held)
        except WorkerDied as error:
            log.warning("collect_failed", **{logs.ERROR: str(error)})  # the rescan reads the rest
            return
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

        self._scanning += 1
        try:
            result = await scan(self._ledger, self._loaded, roots, progress, self._held)
        finally:
            self._scanning -= 1
        if result.inserted >= BACKLOG_ROWS and sys.platform != "win32":
            self._backlog_read.set()
        self.pusher.wake()
        return result

    async def _scan_as_asked(self, step: Step) -> None:
        await self._scan(None, lambda at: step(at[0], at[1], "Reading logs"))

    async def _command_scan(self, body: bytes, tell: control.Tell) -> ScanResult:
        return await self._scan(msgspec.json.decode(body, type=ScanRequest).roots, tell)

    async def _command_push(self, body: bytes, tell: control.Tell) -> PushResult | None:
        result = await self.pusher.push(tell, PATIENCE_SECONDS)
        self.pusher.wake(hurry=True)
        return result

    async def _command_full_push(self, body: bytes, tell: control.Tell) -> PushResult | None:
        return await self._resync(tell, PATIENCE_SECONDS)

    async def _resync(self, tell: control.Tell, patience: float) -> PushResult | None:
        self._scanning += 1
        try:
            return await resync(self._loaded, self._ledger, self.pusher, tell, patience, self._held)
        finally:
            self._scanning -= 1
            self.pusher.wake(hurry=True)
            await give_back_memory(self._ledger)

    async def _command_forget(self, body: bytes, tell: control.Tell) -> Forgotten:
        selection = msgspec.json.decode(body, type=Selection)
        found = await forget(self._ledger, selection, lambda done, of: tell((done, of)))
        self.pusher.wake(hurry=True)
        return found

    async def _command_wake(self, body: bytes, tell: control.Tell) -> None:
        """There is a new enrolment: do not wait out the back-off of the old one."""
        self.pusher.wake(hurry=True)

    async def _command_rekey(self, body: bytes, tell: control.Tell) -> Rekeyed:
        return await self.pusher.rekey(msgspec.json.decode(body, type=RekeyRequest).code)

    async def _command_status(self, body: bytes, tell: control.Tell) -> DaemonStatus:
        return DaemonStatus(
            pid=os.getpid(),
            started_at=self._started_at,
            watching=self.watcher.mode,
            watching_reason=self.watcher.reason,
            push=self.pusher.now,
            directives=await self.directives.tasks(),
            last_error=self.last_error(),
        )


async def _keep_watchdog_calm(notifier: Notifier, seconds: float, stop: asyncio.Event) -> None:
    """As long as this runs the event loop does."""
    while not stop.is_set():
        notifier.tell("WATCHDOG=1")
        await first_of(stop, seconds=seconds)
