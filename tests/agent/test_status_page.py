"""What `trueup agent status` says of drift and of a newer release's work, and what the hub hears of it."""

import shutil
from pathlib import Path

import msgspec
import pytest

from agent_process import Home, daemon, until
from claude_home import loaded, make_logs, scan_home, write_logs
from golden_homes import golden_home
from hub_process import Hub
from trueup_agent.cli import status as page
from trueup_agent.credential import Host, save_host
from trueup_agent.daemon import DaemonStatus
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy
from trueup_agent.push import directives
from trueup_agent.push.directives import Task
from trueup_agent.push.forever import LAST_REPAIR, PushState, Repaired
from trueup_hub.enrolment import make_enroll_code
from trueup_shared.harnesses import DATA_VERSIONS

LOGS = make_logs(sessions=3)


async def test_drift_is_told_in_words_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, {name: log.replace(b'"usage"', b'"spent"') for name, log in LOGS.items()})
    await scan_home(home, data)
    found = await page.gather(loaded(home, data))
    page.show(found)
    out = capsys.readouterr().out
    assert "drift    claude: its last " in out
    assert " answers have no usage (none was ever found)" in out
    assert "update trueup, then scan again" in out
    assert list(found.drift_suspected) == ["claude"]


async def test_only_logs_that_are_appended_to_have_bytes_left_to_read(tmp_path: Path) -> None:
    home, data = golden_home("goose", tmp_path), tmp_path / "data"
    shutil.copytree(golden_home("roocode", tmp_path / "r"), home, dirs_exist_ok=True)
    write_logs(home, LOGS)
    first = home / sorted(LOGS)[0]
    first.write_bytes(first.read_bytes() + b'{"torn')
    await scan_home(home, data)
    found = (await page.gather(loaded(home, data))).harnesses
    assert {name: of.unread_bytes for name, of in found.items()} == {"claude": 6, "goose": 0, "roocode": 0}


async def test_the_error_that_it_names_says_of_which_log(tmp_path: Path) -> None:
    home, data = golden_home("goose", tmp_path), tmp_path / "data"
    path = next(home.rglob("sessions.db"))
    path.write_bytes(b"no database" * 1000)
    await scan_home(home, data)
    assert (await page.gather(loaded(home, data))).last_error == f"{path}: file is not a database"


async def test_a_machine_without_logs_has_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    home.mkdir()
    await scan_home(home, data)
    page.show(await page.gather(loaded(home, data)))
    assert "0 rows" in capsys.readouterr().out


async def test_a_daemon_that_cannot_watch_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    found = await page.gather(loaded(home, data))
    found.daemon = DaemonStatus(
        pid=7, started_at=0, watching="rescan_only", watching_reason="no watches", push=PushState(), last_error=None
    )
    page.show(found)
    assert "(pid 7), rescan only: no watches\n" in capsys.readouterr().out


async def test_how_far_a_newer_release_has_come_with_its_work_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    page.show(await page.gather(loaded(home, data)))
    assert "re-deriving" not in capsys.readouterr().out
    monkeypatch.setitem(DATA_VERSIONS, "claude", 2)
    ledger = await Ledger.open(data, Policy())
    await ledger.query("UPDATE sources SET data_version = 2 WHERE rowid = 1")
    await ledger.close()
    page.show(await page.gather(loaded(home, data)))
    assert "re-deriving claude: 1 of 3 sources" in capsys.readouterr().out


async def test_the_hub_hears_of_drift_with_the_heartbeat(hub: Hub, tmp_path: Path) -> None:
    ana = Home(tmp_path / "ana")
    ana.append(4)
    ana.log.write_bytes(ana.log.read_bytes().replace(b'"usage"', b'"spent"'))
    env = {
        "TRUEUP_HUB_URL": hub.url,
        "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db),
        "TRUEUP_HEARTBEAT_SECONDS": "1",
    }
    async with daemon(ana, **env):

        async def heard() -> bool:
            hosts = (await hub.get("hosts"))["hosts"]
            return bool(hosts and any(flag["flag"] == "drift_suspected" for flag in hosts[0]["flags"]))

        await until(heard, "a heartbeat after the first scan")


async def test_it_tells_of_new_ids_of_what_the_hub_asked_for_and_of_the_last_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    await scan_home(home, data)
    save_host(data, Host(hub_url="http://hub", host_id="h1", label="ana"))
    ledger = await Ledger.open(data, Policy())
    old = ledger.ledger_id
    await ledger.take_new_identity("fork", "a copy of it has pushed")
    tasks = [Task(id="1", kind="full_push", done=30, of=400, note="Sending everything"), Task(id="2", kind="dance")]
    tasks[1].state, tasks[1].note = "failed", "this agent does not know 'dance'"
    await ledger.set_meta(directives.META, msgspec.json.encode(tasks).decode())
    repaired = Repaired(at=1_790_000_000, rows=1_204, verdict="converged")
    await ledger.set_meta(LAST_REPAIR, msgspec.json.encode(repaired).decode())
    await ledger.close()
    found = await page.gather(loaded(home, data))
    page.show(found)
    out = capsys.readouterr().out
    assert f"new id   {ledger.ledger_id} for {old} at " in out
    assert "UTC: a copy of it has pushed\n" in out
    assert "asked    full push: running 30 of 400, Sending everything\n" in out
    assert "asked    dance: failed, this agent does not know 'dance'\n" in out
    assert "repaired 1,204 rows at 2026-09-21 14:13:20 UTC, then converged\n" in out
    assert (found.repaired, found.directives) == (repaired, tasks)
