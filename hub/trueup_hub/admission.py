"""Back-pressure: how many batches are taken, at once and in a minute, and how many questions are answered at once.
Agents that are told to wait lose nothing.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

from trueup_hub.errors import Busy, Problem

PER_MINUTE = 1200  # of one host: a busy log makes about ten batches a second


class Admission:
    """One batch at a time from a host, PER_MINUTE in a minute; `limit` in all at once: each may hold 64 MiB."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._hosts: set[int] = set()
        self._minute = 0
        self._counts: dict[int, int] = {}  # batches of a host in this minute

    @contextlib.contextmanager
    def admitted(self, host_no: int) -> Iterator[None]:
        """Problem 429 while the host's last batch is worked on or when it sends too many, 503 when the hub is full."""
        self._count(host_no)
        if host_no in self._hosts:
            detail = "The last batch of this host is still being applied."
            raise Problem(429, "too_many_requests", detail, headers={"Retry-After": "1"})
        if len(self._hosts) >= self._limit:
            raise Busy("The hub is taking as many batches as it can.", retry_after=2)
        self._hosts.add(host_no)
        try:
            yield
        finally:
            self._hosts.discard(host_no)

    def _count(self, host_no: int) -> None:
        minute, second = divmod(int(self._clock()), 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        self._counts[host_no] = self._counts.get(host_no, 0) + 1
        if self._counts[host_no] > PER_MINUTE:
            detail = f"This host sent more than {PER_MINUTE} batches in a minute."
            raise Problem(429, "too_many_requests", detail, headers={"Retry-After": str(60 - second)})


class Turns:
    """`limit` at once. Next is whoever has the fewest under way, of equals whoever has waited longest: nobody keeps the
    others out by asking for much."""

    MOST_WAITING = 32  # of one caller: a page asks for ten things at once
    PATIENCE = 10.0  # seconds

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}  # the longest first

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Busy (503) when there are too many before us."""
        if self.running >= self._limit:
            await self._wait(who)
        else:
            self._running[who] += 1
        try:
            yield
        finally:
            self._leave(who)

    async def _wait(self, who: str) -> None:
        if sum(other == who for other in self._waiting.values()) >= self.MOST_WAITING:
            raise Busy(f"{self.MOST_WAITING} questions of yours are waiting already.", retry_after=2)
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = who
        try:
            async with asyncio.timeout(self.PATIENCE):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # given to us just when we stopped waiting
                self._leave(who)
            if isinstance(error, TimeoutError):
                raise Busy("The hub has been answering as many questions as it can.", retry_after=5) from None
            raise
        finally:
            self._waiting.pop(turn, None)

    def _leave(self, who: str) -> None:
        self._running[who] -= 1
        self._running += Counter()  # forgets callers that have nothing under way
        waiting = [turn for turn in self._waiting if not turn.done()]
        if waiting and self.running < self._limit:
            following = min(waiting, key=lambda turn: self._running[self._waiting[turn]])
            self._running[self._waiting.pop(following)] += 1
            following.set_result(None)
