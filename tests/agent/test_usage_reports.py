"""`trueup usage weekly|monthly|sessions|session|blocks`: rows of a real ledger."""

import csv
import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_agent.records import SessionRecord
from trueup_agent.reports.blocks import block_of
from trueup_agent.reports.names import HOUR_MICROS, block_starts
from trueup_agent.reports.sums import Sums
from trueup_shared.keys import session_key
from usage_ledger import HOUR, NOON, event, full, keyed, report, run, session, write

DAY = 24 * HOUR
MINUTE = HOUR // 60
CODEX = {"harness": "codex", "provider": "openai", "model": "gpt-5.1-codex", "project_path": "/home/ana/tools"}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Monday 4 May 2026, noon UTC: a morning and an evening of Claude, a week later Codex, a session nobody named."""
    events = [
        full("a", at=NOON + 17 * MINUTE),
        full("b", at=NOON + 4 * HOUR, session="s2"),
        full("c", at=NOON + 5 * HOUR, session="s2"),
        full("d", at=NOON + 5 * HOUR - 1, session="sub"),
        event("e", at=NOON + 7 * DAY, session="s3", **CODEX, input_tokens=500, output_tokens=50),
        event("f", at=NOON + 40 * DAY, session="lost", output_tokens=7),
    ]
    parent = SessionRecord(
        key=session_key("claude", "sub"),
        harness="claude",
        session_id="agent-sub",
        parent_key=session_key("claude", "s2"),
        relationship="subagent",
        started_at=NOON,
    )
    return write(tmp_path, events, [session("s1"), session("s2"), session("s3", "codex"), parent])


def test_a_week_is_named_by_its_monday_and_a_month_by_its_first(ledger: Path) -> None:
    weeks, months = report(ledger, "weekly"), report(ledger, "monthly", "--by", "harness")
    assert list(keyed(weeks, "output_tokens").items()) == [
        ("2026-05-04", 1600),
        ("2026-05-11", 50),
        ("2026-06-08", 7),
    ]
    assert list(keyed(months, "output_tokens").items()) == [
        (("2026-05-01", "claude"), 1600),
        (("2026-05-01", "codex"), 50),
        (("2026-06-01", "claude"), 7),
    ]
    assert weeks["totals"] == months["totals"] == report(ledger, "totals")["totals"]


def test_weeks_are_those_of_the_zone(ledger: Path) -> None:
    """12:17 UTC on Monday is Sunday evening nowhere, but noon of the 4th is the 5th of May on Kiritimati."""
    west = report(ledger, "daily", "--timezone", "Pacific/Kiritimati")
    assert next(iter(keyed(west, "output_tokens"))) == "2026-05-05"
    sunday = report(ledger, "weekly", "--timezone", "Etc/GMT+12", "--until", "2026-05-03")
    assert (sunday["rows"], sunday["totals"]["output_tokens"]) == ([], None)
    assert run(ledger, "weekly", "--until", "2026-05-03").stdout == "no usage in this selection\n"


def test_sessions_are_listed_with_who_they_are_the_one_used_last_first(ledger: Path) -> None:
    document = report(ledger, "sessions")
    rows = {row["key"]: row for row in document["rows"]}
    lost = session_key("claude", "lost").hex()
    assert list(rows) == [lost, "s3", "s2", "agent-sub", "s1"]
    assert (rows["s2"]["totals"]["output_tokens"], rows["s2"]["events"]) == (800, 2)
    assert (rows["s2"]["first_at"], rows["s2"]["last_at"]) == ("2026-05-04T16:00:00.000Z", "2026-05-04T17:00:00.000Z")
    assert (rows["s3"]["harness"], rows["s1"]["project"]) == ("codex", None)  # no row said of which project
    assert (rows["agent-sub"]["relationship"], rows["agent-sub"]["parent"]) == ("subagent", rows["s2"]["session_key"])
    assert (rows[lost]["harness"], rows[lost]["started_at"]) == (None, None)
    assert document["totals"] == report(ledger, "totals")["totals"]
    table = run(ledger, "sessions", "--by", "model").stdout.splitlines()
    assert table[1].split()[:6] == ["session", "model", "harness", "project", "last", "used"]
    lines = csv.DictReader(io.StringIO(run(ledger, "sessions", "--csv").stdout))
    s3 = {line["session"]: line for line in lines}["s3"]
    assert (s3["session"], s3["harness"], s3["project"], s3["reasoning_tokens"]) == ("s3", "codex", "", "")


def test_one_session_is_found_by_the_beginning_of_its_name_or_key(ledger: Path) -> None:
    whole = report(ledger, "session", "s2")
    assert (whole["session"]["name"], whole["session"]["harness"]) == ("s2", "claude")
    assert keyed(whole, "output_tokens") == {"claude-opus-4-5-20251101": 800}
    assert report(ledger, "session", session_key("claude", "s2").hex()[:12]) == whole
    assert report(ledger, "session", "agent")["session"]["relationship"] == "subagent"
    lost = session_key("claude", "lost").hex()
    assert report(ledger, "session", lost[:9])["session"]["name"] == lost
    assert report(ledger, "session", "s2", "--by", "day")["rows"][0]["key"] == "2026-05-04"
    assert run(ledger, "session", "s2").stdout.startswith("s2 · claude\n2026-05-04 to 2026-05-04, UTC\n")
    assert run(ledger, "session", "s2", "--since", "2026-06-01").stdout == "no usage in this selection\n"


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ("s", 1, "s may be s1 (claude), s2 (claude), s3 (codex): write more of it"),
        ("nobody", 1, "no session is called nobody: `trueup usage sessions` lists them"),
        ("", 2, "ID: write the beginning"),
    ],
)
def test_a_name_that_is_none_or_several_is_one_line(ledger: Path, wanted: str, status: int, said: str) -> None:
    result = run(ledger, "session", wanted)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith(f"trueup: {said}")
    assert result.stderr.count("\n") == 1


def test_blocks_begin_with_the_hour_of_a_first_request_and_last_five(ledger: Path) -> None:
    document = report(ledger, "blocks")
    blocks = {row["key"]: row for row in document["rows"]}
    assert {key: row["totals"]["output_tokens"] for key, row in blocks.items()} == {
        "2026-05-04T12:00:00Z": 1200,
        "2026-05-04T17:00:00Z": 400,
        "2026-06-13T12:00:00Z": 7,
    }
    first = blocks["2026-05-04T12:00:00Z"]
    assert (first["end"], first["first_at"]) == ("2026-05-04T17:00:00.000Z", "2026-05-04T12:17:00.000Z")
    assert (first["active"], first["projected_total_tokens"]) == (False, None)
    assert document["totals"]["output_tokens"] == 1607, "Claude's alone"
    assert list(keyed(report(ledger, "blocks", "--harness", "codex"), "output_tokens")) == ["2026-05-11T12:00:00Z"]
    later = report(ledger, "blocks", "--since", "2026-06-01")
    assert list(keyed(later, "output_tokens")) == ["2026-06-13T12:00:00Z"]
    assert "2026-05-04 14:00" in run(ledger, "blocks", "--timezone", "Europe/Berlin").stdout


def ccusage_blocks(times: list[int]) -> list[list[int]]:
    """As ccusage's documentation has it: a block ends after five hours, or with a pause of five hours."""
    blocks: list[list[int]] = []
    start = 0
    for at in sorted(times):
        if blocks and at - start <= 5 * HOUR and at - blocks[-1][-1] <= 5 * HOUR:
            blocks[-1].append(at)
        else:
            start = at - at % HOUR
            blocks.append([at])
    return blocks


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(1, HOUR - 1)), min_size=1, max_size=40))
def test_blocks_are_those_of_ccusage(given: list[tuple[int, int]]) -> None:
    times = [NOON + hours * HOUR + more for hours, more in given]
    starts = block_starts(at // HOUR_MICROS for at in times)
    ours: dict[int, list[int]] = {}
    for at in sorted(times):
        ours.setdefault(starts[at // HOUR_MICROS], []).append(at)
    assert list(ours.values()) == ccusage_blocks(times)


def test_a_block_that_runs_is_projected_at_its_own_rate_and_not_from_a_few_minutes() -> None:
    sums, start = Sums(), datetime.fromtimestamp(NOON / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sums.add((1, 0, 0, 1), 1, [1000, *[None] * 7], None, 4_000_000)
    sums.extend(NOON + 30 * MINUTE, NOON + 40 * MINUTE)
    running = block_of(start, sums, NOON + 90 * MINUTE)
    assert (running.active, running.projected_tokens, running.projected_nanousd) == (True, 4500, 18_000_000)
    assert block_of(start, sums, NOON + 35 * MINUTE).projected_tokens is None
    over = block_of(start, sums, NOON + 5 * HOUR)
    assert (over.active, over.projected_tokens) == (False, None)
    assert block_of(start, Sums(), NOON + HOUR).projected_tokens is None


def test_the_running_block_says_how_long_it_runs(tmp_path: Path) -> None:
    now = time.time_ns() // 1000
    data = write(tmp_path, [full("a", at=now - 15 * MINUTE)])
    [row] = report(data, "blocks")["rows"]
    assert row["active"]
    assert row["projected_total_tokens"] > row["totals"]["total_tokens"] == 24400
    text = run(data, "blocks").stdout
    assert " left" in text
    assert "At the rate of this block so far" in text


@pytest.mark.parametrize("command", [["weekly"], ["monthly"], ["sessions"], ["session", "x"], ["blocks"]])
def test_an_empty_machine_is_no_error(tmp_path: Path, command: list[str]) -> None:
    result = run(tmp_path / "none", *command)
    assert (result.exit_code, result.stdout) == (0, "no usage recorded yet; run `trueup agent scan`\n")
    document: Any = report(tmp_path / "none", *command)
    assert (document["rows"], set(document["totals"].values())) == ([], {None})
    assert run(tmp_path / "none", *command, "--csv").stdout.count("\n") == 1
    wrong = run(tmp_path / "none", *command, "--timezone", "Mars/Olympus")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
