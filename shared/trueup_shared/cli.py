"""The `trueup` command. Packages add subcommands under the entry-point group `trueup.commands`."""

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click

from trueup_shared import __version__


class Failure(click.ClickException):
    """One line that names what was wrong and what to do. Subclasses choose the exit status of interface.md."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        click.echo(f"trueup: {self.message}", err=True)


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
    """Loads a subcommand's module only when it is asked for: `trueup usage` never imports the hub."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(point.name for point in entry_points(group="trueup.commands"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        for point in entry_points(group="trueup.commands", name=name):
            command: click.Command = point.load()
            return command
        return None


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
    """Entry point. A reader that went away (`trueup usage … | head`) is no error."""
    try:
        trueup(prog_name="trueup")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
