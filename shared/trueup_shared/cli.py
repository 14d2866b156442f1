"""The `trueup` command. Packages add subcommands under the entry-point group `trueup.commands`."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from trueup_shared import __version__
from trueup_shared.terminal import printable


class Failure(click.ClickException):
    """One line that names what was wrong and what to do. Subclasses choose the exit status of interface.md."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        click.echo(f"trueup: {printable(self.message)}", err=True)


class WrongUsage(Failure):
    exit_code = 2


class NotConverged(Failure):
    exit_code = 3


class HubUnreachable(Failure):
    exit_code = 4


class Globals:
    """The global flags, as given: None where neither flag nor environment said anything."""

    def __init__(self, data_dir: Path | None, config: Path | None, verbose: bool) -> None:
        self.data_dir = data_dir
        self.config = config
        self.verbose = verbose


class _Commands(click.Group):
    """Loads a subcommand's module only when it is asked for: `trueup usage` never imports the hub.

    Whatever goes wrong is one line and an exit status of interface.md; with -v what nobody foresaw has its trace.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line(trace=ctx.params["verbose"]):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(point.name for point in entry_points(group="trueup.commands"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        for point in entry_points(group="trueup.commands", name=name):
            command: click.Command = point.load()
            return command
        return None


@contextmanager
def _one_line(trace: bool = False) -> Iterator[None]:
    try:
        yield
    except (Failure, click.Abort, click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        raise  # a line already; a bare `trueup` has its help page
    except click.UsageError as error:  # click adds a line of usage, one about help and an empty one
        command = error.ctx.command_path if error.ctx else "trueup"
        what = " ".join(error.format_message().split()).rstrip(".?")
        raise WrongUsage(f"{what[:1].lower()}{what[1:]}; see `{command} --help`") from None
    except BrokenPipeError:  # a reader that went away (`trueup usage … | head`) is no error
        _give_stdout_up()
        raise click.exceptions.Exit(0) from None
    except Exception as error:
        if trace:
            raise
        _give_stdout_up()  # what it holds would be tried once more at the end, and fail once more
        raise Failure(_unforeseen(error)) from error


def _unforeseen(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {' '.join(str(error).split())}; with -v it says where"


def _give_stdout_up() -> None:
    with suppress(OSError, ValueError, AttributeError):  # it is closed, or no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TRUEUP_DATA_DIR",
    help="Where trueup keeps its data.",
)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), envvar="TRUEUP_CONFIG", help="Settings file (TOML)."
)
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
@click.version_option(__version__, prog_name="trueup")
@click.pass_context
def trueup(ctx: click.Context, data_dir: Path | None, config: Path | None, verbose: bool) -> None:
    """A truthful ledger of the tokens that AI coding agents use."""
    ctx.obj = Globals(data_dir, config, verbose)


def set_up_logs() -> None:
    """Called before anything that logs. It takes a tenth of a second, which a command that only reads does without."""
    from trueup_shared import logs

    given = click.get_current_context().find_object(Globals)
    logs.set_up(given is not None and given.verbose)


def main() -> None:
    """Entry point."""
    _complete_streams()
    trueup(prog_name="trueup")


def _complete_streams() -> None:
    """Closed ones (`>&-`) lead nowhere, lest a database gets their number; a sign that a terminal lacks is a `?`."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the smallest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
