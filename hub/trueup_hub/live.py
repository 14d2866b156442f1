"""Live updates: what changed, told to every open page.

Inside the process by a call; between replicas by NOTIFY, as a hint only: one that is lost costs a page its freshness
until the next, never a number.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator

import msgspec
import structlog
from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.errors import DatabaseUnavailable
from trueup_shared import logs

log = structlog.get_logger()

CHANNEL = "trueup_update"
GAP_SECONDS = 0.25  # between two updates to one page, and between two notices to other replicas
_MAX_HOSTS = 100  # beyond that an update names none: everything may have changed; a notice is limited to 8000 bytes
_RETRY_SECONDS = (1.0, 30.0)


class Update(Struct, frozen=True, kw_only=True):
    """`changed`: "usage", "hosts". `hosts`: ids of the hosts concerned; empty = any."""

    changed: list[str]
    hosts: list[str]


class _Notice(Struct, frozen=True, kw_only=True):
    sender: str
    update: Update


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
    """Publishes to the subscriptions of this process and to the other replicas."""

    def __init__(self) -> None:
        self._name = secrets.token_hex(8)
        self._subscriptions: set[Subscription] = set()
        self._to_replicas = Subscription()

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, changed: str, host_id: str) -> None:
        """Something of a host changed and is committed."""
        update = Update(changed=[changed], hosts=[host_id])
        self._tell_pages(update)
        self._to_replicas.add(update)

    def end(self) -> None:
        """The hub stops: wake everybody."""
        for subscription in self._subscriptions:
            subscription.end()

    def _tell_pages(self, update: Update) -> None:
        for subscription in self._subscriptions:
            subscription.add(update)

    def _heard(self, payload: str) -> None:
        try:
            notice = msgspec.json.decode(payload, type=_Notice)
        except msgspec.DecodeError:
            return
        if notice.sender != self._name:
            self._tell_pages(notice.update)

    async def notify_forever(self, db: Database) -> None:
        """Tell the other replicas, at most once per gap: NOTIFY takes a lock of the whole server at commit."""
        while True:
            await self._to_replicas.wait()
            notice = _Notice(sender=self._name, update=self._to_replicas.take())
            with contextlib.suppress(DatabaseUnavailable):
                await db.execute("SELECT pg_notify($1, $2)", CHANNEL, msgspec.json.encode(notice).decode())
            await asyncio.sleep(GAP_SECONDS)

    async def listen_forever(self, db: Database) -> None:
        """Hear the other replicas. After a gap in the connection pages are told that anything may have changed."""
        wait, connected_before = _RETRY_SECONDS[0], False
        while True:
            try:
                async with db.listening(CHANNEL, self._heard) as lost:
                    if connected_before:
                        self._tell_pages(Update(changed=["hosts", "usage"], hosts=[]))
                    connected_before, wait = True, _RETRY_SECONDS[0]
                    await lost.wait()
            except DatabaseUnavailable as error:
                if wait == _RETRY_SECONDS[0]:
                    log.warning("live updates from other replicas stopped", **{logs.ERROR: str(error)})
            await asyncio.sleep(wait)
            wait = min(wait * 2, _RETRY_SECONDS[1])
