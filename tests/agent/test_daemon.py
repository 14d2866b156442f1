"""The life of the daemon: real process, real watcher, real hub."""

import signal
import socket
import sqlite3
import statistics
import time
from pathlib import Path

import pytest

from agent_process import Home, daemon, trueup, until
from faults.proxy import fault_proxy
from hub_process import Hub, running_hub
from processes import free_port
from pushing import events_at, port_of
from trueup_agent.credential import Host, save_host
from trueup_hub.enrolment import make_enroll_code


@pytest.fixture
def ana(tmp_path: Path) -> Home:
    return Home(tmp_path / "ana")


async def up_env(hub: Hub, url: str | None = None) -> dict[str, str]:
    """What `trueup up` tells the agent that it starts."""
    return {"TRUEUP_HUB_URL": url or hub.url, "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db)}


async def equal(hub: Hub, ana: Home) -> bool:
    """Ledger and hub agree on position and digest."""
    status = await trueup("pg", "status", "--json", env=ana.env())
    return status.status == 0 and status.json["verdict"] == "converged"


async def test_it_enrols_reads_pushes_and_follows_the_log_until_it_is_told_to_stop(hub: Hub, ana: Home) -> None:
    ana.append(3)
    async with daemon(ana, **await up_env(hub)) as running:
        await until(lambda: _counts(hub, 3), "what was there at the start")
        ana.append()
        await until(lambda: _counts(hub, 4), "what was appended")
        assert await equal(hub, ana)
        await running.hears("WATCHDOG=1")
        status, log = await running.stop()
        await running.hears("STOPPING=1")
    assert status == 0
    assert "Traceback" not in log
    assert (ana.data_dir / "host.json").stat().st_mode & 0o777 == 0o600
    assert not (ana.data_dir / "agent.sock").exists()


async def _counts(hub: Hub, events: int) -> bool:
    return await events_at(hub) == events


async def test_an_appended_record_is_on_the_api_within_a_second(hub: Hub, ana: Home) -> None:
    ana.append()
    seconds = []
    async with daemon(ana, **await up_env(hub)):
        await until(lambda: _counts(hub, 1), "the first record")
        for n in range(2, 22):
            started = time.monotonic()
            ana.append()
            await until(lambda n=n: _counts(hub, n), "the appended record")  # type: ignore[misc]
            seconds.append(time.monotonic() - started)
    print(f"append to API: median {statistics.median(seconds):.3f} s, most {max(seconds):.3f} s")
    assert statistics.median(seconds) < 1


async def test_without_a_hub_it_collects(ana: Home) -> None:
    ana.append(2)
    async with daemon(ana) as running:
        await until(lambda: ana.head()[0] > 0, "the first rows")
        ana.append(1)
        await until(lambda: _events(ana) == 3, "the appended record")
        status, _ = await running.stop()
    assert status == 0


def _events(ana: Home) -> int:
    with sqlite3.connect(f"file:{ana.data_dir / 'ledger.db'}?mode=ro", uri=True) as db:
        [[count]] = db.execute("SELECT count(*) FROM events")
    db.close()
    return int(count)


async def test_a_hub_that_comes_later_gets_everything(hub: Hub, ana: Home) -> None:
    ana.append(5)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        proxy.refuse = True
        async with daemon(ana, **await up_env(hub, f"http://127.0.0.1:{proxy.port}")) as running:
            await until(lambda: proxy.connections >= 2, "a second attempt")
            proxy.refuse = False
            await until(lambda: _counts(hub, 5), "everything")
            assert await equal(hub, ana)
            _, log = await running.stop()
    # One line for the trouble, one for its end, however often it was tried.
    assert log.count("HubUnreachable") == 1
    assert log.count('"converged"') == 1
    assert "retry_in" in log


async def test_a_stop_while_the_hub_does_not_answer_is_still_in_time(ana: Home) -> None:
    ana.append()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with daemon(ana, TRUEUP_HUB_URL=address, TRUEUP_ENROLL_CODE="x") as running:
            silent.accept()[0].close()  # it has asked; the next time nobody answers
            started = time.monotonic()
            status, _ = await running.stop()
            assert status == 0
            assert time.monotonic() - started < 7


async def test_a_second_signal_leaves_at_once(ana: Home) -> None:
    ana.append()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with daemon(ana, TRUEUP_HUB_URL=address, TRUEUP_ENROLL_CODE="x") as running:
            connection, _ = silent.accept()
            running.process.send_signal(signal.SIGTERM)
            await running.hears("STOPPING=1")
            started = time.monotonic()
            running.process.send_signal(signal.SIGINT)
            status, _ = await running.ended()
            assert status == 128 + signal.SIGINT
            assert time.monotonic() - started < 1
            connection.close()


async def test_kill_9_in_mid_batch_loses_and_doubles_nothing(hub: Hub, ana: Home) -> None:
    ana.append(50)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        env = await up_env(hub, f"http://127.0.0.1:{proxy.port}")
        for _ in range(3):
            proxy.batches_begun.clear()
            proxy.delay_batches_seconds = 0.3
            async with daemon(ana, **env) as running:
                await proxy.batches_begun.wait()
                running.process.kill()
                await running.process.wait()
            ana.append(10)
        proxy.delay_batches_seconds = 0.0
        async with daemon(ana, **env):
            await until(lambda: _counts(hub, 80), "everything")
            await until(lambda: equal(hub, ana), "equal digests")


async def test_a_task_that_dies_ends_the_process_with_status_1_and_one_line(ana: Home) -> None:
    ana.append()
    async with daemon(ana, TRUEUP_RESCAN_SECONDS="1") as running:
        await until(lambda: ana.head()[0] > 0, "the first rows")
        with sqlite3.connect(ana.data_dir / "ledger.db") as db:
            db.execute("DROP TABLE sources")
        db.close()
        status, log = await running.ended()
    assert status == 1
    assert log.splitlines()[-1].startswith("trueup: ledger ")
    assert "Traceback" not in log


async def test_a_second_daemon_names_the_first(ana: Home) -> None:
    ana.append()
    async with daemon(ana) as running:
        second = await trueup("agent", "run", env=ana.env())
        assert second.status == 1
        assert second.err.strip().count("\n") == 0
        assert str(running.process.pid) in second.err


async def test_a_hub_that_does_not_know_us_is_one_line_and_the_collecting_goes_on(hub: Hub, ana: Home) -> None:
    ana.append()
    save_host(ana.data_dir, Host(hub_url=hub.url, host_id="h", credential="trueup1.wrong", label="ana"))
    async with daemon(ana) as running:
        await until(lambda: ana.head()[0] > 0, "the first rows")
        status = await trueup("agent", "status", "--json", env=ana.env())
        assert status.json["daemon"]["push"]["state"] == "Unauthorized"
        assert "does not accept" in status.json["last_error"]
        _, log = await running.stop()
    assert log.count("Unauthorized") == 1


async def test_the_same_hub_on_another_port_is_the_same_host(database_url: str, ana: Home, tmp_path: Path) -> None:
    ana.append()
    for answers in (1, 2):
        async with running_hub(database_url, tmp_path / "hub", free_port()) as hub:
            async with daemon(ana, **await up_env(hub)):
                await until(lambda n=answers: _counts(hub, n), "the records")  # type: ignore[misc]
            assert len((await hub.get("hosts"))["hosts"]) == 1
        ana.append()


async def test_after_a_large_backlog_it_starts_anew_under_its_own_pid_and_is_small(hub: Hub, ana: Home) -> None:
    ana.append(2_000)
    async with daemon(ana, **await up_env(hub)) as running:
        pid = running.process.pid
        await until(lambda: _counts(hub, 2_000), "everything")
        running.heard.clear()
        await running.hears("READY=1")
        ana.append()
        await until(lambda: _counts(hub, 2_001), "what came after")
        assert running.process.pid == pid
        status, log_lines = await running.stop()
    assert status == 0
    assert log_lines.count('"started"') == 2
    assert "Traceback" not in log_lines
