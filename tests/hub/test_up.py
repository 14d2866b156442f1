"""`trueup up` as its users have it: one command, everything there, and whatever is killed is there again next time."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from processes import TRUEUP, Up, environment, free_port, start_up, trueup, wait_until

SESSION = "5e551000-0000-4000-8000-0000000000aa"


@pytest.fixture
def env(reachable_dir: Path, tmp_path: Path) -> dict[str, str]:
    """A home with one request of Claude Code; a data directory that root's PostgreSQL reaches."""
    log = tmp_path / ".claude" / "projects" / "-home-ana-shop" / f"{SESSION}.jsonl"
    log.parent.mkdir(parents=True)
    usage = {"input_tokens": 9, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 100}
    message = {
        "id": "msg_01AbCdEfGhIjKlMn000001",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    record = {"type": "assistant", "uuid": SESSION, "sessionId": SESSION, "timestamp": "2026-03-02T09:00:00.000Z"}
    log.write_text(json.dumps({**record, "cwd": "/home/ana/shop", "requestId": "req_1", "message": message}) + "\n")
    return environment(tmp_path, reachable_dir / tmp_path.name, TZ="Asia/Kathmandu")


def output_tokens(running: Up) -> Any:
    return running.get("/analytics/summary")["totals"]["output_tokens"]


def children_of(pid: int) -> dict[str, int]:
    """pid of the agent and of PostgreSQL."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        found["agent" if b"trueup_agent" in command else "postgres"] = int(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def stop(running: Up, number: int = signal.SIGINT) -> tuple[int, str]:
    """Exit status and stderr."""
    if running.process.poll() is None:
        running.process.send_signal(number)
    _, errors = running.process.communicate(timeout=30)
    return running.process.returncode, errors


def refused(url: str, host: str | None = None) -> int:
    """The status of a request without credentials."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    error.value.close()
    return error.value.code


def log_in(url: str) -> Any:
    """Follow a login URL as a browser does; who the hub then takes it for."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(url, timeout=10):
        pass
    with browser.open(url.split("/login")[0] + "/api/v1/me", timeout=10) as response:
        return json.loads(response.read())


def test_one_command_sets_up_everything_and_ctrl_c_stops_all_of_it(env: dict[str, str]) -> None:
    running = start_up(env)
    assert running.process.pid == json.loads((running.data_dir / "hub" / "running").read_text())["pid"]
    assert running.data_dir == Path(env["TRUEUP_DATA_DIR"])
    wait_until(lambda: output_tokens(running) == 100, "the request of the log on the API")
    [host] = wait_until(lambda: [h for h in running.get("/hosts")["hosts"] if h["state"] == "converged"], "converged")
    assert host["label"] == socket.gethostname().split(".")[0] or host["label"] == socket.gethostname()

    assert running.get("/capabilities")["timezone"] == "Asia/Kathmandu"  # days are this machine's
    assert running.url.startswith("http://127.0.0.1:")
    assert refused(f"{running.url}/api/v1/hosts") == 401
    assert refused(f"{running.url}/", host="evil.example") == 421

    again = trueup("up", "--no-browser", "--port", str(free_port()), env=env)
    assert again.status == 1
    assert again.err.strip() == (
        f"trueup: trueup is already running at {running.url} (pid {running.process.pid}) on {running.data_dir}"
    )
    link = trueup("hub", "login-url", "--json", env=env).json["url"]
    assert link.startswith(f"{running.url}/login?code=")
    assert log_in(link) == {"scope": "admin", "by": "session", "name": "login link"}
    assert refused(link) == 401

    children = children_of(running.process.pid)
    assert children.keys() == {"agent", "postgres"}
    status, errors = stop(running)
    assert status == 0
    assert "Traceback" not in errors
    assert not [name for name, pid in children.items() if is_alive(pid)]
    for path in (running.data_dir / "hub" / "hub.key", running.data_dir / "host.json"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("flags", [["--no-browser"], []])
def test_people_get_a_login_url_and_the_address_as_the_last_line(env: dict[str, str], flags: list[str]) -> None:
    """Also where a browser is said to have opened: nobody may see it."""
    port = free_port()
    command = [*TRUEUP, "up", *flags, "--port", str(port)]
    blind = {"DISPLAY": ":99", "BROWSER": "true %s"}
    process = subprocess.Popen(command, env=env | blind, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline().strip()]
    while lines[-1] != f"http://127.0.0.1:{port}":
        assert lines[-1], "it ended"
        lines.append(process.stdout.readline().strip())
    link = next(word for line in lines for word in line.split() if "/login?code=" in word)
    assert log_in(link)["scope"] == "admin"
    process.terminate()
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")


def test_after_kill_9_of_any_part_the_next_start_has_the_same_hosts_and_totals(env: dict[str, str]) -> None:
    running = start_up(env)
    wait_until(lambda: output_tokens(running) == 100, "the request of the log on the API")
    before = [host["host_id"] for host in running.get("/hosts")["hosts"]]
    for victim in ("up", "postgres", "agent", "all"):
        pids = {"up": running.process.pid, **children_of(running.process.pid)}
        for pid in pids.values() if victim == "all" else [pids[victim]]:
            os.kill(pid, signal.SIGKILL)
        running.process.wait(30)
        status, errors = stop(running)
        assert "Traceback" not in errors
        if victim in ("postgres", "agent"):
            assert status == 1
            assert "has ended: start trueup again" in errors.strip().splitlines()[-1]
        wait_until(lambda pids=pids: not any(map(is_alive, pids.values())), "no part outlives up")  # type: ignore[misc]

        running = start_up(env)
        wait_until(lambda now=running: output_tokens(now) == 100, "the same total")  # type: ignore[misc]
        assert [host["host_id"] for host in running.get("/hosts")["hosts"]] == before
    assert stop(running)[0] == 0


def test_a_taken_port_is_one_line_that_names_it(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = trueup("up", "--no-browser", "--port", str(port), env=env)
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        f"trueup: port {port} is taken: stop the program that uses it, or choose another with --port\n"
    )


def test_a_machine_that_pushes_to_a_shared_hub_is_not_moved_away_from_it(env: dict[str, str]) -> None:
    data_dir = Path(env["TRUEUP_DATA_DIR"])
    data_dir.mkdir()
    enrolment = json.dumps({"hub_url": "https://hub.example", "host_id": SESSION, "credential": "secret"})
    (data_dir / "host.json").write_text(enrolment)
    result = trueup("up", "--no-browser", "--port", str(free_port()), env=env)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("trueup: this machine pushes to https://hub.example, and `trueup up` would end that")
    assert result.err.count("\n") == 1
    assert (data_dir / "host.json").read_text() == enrolment


def test_an_agent_that_has_the_ledger_is_named_before_anything_starts(env: dict[str, str]) -> None:
    agent = subprocess.Popen([*TRUEUP, "agent", "run"], env=env, stderr=subprocess.PIPE)
    try:
        wait_until((Path(env["TRUEUP_DATA_DIR"]) / "agent.sock").exists, "the agent runs")
        result = trueup("up", "--no-browser", "--port", str(free_port()), env=env)
    finally:
        agent.terminate()
        agent.communicate(timeout=30)
    assert (result.status, result.out) == (1, "")
    assert f"is in use by process {agent.pid}: stop it" in result.err
    assert result.err.count("\n") == 1


def test_a_demo_has_two_machines_and_reads_nothing_of_this_one(env: dict[str, str]) -> None:
    running = start_up(env, "--demo")
    assert running.data_dir == Path(env["TRUEUP_DATA_DIR"]) / "demo"

    def both() -> Any:
        hosts = running.get("/hosts")["hosts"]
        return [h["label"] for h in hosts] if [h["state"] for h in hosts] == ["converged"] * 2 else None

    assert sorted(wait_until(both, "both machines converged")) == ["buildbox", "studio"]
    summary = running.get("/analytics/summary")
    coverage = summary["coverage"]["output_tokens"]
    assert 0 < coverage["lower_bound"] < coverage["reported"]
    assert summary["coverage"]["cache_write_tokens"]["reported"] < summary["coverage"]["cache_write_tokens"]["events"]
    assert summary["trust"]["unpriced_tokens"] > 0
    assert "shop" not in {row["key"] for row in running.get("/analytics/breakdown?by=project")["rows"]}
    assert stop(running, signal.SIGTERM)[0] == 0


def test_the_hub_key_outlives_the_database(env: dict[str, str]) -> None:
    running = start_up(env)
    wait_until(lambda: output_tokens(running) == 100, "the request of the log on the API")
    [before] = running.get("/hosts")["hosts"]
    assert stop(running)[0] == 0
    data_dir = Path(env["TRUEUP_DATA_DIR"]) / "hub" / "pg"
    data_dir.rename(data_dir.with_name("lost"))

    running = start_up(env)
    wait_until(lambda: output_tokens(running) == 100, "the ledger refills the hub")
    [after] = running.get("/hosts")["hosts"]
    assert (after["host_id"], after["enrolled_at"]) == (before["host_id"], before["enrolled_at"])
    assert after["label"] == before["label"]
    assert stop(running)[0] == 0
