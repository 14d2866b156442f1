"""Hubs to ask: trueup's and agentsview's on the same fleet of twenty hosts, trueup's on a year of many events."""

import asyncio
import contextlib
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import part_push
import peers
import twenty_hosts
from http_load import Server
from measure import run
from part_scan import TRUEUP

from processes import environment, free_port, trueup, wait_until
from trueup_hub.embedded_pg import EmbeddedPg

ZONE = "Europe/Berlin"  # the hub's own


def our_fleet(server: EmbeddedPg, state: Path, home: Path) -> str:
    """URL of a database with what one scan and push of the home brought, and nineteen clones of it."""
    scan = run([TRUEUP, "agent", "scan", "--json"], environment(home, state / "agent"))
    if scan.status:
        raise SystemExit("scan failed")
    with part_push.enrolled_at_a_new_hub(server, state, home) as (env, hub_env):
        if run([TRUEUP, "pg", "push", "--json"], env).status:
            raise SystemExit("push failed")
    asyncio.run(twenty_hosts.clone(hub_env["TRUEUP_DATABASE_URL"]))
    return hub_env["TRUEUP_DATABASE_URL"]


def peer_fleet(server: EmbeddedPg, state: Path, home: Path, command: list[str]) -> str:
    """The same for agentsview, without its trigram indexes, of which the push would take minutes."""
    store = state / "peer"
    store.mkdir(parents=True)
    run([*command, "sync"], peers.environment(home, store))
    env = part_push.peer_environment(server, store, home, command, trigrams=False)
    if run([*command, "pg", "push"], env).status:
        raise SystemExit("agentsview's push failed")
    asyncio.run(twenty_hosts.clone_peer(env["AGENTSVIEW_PG_URL"]))
    return env["AGENTSVIEW_PG_URL"]


@contextlib.contextmanager
def our_hub(url: str, state: Path) -> Iterator[tuple[Server, int]]:
    """A hub of Berlin on a database that is there, and its pid. It never scrubs: what SQL made must stay."""
    shutil.rmtree(state / "served", ignore_errors=True)
    env = environment(state, state / "served", TRUEUP_DATABASE_URL=url, TRUEUP_TIMEZONE=ZONE, TRUEUP_SCRUB_HOURS="1e6")
    port = free_port()
    with _running([TRUEUP, "hub", "serve", "--port", str(port)], env) as process:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: part_push.ready(address), "the hub is ready", seconds=900, every=0.2)
        token = trueup("hub", "token", "create", "bench", "--json", env=env).json["token"]
        yield Server(f"{address}/api/v1", {"Authorization": f"Bearer {token}"}), process.pid


@contextlib.contextmanager
def peer_hub(url: str, state: Path, command: list[str]) -> Iterator[tuple[Server, int]]:
    empty = state / "peer" / "nobody"
    empty.mkdir(parents=True)
    port = free_port()
    env = peers.environment(empty, empty) | {"AGENTSVIEW_PG_URL": url}
    options = ["--port", str(port), "--no-browser", "--no-update-check", "--write-timeout", "0s"]
    with _running([*command, "pg", "serve", *options], env) as process:
        address = f"http://127.0.0.1:{port}"
        ping = f"{address}/api/ping"
        wait_until(lambda: urllib.request.urlopen(ping, timeout=1), "agentsview answers", seconds=600, every=0.2)
        yield Server(f"{address}/api/v1", {}), process.pid


@contextlib.contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
