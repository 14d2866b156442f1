"""Run trueup as its users do: real processes, a home and a data directory of their own, nothing of this machine's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TRUEUP = [sys.executable, "-m", "trueup_shared"]


def environment(home: Path, data_dir: Path, **extra: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "TRUEUP_DATA_DIR": str(data_dir),
        "PYTHONWARNINGS": "error",
        "SSL_CERT_FILE": os.devnull,  # no authority of this machine's: to read them all takes 60 ms of every process
        **extra,
    }


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def trueup(*args: str | Path, env: dict[str, str], timeout: float = 100, cwd: Path | None = None) -> Result:
    done = subprocess.run(
        [*TRUEUP, *map(str, args)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    return Result(done.returncode, done.stdout, done.stderr)


_held: list[socket.socket] = []


def free_port() -> int:
    """A port where nobody answers, for a hub of the test's alone.

    Its socket stays bound, never listening: the kernel gives the port to nobody else meanwhile, and a hub, which asks
    for SO_REUSEADDR too, can still listen there.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    port: int = holder.getsockname()[1]
    return port


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30, every: float = 0.02) -> Any:
    """The first true value of `condition`. It may raise OSError while a server is still coming up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


class Up(NamedTuple):
    """A running `trueup up`: its process and what its ready line said."""

    process: subprocess.Popen[str]
    url: str
    token: str
    data_dir: Path

    def get(self, path: str) -> Any:
        origin = self.url.split("/login")[0].rstrip("/")
        request = urllib.request.Request(f"{origin}/api/v1{path}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())


def start_up(env: dict[str, str], *args: str, seconds: float = 60) -> Up:
    """Start `trueup up --json` on a free port and wait for its ready line."""
    port = str(free_port())
    process = subprocess.Popen(
        [*TRUEUP, "up", "--port", port, "--no-browser", "--json", *args],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        pipesize=2**20,  # stderr is read at the end: a full pipe would stop the hub in mid-line
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.kill()
        raise AssertionError(f"up ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}")
    ready = json.loads(line)
    return Up(process, ready["url"], ready["token"], Path(ready["data_dir"]))


@contextmanager
def up(env: dict[str, str], *args: str) -> Iterator[Up]:
    running = start_up(env, *args)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
        try:
            running.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.communicate()
            raise
