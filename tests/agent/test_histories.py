"""Whatever happens to sources between passes, the ledger ends as if each state had been read once, and nothing else.

The reference is a fresh ledger that reads the states that passes saw, each from a folder of its own, in any order. An
event is gone exactly if a clean pass over the final state does not give it.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histories import HARNESSES as OURS
from histories import World
from kinds_harness import kinds
from trueup_agent import collect
from trueup_agent.collect import PassMemory, collect_paths, scan
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Head, Ledger
from trueup_agent.policy import Policy
from trueup_agent.settings import AgentSettings, HarnessSettings, Loaded, Places

__all__ = ["kinds"]
EXAMPLES = (settings.default or settings()).max_examples // 20
PASSES = 6


def loaded(roots: Sequence[Path], data: Path) -> Loaded:
    sections = {
        name: HarnessSettings(roots=[str(root) for root in roots]) if name in OURS else HarnessSettings(enabled=False)
        for name in HARNESSES
    }
    return Loaded(agent=AgentSettings(), places=Places(homes=[], platform="linux", harnesses=sections), data_dir=data)


async def clean_pass(roots: Sequence[Path], data: Path) -> tuple[Head, set[bytes]]:
    """Head, and keys of events."""
    ledger = await Ledger.open(data, Policy())
    try:
        await scan(ledger, loaded(roots, data))
        return await ledger.head(), {row[0] for row in await ledger.query("SELECT key FROM events")}
    finally:
        await ledger.close()


async def check_history(seed: int, place: Path) -> None:
    chance = random.Random(seed)
    home, data = place / "home", place / "data"
    world, settings_ = World(home, chance), loaded([home], data)
    states: list[Path] = []
    memory = PassMemory()
    ledger = await Ledger.open(data, Policy())
    try:
        for number in range(PASSES):
            last = number == PASSES - 1
            for _ in range(chance.randrange(1, 7)):
                world.step()
            if last:
                world.finish()
                await ledger.query("UPDATE sources SET full_due_at = 1 WHERE kind = 'rows'")
            before = set(states[-1].rglob("*")) if states else set()
            states.append(place / "states" / str(number))
            shutil.copytree(home, states[-1])
            if chance.random() < 0.3 and not last:
                # As a watcher tells: what is there now, and what was there before.
                changed = {home / path.relative_to(states[-2]) for path in before} | set(home.rglob("*"))
                await collect_paths(ledger, settings_, changed, memory)
            else:
                await scan(ledger, settings_, memory=memory)
            if chance.random() < 0.2:
                memory = PassMemory()
        head = await ledger.head()
        gone = dict(await ledger.query("SELECT key, gone FROM events"))
    finally:
        await ledger.close()
    chance.shuffle(states)
    reference, _ = await clean_pass(states, place / "reference")
    assert (head.rows, head.digest) == (reference.rows, reference.digest)
    _, shown = await clean_pass([home], place / "final")
    assert {key for key, is_gone in gone.items() if not is_gone} == shown


@pytest.mark.usefixtures("kinds")
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(seed=st.integers(0, 2**32))
def test_a_history_ends_in_the_ledger_of_its_states(seed: int) -> None:
    memory = Path("/dev/shm")
    collect.LOOKS_APART = 0
    with tempfile.TemporaryDirectory(prefix="trueup-tests-", dir=memory if memory.is_dir() else None) as place:
        asyncio.run(check_history(seed, Path(place)))
