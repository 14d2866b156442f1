"""`trueup usage statusline`: one short line beneath a prompt, whatever happens."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trueup_agent.ledger import LedgerReader
from trueup_agent.reports.statusline import in_words, read_line
from trueup_shared.keys import session_key
from trueup_shared.metrics import BIT
from usage_ledger import HOUR, NOON, event, full, write

MINUTE = HOUR // 60
COMMAND = (sys.executable, "-m", "trueup_agent", "--data-dir")


def statusline(data_dir: Path, told: bytes | None, *flags: str) -> str:
    done = subprocess.run(
        [*COMMAND, str(data_dir), "usage", "statusline", *flags],
        input=told,
        stdin=subprocess.DEVNULL if told is None else None,
        capture_output=True,
        timeout=60,
        env=os.environ | {"TZ": "UTC"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    return done.stdout.decode().rstrip("\n")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    now = time.time_ns() // 1000
    return write(
        tmp_path,
        [
            full("a", at=now - MINUTE, session="here"),
            full("b", at=now - 2 * MINUTE, session="there", lower_bounds=BIT["output_tokens"]),
            full("c", at=now - 90 * 24 * HOUR, session="here"),
        ],
    )


def test_session_today_and_block_in_one_line(ledger: Path) -> None:
    told = json.dumps({"session_id": "here", "model": {"display_name": "Opus"}, "cost": {"total_cost_usd": 1}})
    session, today, block = statusline(ledger, told.encode()).split(" · ")
    assert session == "48.8k $0.09 session"
    assert today == "≥ 48.8k ≥ $0.09 today" or time.gmtime().tm_hour == 0  # just after midnight
    assert block.startswith("≥ 48.8k ≥ $0.09 block, ")
    assert block.endswith(" left")
    found = json.loads(statusline(ledger, told.encode(), "--json"))
    assert (found["session"]["total_tokens"], found["block"]["output_tokens"]) == (48800, 800)
    assert 0 < found["block_seconds_left"] <= 5 * 3600


@pytest.mark.parametrize("told", [None, b"\xff{", b'{"session_id": 7}', b'{"session_id": "nobody"}', b"[" * 99_999])
def test_whatever_stands_on_stdin_there_is_a_line(ledger: Path, told: bytes | None) -> None:
    line = statusline(ledger, told)
    assert "session" not in line
    assert not line.startswith("trueup: ")  # that would be an error, in the place of what is known


def test_a_prompt_never_fails(tmp_path: Path) -> None:
    assert statusline(tmp_path / "none", None) == "trueup: nothing read yet"
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    assert statusline(tmp_path, b"{}").startswith("trueup: ")
    assert (
        statusline(tmp_path / "none", None, "--timezone", "Mars/Olympus") == "trueup: Mars/Olympus is not a time zone"
    )


def test_whoever_holds_stdin_open_is_not_waited_for(ledger: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, str(ledger), "usage", "statusline"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"session_id": "here"}')
    process.stdin.flush()
    assert b" session" in process.stdout.readline()
    assert process.wait(timeout=10) == 0
    process.stdin.close()
    process.stdout.close()


def line_at(data_dir: Path, now: int, zone: str = "UTC", session: str | None = None) -> str:
    with LedgerReader(data_dir) as reader:
        return in_words(read_line(reader, session_key("claude", session) if session else None, zone, now))


def test_today_is_the_zones_and_a_block_ends(tmp_path: Path) -> None:
    data = write(
        tmp_path,
        [
            full("a", at=NOON + 30 * MINUTE),
            event("b", at=NOON + HOUR, harness="codex", model="made-up", input_tokens=3, output_tokens=4),
            event("c", at=NOON + HOUR, harness="crush"),
        ],
    )
    assert line_at(data, NOON + HOUR) == "≥ 24.4k ≥ $0.04 today · 24.4k $0.04 block, 4 h 00 min left"
    assert line_at(data, NOON + 5 * HOUR - MINUTE).endswith("block, 1 min left")
    assert line_at(data, NOON + 5 * HOUR) == "≥ 24.4k ≥ $0.04 today"
    assert line_at(data, NOON + 12 * HOUR) == "nothing yet today"
    assert line_at(data, NOON + 12 * HOUR, "America/New_York").endswith(" today")
    assert line_at(data, NOON + 12 * HOUR, session="s1") == "24.4k $0.04 session · nothing yet today"
