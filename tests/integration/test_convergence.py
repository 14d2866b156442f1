"""Whatever happens to logs, machines, requests and the hub's database: after quiet the hub shows what the logs say."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from convergence import DAMAGE, FAULTS, World
from trueup_hub.embedded_pg import EmbeddedPg

names = st.sampled_from(["ana", "ben"])
sessions = st.integers(1, 3)
EXAMPLES = 500 if settings().max_examples > 1_000 else 10  # `make soak`: many more
faults = st.lists(st.sampled_from(FAULTS), max_size=3)


class Convergence(RuleBasedStateMachine):
    pg: EmbeddedPg
    folder: Path

    @initialize()
    def start(self) -> None:
        self.world = World(self.pg, Path(tempfile.mkdtemp(dir=self.folder)))
        self.world.run(self.world.start("ana", "ben"))

    @rule(name=names, session=sessions, count=st.integers(1, 4))
    def append(self, name: str, session: int, count: int) -> None:
        self.world.machines[name].logs.append(session, self.world.next_numbers(count))

    @rule(name=names, session=sessions, more=st.integers(1, 50))
    def run_on(self, name: str, session: int, more: int) -> None:
        self.world.machines[name].logs.run_on(session, more)

    @rule(name=names, session=sessions, keep=st.integers(0, 3))
    def cut(self, name: str, session: int, keep: int) -> None:
        self.world.machines[name].logs.cut(session, keep)

    @rule(session=sessions, backwards=st.booleans())
    def synchronise(self, session: int, backwards: bool) -> None:
        ana, ben = (self.world.machines[name].logs for name in ("ana", "ben"))
        (ana if backwards else ben).take_copy(ben if backwards else ana, session)

    @rule(name=names)
    def scan(self, name: str) -> None:
        self.world.run(self.world.machines[name].scan())

    @rule(name=names, full=st.sampled_from([False, False, True]), faults=faults)
    def push(self, name: str, full: bool, faults: list[str]) -> None:
        machine = self.world.machines[name]
        machine.faults += faults
        self.world.run(machine.push(full=full))

    @rule(what=st.sampled_from(sorted(DAMAGE)), part=st.integers(0, 7))
    def damage(self, what: str, part: int) -> None:
        self.world.run(self.world.damage(what, part))

    @rule()
    def keep_house(self) -> None:
        self.world.run(self.world.keep_house())

    @rule(name=names)
    def restart(self, name: str) -> None:
        self.world.run(self.world.machines[name].restart())

    @precondition(lambda self: "cid" not in self.world.machines)
    @rule(name=names)
    def clone(self, name: str) -> None:
        """From then on two machines have one ledger and one credential."""
        self.world.run(self.world.clone(name, "cid"))

    @rule(faults=faults)
    def the_clone_works(self, faults: list[str]) -> None:
        if (machine := self.world.machines.get("cid")) is not None:
            machine.logs.append(1, self.world.next_numbers(2))
            machine.faults += faults
            self.world.run(machine.scan())
            self.world.run(machine.push())

    @rule()
    def back_up_hub(self) -> None:
        self.world.run(self.world.back_up_hub())

    @rule()
    def restore_hub(self) -> None:
        self.world.run(self.world.restore_hub())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        try:
            world.run(world.keep_house())
            for machine in world.machines.values():
                world.run(machine.scan())
                result = world.run(machine.push())
                assert result is not None
                assert result.verdict == "converged", machine.name
            assert world.run(world.verified()) == {}
            shown = world.run(world.shown())
            assert {harness: tokens for harness, (tokens, _) in shown.items()} == world.truth()
        finally:
            world.run(world.close())


def test_after_quiet_the_hub_shows_what_the_logs_say(pg: EmbeddedPg, tmp_path: Path) -> None:
    Convergence.pg, Convergence.folder = pg, tmp_path
    run_state_machine_as_test(
        Convergence,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
