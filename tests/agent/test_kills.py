"""kill -9 at any moment loses and doubles nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claude_home import make_logs, scan_home
from ledger_rows import recomputed

LOGS = make_logs(8, answers=40)
TESTS = Path(__file__).parents[1]


@contextmanager
def passes(tmp_path: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "state").write_bytes(b"-")
    command = [
        sys.executable,
        str(TESTS / "agent" / "kill_child.py"),
        *(str(tmp_path / n) for n in ("h", "data", "state")),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, *args], env=os.environ | {"PYTHONPATH": str(TESTS)}, **pipes) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def kill_one(process: subprocess.Popen[str], state: Path, until: bytes, after: float) -> tuple[bytes, int]:
    """Start a pass, kill it that long after it did one of `until`; what it was doing then, and its process group."""
    assert process.stdin is not None
    assert process.stdout is not None
    state.write_bytes(b"-")
    process.stdin.write("\n")
    process.stdin.flush()
    pid = int(process.stdout.readline())
    while state.read_bytes() not in until:
        pause(0.0005)
    pause(after)
    os.kill(pid, signal.SIGKILL)
    return state.read_bytes(), pid


def pause(seconds: float) -> None:
    """What another process does cannot be awaited."""
    time.sleep(seconds)


def grow(home: Path, share: float) -> None:
    """Every log up to a share of its bytes, wherever that cuts it."""
    for name, content in LOGS.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content[file.tell() : int(len(content) * share)])


async def expected(tmp_path: Path) -> tuple[bytes, int]:
    grow(tmp_path / "clean", 1)
    _, head = await scan_home(tmp_path / "clean", tmp_path / "clean-data")
    return head.digest, head.rows


async def test_fifty_kills_some_inside_a_transaction_end_in_the_ledger_of_one_clean_pass(tmp_path: Path) -> None:
    chance = random.Random(3)
    doing = []
    with passes(tmp_path) as process:
        for number in range(50):
            grow(tmp_path / "h", (number + 1) / 50)
            # Some at a random moment of the pass, some a random moment after a transaction began.
            until, longest = (b"tcd", 0.002) if number % 3 == 0 else (b"stcd", 0.05)
            doing.append(kill_one(process, tmp_path / "state", until, chance.random() ** 2 * longest)[0])
    assert doing.count(b"t") >= 5, doing
    assert doing.count(b"d") <= 25, doing
    _, head = await scan_home(tmp_path / "h", tmp_path / "data")
    assert (head.digest, head.rows) == await expected(tmp_path)
    assert (head.digest, head.rows) == recomputed(tmp_path / "data" / "ledger.db")


async def test_kills_while_parser_processes_work_end_the_same_and_leave_none_behind(tmp_path: Path) -> None:
    chance = random.Random(4)
    groups = []
    with passes(tmp_path, "2") as process:
        for number in range(6):
            grow(tmp_path / "h", (number + 1) / 6)
            groups.append(kill_one(process, tmp_path / "state", b"stcd", 0.1 + chance.random() * 0.3)[1])
    deadline = time.monotonic() + 20
    while [group for group in groups if _alive(group)]:
        assert time.monotonic() < deadline
        pause(0.01)
    _, head = await scan_home(tmp_path / "h", tmp_path / "data")
    assert (head.digest, head.rows) == await expected(tmp_path)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
