"""Push of a whole home to an empty hub, against `agentsview pg push`, with and without its trigram indexes.

agentsview stores the text of messages and tool calls, and indexes it by trigrams; trueup stores the usage and the
outline of each message, and proves that both sides are equal. The second figure of agentsview is without these indexes.
"""

import asyncio
import contextlib
import itertools
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import peers
from measure import Run, Series, run
from part_scan import TRUEUP, find
from table import Line, alone, compare, figure

from processes import environment, free_port, trueup, wait_until
from trueup_hub.db import Database, create_database
from trueup_hub.embedded_pg import EmbeddedPg

_numbers = itertools.count()


async def new_database(server: EmbeddedPg) -> str:
    name = f"push_{next(_numbers)}"
    await create_database(server.url("postgres"), name)
    return server.url(name)


@contextlib.contextmanager
def enrolled_at_a_new_hub(
    server: EmbeddedPg, state: Path, home: Path
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """A hub on a new database, and the scanned ledger of `state` enrolled there: environments of agent and hub."""
    url = asyncio.run(new_database(server))
    env = environment(home, state / "agent")
    hub_env = environment(home, state / "hub") | {"TRUEUP_DATABASE_URL": url}
    (state / "agent" / "host.json").unlink(missing_ok=True)
    shutil.rmtree(state / "hub", ignore_errors=True)
    port = free_port()
    command = [TRUEUP, "hub", "serve", "--port", str(port)]
    hub = subprocess.Popen(command, env=hub_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: ready(address), "the hub is ready", every=0.2)
        code = trueup("hub", "enroll-code", "--json", env=hub_env).json["code"]
        enrolled = trueup("agent", "enroll", address, "--code", code, env=env)
        if enrolled.status:
            raise SystemExit(enrolled.err)
        yield env, hub_env
    finally:
        hub.terminate()
        hub.wait()


def ours(server: EmbeddedPg, state: Path, home: Path) -> Run:
    """One push of the scanned ledger into a new database behind a new hub."""
    with enrolled_at_a_new_hub(server, state, home) as (env, _):
        return run([TRUEUP, "pg", "push", "--json"], env)


def ready(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/readyz", timeout=1) as reply:
        return bool(reply.status == 200)


async def drop_trigrams(url: str) -> None:
    """Drop agentsview's trigram indexes, as a user might who finds its push slow."""
    db = await Database.open(url)
    rows = await db.fetch(
        "SELECT format('%I.%I', schemaname, indexname) AS name FROM pg_indexes WHERE indexdef LIKE '%gin_trgm%'"
    )
    for row in rows:
        await db.execute(f"DROP INDEX {row['name']}")
    await db.close()


def theirs(server: EmbeddedPg, state: Path, home: Path, command: list[str], trigrams: bool) -> Run:
    """One push of the synced store into a new database."""
    return run([*command, "pg", "push"], peer_environment(server, state, home, command, trigrams))


def peer_environment(server: EmbeddedPg, state: Path, home: Path, command: list[str], trigrams: bool) -> dict[str, str]:
    """Of a new database; without trigrams its schema is made by a push of an empty home first."""
    url = asyncio.run(new_database(server))
    env = peers.environment(home, state) | {"AGENTSVIEW_PG_URL": url, "AGENTSVIEW_PG_MACHINE": "bench"}
    if not trigrams:
        empty = state / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        empty.mkdir(parents=True)
        first = peers.environment(empty, empty) | {"AGENTSVIEW_PG_URL": url, "AGENTSVIEW_PG_MACHINE": "empty"}
        run([*command, "pg", "push"], first)
        asyncio.run(drop_trigrams(url))
    return env


@contextlib.contextmanager
def postgresql() -> Iterator[EmbeddedPg]:
    place = Path(tempfile.mkdtemp(prefix="trueup-bench-"))
    place.chmod(0o711)  # the server runs as another user under root
    server = EmbeddedPg(place / "pg")
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(place, ignore_errors=True)


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    state = folder / "state" / "push"
    shutil.rmtree(state, ignore_errors=True)
    scan = run([TRUEUP, "agent", "scan", "--json"], environment(home, state / "agent"))
    if scan.status:
        raise SystemExit("scan failed")
    with postgresql() as server:
        mine = Series([ours(server, state, home) for _ in range(n)])
        agentsview = find(commands, "agentsview")
        with_index = without = None
        if agentsview:
            peer = state / "peer"
            peer.mkdir(parents=True, exist_ok=True)
            run([*agentsview, "sync"], peers.environment(home, peer))
            without = Series([theirs(server, peer, home, agentsview, trigrams=False) for _ in range(n)])
            with_index = Series([theirs(server, peer, home, agentsview, trigrams=True)])
    return [
        compare(
            "push of the home, wall / agentsview pg push with trigram indexes (n=1: minutes)",
            mine,
            with_index,
            "wall",
            "s",
            "",
        ),
        compare("push of the home, wall / agentsview pg push without them", mine, without, "wall", "s", ""),
        alone("push, peak memory of the agent", figure(mine, "rss", "MB"), ""),
    ]
