"""Whatever happens to logs, machines, requests and the hub's database: after quiet the hub shows what the logs say."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from convergence import FAULTS, World
from trueup_hub.embedded_pg import EmbeddedPg

names = st.sampled_from(["ana", "ben"])
sessions = st.integers(1, 3)


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

    @rule(name=names, rows=st.sampled_from([1, 3, 1000]), faults=st.lists(st.sampled_from(FAULTS), max_size=3))
    def push(self, name: str, rows: int, faults: list[str]) -> None:
        machine = self.world.machines[name]
        machine.faults += faults
        self.world.run(machine.push(rows))

    @rule(name=names)
    def restart(self, name: str) -> None:
        self.world.run(self.world.machines[name].restart())

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
            for _ in range(2):  # who counts for whom may change with the last push of another
                for machine in world.machines.values():
                    world.run(machine.scan())
                    result = world.run(machine.push(1000))
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
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
