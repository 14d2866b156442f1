"""`trueup agent forget`: what the ledger, and with the next push the hub, are no longer to know."""

import os
import sys
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec

from trueup_agent.cli import start
from trueup_agent.cli.progress import bar
from trueup_agent.credential import load_host
from trueup_agent.settings import Loaded
from trueup_shared import machine
from trueup_shared.cli import Failure, Globals, WrongUsage
from trueup_shared.terminal import printable
from trueup_shared.times import micros


@click.command()
@click.option("--session", metavar="ID", help="This session and its subagents, by the harness's id.")
@click.option("--project", metavar="NAME_OR_PATH", help="All that was done in this project.")
@click.option("--before", metavar="DATE", help="All that happened before this day, YYYY-MM-DD, of this machine's zone.")
@click.option("--harness", metavar="NAME", help="Only of this harness.")
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten, and forget nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def forget(
    given: Globals,
    session: str | None,
    project: str | None,
    before: str | None,
    harness: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove a session, a project or a past from the ledger, for good.

    Logs that show it again do not bring it back; what is new in them counts. The hub forgets with the next push.
    """
    from trueup_agent.ledger.forget import count

    selection = _selection(session, project, before, harness)
    loaded = start.load(given)
    with start.one_line():
        found = count(loaded.data_dir, selection)
    if not dry_run and found.rows:
        if not yes:
            _ask(found)
        found = start.run(_forget(loaded, selection))
    if as_json:
        start.print_json(found)
        return
    click.echo(f"{'would forget' if dry_run else 'forgot'} {_in_words(found)}")
    if not dry_run and found.rows and not found.file_rewritten:
        click.echo(
            "the ledger's file could not be rewritten (something reads it, or there is no room for a second copy): "
            "parts of it may linger there until the agent starts again"
        )
    if not dry_run and found.rows and load_host(loaded.data_dir) is not None:
        click.echo("the hub forgets it with the next push: a running agent's at once, else `trueup pg push`")


def _selection(session: str | None, project: str | None, before: str | None, harness: str | None) -> Any:
    from trueup_agent.ledger.forget import Selection

    if sum(value is not None for value in (session, project, before)) != 1:
        raise WrongUsage("forget what? Give one of --session ID, --project NAME_OR_PATH and --before DATE")
    if harness is not None:
        from trueup_agent.harnesses import HARNESSES

        if harness not in HARNESSES:
            raise WrongUsage(f"--harness {harness}: no such harness; there are {', '.join(HARNESSES)}")
    return Selection(session=session, project=project, before=_beginning(before), harness=harness)


def _beginning(day: str | None) -> int | None:
    """When a day of this machine's zone begins."""
    if day is None:
        return None
    try:
        local = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=ZoneInfo(machine.timezone(os.environ)))
        return micros(local)
    except (ValueError, OverflowError):
        raise WrongUsage(f"--before {day}: no such date; write it as YYYY-MM-DD") from None


def _ask(found: Any) -> None:
    if not sys.stdin.isatty():
        raise WrongUsage(f"this would forget {_in_words(found)}: give --yes where nobody can be asked")
    if not click.confirm(f"forget {_in_words(found)}?", err=True):
        raise Failure("nothing was forgotten")


def _in_words(found: Any) -> str:
    if not found.rows:
        return "nothing: there is none of it in the ledger"
    rows = f"{found.sessions:,} sessions, {found.messages:,} messages, {found.events + found.set_aside:,} events"
    used = [] if found.total_tokens is None else [f"{found.total_tokens:,} tokens"]
    used += [] if found.cost_microusd is None else [f"${found.cost_microusd / 1_000_000:,.2f} at list price"]
    return printable(f"{rows} ({', '.join(used) or 'no tokens'})")


async def _forget(loaded: Loaded, selection: Any) -> Any:
    """Forgotten, here or inside the daemon."""
    from trueup_agent import control
    from trueup_agent.ledger.forget import Forgotten
    from trueup_agent.ledger.forget import forget as forget_here

    with bar("Forgetting", "rows") as show:

        async def there() -> Forgotten:
            def tell(progress: msgspec.Raw) -> None:
                show(*msgspec.json.decode(progress, type=tuple[int, int]))

            return await control.ask(loaded.data_dir, "forget", selection, Forgotten, tell)

        return await start.with_ledger(loaded, lambda ledger: forget_here(ledger, selection, show), there)
