"""What the hub asks this agent to do: carried out once each, also over restarts, and told in heartbeats."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import time
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from trueup_agent.errors import AgentError, Busy, HubFailed, HubUnreachable, NotEnrolled, PositionMismatch
from trueup_agent.ledger import Ledger
from trueup_agent.push.forever import Backoff, Pusher
from trueup_agent.push.push import PATIENCE_SECONDS, PushResult, Tell
from trueup_agent.waiting import first_of
from trueup_shared import wire

log = structlog.get_logger()

META = "directives"
KEPT = 100
# A full push reads and sends everything: a hub that asks for it again and again is mistaken, or not ours any more.
MOST_FULL_PUSHES, MOST_OTHERS = 10, 50  # within a day
_DAY_SECONDS = 86_400.0
PROGRESS_SECONDS = 2.0
_LONGEST_NOTE = 500

Step = Callable[[int, int, str], None]  # done, of, what is being done
Work = Callable[[Step], Awaitable[str]]  # -> what came of it; raises AgentError


class Task(Struct, kw_only=True):
    """A directive as this ledger remembers it. `reported`: the hub has heard how it ended. `at`: when it was taken on
    (Unix time), 0 = never, or by an earlier release."""

    id: str
    kind: str
    state: Literal["running", "done", "failed"] = "running"
    done: int = 0
    of: int = 0
    note: str = ""
    reported: bool = False
    at: float = 0.0


class Directives:
    """Of the ledger as it is called now: under a new id it sends everything anyway, and was asked nothing yet."""

    def __init__(self, ledger: Ledger, works: Mapping[str, Work], clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._ledger = ledger
        self._works = works
        self._ledger_id = ""
        self._tasks: list[Task] = []  # oldest first
        self._asked = asyncio.Event()
        self.news = asyncio.Event()  # something began or ended: the hub should hear of it now

    @property
    def running(self) -> bool:
        return any(task.state == "running" for task in self._tasks)

    async def heed(self, asked: Iterable[wire.Directive]) -> None:
        """Take on what is new. What is done is told again: the hub does not know it yet, or no more."""
        asked = list(asked)[:KEPT]
        known = {task.id: task for task in await self.tasks()}
        for one in asked:
            if one.id in known:
                known[one.id].reported = False
        fresh = [one for one in asked if one.id not in known]
        refused = [one for one in fresh if not self._take_on(one)]
        if refused:
            log.warning("the hub asks for more than it gets in a day", refused=len(refused), kind=refused[0].kind)
        if fresh:
            self._forget_old()
            await self._save()
            self._asked.set()
            self.news.set()

    def _take_on(self, asked: wire.Directive) -> bool:
        """False when there were more of them within a day than a hub has reason to ask for. The hub hears why."""
        full, task = asked.kind == "full_push", Task(id=asked.id, kind=asked.kind)
        most = MOST_FULL_PUSHES if full else MOST_OTHERS
        if sum(self._of_today(known) and (known.kind == "full_push") == full for known in self._tasks) < most:
            task.at = self._clock()
            log.info("directive", kind=task.kind, id=task.id)
        else:
            task.state, task.note = "failed", f"asked for too often: this agent does that {most} times within a day"
        self._tasks.append(task)
        return task.state == "running"

    def _of_today(self, task: Task) -> bool:
        return abs(self._clock() - task.at) < _DAY_SECONDS

    def _forget_old(self) -> None:
        """Not those of today, which are counted: at most MOST_FULL_PUSHES and MOST_OTHERS."""
        old = [task for task in self._tasks if not self._of_today(task)]
        too_many = {id(task) for task in old[: max(0, len(self._tasks) - KEPT)]}
        self._tasks = [task for task in self._tasks if id(task) not in too_many]

    async def reports(self) -> list[wire.DirectiveReport]:
        self.news.clear()
        return [
            wire.DirectiveReport(id=task.id, state=task.state, done=task.done, of=task.of, note=task.note)
            for task in await self.tasks()
            if not task.reported
        ]

    async def reported(self, heard: Iterable[wire.DirectiveReport]) -> None:
        """The hub has these."""
        ended = {report.id for report in heard if report.state != "running"}
        told = [task for task in await self.tasks() if task.id in ended and not task.reported]
        for task in told:
            task.reported = True
        if told:
            await self._save()

    async def carry_out_forever(self, stop: asyncio.Event) -> None:
        """One after another, in the order in which they came, until `stop`."""
        while not stop.is_set():
            self._asked.clear()
            task = next((task for task in await self.tasks() if task.state == "running"), None)
            if task is None:
                await first_of(stop, self._asked)
            else:
                await self._carry_out(task, stop)

    async def _carry_out(self, task: Task, stop: asyncio.Event) -> None:
        work, backoff = self._works.get(task.kind), Backoff()
        if work is None:
            await self._end(task, "failed", f"this agent does not know '{task.kind}': update trueup on this host")
            return

        def step(done: int, of: int, what: str) -> None:
            task.done, task.of, task.note = done, of, what[:_LONGEST_NOTE]

        while not stop.is_set():
            try:
                note = await work(step)
            except (HubUnreachable, HubFailed, Busy, PositionMismatch) as error:
                task.note = str(error)[:_LONGEST_NOTE]
                await first_of(stop, seconds=backoff.next(error.retry_after))
                continue
            except AgentError as error:
                await self._end(task, "failed", str(error))
            else:
                await self._end(task, "done", note)
            return

    async def _end(self, task: Task, state: Literal["done", "failed"], note: str) -> None:
        task.state, task.note = state, note[:_LONGEST_NOTE]
        await self._save()
        self.news.set()
        log.info("directive", kind=task.kind, id=task.id, state=state, note=note)

    async def tasks(self) -> list[Task]:
        ledger_id = self._ledger.ledger_id
        if self._ledger_id != ledger_id:
            value = await self._ledger.get_meta(META)
            if self._ledger_id != ledger_id:  # still: another task may have been here in the meantime
                self._ledger_id, self._tasks = ledger_id, decode(value)
        return self._tasks

    async def _save(self) -> None:
        await self._ledger.set_meta(META, msgspec.json.encode(await self.tasks()).decode())


def decode(value: str | None) -> list[Task]:
    return msgspec.json.decode(value, type=list[Task]) if value else []


def works(
    pusher: Pusher,
    scan: Callable[[Step], Awaitable[None]],
    resync: Callable[[Tell, float], Awaitable[PushResult | None]],
) -> dict[str, Work]:
    """What this agent can be asked for. `scan` reads every source again that changed, `resync` all and sends all."""

    async def push(step: Step) -> str:
        return _outcome(await pusher.push(lambda at: step(at.done, at.of, at.phase), PATIENCE_SECONDS))

    async def rescan(step: Step) -> str:
        await scan(step)
        return await push(step)

    async def full_push(step: Step) -> str:
        return _outcome(await resync(lambda at: step(at.done, at.of, at.phase), PATIENCE_SECONDS))

    # Any push repairs what differs.
    return {"push": push, "repair": push, "rescan": rescan, "full_push": full_push}


def _outcome(result: PushResult | None) -> str:
    if result is None:
        raise NotEnrolled("this machine is not enrolled at a hub")
    counts = f"{result.inserted} inserted, {result.updated} updated, {result.removed} removed"
    if result.verdict == "diverged":
        raise AgentError(f"the hub's sums still differ from the ledger's ({counts})")
    return f"{result.verdict}: {counts}"
