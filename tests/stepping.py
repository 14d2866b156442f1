"""Ingest transactions on connections of their own that run one statement at a time, in an order that a test draws.

A statement that waits for a lock is known as such by PostgreSQL itself (pg_blocking_pids), so that no step depends on
how fast the machine is.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import asyncpg

from trueup_hub.db import Database

_BLOCKED = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'active' AND cardinality(pg_blocking_pids(pid)) > 0"
)
_GATED = ("fetch", "fetchval", "fetchrow", "fetchmany", "execute", "executemany", "copy_to_table")


class _Actor:
    """One transaction at its gates."""

    def __init__(self) -> None:
        self.waits = False  # at a gate, for its turn
        self.turn = asyncio.Semaphore(0)
        self.pid = 0
        self.steps = 0
        self.failing: frozenset[int] = frozenset()
        self.task: asyncio.Task[Any] | None = None

    @property
    def ended(self) -> bool:
        return self.task is not None and self.task.done()

    async def passes(self, statement: Callable[[], Awaitable[Any]], steps: "Steps") -> Any:
        self.waits = True
        await self.turn.acquire()
        self.steps += 1
        if self.steps in self.failing:
            raise asyncpg.DeadlockDetectedError("as PostgreSQL would say")
        try:
            return await statement()
        except asyncpg.DeadlockDetectedError:
            steps.deadlocks += 1
            raise


class Steps:
    """`lock_waits`: how often an actor waited for another; `deadlocks`: real ones, not those that were asked for."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._actors: list[_Actor] = []
        self.lock_waits = 0
        self.deadlocks = 0

    def database(self, failing: Sequence[int] = ()) -> Any:
        """For one actor: the database, with gates in its ingest transactions. Statements `failing` end in deadlock."""
        actor = _Actor()
        actor.failing = frozenset(failing)
        self._actors.append(actor)
        return _SteppedDatabase(self._db, actor, self)

    async def run(self, work: Sequence[Coroutine[Any, Any, Any]], schedule: Sequence[int]) -> list[Any]:
        """Run one piece of work for each database, in the order in which these were made; then whoever can."""
        for actor, one in zip(self._actors, work, strict=True):
            actor.task = asyncio.create_task(one)
        await self._quiet()
        for who in schedule:
            await self._step(self._actors[who % len(self._actors)])
        while not all(actor.ended for actor in self._actors):
            for actor in self._actors:
                await self._step(actor)
        return [await actor.task for actor in self._actors if actor.task is not None]

    async def _step(self, actor: _Actor) -> None:
        if actor.waits and not actor.ended:
            actor.waits = False
            actor.turn.release()
        await self._quiet()

    async def _quiet(self) -> None:
        """Until each is at a gate, has ended, or waits for a lock that another one has."""
        stuck: set[int] = set()
        while moving := {n for n, actor in enumerate(self._actors) if not actor.ended and not actor.waits} - stuck:
            for _ in range(5):  # most statements end before one could ask who is blocked
                await asyncio.sleep(0.0003)
                if all(self._actors[n].waits or self._actors[n].ended for n in moving):
                    break
            else:
                blocked = {row["pid"] for row in await self._db.fetch(_BLOCKED)}
                elsewhere = blocked - {actor.pid for actor in self._actors}
                for n in moving:
                    if self._actors[n].pid in blocked or (not self._actors[n].pid and elsewhere):
                        stuck.add(n)
        self.lock_waits += len(stuck)


class _SteppedConnection:
    def __init__(self, connection: Any, actor: _Actor, steps: Steps) -> None:
        self._connection, self._actor, self._steps = connection, actor, steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in _GATED:
            return method
        return lambda *args, **named: self._actor.passes(lambda: method(*args, **named), self._steps)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async def nothing() -> None: ...

        async with self._connection.transaction():
            yield
            await self._actor.passes(nothing, self._steps)  # the commit is a step of its own


class _SteppedDatabase:
    def __init__(self, db: Database, actor: _Actor, steps: Steps) -> None:
        self._db, self._actor, self._steps = db, actor, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @contextlib.asynccontextmanager
    async def ingest(self) -> AsyncIterator[Any]:
        async with self._db.ingest() as connection:
            self._actor.pid = connection.get_server_pid()
            try:
                yield _SteppedConnection(connection, self._actor, self._steps)
            finally:
                self._actor.pid = 0
