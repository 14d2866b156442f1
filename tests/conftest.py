"""Fixtures that any test may use: a PostgreSQL for the session, a migrated database for each test."""

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hub_process import Hub, running_hub
from pushing import Machine, machine
from trueup_agent.push import push
from trueup_hub.db import Database, create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.migrate import migrate

_numbers = itertools.count()

# The same examples in every run, so that a change is judged by what it changes; how long one takes is for the other
# programs on the machine to say. `make soak` draws a hundred times as many anew where a test leaves their number open.
settings.register_profile("default", derandomize=True, deadline=None)
settings.register_profile("soak", max_examples=10_000, deadline=None, derandomize=False)
settings.load_profile("default")

# A shell without job control starts what it puts in the background with Ctrl-C ignored, and every process started from
# there inherits that: a command that a test interrupts would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `make test` shares the tests out to: one on each core, each with a PostgreSQL of its own."""
    return min(len(os.sched_getaffinity(0)), 4)


_died: list[str] = []


def pytest_testnodedown(node: Any, error: object) -> None:
    """One of these processes has ended, `error` tells if not as it should."""
    if error:
        _died.append(f"{node.gateway.id}: {error}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """pytest-xdist passes over the death of a process whose tests are all done. In one process it is no success."""
    if _died and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


@pytest.fixture(scope="session")
def reachable_dir() -> Iterator[Path]:
    """A directory that other users can pass: an embedded PostgreSQL under root needs it (tmp_path lets nobody in)."""
    path = Path(tempfile.mkdtemp(prefix="trueup-tests-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _memory_dir() -> Path | None:
    """Where databases are made ten times as fast as on a busy disk; None where there is too little of it."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or not os.access(shm, os.W_OK) or os.statvfs(shm).f_flag & os.ST_NOEXEC:
        return None
    return shm if shutil.disk_usage(shm).free > 4 << 30 else None


@pytest.fixture(scope="session")
def pg() -> Iterator[EmbeddedPg]:
    """A running cluster without fsync; its database `template_trueup` is migrated."""
    place = Path(tempfile.mkdtemp(prefix="trueup-tests-", dir=_memory_dir()))
    place.chmod(0o711)
    server = EmbeddedPg(place / "pg", durable=False)

    async def start() -> None:
        await server.start()
        await create_database(server.url("postgres"), "template_trueup")
        db = await Database.open(server.url("template_trueup"))
        await migrate(db)
        await db.close()

    try:
        asyncio.run(start())
        yield server
    finally:  # also when Ctrl-C comes while it starts
        asyncio.run(server.stop())
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
async def database_url(pg: EmbeddedPg) -> AsyncIterator[str]:
    """URL of a fresh migrated database, dropped after the test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await create_database(pg.url("postgres"), name, "template_trueup")
    yield pg.url(name)
    await drop_database(pg.url("postgres"), name)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database."""
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A real hub, for agents beside it."""
    async with running_hub(database_url, tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def ana(hub: Hub, tmp_path: Path) -> AsyncIterator[Machine]:
    """A ledger without rows, enrolled there."""
    async with machine(hub, tmp_path / "ana") as made:
        yield made


@pytest.fixture
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that fails is tried again at once."""
    monkeypatch.setattr(push, "STALL_SECONDS", 0.01)
