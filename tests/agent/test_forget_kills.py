"""kill -9 while it forgets: the ledger is consistent each time, and in the end forgotten is what was to be."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from forgetting import consistent
from ledger_rows import NOON, POLICY, event, message, session, update
from trueup_agent.ledger import Ledger, forget
from trueup_agent.ledger.forget import Selection

KILLS = 12
HISTORY = [
    record
    for n in range(1, 1801)
    for record in (
        session(f"s{n // 10}", started_at=NOON + n // 10 * 10_000_000, title=f"secret {n // 10:03}"),
        message(f"m{n}", f"s{n // 10}", at=NOON + n * 1_000_000, size_chars=n),
        event(
            f"e{n}", f"s{n // 10}", at=NOON + n * 1_000_000, output_tokens=n, family=bytes(14) + n.to_bytes(2, "big")
        ),
    )
]


async def test_kills_at_any_moment_leave_a_ledger_that_goes_on_forgetting(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path / "data", POLICY)
    await ledger.write([update(*HISTORY)])
    await ledger.close()
    doing = _kill_often(tmp_path)
    assert doing.count(b"t") >= 2, doing
    assert doing.count(b"d") <= KILLS // 2, doing
    ledger = await Ledger.open(tmp_path / "data", POLICY)
    await consistent(ledger)
    assert await ledger.get_meta(forget.REWRITE_DUE) is None
    await forget.forget(ledger, Selection(before=NOON + 900_000_000))
    await ledger.write([update(*HISTORY)])
    await consistent(ledger)
    for table, first in (("events", 900), ("messages", 900)):
        assert await ledger.query(f"SELECT count(*), min(at) FROM {table}") == [(901, NOON + first * 1_000_000)]
    assert await ledger.query("SELECT count(*) FROM sessions") == [(91,)]
    await ledger.close()
    assert b"secret 017" not in (tmp_path / "data" / "ledger.db").read_bytes()


def _kill_often(folder: Path) -> list[bytes]:
    """What it was doing each time."""
    chance, state = random.Random(5), folder / "state"
    state.write_bytes(b"-")
    tests = Path(__file__).parents[1]
    command = [sys.executable, str(Path(__file__).with_name("forget_child.py")), str(folder / "data"), str(state)]
    environ = os.environ | {"PYTHONPATH": str(tests)}
    doing = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environ, **pipes) as children:  # type: ignore[call-overload]
        for number in range(KILLS):
            state.write_bytes(b"-")
            children.stdin.write("\n")
            children.stdin.flush()
            pid = int(children.stdout.readline())
            until = b"tcd" if number % 2 else b"stcd"
            while state.read_bytes() not in [bytes((one,)) for one in until]:
                _pause(0.0005)
            _pause(chance.random() ** 2 * (0.004 if number % 2 else 0.02))
            os.kill(pid, signal.SIGKILL)
            doing.append(state.read_bytes())
            _is_consistent(folder / "data" / "ledger.db")
        children.stdin.close()
    return doing


def _is_consistent(path: Path) -> None:
    """As far as a reader can tell: the sum of the rows is the ledger's."""
    with sqlite3.connect(path) as db:
        [(digest, rows)] = db.execute("SELECT digest, rows FROM ledger")
        digests = [
            one for name in ("sessions", "messages", "events") for (one,) in db.execute(f"SELECT digest FROM {name}")
        ]
    db.close()
    assert (rows, int.from_bytes(digest, "big")) == (
        len(digests),
        sum(int.from_bytes(one, "big") for one in digests) % (1 << 128),
    )


def _pause(seconds: float) -> None:
    """What another process does cannot be awaited."""
    time.sleep(seconds)
