"""Back-pressure: how many batches are received or applied at once. Agents told to wait lose nothing."""

import contextlib
from collections.abc import Iterator

from trueup_hub.errors import Busy, Problem


class Admission:
    """One batch at a time from a host, `limit` in all: each may hold 64 MiB."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hosts: set[int] = set()

    @contextlib.contextmanager
    def admitted(self, host_no: int) -> Iterator[None]:
        """Problem 429 while the host's last batch is worked on, 503 when the hub is full; both say when to retry."""
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
