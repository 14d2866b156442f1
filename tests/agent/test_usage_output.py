"""`trueup usage` for people and scripts: tables, CSV, an empty machine, and what is said to a wrong flag."""

import csv
import fcntl
import io
import json
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from trueup_shared.metrics import BIT
from usage_ledger import event, full, report, run, write


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    first = full("a", lower_bounds=BIT["output_tokens"])
    return write(tmp_path, [first, event("b", model=None, provider=None, input_tokens=5, output_tokens=6)])


def test_the_command_as_users_start_it(ledger: Path) -> None:
    command = [sys.executable, "-m", "trueup_agent", "--data-dir", str(ledger), "usage", "totals", "--json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["totals"]["output_tokens"] == 406
    assert done.stderr == b""


def test_a_table_marks_what_is_unknown_and_what_may_be_more(ledger: Path) -> None:
    result = run(ledger, "totals", "--by", "model")
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "≥ 400" in lines["claude-opus-4-5-20251101"]
    assert lines["—"].split() == ["—", "5", "—", "—", "6", "—", "11", "—"]
    assert "may be greater" in result.stdout
    assert "11 tokens have no list price" in result.stdout


def test_requests_that_report_no_tokens_show_what_they_do_report(tmp_path: Path) -> None:
    data = write(
        tmp_path,
        [
            full("a"),
            *(event(name, harness="crush", reported_cost="0.107", reported_cost_unit="usd") for name in "bc"),
            event("d", harness="kiro", reported_cost="1.925", reported_cost_unit="credits"),
            event("e", harness="iflow"),
        ],
    )
    text = run(data, "totals", "--by", "harness").stdout
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert "requests" in lines["harness"]
    assert (lines["crush"][1], lines["crush"][-2:]) == ("2", ["$0.21", "—"])
    assert (lines["kiro"][1], lines["kiro"][-2:]) == ("1", ["—", "1.93"])
    assert (lines["iflow"][1], set(lines["iflow"][2:])) == ("1", {"—"})
    assert lines["all"][-2:] == ["$0.21", "1.93"]
    assert "those of two harnesses are not alike" in text
    assert "credits as reported" in run(data, "totals").stdout


def test_a_list_price_is_a_lower_bound_where_tokens_or_prices_are_missing(tmp_path: Path) -> None:
    events = [
        full("a"),
        full("b", project_path="/b", lower_bounds=BIT["output_tokens"]),
        full("c", project_path="/c"),
        event("d", project_path="/c"),
        full("e", project_path="/e"),
        full("f", project_path="/e", model="made-up"),
    ]
    text = run(write(tmp_path, events), "totals", "--by", "project").stdout
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    least = {name: "≥ $" in lines[name] for name in ("shop", "b", "c", "e", "all")}
    assert least == {"shop": False, "b": True, "c": True, "e": True, "all": True}


def test_what_nobody_reports_has_no_column(ledger: Path) -> None:
    header = run(ledger, "totals", "--by", "harness").stdout.splitlines()[1]
    assert not any(title in header for title in ("requests", "as reported", "credits", "undivided"))


def test_totals_for_people_say_who_reported_what(ledger: Path) -> None:
    text = run(ledger, "totals").stdout
    assert "reported by 1 of 2 requests" in text
    assert "$0.04" in text


def test_a_table_in_a_pipe_cuts_nothing_and_has_no_colours(ledger: Path) -> None:
    text = run(ledger, "daily", "--by", "harness,model,project").stdout
    assert "claude-opus-4-5-20251101" in text
    assert "…" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("report", [["totals"], ["daily", "--by", "model"]])
def test_a_narrow_terminal_breaks_lines_and_cuts_no_number(ledger: Path, report: list[str]) -> None:
    command = [sys.executable, "-m", "trueup_agent", "--data-dir", str(ledger), "usage", *report]
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    subprocess.run(command, stdout=theirs, check=True, timeout=60, env=environ | {"TERM": "dumb"})
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "…" not in text
    assert "406" in text
    assert "$0.04" in text


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_widest_range_is_everything(ledger: Path, zone: str) -> None:
    widest = ("--since", "0001-01-01", "--until", "9999-12-31", "--timezone", zone)
    assert report(ledger, "totals", *widest)["totals"] == report(ledger, "totals")["totals"]
    assert run(ledger, "totals", "--since", "9999-12-31", "--timezone", zone).stdout == "no usage in this selection\n"


def test_csv_leaves_unknown_empty(ledger: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run(ledger, "totals", "--by", "model", "--csv").stdout)))
    assert [row["model"] for row in rows] == ["claude-opus-4-5-20251101", ""]
    assert (rows[1]["input_tokens"], rows[1]["cache_read_tokens"], rows[1]["cost_microusd"]) == ("5", "", "")
    assert (rows[0]["output_tokens_lower_bound"], rows[0]["events"]) == ("1", "1")


def test_csv_without_dimension_is_one_line(ledger: Path) -> None:
    [row] = csv.DictReader(io.StringIO(run(ledger, "totals", "--csv").stdout))
    assert (row["output_tokens"], row["unpriced_tokens"]) == ("406", "11")


def test_an_empty_machine_is_no_error_and_nothing_is_zero(tmp_path: Path) -> None:
    result = run(tmp_path / "none", "totals")
    assert (result.exit_code, result.stdout) == (0, "no usage recorded yet; run `trueup agent scan`\n")
    document = report(tmp_path / "none", "daily")
    assert set(document["totals"].values()) == {None}
    assert (document["from"], document["rows"], document["coverage"]["output_tokens"]["events"]) == (None, [], 0)
    assert not (tmp_path / "none").exists()


def test_a_ledger_without_events_is_an_empty_machine(tmp_path: Path) -> None:
    assert run(write(tmp_path, []), "daily").stdout == "no usage recorded yet; run `trueup agent scan`\n"


def test_a_selection_without_usage_says_so(ledger: Path) -> None:
    assert run(ledger, "totals", "--since", "2027-01-01").stdout == "no usage in this selection\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--since", "yesterday"], "--since yesterday"),
        (["--until", "2026-02-30"], "--until 2026-02-30"),
        (["--since", "2026-05-05", "--until", "2026-05-04"], "--since 2026-05-05 is after --until 2026-05-04"),
        (["--timezone", "Mars/Olympus"], "--timezone Mars/Olympus"),
        (["--timezone", "../etc/passwd"], "--timezone ../etc/passwd"),
        (["--timezone", "Europe"], "--timezone Europe"),
        (["--by", "model,colour"], "--by colour"),
        (["--harness", "abacus"], "--harness abacus"),
        (["--csv", "--json"], "--csv and --json"),
    ],
)
def test_a_wrong_flag_is_one_line_that_names_it_and_status_2(ledger: Path, arguments: list[str], named: str) -> None:
    result = run(ledger, "totals", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"trueup: {named}")
    assert result.stderr.count("\n") == 1


def test_a_damaged_ledger_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    result = run(tmp_path, "totals")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "damaged" in result.stderr
