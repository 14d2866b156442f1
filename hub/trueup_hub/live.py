"""Live updates: what changed, told to every open page.

NOTIFY takes it to all replicas, this one too; while a process cannot hear the database it tells its own pages itself.
A hint only: one that is lost costs a page its freshness until the next, never a number.
"""

import asyncio
import contextlib
from collections.abc import Iterator

import msgspec
import structlog
from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.errors import DatabaseUnavailable
from trueup_hub.ingest import CHANNEL
from trueup_shared import logs

log = structlog.get_logger()

GAP_SECONDS = 0.25  # between two updates to one page, and between two notices to other replicas
_MAX_HOSTS = 100  # beyond that an update names none: everything may have changed; a notice is limited to 8000 bytes
_RETRY_SECONDS = (1.0, 30.0)


class Update(Struct, frozen=True, kw_only=True):
    """`changed`: "usage", "hosts". `hosts`: ids of the hosts concerned; empty = any."""

    changed: list[str]
    hosts: list[str]


async def announce_host(db: Database, host_id: str) -> None:
    """Something about a host is committed by a process that has no pages of its own: a command."""
    payload = msgspec.json.encode(Update(changed=["hosts"], hosts=[host_id])).decode()
    await db.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)


class Subscription:
    """One listener. What comes in while it is busy or waits out the gap is joined into one update."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._hosts: set[str] = set()
        self._any_host = False
        self._ready = asyncio.Event()

    def add(self, update: Update) -> None:
        self._changed.update(update.changed)
        self._hosts.update(update.hosts)
        self._any_host |= not update.hosts
        self._ready.set()

    def end(self) -> None:
        """Wakes the listener for the last time: `take` gives an update that says nothing."""
        self._ready.set()

    async def wait(self) -> None:
        await self._ready.wait()

    def take(self) -> Update:
        """What came together since the last call."""
        hosts = [] if self._any_host or len(self._hosts) > _MAX_HOSTS else sorted(self._hosts)
        update = Update(changed=sorted(self._changed), hosts=hosts)
        self._changed.clear()
        self._hosts.clear()
        self._any_host = False
        self._ready.clear()
        return update


class Live:
    """Takes what changed to the subscriptions of this process and of the other replicas."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._to_replicas = Subscription()
        self.hearing = asyncio.Event()  # notices of the database arrive

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def usage_changed(self, host_id: str) -> None:
        """A batch is committed; ingest has sent its notice, whose payload is the host's id."""
        if not self.hearing.is_set():
            self._tell_pages(Update(changed=["usage"], hosts=[host_id]))

    def host_changed(self, host_id: str) -> None:
        """Something about a host itself is committed."""
        update = Update(changed=["hosts"], hosts=[host_id])
        self._to_replicas.add(update)
        if not self.hearing.is_set():
            self._tell_pages(update)

    def end(self) -> None:
        """The hub stops: wake everybody."""
        for subscription in self._subscriptions:
            subscription.end()

    def _tell_pages(self, update: Update) -> None:
        for subscription in self._subscriptions:
            subscription.add(update)

    def _heard(self, payload: str) -> None:
        if not payload.startswith("{"):
            self._tell_pages(Update(changed=["usage"], hosts=[payload]))
            return
        with contextlib.suppress(msgspec.DecodeError):
            self._tell_pages(msgspec.json.decode(payload, type=Update))

    async def notify_forever(self, db: Database) -> None:
        """Send what `host_changed` gathered, once per gap at most: NOTIFY locks something server-wide at commit."""
        while True:
            await self._to_replicas.wait()
            payload = msgspec.json.encode(self._to_replicas.take()).decode()
            with contextlib.suppress(DatabaseUnavailable):  # pages are told once it is back
                await db.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
            await asyncio.sleep(GAP_SECONDS)

    async def listen_forever(self, db: Database) -> None:
        """Hear all replicas. After a gap in the connection pages are told that anything may have changed."""
        wait, connected_before = _RETRY_SECONDS[0], False
        while True:
            try:
                async with db.listening(CHANNEL, self._heard) as lost:
                    if connected_before:
                        self._tell_pages(Update(changed=["hosts", "usage"], hosts=[]))
                    connected_before, wait = True, _RETRY_SECONDS[0]
                    self.hearing.set()
                    await lost.wait()
            except DatabaseUnavailable as error:
                if wait == _RETRY_SECONDS[0]:
                    log.warning("cannot hear the database", **{logs.ERROR: str(error)})
            finally:
                self.hearing.clear()
            await asyncio.sleep(wait)
            wait = min(wait * 2, _RETRY_SECONDS[1])
