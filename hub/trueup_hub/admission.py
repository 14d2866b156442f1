"""Back-pressure: how many batches are taken, at once and in a minute. Agents that are told to wait lose nothing."""

import contextlib
import time
from collections.abc import Callable, Iterator

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
