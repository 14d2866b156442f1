"""What the hub asks for is carried out once, whatever happens in between, and the hub hears how far it is."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from agent_process import Home, daemon, trueup, until
from faults.proxy import fault_proxy
from hub_process import Hub
from ledger_rows import POLICY
from pushing import machine, port_of
from trueup_agent.credential import load_host
from trueup_agent.errors import AgentError, HubUnreachable
from trueup_agent.ledger import Ledger
from trueup_agent.push import forever, heartbeat
from trueup_agent.push.directives import KEPT, Directives, Step
from trueup_agent.push.forever import Pusher
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub import directives as hub_directives
from trueup_hub.enrolment import make_enroll_code
from trueup_shared import wire

PUSH = wire.Directive(id="d1", kind="push")


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path, POLICY)
    yield opened
    await opened.close()


class Chores:
    """Work that does what the test says, and remembers that it did."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.errors: list[Exception] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def push(self, step: Step) -> str:
        self.begun.append("push")
        step(3, 10, "Pushing")
        await self.go_on.wait()
        if self.errors:
            raise self.errors.pop(0)
        return "converged: 7 inserted"


@asynccontextmanager
async def carrying_out(directives: Directives) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(directives.carry_out_forever(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait([task], timeout=0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def states(directives: Directives) -> list[tuple[str, int, int, str]]:
    return [(report.state, report.done, report.of, report.note) for report in await directives.reports()]


def ended(directives: Directives) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return all(task.state != "running" for task in await directives.tasks())

    return condition


async def test_a_directive_is_carried_out_once_however_often_it_comes(ledger: Ledger) -> None:
    chores = Chores()
    chores.go_on.clear()
    directives = Directives(ledger, {"push": chores.push})
    async with carrying_out(directives):
        for _ in range(3):
            await directives.heed([PUSH])
        await until(lambda: chores.begun, "it begins")
        assert directives.running
        assert await states(directives) == [("running", 3, 10, "Pushing")]
        chores.go_on.set()
        await until(ended(directives), "it ends")
        assert await states(directives) == [("done", 3, 10, "converged: 7 inserted")]
        assert not directives.news.is_set()  # what there was has been asked for
        await directives.heed([PUSH])
        await directives.reported(await directives.reports())
        assert await states(directives) == []
        await directives.heed([PUSH])  # the hub does not know it: restored from a backup
        assert await states(directives) == [("done", 3, 10, "converged: 7 inserted")]
    assert chores.begun == ["push"]


async def test_what_was_under_way_goes_on_after_a_restart_and_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    chores = Chores()
    ledger = await Ledger.open(tmp_path, POLICY)
    first = Directives(ledger, {"push": chores.push})
    async with carrying_out(first):
        await first.heed([PUSH])
        await until(ended(first), "it ends")
        chores.go_on.clear()
        await first.heed([wire.Directive(id="d2", kind="push")])
        await until(lambda: len(chores.begun) == 2, "the second begins")
    await ledger.close()

    ledger = await Ledger.open(tmp_path, POLICY)
    chores.go_on.set()
    second = Directives(ledger, {"push": chores.push})
    async with carrying_out(second):
        await until(ended(second), "the second ends")
        await second.heed([PUSH, wire.Directive(id="d2", kind="push")])
        assert [state for state, *_ in await states(second)] == ["done", "done"]
    await ledger.close()
    assert len(chores.begun) == 3


async def test_an_unknown_kind_fails_with_a_line_that_says_what_to_do(ledger: Ledger) -> None:
    directives = Directives(ledger, {})
    async with carrying_out(directives):
        await directives.heed([wire.Directive(id="d1", kind="dance")])
        await until(ended(directives), "it ends")
    [(state, _, _, note)] = await states(directives)
    assert (state, note) == ("failed", "this agent does not know 'dance': update trueup on this host")


async def test_a_hub_that_goes_away_in_the_middle_is_tried_again_and_anything_else_is_a_failure(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forever, "FIRST_DELAY_SECONDS", 0.01)
    chores = Chores()
    chores.errors = [HubUnreachable("the hub cannot be reached"), AgentError("the hub's sums still differ")]
    directives = Directives(ledger, {"push": chores.push})
    async with carrying_out(directives):
        await directives.heed([PUSH])
        await until(ended(directives), "it ends")
    assert chores.begun == ["push", "push"]
    [(state, _, _, note)] = await states(directives)
    assert (state, note) == ("failed", "the hub's sums still differ")


async def test_a_ledger_under_a_new_id_was_asked_nothing(ledger: Ledger) -> None:
    chores = Chores()
    chores.go_on.clear()
    directives = Directives(ledger, {"push": chores.push})
    async with carrying_out(directives):
        await directives.heed([PUSH])
        await until(lambda: chores.begun, "it begins")
        await ledger.take_new_identity("fork", "a copy of it has pushed")
        assert await states(directives) == []
        chores.go_on.set()
        await directives.heed([wire.Directive(id="d2", kind="push")])
        await until(ended(directives), "the second ends")
        assert len(await states(directives)) == 1


async def test_the_hub_hears_at_once_that_it_begins_how_far_it_is_and_at_once_that_it_ended(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PROGRESS_SECONDS", 0.05)
    chores, stop, settings = Chores(), asyncio.Event(), AgentSettings()
    chores.go_on.clear()
    async with machine(hub, tmp_path / "ana") as ana:
        await ana.write(1, 5)
        await ana.push()
        uplink = Uplink(ana.data_dir, settings, ana.ledger)
        directives = Directives(ana.ledger, {"push": chores.push})
        beats = Heartbeats(ana.ledger, Pusher(ana.ledger, uplink), directives, settings.policy, lambda: None)
        await hub_directives.ask(hub.auth.db, UUID(ana.host.host_id), "push", "a test")

        async def told(state: str) -> bool:
            [one] = (await hub.get(f"hosts/{ana.host.host_id}"))["directives"]
            return bool((one["state"], one["done"], one["of"]) == (state, len(chores.begun) * 3, 10))

        async with carrying_out(directives):
            beating = asyncio.create_task(beats.heartbeat_forever(3600, stop))
            await until(lambda: told("running"), "the hub hears how far it is")
            chores.go_on.set()
            await until(lambda: told("done"), "the hub hears that it is done")
            stop.set()
            await beating
        await uplink.close()


async def asked(hub: Hub, ana: Home) -> dict[str, str]:
    """kind -> state and note, as the hub tells."""
    host = load_host(ana.data_dir)
    assert host is not None
    found = (await hub.get(f"hosts/{host.host_id}"))["directives"]
    return {one["kind"]: f"{one['state']}: {one['note']}" for one in found}


async def test_the_daemon_does_what_the_hub_asks_and_says_so(hub: Hub, tmp_path: Path) -> None:
    ana = Home(tmp_path / "ana")
    ana.append(3)
    env = {
        "TRUEUP_HUB_URL": hub.url,
        "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db),
        "TRUEUP_HEARTBEAT_SECONDS": "1",
    }

    async with daemon(ana, **env):
        await until(lambda: converged(hub), "everything is there")
        host = load_host(ana.data_dir)
        assert host is not None
        for kind in hub_directives.KINDS:
            await hub_directives.ask(hub.auth.db, UUID(host.host_id), kind, "a test")
        await until(lambda: _all_done(hub, ana), "all of it is done")
        status = await trueup("agent", "status", env=ana.env())
        assert "asked    rescan: done, converged: 0 inserted, 0 updated, 0 removed" in status.out
    assert set(await asked(hub, ana)) == set(hub_directives.KINDS)


async def test_a_full_push_that_the_hub_asked_for_goes_on_after_kill_9_in_its_middle(hub: Hub, tmp_path: Path) -> None:
    ana = Home(tmp_path / "ana")
    ana.append(30)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        env = {
            "TRUEUP_HUB_URL": f"http://127.0.0.1:{proxy.port}",
            "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db),
            "TRUEUP_HEARTBEAT_SECONDS": "1",
        }
        async with daemon(ana, **env) as running:
            await until(lambda: converged(hub), "everything is there")
            proxy.batches_begun.clear()
            proxy.delay_batches_seconds = 30
            host = load_host(ana.data_dir)
            assert host is not None
            await hub_directives.ask(hub.auth.db, UUID(host.host_id), "full_push", "a test")
            await asyncio.wait_for(proxy.batches_begun.wait(), 30)
            await until(lambda: _is_running(hub, ana), "the hub hears that it has begun")
            running.process.kill()
            await running.process.wait()
        proxy.delay_batches_seconds = 0
        async with daemon(ana, **env):
            await until(lambda: _all_done(hub, ana), "it is done")
    [ledger] = (await hub.get(f"hosts/{host.host_id}"))["ledgers"]
    assert (ledger["generation"], ledger["open_generation"], ledger["state"]) == (1, 0, "converged")


async def converged(hub: Hub) -> bool:
    return [host["state"] for host in (await hub.get("hosts"))["hosts"]] == ["converged"]


async def _is_running(hub: Hub, ana: Home) -> bool:
    return (await asked(hub, ana))["full_push"].startswith("running")


async def _all_done(hub: Hub, ana: Home) -> bool:
    found = await asked(hub, ana)
    assert not [text for text in found.values() if text.startswith(("failed", "given_up"))], found
    return all(text.startswith("done: converged") for text in found.values())


async def test_a_hub_that_asks_for_full_pushes_without_end_gets_ten_of_them_a_day(ledger: Ledger) -> None:
    now, ids = 1e9, itertools.count()
    begun: list[str] = []

    async def work(step: Step) -> str:
        begun.append("full_push")
        return "converged"

    def asking(kind: str, times: int) -> list[wire.Directive]:
        return [wire.Directive(id=f"{kind} {next(ids)}", kind=kind) for _ in range(times)]

    directives = Directives(ledger, {"full_push": work}, lambda: now)
    async with carrying_out(directives):
        for _ in range(6):
            await directives.heed(asking("dance", 100))  # what else it asks for pushes nothing out of memory
            await directives.heed(asking("full_push", 3))
            await until(ended(directives), "all end")
        assert len(begun) == 10
        failed = [note for state, _, _, note in await states(directives) if state == "failed"]
        assert [note for note in failed if "10 times within a day" in note]
        assert len(await directives.tasks()) <= KEPT
        now += 86_401
        await directives.heed(asking("full_push", 1))
        await until(lambda: len(begun) == 11, "the next day it does one again")
