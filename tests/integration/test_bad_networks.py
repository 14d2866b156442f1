"""A running agent behind every kind of bad network: nothing changes but the delay, and nothing is counted twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_process import Home, daemon, trueup, until
from faults.proxy import FaultProxy, fault_proxy
from hub_process import Hub, running_hub
from pushing import events_at, port_of
from trueup_hub.enrolment import make_enroll_code


def latency(proxy: FaultProxy) -> None:
    proxy.latency_seconds = 0.2


def slow_reader(proxy: FaultProxy) -> None:
    proxy.bytes_per_second = 30_000


def refused(proxy: FaultProxy) -> None:
    proxy.refuse = True
    proxy.reset_all()


def reset(proxy: FaultProxy) -> None:
    proxy.reset_all()


def cut_in_mid_body(proxy: FaultProxy) -> None:
    proxy.cut_request_after = 700
    proxy.reset_all()


def receipts_lost(proxy: FaultProxy) -> None:
    proxy.cut_batch_replies = 2


def black_hole(proxy: FaultProxy) -> None:
    proxy.passing.clear()


def heal(proxy: FaultProxy) -> None:
    proxy.latency_seconds = proxy.bytes_per_second = 0
    proxy.refuse, proxy.cut_request_after, proxy.cut_batch_replies = False, None, 0
    if not proxy.passing.is_set():
        proxy.reset_all()  # what was swallowed is given up, as a client's timeout would
        proxy.passing.set()


async def converged(hub: Hub, home: Home) -> bool:
    [host] = (await hub.get("trust"))["hosts"]
    return await events_at(hub) == home.answers and host["state"] == "converged"


Fault = Callable[[FaultProxy], None]


async def one_after_another(hub: Hub, home: Home, proxy: FaultProxy, faults: list[Fault]) -> None:
    for fault in faults:
        fault(proxy)
        home.append(40)
        await asyncio.sleep(0.7)
        heal(proxy)
        await trueup("agent", "status", env=home.env())  # reads beside it, and needs no hub
        await until(lambda: converged(hub, home), f"all is there after {fault.__name__}")


@pytest.mark.parametrize(
    "faults",
    [[latency, slow_reader, refused], [reset, cut_in_mid_body, receipts_lost, black_hole]],
    ids=["delayed", "broken"],
)
async def test_a_daemon_behind_a_bad_network_loses_and_doubles_nothing(
    database_url: str, tmp_path: Path, faults: list[Fault]
) -> None:
    home = Home(tmp_path)
    async with running_hub(database_url, tmp_path / "hub") as hub, fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        code = await make_enroll_code(hub.auth.db)
        address = f"http://127.0.0.1:{proxy.port}"
        assert (await trueup("agent", "enroll", address, "--code", code, env=home.env())).status == 0
        async with daemon(home, TRUEUP_HEARTBEAT_SECONDS="1"):
            await one_after_another(hub, home, proxy, faults)
        assert (await trueup("pg", "push", env=home.env())).status == 0
