"""Data directories that are cloned, put back and lost, hubs that are replaced: the hub must tell the truth then."""

import asyncio
import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from hub_process import Hub
from ledger_rows import POLICY
from pushing import Machine
from trueup_agent.credential import HOST_FILE, Host, load_host, save_host
from trueup_agent.errors import Busy
from trueup_agent.ledger import Ledger
from trueup_agent.push.forever import Pusher
from trueup_agent.push.identity import in_words
from trueup_agent.push.push import PushResult
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub.db import create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest.verify import verify

LEDGER = "ledger.db"
_numbers = itertools.count()


def copy_data(source: Path, target: Path) -> Path:
    """The ledger as it is now, beside its writer, and the enrolment."""
    target.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(source / LEDGER)) as old,
        contextlib.closing(sqlite3.connect(target / LEDGER)) as new,
    ):
        old.backup(new)
    if (source / HOST_FILE).exists():
        shutil.copy(source / HOST_FILE, target / HOST_FILE)
    return target


def remove_ledger(data_dir: Path) -> None:
    for file in data_dir.glob(f"{LEDGER}*"):
        file.unlink()


@contextlib.asynccontextmanager
async def booted(data_dir: Path) -> AsyncIterator[Machine]:
    """A machine that starts on a data directory that is there."""
    host = load_host(data_dir)
    assert host is not None
    made = Machine(data_dir, await Ledger.open(data_dir, POLICY), host)
    try:
        yield made
    finally:
        await made.ledger.close()


async def push(machine: Machine, **settings: Any) -> PushResult:
    """As `trueup pg push` does it, with all that follows from a fork; again while others of the same host are at it."""
    uplink = Uplink(machine.data_dir, AgentSettings(**settings), machine.ledger)
    before = machine.ledger.replaced
    try:
        while True:
            with contextlib.suppress(Busy):
                result = await Pusher(machine.ledger, uplink).push()
                break
            await asyncio.sleep(0.02)
    finally:
        await uplink.close()
    assert result is not None
    assert result.verdict == "converged", result
    assert result.ledger_id == machine.ledger.ledger_id
    result.identity = result.identity or [in_words(one) for one in machine.ledger.replaced if one not in before]
    host = load_host(machine.data_dir)
    assert host is not None
    assert host.ledger_id == machine.ledger.ledger_id
    return result


async def tells(hub: Hub, events: Iterable[int]) -> None:
    """The hub counts exactly these made-up events, each once, and everything in it agrees with everything else."""
    numbers = set(events)
    summary = await hub.get("analytics/summary")
    told = (summary["coverage"]["output_tokens"]["events"], summary["totals"]["output_tokens"])
    assert told == (len(numbers), sum(numbers) or None)
    assert await verify(hub.auth.db) == {}


async def host_of(hub: Hub, machine: Machine) -> dict[str, Any]:
    host = load_host(machine.data_dir)
    assert host is not None
    report: dict[str, Any] = await hub.get(f"hosts/{host.host_id}")
    return report


@contextlib.asynccontextmanager
async def database(pg: EmbeddedPg, template: str = "template_trueup") -> AsyncIterator[str]:
    """A copy of a database that nobody is connected to."""
    name = f"hub_{next(_numbers)}"
    await create_database(pg.url("postgres"), name, template)
    yield name
    await drop_database(pg.url("postgres"), name)


def moved_to(machine: Machine, hub: Hub) -> None:
    """The hub is at another address now; the enrolment is as it was."""
    known = load_host(machine.data_dir)
    assert known is not None
    machine.host = Host(
        hub_url=hub.url,
        host_id=known.host_id,
        credential=known.credential,
        label=known.label,
        ledger_id=known.ledger_id,
    )
    save_host(machine.data_dir, machine.host)
