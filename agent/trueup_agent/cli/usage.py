"""`trueup usage …`: what was used, from the ledger alone."""

import os
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueup_agent.reports.dimensions import DIMENSIONS
from trueup_shared import machine
from trueup_shared.cli import Globals, WrongUsage

if TYPE_CHECKING:  # the line of a prompt needs few of these, and is asked for all the time
    from trueup_agent.ledger import LedgerReader
    from trueup_agent.reports.details import Details
    from trueup_agent.reports.query import Report, Selection

    Made = tuple[Report, Details]
    Make = Callable[[LedgerReader, Selection], Made]


@click.group()
def usage() -> None:
    """What was used, from the ledger of this machine alone."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--since", metavar="DATE", help="First day, YYYY-MM-DD."),
            click.option("--until", metavar="DATE", help="Last day, included."),
            click.option("--timezone", metavar="ZONE", help="Whose days, e.g. Europe/Paris; default this machine's."),
            click.option("--harness", metavar="NAME", multiple=True, help="Only these; may be repeated, or a,b."),
            click.option("--project", metavar="NAME", multiple=True, help="Only these, by name or path."),
            click.option("--model", metavar="NAME", multiple=True, help="Only these, as logged."),
            click.option("--by", metavar="DIM[,DIM]", multiple=True, help=f"Group by {', '.join(DIMENSIONS)}."),
            click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout; unknown is empty."),
            click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; unknown is null."),
            click.pass_obj,
        )
    ):
        command = option(command)
    return command


@usage.command()
@_options
def totals(given: Globals, by: tuple[str, ...], **options: Any) -> None:
    """Sums over everything, or by dimension."""
    _report(given, _dimensions(by), options)


@usage.command()
@_options
def daily(given: Globals, by: tuple[str, ...], **options: Any) -> None:
    """A line for each day on which something was used."""
    _report(given, ("day", *(name for name in _dimensions(by) if name != "day")), options)


@usage.command()
@_options
def weekly(given: Globals, by: tuple[str, ...], **options: Any) -> None:
    """A line for each week, named by its Monday."""
    _report(given, ("week", *(name for name in _dimensions(by) if name != "week")), options)


@usage.command()
@_options
def monthly(given: Globals, by: tuple[str, ...], **options: Any) -> None:
    """A line for each month."""
    _report(given, ("month", *(name for name in _dimensions(by) if name != "month")), options)


@usage.command()
@_options
def sessions(given: Globals, by: tuple[str, ...], **options: Any) -> None:
    """A line for each session, the one used last first."""
    from trueup_agent.reports.sessions import session_report

    dimensions = tuple(name for name in _dimensions(by) if name != "session")
    _report(given, ("session", *dimensions), options, lambda reader, chosen: session_report(reader, chosen, dimensions))


@usage.command()
@click.argument("session_id", metavar="ID")
@_options
def session(given: Globals, session_id: str, by: tuple[str, ...], **options: Any) -> None:
    """One session, by model. The beginning of its ID is enough, where no other begins so."""
    from trueup_agent.reports.sessions import one_session

    if not session_id:
        raise WrongUsage("ID: write the beginning of a session's id; `trueup usage sessions` lists them")
    dimensions = _dimensions(by) or ("model",)
    _report(given, dimensions, options, lambda reader, chosen: one_session(reader, chosen, dimensions, session_id))


@usage.command()
@_options
def blocks(given: Globals, by: tuple[str, ...], **options: Any) -> None:
    """A line for each window of five hours, of Claude Code or of each --harness."""
    from trueup_agent.reports.blocks import block_report

    dimensions, now = _dimensions(by), time.time_ns() // 1000
    _report(
        given, ("block", *dimensions), options, lambda reader, chosen: block_report(reader, chosen, dimensions, now)
    )


@usage.command()
@click.option("--timezone", metavar="ZONE", help="Whose day is today; default this machine's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; unknown is null.")
@click.pass_obj
def statusline(given: Globals, timezone: str | None, as_json: bool) -> None:
    """One short line for a prompt: session, today, block.

    With Claude Code's own words on stdin the session is the one that they name. Exit status 0 whatever happens.
    """
    from trueup_agent.cli.statusline import statusline_text

    click.echo(statusline_text(given, timezone, as_json))


def _report(given: Globals, dimensions: tuple[str, ...], options: dict[str, Any], make: "Make | None" = None) -> None:
    from trueup_agent.cli import start

    if options["as_csv"] and options["as_json"]:
        raise WrongUsage("--csv and --json: choose one")
    selection = _selection(options)
    data_dir = start.load(given).data_dir
    report, details = _read(data_dir, selection, dimensions, make)
    if options["as_json"]:
        from trueup_agent.reports.documents import to_json

        click.echo(to_json(report, details))
    elif options["as_csv"]:
        from trueup_agent.reports.documents import to_csv

        click.echo(to_csv(report, details).encode(), nl=False)  # UTF-8 whatever the terminal speaks
    elif report.totals.events == 0:
        narrowed = any(options[name] for name in ("since", "until", "harness", "project", "model"))
        narrowed = narrowed or bool(details.heads)
        click.echo("no usage in this selection" if narrowed else "no usage recorded yet; run `trueup agent scan`")
    else:
        _show(report, details)


def _read(data_dir: Path, selection: "Selection", dimensions: tuple[str, ...], make: "Make | None") -> "Made":
    """A machine that has not been scanned yet has used nothing that we know of: that is a report too."""
    from trueup_agent import errors
    from trueup_agent.cli import start
    from trueup_agent.ledger import LedgerReader
    from trueup_agent.reports.details import NO_DETAILS
    from trueup_agent.reports.query import Report, make_report
    from trueup_agent.reports.sums import Sums

    with start.one_line():
        try:
            with LedgerReader(data_dir) as reader:
                reader.snapshot()
                return make(reader, selection) if make else (make_report(reader, selection, dimensions), NO_DETAILS)
        except errors.LedgerMissing:
            return Report(selection, dimensions, selection.since, selection.until, Sums(), []), NO_DETAILS


def _show(report: "Report", details: "Details") -> None:
    from rich.console import Console
    from rich.measure import Measurement

    from trueup_agent.reports.tables import table_of

    # A pipe has no width; a narrow guess would cut numbers. A narrow terminal may break a line, but cuts none either.
    table, console = table_of(report, details), Console(width=None if sys.stdout.isatty() else 250, highlight=False)
    needed = Measurement.get(console, console.options.update(max_width=250), table).maximum
    Console(width=max(console.width, needed), height=console.height, highlight=False).print(table)


def _selection(options: dict[str, Any]) -> "Selection":
    from trueup_agent.reports.query import Selection

    selection = Selection(
        since=_date("--since", options["since"]),
        until=_date("--until", options["until"]),
        timezone=_timezone(options["timezone"]),
        harnesses=_harnesses(_split(options["harness"])),
        projects=_split(options["project"]),
        models=_split(options["model"]),
    )
    if selection.since and selection.until and selection.since > selection.until:
        raise WrongUsage(f"--since {selection.since} is after --until {selection.until}")
    return selection


def _split(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for value in given for part in value.split(",") if part.strip())


def _date(flag: str, given: str | None) -> date | None:
    if given is None:
        return None
    try:
        return datetime.strptime(given, "%Y-%m-%d").date()
    except ValueError:
        raise WrongUsage(f"{flag} {given}: no such date; write it as YYYY-MM-DD") from None


def _dimensions(given: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(_split(given)))
    for name in names:
        if name not in DIMENSIONS:
            raise WrongUsage(f"--by {name}: no such dimension; there are {', '.join(DIMENSIONS)}")
    return names


def _harnesses(given: tuple[str, ...]) -> tuple[str, ...]:
    if given:
        from trueup_agent.harnesses import HARNESSES

        for name in given:
            if name not in HARNESSES:
                raise WrongUsage(f"--harness {name}: no such harness; there are {', '.join(HARNESSES)}")
    return given


def _timezone(given: str | None) -> str:
    name = given or machine.timezone(os.environ)
    if not machine.is_timezone(name):
        raise WrongUsage(f"--timezone {name}: no such time zone; write it like Europe/Paris")
    return name
