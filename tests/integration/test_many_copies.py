"""Ledgers that are cloned, kept, put back and deleted in any order, and jobs of the hub in between: all counts once."""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub_process import Hub, running_hub
from identities import booted, copy_data, host_of, push, remove_ledger, tells
from pushing import machine
from trueup_agent.credential import HOST_FILE
from trueup_agent.push import identity
from trueup_hub.db import create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest.superseding import supersede_pending

MOST_MACHINES = 4
EXAMPLES = max(6, (settings.default or settings()).max_examples // 16)
_databases = itertools.count()

# What happens to a machine, by its number. `put_back` brings its ledger as it was at the last `keep`, with or without
# the enrolment of then.
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "push", "push", "rush", "clone", "keep", "put_back", "put_all_back", "delete", "jobs"]
        ),
        st.integers(0, MOST_MACHINES - 1),
        st.integers(0, 60),
    ),
    min_size=3,
    max_size=16,
)


class Copies:
    """Machines by their data directories; `counted` is what must count from now on, whatever happens."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.machines = [folder / "m0"]
        self.events: dict[Path, set[int]] = {self.machines[0]: set()}
        self.kept: dict[Path, tuple[Path, set[int]]] = {}
        self.counted: set[int] = set()

    async def act(self, action: str, number: int, first: int) -> None:
        one = self.machines[number % len(self.machines)]
        if action == "write":
            async with booted(one) as running:
                await running.write(first, first + 3)
            self.events[one] |= set(range(first, first + 4))
        elif action == "push":
            await self.push(one)
        elif action == "rush":  # all at once, and the job that takes away what others have in the middle of it
            await asyncio.gather(*(self._push(each) for each in self.machines), supersede_pending(self.hub.auth.db))
            await tells(self.hub, self.counted)
        elif action == "clone" and len(self.machines) < MOST_MACHINES:
            self.machines.append(copy_data(one, self.folder / f"m{len(self.machines)}"))
            self.events[self.machines[-1]] = set(self.events[one])
        elif action == "keep":
            self.kept[one] = (copy_data(one, self.folder / f"{one.name} kept"), set(self.events[one]))
        elif action in ("put_back", "put_all_back") and one in self.kept:
            backup, self.events[one] = self.kept[one][0], set(self.kept[one][1])
            enrolment = (one / HOST_FILE).read_bytes()
            remove_ledger(one)
            copy_data(backup, one)
            if action == "put_back":
                (one / HOST_FILE).write_bytes(enrolment)
        elif action == "delete":
            remove_ledger(one)
            self.events[one] = set()
        elif action == "jobs":
            await supersede_pending(self.hub.auth.db)

    async def push(self, one: Path) -> None:
        await self._push(one)
        await tells(self.hub, self.counted)

    async def _push(self, one: Path) -> None:
        async with booted(one) as running:
            await push(running)
            head = await running.ledger.head()
            found = {ledger["ledger_id"]: ledger for ledger in (await host_of(self.hub, running))["ledgers"]}
            assert head.seq == 0 or found[running.ledger.ledger_id]["digest"] == head.digest.hex()
        self.counted |= self.events[one]


async def converge(pg: EmbeddedPg, actions: list[tuple[str, int, int]]) -> None:
    name = f"copies_{next(_databases)}"
    await create_database(pg.url("postgres"), name, "template_trueup")
    folder = Path(tempfile.mkdtemp(prefix="trueup-copies-"))
    try:
        async with running_hub(pg.url(name), folder / "hub") as hub:
            async with machine(hub, folder / "m0"):
                pass
            copies = Copies(hub, folder)
            for action, number, first in actions:
                await copies.act(action, number, first)
            for _ in range(2):
                for one in copies.machines:
                    await copies.push(one)
                await supersede_pending(hub.auth.db)
                await tells(hub, copies.counted)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        await drop_database(pg.url("postgres"), name)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_whatever_is_copied_put_back_or_deleted_all_that_ever_arrived_counts_once(
    pg: EmbeddedPg, actions: list[tuple[str, int, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "MOST_A_DAY", 1_000)
        asyncio.run(converge(pg, actions))
