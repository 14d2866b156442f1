"""Whatever goes wrong on the command line is one line that names it, and an exit status of interface.md."""

import errno
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from trueup_shared.cli import Failure, _Commands, trueup

TRUEUP = [sys.executable, "-m", "trueup_shared"]


def _run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(trueup, ["--data-dir", str(tmp_path), *arguments])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["agnet"], "agnet"),
        (["--bogus"], "--bogus"),
        (["agent", "scna"], "did you mean 'scan'"),
        (["agent", "enroll"], "URL"),
        (["usage", "totals", "--bogus"], "--bogus"),
        (["usage", "totals", "--by"], "--by"),
        (["usage", "totals", "extra"], "extra"),
        (["hub", "enroll-code", "--uses", "x"], "--uses"),
        (["hub", "enroll-code", "--expires", "for ever"], "for ever"),
        (["hub", "token", "create", "ana", "--role", "boss"], "boss"),
        (["up", "--port", "99999"], "port"),
        (["up", "--port", "x"], "--port"),
        (["agent", "run", "--json"], "--once"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(tmp_path: Path, arguments: list[str], named: str) -> None:
    result = _run(tmp_path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("trueup: ")
    assert result.stderr.count("\n") == 1
    assert named.lower() in result.stderr.lower()


@pytest.mark.parametrize("group", [[], ["agent"], ["hub", "token"]])
def test_a_command_without_its_subcommand_shows_what_there_is(tmp_path: Path, group: list[str]) -> None:
    result = CliRunner().invoke(trueup, group)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Commands:" in result.stderr


def _command_that_raises(error: BaseException) -> click.Group:
    @click.group(cls=_Commands)
    @click.option("--verbose", is_flag=True)
    def group(verbose: bool) -> None:
        raise error

    @group.command()
    def work() -> None: ...

    group.get_command = lambda ctx, name: work  # type: ignore[method-assign]
    return group


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "trueup: No space left on device\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/hub"), "trueup: /x/hub: Permission denied\n"),
        (KeyError("two\nlines"), "trueup: KeyError: 'two\\nlines'; with -v it says where\n"),
        (ExceptionGroup("of two", [ExceptionGroup("of one", [ValueError("a\nb")])]), "ValueError: a b"),
        (Failure("ours"), "trueup: ours\n"),
    ],
)
def test_what_nobody_foresaw_is_one_line_and_status_1(error: BaseException, line: str) -> None:
    result = CliRunner().invoke(_command_that_raises(error), ["work"])
    assert result.exit_code == 1
    assert line in result.stderr
    assert result.stderr.count("\n") == 1


def test_with_v_what_nobody_foresaw_has_its_trace() -> None:
    result = CliRunner().invoke(_command_that_raises(KeyError("x")), ["--verbose", "work"])
    assert isinstance(result.exception, KeyError)


@pytest.mark.parametrize("report", [["totals", "--json"], ["totals"], ["daily", "--csv"], ["--help"]])
def test_a_full_disk_under_stdout_is_one_line(tmp_path: Path, report: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [*TRUEUP, "--data-dir", str(tmp_path), "usage", *report], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (run.returncode, run.stderr) == (1, "trueup: No space left on device\n")


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = subprocess.run(
            [*TRUEUP, "--data-dir", str(tmp_path), "usage", "totals", "--json"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_takes_nothing_else_with_it(tmp_path: Path, closed: str) -> None:
    """Its number must not go to the next file that is opened, such as the ledger."""
    scan = shlex.join([*TRUEUP, "--data-dir", str(tmp_path), "agent", "scan"])
    environ = {**os.environ, "HOME": str(tmp_path)}
    run = subprocess.run(["sh", "-c", f"{scan} {closed}"], capture_output=True, text=True, env=environ)
    assert (run.returncode, run.stderr) == (0, "")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_terminal_without_our_signs_shows_question_marks(tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    print_dash = f"import sys; from trueup_shared import cli; cli._complete_streams(); print({chr(8212)!r})"
    dash = subprocess.run([sys.executable, "-c", print_dash], capture_output=True, text=True, env=environ)
    assert (dash.stdout, dash.stderr) == ("?\n", "")


@pytest.mark.parametrize("command", [["hub", "migrate"], ["up", "--no-browser"], ["agent", "scan"]])
def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("")
    result = _run(tmp_path / "file" / "below", *command)
    assert result.exit_code in (1, 2)
    assert result.stderr.count("\n") == 1
    assert str(tmp_path / "file") in result.stderr
