"""`trueup agent doctor`: for every harness where it looked, what it found, what it could not read, what to do."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from claude_home import FOLDER, make_logs
from processes import Result, environment, trueup
from trueup_agent.harnesses import HARNESSES


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name, content in make_logs(sessions=2).items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    return home


def run(home: Path, *args: str, **extra: str) -> Result:
    return trueup("agent", *args, env=environment(home, home.parent / "data", **extra))


def finding(result: Result, harness: str = "claude") -> dict[str, Any]:
    assert result.status == 0, result.err
    return next(f for f in result.json["harnesses"] if f["harness"] == harness)


def test_every_harness_is_in_it_with_where_it_was_looked_for_and_what_it_reports(home: Path) -> None:
    found = run(home, "doctor", "--json").json["harnesses"]
    assert {f["harness"] for f in found} == set(HARNESSES)
    assert all(f["verified"] == HARNESSES[f["harness"]].about.verified for f in found)
    assert found[0]["harness"] == "claude"  # what is there comes first


def test_logs_that_were_not_read_yet_are_told_with_what_to_do(home: Path) -> None:
    before = finding(run(home, "doctor", "--json"))
    assert (before["sources"], before["unread"], before["ledger"]["events"]) == (2, 2, 0)
    assert "2 logs are not read yet: run `trueup agent scan`" in before["advice"]
    assert {"path": str(home / ".claude/projects"), "state": "found"} in before["places"]
    run(home, "scan")
    after = finding(run(home, "doctor", "--json"))
    assert after["ledger"]["events"] > 0
    assert (after["unread"], after["advice"]) == (0, [])


def test_a_harness_that_is_not_there_is_a_line_and_asked_by_name_says_where_it_was_looked_for(home: Path) -> None:
    listed = run(home, "doctor").out
    assert "  codex " in listed
    assert ".codex/sessions" not in listed
    alone = run(home, "doctor", "codex").out
    assert f"{home}/.codex/sessions: absent" in alone
    assert "trueup agent scan --root codex=PATH" in alone
    assert "CODEX_HOME" in alone


def test_absent_places_beside_one_that_is_there_are_a_number_unless_asked_for_by_name(home: Path) -> None:
    everything, alone = run(home, "doctor").out, run(home, "doctor", "claude").out
    assert f"looked in   {home}/.claude/projects: found\n              and 2 that are absent\n" in everything
    assert f"{home}/.config/claude/projects: absent" in alone
    assert "that are absent" not in alone


def test_how_well_a_counter_is_reported_stands_with_it(home: Path) -> None:
    text = run(home, "doctor", "claude").out
    assert "  reports     input, cache read, cache write, " in text
    assert "output (exact; lower bound where no line of the request has a stop reason)" in text


def test_a_variable_of_the_harness_moves_where_it_is_looked_for(home: Path, tmp_path: Path) -> None:
    moved = finding(run(home, "doctor", "codex", "--json", CODEX_HOME=str(tmp_path / "elsewhere")), "codex")
    assert moved["places"][0]["path"] == str(tmp_path / "elsewhere" / "sessions")


def test_what_cannot_be_read_is_named_with_its_reason(home: Path) -> None:
    other = home / FOLDER / "5e551000-0000-4000-8000-0000000000ff.jsonl"
    other.symlink_to(other)  # a loop: no user can read it
    os.mkfifo(home / ".codex")
    looked = run(home, "doctor", "--json")
    assert finding(looked)["unreadable"].get(str(other), "").startswith("Too many levels of symbolic links")
    assert (
        "each scan tries again what could not be read: mend or move away what stays listed"
        in (finding(looked)["advice"])
    )
    assert "not read" in run(home, "doctor").out
    assert {place["state"] for place in finding(looked, "codex")["places"]} == {"absent"}


def test_a_scan_names_the_first_twenty_that_it_could_not_read(home: Path) -> None:
    for number in range(25):
        other = home / FOLDER / f"5e551000-0000-4000-8000-0000000001{number:02}.jsonl"
        other.symlink_to(other)
    told = run(home, "scan")
    assert told.out.count("not read ") == 21
    assert "not read 5 more: --json has all of them" in told.out
    assert len(run(home, "scan", "--json").json["unreadable"]) == 25


def test_where_something_cannot_be_read_nobody_is_sent_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / FOLDER).mkdir(parents=True)
    other = home / FOLDER / "5e551000-0000-4000-8000-0000000000ff.jsonl"
    other.symlink_to(other)
    advice = finding(run(home, "doctor", "claude", "--json"))["advice"]
    assert advice == ["each scan tries again what could not be read: mend or move away what stays listed"]


def test_what_is_closed_is_to_be_opened(home: Path) -> None:
    run(home, "scan")
    with sqlite3.connect(home.parent / "data" / "ledger.db") as db:
        db.execute("UPDATE sources SET error = 'Permission denied'")
    db.close()
    advice = finding(run(home, "doctor", "claude", "--json"))["advice"]
    assert advice == ["let this user read what is listed above, then run `trueup agent scan`"]


def test_skipped_lines_and_unknown_records_are_told_by_reason(home: Path) -> None:
    log = next((home / FOLDER).glob("*.jsonl"))
    log.write_bytes(b'not json\n{"type":"brand-new"}\n' + log.read_bytes())
    run(home, "scan")
    looked = run(home, "doctor", "--json")
    assert (finding(looked)["skipped"], finding(looked)["unknown"]) == ({"malformed": 1}, {"brand-new": 1})
    text = run(home, "doctor").out
    assert "malformed 1" in text
    assert "brand-new 1" in text


def test_a_log_that_was_deleted_is_told_and_what_was_read_of_it_stays(home: Path) -> None:
    run(home, "scan")
    events = finding(run(home, "doctor", "--json"))["ledger"]["events"]
    next((home / FOLDER).glob("*.jsonl")).unlink()
    run(home, "scan")
    looked = finding(run(home, "doctor", "--json"))
    assert (looked["sources"], looked["gone"], looked["ledger"]["events"]) == (1, 1, events)


def test_a_harness_that_is_switched_off_says_how_to_switch_it_on(home: Path) -> None:
    (home.parent / "data").mkdir()
    (home.parent / "data" / "config.toml").write_text("[harness.claude]\nenabled = false\n")
    assert "enabled = true under [harness.claude]" in run(home, "doctor").out


def test_an_unknown_name_is_refused_in_one_line_that_lists_the_known_ones(home: Path) -> None:
    refused = run(home, "doctor", "cloude")
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert "no harness 'cloude'" in refused.err
    assert "claude" in refused.err


def test_it_needs_no_ledger_and_makes_none(home: Path) -> None:
    assert run(home, "doctor").status == 0
    assert not (home.parent / "data" / "ledger.db").exists()
