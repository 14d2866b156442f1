"""`trueup agent enroll`: safe to repeat, and clear when it cannot be."""

import asyncio
from pathlib import Path

import pytest

from agent_process import Home, daemon, trueup, until
from faults.proxy import fault_proxy
from hub_process import Hub, running_hub
from processes import free_port
from pushing import events_at, port_of
from trueup_hub.db import create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.enrolment import make_enroll_code


@pytest.fixture
def ana(tmp_path: Path) -> Home:
    return Home(tmp_path / "ana")


async def hosts(hub: Hub) -> list[str]:
    return [host["host_id"] for host in (await hub.get("hosts"))["hosts"]]


async def test_it_makes_a_host_and_a_repeat_changes_nothing(hub: Hub, ana: Home) -> None:
    code = await make_enroll_code(hub.auth.db)
    first = await trueup("agent", "enroll", hub.url, "--code", code, "--label", "ana's", "--json", env=ana.env())
    assert first.status == 0, first.err
    assert first.json | {"host_id": ""} == {"hub_url": hub.url, "host_id": "", "label": "ana's", "enrolled": True}
    assert (ana.data_dir / "host.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in ana.data_dir.iterdir()] == ["host.json"]
    for repeat in ([hub.url, "--code", code], [hub.url + "/"]):
        again = await trueup("agent", "enroll", *repeat, "--json", env=ana.env())
        assert again.json == first.json | {"enrolled": False}
    assert await hosts(hub) == [first.json["host_id"]]


async def test_a_lost_answer_is_asked_for_again_and_makes_no_second_host(hub: Hub, ana: Home) -> None:
    code = await make_enroll_code(hub.auth.db)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        proxy.cut_replies_to = b"/enroll"
        first = await trueup("agent", "enroll", address, "--code", code, env=ana.env())
        assert first.status == 4
        assert await hosts(hub) != []
        proxy.cut_replies_to = b""
        second = await trueup("agent", "enroll", address, "--code", code, "--json", env=ana.env())
    assert second.status == 0
    assert await hosts(hub) == [second.json["host_id"]]


async def test_the_code_comes_from_flag_file_or_environment(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_text(await make_enroll_code(hub.auth.db) + "\n")
    by_file, by_environment = Home(tmp_path / "a"), Home(tmp_path / "b")
    done = await trueup("agent", "enroll", hub.url, "--code-file", file, env=by_file.env())
    assert done.status == 0, done.err
    code = await make_enroll_code(hub.auth.db)
    done = await trueup("agent", "enroll", hub.url, "--ephemeral", env=by_environment.env(TRUEUP_ENROLL_CODE=code))
    assert done.status == 0, done.err
    assert len(await hosts(hub)) == 2


async def test_what_cannot_be_is_one_line_with_its_exit_status(hub: Hub, ana: Home, tmp_path: Path) -> None:
    used = await make_enroll_code(hub.auth.db)
    bea = Home(tmp_path / "bea")
    assert (await trueup("agent", "enroll", hub.url, "--code", used, env=bea.env())).status == 0
    cases = [
        ([hub.url], 2, "an enrolment code is needed"),
        (["hub.example.org", "--code", "x"], 2, "write it as https://"),
        ([hub.url, "--code-file", str(tmp_path / "none")], 2, "No such file"),
        ([hub.url, "--code", "tue_wrong"], 1, "no such enrolment code"),
        ([hub.url, "--code", used], 1, "used by another machine"),
        ([f"http://127.0.0.1:{free_port()}", "--code", "x"], 4, "Connection refused"),
    ]
    results = await asyncio.gather(*(trueup("agent", "enroll", *args, env=ana.env()) for args, _, _ in cases))
    for result, (args, status, says) in zip(results, cases, strict=True):
        assert (result.status, result.out) == (status, ""), args
        assert says in result.err
        assert result.err.count("\n") == 1
    assert not (ana.data_dir / "host.json").exists()


async def test_a_credential_that_others_could_read_is_not_used(hub: Hub, ana: Home) -> None:
    code = await make_enroll_code(hub.auth.db)
    await trueup("agent", "enroll", hub.url, "--code", code, env=ana.env())
    (ana.data_dir / "host.json").chmod(0o644)
    result = await trueup("pg", "status", env=ana.env())
    assert result.status == 1
    assert "chmod 600" in result.err


async def test_a_ledger_moves_to_another_hub_while_its_daemon_runs(
    hub: Hub, ana: Home, pg: EmbeddedPg, tmp_path: Path
) -> None:
    ana.append(3)
    await trueup("agent", "enroll", hub.url, "--code", await make_enroll_code(hub.auth.db), env=ana.env())
    await create_database(pg.url("postgres"), "second_hub", "template_trueup")
    async with running_hub(pg.url("second_hub"), tmp_path / "second") as second, daemon(ana):
        await until(lambda: _counts(hub, 3), "the first hub's rows")
        code = await make_enroll_code(second.auth.db)
        moved = await trueup("agent", "enroll", second.url, "--code", code, env=ana.env())
        assert moved.status == 0, moved.err
        await until(lambda: _counts(second, 3), "the second hub's rows")
        ana.append()
        await until(lambda: _counts(second, 4), "what came after")
    await drop_database(pg.url("postgres"), "second_hub")
    assert await events_at(hub) == 3


async def _counts(hub: Hub, events: int) -> bool:
    return await events_at(hub) == events
