"""A hub that has the home: nothing new, everything again, one row in a thousand lost; against `agentsview pg push`.

agentsview has no operation that finds what differs; `pg push --full` sends everything again and removes nothing.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import peers
from measure import Run, Series, run
from part_push import enrolled_at_a_new_hub, peer_environment, postgresql
from part_scan import TRUEUP, find
from table import Line, alone, compare, figure

from processes import environment
from trueup_hub.db import Database

PUSH = [TRUEUP, "pg", "push", "--json"]
LOSE = "DELETE FROM events WHERE get_byte(uuid_send(event_key), 15) = 7 AND get_byte(uuid_send(event_key), 14) < 64"
ALTER = """UPDATE messages SET size_chars = coalesce(size_chars, 0) + 1
WHERE get_byte(uuid_send(message_key), 15) = 7 AND get_byte(uuid_send(message_key), 14) < 64"""


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    state = folder / "state" / "converge"
    shutil.rmtree(state, ignore_errors=True)
    if run([TRUEUP, "agent", "scan", "--json"], environment(home, state / "agent")).status:
        raise SystemExit("scan failed")
    with postgresql() as server:
        with enrolled_at_a_new_hub(server, state, home) as (env, hub_env):
            first = told(run(PUSH, env))
            nothing = Series([run(PUSH, env) for _ in range(n)])
            full = Series([run([*PUSH, "--full"], env)])
            full_told = told(full.runs[0])
            damage = asyncio.run(damaged(hub_env["TRUEUP_DATABASE_URL"]))
            scrub = run([TRUEUP, "hub", "verify", "--repair", "--json"], hub_env)
            if scrub.status not in (0, 3):  # 3: what was lost is yet to come from its ledger
                raise SystemExit(f"the scrub ended with {scrub.status}")
            mend = run(PUSH, env)
        agentsview = find(commands, "agentsview")
        their_nothing = their_full = None
        if agentsview:
            peer = state / "peer"
            peer.mkdir(parents=True)
            run([*agentsview, "sync"], peers.environment(home, peer))
            peer_env = peer_environment(server, peer, home, agentsview, trigrams=False)
            run([*agentsview, "pg", "push"], peer_env)
            their_nothing = Series([run([*agentsview, "pg", "push"], peer_env) for _ in range(n)])
            their_full = Series([run([*agentsview, "pg", "push", "--full"], peer_env)])
    mended = told(mend)
    rows = first["inserted"]
    return [
        compare("push with nothing new, wall / agentsview pg push", nothing, their_nothing, "wall", "s", "must 0.2"),
        compare("push --full, wall / agentsview pg push --full, without trigrams", full, their_full, "wall", "s", ""),
        alone(
            "push --full: rows/s, bytes a row",
            f"{rows / full.median('wall'):,.0f}, {full_told['bytes_sent'] / rows:.0f}",
            "",
        ),
        alone("push --full, peak memory of the agent", figure(full, "rss", "MB"), ""),
        alone(f"{damage:,} of {rows:,} rows lost or altered: scrub of the hub", f"{scrub.wall:.1f} s", ""),
        alone("… and mended by the next push", f"{mend.wall:.2f} s, {cost(mended)}", "by the difference"),
    ]


def told(done: Run) -> dict[str, Any]:
    if done.status:
        raise SystemExit(f"push ended with {done.status}")
    document: dict[str, Any] = msgspec.json.decode(done.output)
    return document


def cost(mended: dict[str, Any]) -> str:
    return f"{mended['inserted'] + mended['updated']:,} rows, {mended['bytes_sent'] + mended['compared_bytes']:,} bytes"


async def damaged(url: str) -> int:
    """By hand, behind the hub's back: one row in a thousand."""
    db = await Database.open(url)
    lost, altered = [int((await db.execute(sql)).split()[-1]) for sql in (LOSE, ALTER)]
    await db.close()
    return lost + altered
