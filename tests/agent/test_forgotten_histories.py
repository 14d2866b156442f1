"""Logs that grow, move, shrink and vanish, while something is forgotten now and then.

The reference reads the same at the same moments and forgets nothing: what it has, without what was forgotten, is what
the ledger has, to the digest; also after everything was read again from copies of every state, in any order.
"""

import asyncio
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetting import consistent
from histories import HARNESSES as OURS
from histories import World
from kinds_harness import kinds
from trueup_agent.collect import scan
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Ledger
from trueup_agent.ledger.forget import Selection, forget
from trueup_agent.policy import Policy
from trueup_agent.settings import AgentSettings, HarnessSettings, Loaded, Places

__all__ = ["kinds"]
EXAMPLES = (settings.default or settings()).max_examples // 20
PASSES = 5
ROWS = {"sessions": 1, "messages": 2, "events": 3}


def loaded(roots: list[Path], data: Path) -> Loaded:
    sections = {
        name: HarnessSettings(roots=[str(root) for root in roots]) if name in OURS else HarnessSettings(enabled=False)
        for name in HARNESSES
    }
    return Loaded(agent=AgentSettings(), places=Places(homes=[], platform="linux", harnesses=sections), data_dir=data)


async def forget_something(ledger: Ledger, chance: random.Random) -> None:
    kind = chance.choice(("session", "project", "before"))
    column, table = {"session": ("session_id", "sessions"), "project": ("project_path", "events")}.get(
        kind, ("at", "events")
    )
    harness = chance.choice([None, *OURS])
    known = await ledger.query(
        f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL AND harness = coalesce(?, harness)",
        (harness,),
    )
    if known:
        await forget(ledger, Selection(**{kind: chance.choice(sorted(known))[0]}, harness=harness))


async def check(seed: int, place: Path) -> None:
    chance = random.Random(seed)
    home = place / "home"
    world = World(home, chance)
    ledger, whole = [await Ledger.open(place / name, Policy()) for name in ("data", "whole")]
    try:
        for number in range(PASSES):
            for _ in range(chance.randrange(1, 7)):
                world.step()
            if number == PASSES - 1:
                world.finish()
            for each in (ledger, whole):
                await scan(each, loaded([home], each.path.parent))
            await forget_something(ledger, chance)
            await consistent(ledger)
            shutil.copytree(home, place / "states" / str(number))
        await compare(ledger, whole)
        states = sorted((place / "states").iterdir())
        chance.shuffle(states)
        for each in (ledger, whole):
            await scan(each, loaded(states, each.path.parent))
        await consistent(ledger)
        await compare(ledger, whole)
        # Of a session that went on, logs that are there say again what they call it.
        for key, digest in await ledger.query("SELECT key, digest FROM sessions"):
            assert await whole.query("SELECT digest FROM sessions WHERE key = ?", (key,)) == [(digest,)]
    finally:
        await ledger.close()
        await whole.close()


async def compare(ledger: Ledger, whole: Ledger) -> None:
    async def rows(of: Ledger, table: str) -> dict[bytes, Any]:
        return dict(await of.query(f"SELECT key, digest FROM {table}"))

    for table in ("events", "set_aside_events", "messages"):
        gone = await ledger.query(
            "SELECT key FROM tombstones WHERE forgotten = 1 AND table_no = ?", (ROWS.get(table, 3),)
        )
        expected = await rows(whole, table)
        for (key,) in gone:
            expected.pop(key, None)
        assert await rows(ledger, table) == expected, table
    live = await ledger.query("SELECT session_key FROM events UNION SELECT session_key FROM messages")
    sessions, known = [(await rows(of, "sessions")).keys() for of in (ledger, whole)]
    assert known & {key for (key,) in live} <= sessions <= known


@pytest.mark.usefixtures("kinds")
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(seed=st.integers(0, 2**32))
def test_what_is_not_forgotten_is_what_it_would_be_otherwise(seed: int) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="trueup-tests-", dir=memory if memory.is_dir() else None) as place:
        asyncio.run(check(seed, Path(place)))
