"""`trueup agent`: read this machine's logs into its ledger, once or as a daemon, and enrol it at a hub."""

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from trueup_agent import glance
from trueup_agent.cli import start
from trueup_agent.cli.forget import forget
from trueup_agent.cli.progress import bar
from trueup_agent.discover import RootArg, parse_root
from trueup_agent.glance import ScanResult
from trueup_agent.settings import Loaded
from trueup_shared.cli import Globals, WrongUsage, set_up_logs
from trueup_shared.terminal import printable

_MOST_PATHS = 20


@click.group()
def agent() -> None:
    """This machine's logs, ledger and enrolment."""


agent.add_command(forget)


@agent.command()
@click.option("--once", is_flag=True, help="Scan, push, say the verdict, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: one JSON document on stdout.")
@click.pass_obj
def run(given: Globals, once: bool, as_json: bool) -> None:
    """The daemon: reads logs as they grow and pushes what is new, until SIGTERM or Ctrl-C."""
    loaded = start.load(given)
    if as_json and not once:
        raise WrongUsage("--json goes with --once: the daemon's log is JSON on stderr anyway")
    if once:
        _run_once(loaded, as_json)
    else:
        _run_daemon(loaded)


def _run_daemon(loaded: Loaded) -> None:
    import asyncio

    from trueup_agent import daemon
    from trueup_agent.notify import Notifier
    from trueup_agent.signals import start_anew

    set_up_logs()
    watchdog = os.environ.get("WATCHDOG_USEC", "")
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"), int(watchdog) / 1e6 if watchdog.isdigit() else None)
    with start.one_line():
        try:
            renew = asyncio.run(daemon.run(loaded, notifier))
        except ExceptionGroup as group:  # not except*, which would wrap what is raised here into another group
            raise start.first_error(group) from None
    if renew:
        start_anew([sys.executable, *sys.orig_argv[1:]])


def _run_once(loaded: Loaded, as_json: bool) -> None:
    from trueup_agent.cli import pg
    from trueup_agent.credential import load_host

    scanned = start.run(_scan(loaded, None))
    if not as_json:
        _print_scan(scanned, loaded, None)
    with start.one_line():
        to_push = load_host(loaded.data_dir) is not None or (loaded.agent.hub_url and loaded.agent.enroll_code)
    if not to_push:
        if as_json:
            start.print_json({"scan": scanned, "push": None})
        else:
            click.echo("no hub: this machine is not enrolled")
        return
    pushed = start.run(pg.push_now(loaded))
    if as_json:
        start.print_json({"scan": scanned, "push": pushed})
    else:
        pg.print_push(pushed)
    pg.fail_unless_converged(pushed.verdict)


@agent.command()
@click.option("--root", "roots", multiple=True, metavar="HARNESS=PATH", help="Read only this place (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def scan(given: Globals, roots: tuple[str, ...], as_json: bool) -> None:
    """One pass over all logs, newest first, into the ledger."""
    loaded = start.load(given)
    named = _roots(roots)
    with start.one_line():
        result = glance.nothing_new(loaded, named)
    if result is None:
        result = start.run(_scan(loaded, named), logs=False)
    if as_json:
        start.print_json(result)
    else:
        _print_scan(result, loaded, named)


def _roots(given: tuple[str, ...]) -> list[RootArg] | None:
    with start.one_line():
        return [parse_root(text) for text in given] or None


async def _scan(loaded: Loaded, roots: list[RootArg] | None) -> ScanResult:
    """Here, or inside the daemon."""
    from trueup_agent import collect

    with bar("Reading logs", "bytes") as show:

        def tell(progress: msgspec.Raw) -> None:
            show(*msgspec.json.decode(progress, type=tuple[int, int]))

        async def there() -> ScanResult:
            from trueup_agent import control
            from trueup_agent.daemon import ScanRequest

            return await control.ask(loaded.data_dir, "scan", ScanRequest(roots), ScanResult, tell)

        return await start.with_ledger(loaded, lambda ledger: collect.scan(ledger, loaded, roots, show), there)


def _print_scan(result: ScanResult, loaded: Loaded, roots: list[RootArg] | None) -> None:
    missing = [root for root in roots or () if root.harness not in result.harnesses]
    if missing or not result.harnesses:
        click.echo(printable(_nothing_found(missing)))
    width = max((len(name) for name in result.harnesses), default=0)
    for name, counts in sorted(result.harnesses.items()):
        click.echo(
            f"{name:<{width}} {counts.sources:,} sources, {counts.sessions:,} sessions, {counts.messages:,} messages, "
            f"{counts.events:,} events"
        )
        if counts.skipped_lines or counts.unknown_records:
            click.echo(
                f"{'':<{width}} {counts.skipped_lines:,} lines skipped, {counts.unknown_records:,} unknown records"
            )
    for name, why in sorted(result.drift_suspected.items()):
        click.echo(f"drift in {name}: {why}")
    for path, reason in sorted(result.unreadable.items())[:_MOST_PATHS]:
        click.echo(printable(f"not read {path}: {reason}"))
    if len(result.unreadable) > _MOST_PATHS:
        click.echo(f"not read {len(result.unreadable) - _MOST_PATHS:,} more: --json has all of them")
    click.echo(
        f"{result.inserted:,} inserted, {result.restated:,} restated, {result.removed:,} removed, "
        f"{result.unchanged:,} unchanged in {result.seconds:.1f} s"
    )


def _nothing_found(roots: list[RootArg]) -> str:
    """`roots`: those of harnesses of which the ledger has nothing either."""
    if not roots:
        return "no logs found in the usual places: `trueup agent doctor` says where each harness was looked for"
    places = ", ".join(f"no logs of {root.harness} found in {root.path}" for root in roots)
    return f"{places}: name a home, the harness's own folder in it, or a file"


@agent.command()
@click.argument("url")
@click.option("--code", help="Enrolment code from `trueup hub enroll-code`. Or TRUEUP_ENROLL_CODE.")
@click.option("--code-file", type=click.Path(path_type=Path, dir_okay=False), help="File that holds the code.")
@click.option("--label", help="What the hub calls this machine; default its host name.")
@click.option("--ephemeral", is_flag=True, help="A machine that will not come back, such as a CI job.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def enroll(
    given: Globals,
    url: str,
    code: str | None,
    code_file: Path | None,
    label: str | None,
    ephemeral: bool,
    as_json: bool,
) -> None:
    """Make this machine a host of the hub at URL. Safe to repeat; moves the ledger when it was at another hub."""
    loaded = start.load(given, enroll_code=_code(code, code_file), label=label)
    host, fresh = start.run(_enroll(loaded, url, ephemeral))
    if as_json:
        start.print_json({"hub_url": host.hub_url, "host_id": host.host_id, "label": host.label, "enrolled": fresh})
    else:
        click.echo(
            f"{'enrolled' if fresh else 'already enrolled'} at {host.hub_url} as {host.label} (host {host.host_id})"
        )


def _code(code: str | None, file: Path | None) -> str | None:
    if code and file:
        raise WrongUsage("give --code or --code-file, not both")
    if file is None:
        return code
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--code-file {file}: {getattr(error, 'strerror', None) or error}") from None


async def _enroll(loaded: Loaded, url: str, ephemeral: bool) -> tuple[Any, bool]:
    """(Host, whether it is a new enrolment)."""
    from trueup_agent import control, errors
    from trueup_agent.credential import load_host
    from trueup_agent.ledger import LedgerReader
    from trueup_agent.push import uplink
    from trueup_agent.push.hub_client import HubClient, hub_address

    settings, address = loaded.agent, hub_address(url)
    try:
        with LedgerReader(loaded.data_dir) as reader:
            ledger_id = reader.ledger_id()
    except errors.LedgerMissing:
        ledger_id = None
    host = load_host(loaded.data_dir)
    if host is not None and host.hub_url == address:
        async with HubClient(address, host.credential, settings.hub_ca) as hub:
            try:
                await hub.position(ledger_id or _NO_LEDGER)
                return host, False
            except errors.Unauthorized:
                if not settings.enroll_code:
                    raise
    if not settings.enroll_code:
        raise WrongUsage("an enrolment code is needed: --code CODE, --code-file FILE or TRUEUP_ENROLL_CODE")
    host = await uplink.enroll(
        loaded.data_dir, address, settings.enroll_code, ledger_id, settings.label, settings.hub_ca, ephemeral
    )
    try:
        await control.ask(loaded.data_dir, "wake", None, type(None))
    except (errors.NoDaemon, errors.DaemonLost):
        pass
    return host, True


_NO_LEDGER = "00000000-0000-0000-0000-000000000000"  # asking the hub about it only checks the credential


@agent.command()
@click.option("--code", help="Enrolment code: this machine becomes a host of its own. For a machine that was copied.")
@click.option("--code-file", type=click.Path(path_type=Path, dir_okay=False), help="File that holds the code.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def rekey(given: Globals, code: str | None, code_file: Path | None, as_json: bool) -> None:
    """Give this ledger a new id: the hub takes it for another one, gets everything again and counts it once."""
    loaded = start.load(given)
    done = start.run(_rekey(loaded, _code(code, code_file)))
    if as_json:
        start.print_json(done)
        return
    click.echo(f"ledger {done.ledger_id} (was {done.replaces}): everything is sent again under it and counted once")
    if done.host_id is not None:
        click.echo(f"host   {done.host_id} at {done.hub_url}")


async def _rekey(loaded: Loaded, code: str | None) -> Any:
    """Rekeyed; here, or inside the daemon."""
    from trueup_agent import control
    from trueup_agent.daemon import RekeyRequest
    from trueup_agent.ledger import Ledger
    from trueup_agent.push.forever import Pusher, Rekeyed
    from trueup_agent.push.uplink import Uplink

    async def here(ledger: Ledger) -> Rekeyed:
        return await Pusher(ledger, Uplink(loaded.data_dir, loaded.agent, ledger)).rekey(code)

    async def there() -> Rekeyed:
        return await control.ask(loaded.data_dir, "rekey", RekeyRequest(code), Rekeyed)

    return await start.with_ledger(loaded, here, there)


@agent.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def status(given: Globals, as_json: bool) -> None:
    """Sources, rows, backlog, drift, last error, convergence and policy, from the ledger; asks no hub."""
    from trueup_agent.cli import status as page

    loaded = start.load(given)
    found = start.run(page.gather(loaded))
    if as_json:
        start.print_json(found)
    else:
        page.show(found)


@agent.command()
@click.argument("harnesses", nargs=-1, metavar="[HARNESS]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def doctor(given: Globals, harnesses: tuple[str, ...], as_json: bool) -> None:
    """For every harness: where its logs were looked for, what was found, what could not be read, what to do."""
    from trueup_agent.cli import doctor as page
    from trueup_agent.doctor import examine
    from trueup_agent.harnesses import HARNESSES

    for name in harnesses:
        if name not in HARNESSES:
            raise WrongUsage(f"there is no harness '{name}'; there are {', '.join(sorted(HARNESSES))}")
    with start.one_line():
        found = examine(start.load(given), harnesses)
    if as_json:
        start.print_json({"harnesses": found})
    else:
        page.show(found, at_length=bool(harnesses))
