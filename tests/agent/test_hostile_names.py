"""Names and numbers that somebody else wrote into a log: shown as they are, whatever they are."""

from pathlib import Path

import pytest

from trueup_shared.terminal import printable
from usage_ledger import full, report, run, write

NAMES = ["[/red]", "[bold]x[/nope]", "\x1b]0;title\x07", "\x9b2J", "a\nb\rc", "\u202ekcatta", "\udcff"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_table_shows_any_name_and_no_control_character(tmp_path: Path, name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    result = run(write(tmp_path, [full("a", model=name.replace("\udcff", "x"))]), "totals", "--by", "model")
    assert result.exit_code == 0, result.output
    assert shown.replace("\ufffd", "") in result.stdout.replace("\ufffd", "") or name == "\udcff"
    assert all(c.isprintable() or c == "\n" for c in result.stdout)


def test_a_name_that_a_spreadsheet_would_run_is_quoted_in_csv_alone(tmp_path: Path) -> None:
    ledger = write(tmp_path, [full("a", model="=cmd|'/c calc'!A1")])
    assert run(ledger, "totals", "--by", "model", "--csv").stdout.splitlines()[1].startswith("'=cmd|")
    assert report(ledger, "totals", "--by", "model")["rows"][0]["key"].startswith("=cmd|")


def test_numbers_that_no_sum_of_sqlite_can_hold_are_summed(tmp_path: Path) -> None:
    most = 2**53 - 1
    ledger = write(tmp_path, [full(str(n), input_tokens=most) for n in range(1100)])
    assert report(ledger, "totals")["totals"]["input_tokens"] == 1100 * most
    assert run(ledger, "daily").exit_code == 0
