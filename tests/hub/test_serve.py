"""`trueup hub …` as a process: what it prints, what it refuses in one line, how it stops."""

import json
import os
import pty
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from processes import TRUEUP, Result, environment, free_port, trueup
from trueup_hub.cli.loading import load_settings
from trueup_shared.cli import Globals
from trueup_shared.settings import SettingError


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return environment(tmp_path / "home", tmp_path / "data", TRUEUP_DATABASE_URL=database_url)


def fails(result: Result, status: int, *words: str) -> None:
    """It said one line, with these words, and ended with this status."""
    assert result.status == status, result.err
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert result.err.startswith("trueup: ")
    for word in words:
        assert word in result.err
    assert result.out == ""


def done(*args: str, env: dict[str, str]) -> Any:
    result = trueup("hub", *args, "--json", env=env)
    assert result.status == 0, result.err
    return result.json


class Served:
    """A `trueup hub serve` that answers."""

    def __init__(self, env: dict[str, str], *args: str) -> None:
        command = [*TRUEUP, "hub", "serve", "--port", "0", "--json", *args]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def get(self, path: str, token: str) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        assert "Traceback" not in errors
        return self.process.returncode


class Page:
    """An open page of a hub, which hears what changes."""

    def __init__(self, hub: Served, token: str) -> None:
        request = urllib.request.Request(f"{hub.url}/api/v1/events", headers={"Authorization": f"Bearer {token}"})
        self._stream = urllib.request.urlopen(request, timeout=10)

    def __enter__(self) -> "Page":
        assert self._stream.readline() == b"retry: 1000\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def update(self) -> Any:
        data = next(line for line in self._stream if line.startswith(b"data: "))
        return json.loads(data.removeprefix(b"data: "))


def test_it_serves_until_it_is_told_to_stop(env: dict[str, str]) -> None:
    hub = Served(env)
    token = done("token", "create", "mine", env=env)["token"]
    assert hub.get("/api/v1/me", token) == {"scope": "viewer", "by": "token", "name": "mine"}
    listed = done("token", "list", env=env)["tokens"]
    assert [(one["name"], one["role"], one["revoked_at"]) for one in listed] == [("mine", "viewer", None)]
    done("token", "revoke", str(listed[0]["token_no"]), env=env)
    with pytest.raises(urllib.error.HTTPError) as refused:
        hub.get("/api/v1/me", token)
    refused.value.close()
    assert refused.value.code == 401
    assert hub.stop() == 0
    fails(trueup("hub", "token", "revoke", "1", env=env), 1, "no token 1")


@pytest.mark.parametrize("name", ["", " ", "x" * 121, "a\x1b[2J"])
def test_a_token_has_a_name_that_fits_a_line(env: dict[str, str], name: str) -> None:
    fails(trueup("hub", "token", "create", name, env=env), 1, "'NAME'", "one printable line")
    assert done("token", "list", env=env)["tokens"] == []


def test_a_host_is_enrolled_listed_renamed_retired_and_forgotten(env: dict[str, str]) -> None:
    hub = Served(env)
    fails(trueup("hub", "enroll-code", "--label", "te:am=core", env=env), 2, "no ':' in the name")
    code = done("enroll-code", "--uses", "2", "--expires", "30m", "--label", "team=core", env=env)["code"]
    body = {
        "code": code,
        "secret": "A" * 43 + "=",
        "label": "ana",
        "agent": {"version": "0"},
    }
    post = urllib.request.Request(
        f"{hub.url}/api/v1/enroll", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(post, timeout=10) as response:
        credential = json.loads(response.read())["credential"]
    [host] = done("host", "list", env=env)["hosts"]
    assert (host["label"], host["labels"], host["state"]) == ("ana", {"team": "core"}, "never")
    assert "Start the agent on this host" in host["action"]
    with Page(hub, done("token", "create", "page", env=env)["token"]) as page:
        for told in (("rename", "ana", "bea"), ("retire", "bea")):
            done("host", *told, env=env)
            assert page.update() == {"changed": ["hosts"], "hosts": [host["host_id"]]}
    fails(trueup("hub", "host", "rename", "ana", "x", env=env), 1, "no host 'ana'")
    header, line = trueup("hub", "host", "list", env=env).out.splitlines()
    assert header.split("  ")[0] == "HOST"
    assert line.endswith("retired  It was retired; what it sent stays and counts.")
    with pytest.raises(urllib.error.HTTPError) as refused:
        hub.get("/api/v1/ledgers/5f9b1c1e-0000-4000-8000-000000000001", credential)
    refused.value.close()
    assert refused.value.code == 401
    assert host["host_id"] in (Path(env["TRUEUP_DATA_DIR"]) / "hub" / "revoked").read_text()
    asked, said = _answered("n\n", "hub", "host", "forget", "bea", env=env)
    assert (asked, "remove all it sent" in said, "nothing was forgotten" in said) == (1, True, True)
    assert done("host", "forget", "bea", "--yes", env=env)["host_id"] == host["host_id"]
    assert done("host", "list", env=env)["hosts"] == []
    assert hub.stop(signal.SIGINT) == 0


def _answered(word: str, *args: str, env: dict[str, str]) -> tuple[int, str]:
    """Asked on a terminal."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, word.encode())
        told = subprocess.run([*TRUEUP, *args], env=env, stdin=theirs, capture_output=True, text=True, timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    return told.returncode, told.stdout + told.stderr


def test_migrate_says_which_schema_it_is(env: dict[str, str]) -> None:
    assert done("migrate", env=env)["schema"] >= 1


def test_a_wrong_address_of_the_database_is_one_line_without_the_password(env: dict[str, str]) -> None:
    for url in (
        f"postgresql://ana:s3cret@127.0.0.1:{free_port()}/trueup",
        "postgresql://ana:s3cret@nowhere.invalid/trueup",
        env["TRUEUP_DATABASE_URL"].replace("/test_", "/no_"),
    ):
        result = trueup("hub", "serve", "--port", "0", env=env | {"TRUEUP_DATABASE_URL": url})
        fails(result, 1, "database", url.rpartition("@")[2].partition("?")[0])
        assert "s3cret" not in result.err
    result = trueup("hub", "serve", env=env | {"TRUEUP_DATABASE_URL": "mysql://ana:s3cret@x/y"})
    fails(result, 2, "database_url", "postgresql://")
    assert "s3cret" not in result.err


def test_a_wrong_setting_ends_it_with_status_2(tmp_path: Path) -> None:
    env = environment(tmp_path, tmp_path / "data", TRUEUP_DATABASE_URL="postgresql:///x")
    fails(trueup("hub", "serve", env=env | {"TRUEUP_PORT": "many"}), 2, "port")
    fails(trueup("hub", "serve", "--host", "nowhere.invalid", env=env), 2, "'host'", "nowhere.invalid")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", "70000"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../etc/passwd"),
        ("public_url", "hub"),
        ("hub_key", "short"),
        ("tls_cert", "/nowhere.pem"),
        ("session_days", "0"),
        ("database_url", "postgres"),
        ("database_url", "postgresql://ana:s3cret@db:fivefourthreetwo/trueup"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str) -> None:
    monkeypatch.setenv(f"TRUEUP_{setting.upper()}", value)
    with pytest.raises(SettingError, match=setting):
        load_settings(Globals(None, None, False), tmp_path)


@pytest.mark.parametrize(
    ("text", "named"), [("[hub]\ncolour = 1", "colour"), ("[hbu]", "hbu"), ("hub = 1", "hub"), ("[", "toml")]
)
def test_what_makes_no_sense_in_the_settings_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingError, match=named):
        load_settings(Globals(None, None, False), tmp_path)
    with pytest.raises(SettingError, match=r"none\.toml"):
        load_settings(Globals(None, tmp_path / "none.toml", False), tmp_path)


def test_a_setting_comes_from_the_flag_then_the_environment_then_the_file(env: dict[str, str], tmp_path: Path) -> None:
    taken = free_port()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.toml").write_text('[hub]\nport = 1\npublic_url = "http://from.file"\n')
    hub = Served(env | {"TRUEUP_PORT": str(taken)})  # --port 0 wins
    assert hub.url == "http://from.file"
    assert hub.stop() == 0
    secret = tmp_path / "url"
    secret.write_text("http://from.secret\n")
    hub = Served(env | {"TRUEUP_PUBLIC_URL_FILE": str(secret)})
    assert hub.url == "http://from.secret"
    assert hub.stop() == 0


def test_a_second_signal_ends_it_at_once(env: dict[str, str]) -> None:
    hub = Served(env)
    token = done("token", "create", "mine", env=env)["token"]
    # A page whose stream is never read to its end, and a process that is stopped while it drains.
    request = urllib.request.Request(f"{hub.url}/api/v1/events", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10):
        os.kill(hub.process.pid, signal.SIGSTOP)
        os.kill(hub.process.pid, signal.SIGTERM)
        os.kill(hub.process.pid, signal.SIGINT)
        os.kill(hub.process.pid, signal.SIGCONT)
        hub.process.communicate(timeout=10)
    assert hub.process.returncode in (0, 128 + signal.SIGTERM, 128 + signal.SIGINT)
