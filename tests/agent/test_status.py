"""The commands of one machine, with a daemon and without: what they say, and their exit statuses."""

import asyncio
from pathlib import Path

import pytest

from agent_process import Home, daemon, trueup, until
from hub_process import Hub
from processes import free_port
from trueup_hub.enrolment import make_enroll_code


@pytest.fixture
def ana(tmp_path: Path) -> Home:
    return Home(tmp_path / "ana")


async def enroll(hub: Hub, ana: Home) -> None:
    code = await make_enroll_code(hub.auth.db)
    assert (await trueup("agent", "enroll", hub.url, "--code", code, env=ana.env())).status == 0


async def test_scan_push_and_status_say_the_same_with_a_daemon_and_without(hub: Hub, ana: Home, tmp_path: Path) -> None:
    ana.append(4)
    bea = Home(tmp_path / "bea")
    bea.append(4)
    await enroll(hub, ana)
    await enroll(hub, bea)
    alone = [await trueup(*args, "--json", env=ana.env()) for args in (("agent", "scan"), ("pg", "push"))]
    async with daemon(bea):
        through = [await trueup(*args, "--json", env=bea.env()) for args in (("agent", "scan"), ("pg", "push"))]
        status = (await trueup("agent", "status", "--json", env=bea.env())).json
        assert status["daemon"]["watching"] == "watching"
    assert [result.status for result in (*alone, *through)] == [0, 0, 0, 0]
    assert alone[0].json["harnesses"] == through[0].json["harnesses"]
    assert alone[0].json["inserted"] == 13  # a session, and 4 each of prompts, answers and events
    assert set(alone[1].json) == set(through[1].json)
    assert alone[1].json["ledger_digest"] == through[1].json["ledger_digest"] == ana.head()[1]
    assert alone[1].json["verdict"] == through[1].json["verdict"] == "converged"


async def test_pg_push_tells_what_interface_promises(hub: Hub, ana: Home) -> None:
    ana.append(4)
    await enroll(hub, ana)
    await trueup("agent", "scan", env=ana.env())
    dry = await trueup("pg", "push", "--dry-run", "--json", env=ana.env())
    assert (dry.status, dry.json["pending"], dry.json["verdict"]) == (0, 13, "behind")
    assert (await trueup("pg", "status", env=ana.env())).status == 3
    pushed = (await trueup("pg", "push", "--json", env=ana.env())).json
    seq, digest = ana.head()
    wanted = {
        "generation": 0,
        "inserted": 13,
        "updated": 0,
        "unchanged": 0,
        "removed": 0,
        "rejected": 0,
        "acked_seq": seq,
        "ledger_digest": digest,
        "hub_digest": digest,
        "verdict": "converged",
    }
    assert pushed | wanted == pushed
    assert set(pushed) >= {"host_id", "ledger_id", "bytes_sent"}
    status = await trueup("pg", "status", "--json", env=ana.env())
    assert (status.status, status.json["verdict"], status.json["pending"]) == (0, "converged", 0)
    people = await trueup("agent", "status", env=ana.env())
    assert "claude   1 sources, 1 sessions, 8 messages, 4 events" in people.out
    assert "0 rows pending: converged" in people.out
    assert "daemon   not running" in people.out


async def test_run_once_scans_pushes_and_ends_with_the_verdict(hub: Hub, ana: Home) -> None:
    ana.append(2)
    code = await make_enroll_code(hub.auth.db)
    env = ana.env(TRUEUP_HUB_URL=hub.url, TRUEUP_ENROLL_CODE=code)
    once = await trueup("agent", "run", "--once", "--json", env=env)
    assert once.status == 0, once.err
    assert once.json["scan"]["inserted"] == once.json["push"]["inserted"] == 7
    async with daemon(ana):
        ana.append()
        again = await trueup("agent", "run", "--once", env=ana.env())
        assert again.status == 0
        assert again.out.splitlines()[-1] == "converged"


async def test_without_a_hub_commands_say_so(ana: Home) -> None:
    ana.append()
    for args, status in ((("agent", "status"), 1), (("pg", "push"), 1), (("pg", "status"), 1)):
        result = await trueup(*args, env=ana.env())
        assert (result.status, result.err.count("\n")) == (status, 1), args
        assert args != ("agent", "status") or "agent scan" in result.err
    once = await trueup("agent", "run", "--once", env=ana.env())
    assert once.status == 0
    assert "not enrolled" in once.out
    url = f"http://127.0.0.1:{free_port()}"
    unreachable = await trueup("pg", "push", env=ana.env(TRUEUP_HUB_URL=url, TRUEUP_ENROLL_CODE="x"))
    assert unreachable.status == 4
    assert unreachable.err.count("\n") == 1


async def test_two_terminals_at_once_do_the_work_once(hub: Hub, ana: Home) -> None:
    ana.append(200)
    await enroll(hub, ana)
    scans = await asyncio.gather(*(trueup("agent", "scan", "--json", env=ana.env()) for _ in range(3)))
    assert [scan.status for scan in scans] == [0, 0, 0], scans
    assert sorted(scan.json["inserted"] for scan in scans) == [0, 0, 601]
    pushes = await asyncio.gather(*(trueup("pg", "push", "--json", env=ana.env()) for _ in range(3)))
    assert [push.status for push in pushes] == [0, 0, 0], pushes
    assert [push.json["verdict"] for push in pushes] == ["converged"] * 3
    assert sum(push.json["inserted"] for push in pushes) == 601


async def test_a_machine_without_logs_is_told_where_they_were_looked_for(ana: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    usual = await trueup("agent", "scan", env=ana.env())
    named = await trueup("agent", "scan", "--root", f"codex={tmp_path}/elsewhere", env=ana.env())
    ana.append()
    beside = await trueup(
        *("agent", "scan", "--root", f"codex={tmp_path}/elsewhere", "--root", f"claude={ana.home}"), env=ana.env()
    )
    assert (usual.status, named.status, beside.status) == (0, 0, 0)
    doctor = ": `trueup agent doctor` says where each harness was looked for\n"
    assert usual.out.startswith(f"no logs found in the usual places{doctor}")
    told = f"no logs of codex found in {tmp_path}/elsewhere: name a home, the harness's own folder in it, or a file\n"
    assert named.out.startswith(told)
    assert beside.out.startswith(f"{told}claude 1 sources")


async def test_a_wrong_setting_is_named(ana: Home) -> None:
    result = await trueup("agent", "scan", env=ana.env(TRUEUP_RESCAN_SECONDS="often"))
    assert result.status == 2
    assert "rescan_seconds" in result.err
    result = await trueup("agent", "scan", "--root", "claude", env=ana.env())
    assert (result.status, "HARNESS=PATH" in result.err) == (2, True)


async def test_python_m_trueup_agent_is_trueup(ana: Home) -> None:
    result = await trueup("--version", env=ana.env())
    assert result.out.startswith("trueup, version")


async def test_status_names_the_running_daemon(ana: Home) -> None:
    ana.append()
    async with daemon(ana) as running:
        await until(lambda: ana.head()[0] > 0, "the first rows")
        status = await trueup("agent", "status", env=ana.env())
        assert f"(pid {running.process.pid}), watching" in status.out
