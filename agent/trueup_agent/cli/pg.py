"""`trueup pg`: this ledger and its hub."""

from typing import Any

import click
import msgspec

from trueup_agent.cli import start
from trueup_agent.cli.progress import stages
from trueup_agent.settings import Loaded
from trueup_shared import wire
from trueup_shared.cli import Failure, Globals, NotConverged
from trueup_shared.terminal import printable

_MOST_ROWS = 100  # that people are shown


@click.group()
def pg() -> None:
    """Push to the hub, and compare with it."""


@pg.command()
@click.option("--full", is_flag=True, help="Read all logs again, send everything, remove what is not in the ledger.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def push(given: Globals, full: bool, dry_run: bool, as_json: bool) -> None:
    """Push what is pending, and say whether hub and ledger are equal; rows that differ are repaired.

    Exit status 0 when they are equal, 3 when they are not, 4 when the hub cannot be reached. Interrupted at any point,
    the next push goes on.
    """
    loaded = start.load(given)
    if dry_run:
        _say_what_would_be_sent(loaded, full, as_json)
        return
    result = start.run(push_now(loaded, full))
    if as_json:
        start.print_json(result)
    else:
        print_push(result)
    fail_unless_converged(result.verdict, result.note)


@pg.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def status(given: Globals, as_json: bool) -> None:
    """Compare positions and digests of this ledger and the hub. Exit status as for push."""
    from trueup_agent.cli import standing as page

    standing = start.run(page.gather(start.load(given)))
    if as_json:
        start.print_json(standing)
    else:
        page.show(standing)
    if standing.forked:
        raise NotConverged(f"{standing.forked}; the next push goes on under a new ledger id and sends everything again")
    fail_unless_converged(standing.verdict)


@pg.command()
@click.option("--deep", is_flag=True, help="Let the hub compute digests from its stored columns, not trust its sums.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def verify(given: Globals, deep: bool, as_json: bool) -> None:
    """Name every row that differs between this ledger and the hub. Changes nothing; works beside a running agent.

    Exit status as for push.
    """
    found = start.run(_verify(start.load(given), deep))
    if as_json:
        start.print_json(found)
    else:
        _print_verified(found)
    if found.rows and deep:
        raise NotConverged("rows differ: `trueup pg push --full` mends them")
    if found.rows:
        raise NotConverged("rows differ: `trueup pg push` mends them")
    fail_unless_converged(found.verdict)


async def push_now(loaded: Loaded, full: bool = False) -> Any:
    """PushResult of one push, here or inside the daemon."""
    from trueup_agent import control
    from trueup_agent.ledger import Ledger
    from trueup_agent.push.forever import Pusher
    from trueup_agent.push.push import PATIENCE_SECONDS, Progress, PushResult
    from trueup_agent.push.uplink import Uplink
    from trueup_agent.resync import resync

    with stages("Reading all logs again" if full else "Pushing") as show:

        def tell(progress: Progress) -> None:
            show(progress.phase, progress.done, progress.of, progress.unit)

        async def here(ledger: Ledger) -> PushResult | None:
            uplink = Uplink(loaded.data_dir, loaded.agent, ledger)
            pusher = Pusher(ledger, uplink)
            try:
                if full:
                    return await resync(loaded, ledger, pusher, tell, PATIENCE_SECONDS)
                return await pusher.push(tell, PATIENCE_SECONDS)
            finally:
                await uplink.close()

        async def there() -> PushResult | None:
            return await control.ask(
                loaded.data_dir,
                "full_push" if full else "push",
                None,
                PushResult | None,  # type: ignore[arg-type]
                lambda raw: tell(msgspec.json.decode(raw, type=Progress)),
            )

        result = await start.with_ledger(loaded, here, there)
    if result is None:
        raise Failure(start.NOT_ENROLLED)
    return result


def _say_what_would_be_sent(loaded: Loaded, full: bool, as_json: bool) -> None:
    from trueup_agent.cli import standing as page

    standing = start.run(page.gather(loaded))
    if as_json:
        start.print_json(standing)
    elif full:
        click.echo(
            f"would read all logs again, send {standing.rows:,} rows to {standing.hub_url} and have it remove what is "
            "not among them"
        )
    else:
        click.echo(f"would send {standing.pending:,} rows and deletions to {standing.hub_url}")


async def _verify(loaded: Loaded, deep: bool) -> Any:
    from trueup_agent.cli.standing import enrolment
    from trueup_agent.push.hub_client import HubClient
    from trueup_agent.push.verify import verify as compare

    host, _ = enrolment(loaded)
    with stages("Comparing") as show:
        async with HubClient(host.hub_url, host.credential, loaded.agent.hub_ca) as hub:
            return await compare(
                loaded.data_dir, hub, deep, lambda done, of: show("Comparing", done, of, "sessions that differ")
            )


def print_push(result: Any) -> None:
    for line in result.identity:
        click.echo(line)
    if (logs := result.logs) is not None:
        click.echo(
            f"read {logs.sources:,} logs again: {logs.inserted:,} rows new in the ledger, {logs.restated:,} restated, "
            f"{logs.removed:,} withdrawn"
        )
        if logs.unreadable:
            click.echo(f"could not read {logs.unreadable:,} logs: `trueup agent doctor` names them")
        if logs.rechecked or not logs.sum_was_right:
            click.echo(f"the ledger's own digests were wrong and are right now ({logs.rechecked:,} rows restated)")
    click.echo(
        f"sent {result.rows_sent:,} rows in {result.batches} batches ({result.bytes_sent:,} bytes): "
        f"{result.inserted:,} inserted, {result.updated:,} updated, {result.unchanged:,} unchanged, "
        f"{result.removed:,} removed"
    )
    if result.corrected:
        click.echo(f"{result.corrected:,} rows at the hub were not what it had been sent")
    if result.repaired_rows:
        click.echo(
            f"repaired {result.repaired_rows:,} rows, found by {result.compare_requests:,} requests "
            f"({result.compared_bytes:,} bytes)"
        )
    for rejected in result.rejections:
        click.echo(printable(f"rejected {rejected.table} {rejected.key}: {rejected.code}: {rejected.reason}"))
    click.echo(f"ledger {result.ledger_digest}")
    click.echo(f"hub    {result.hub_digest}")
    click.echo(result.verdict)


def _print_verified(found: Any) -> None:
    click.echo(printable(f"hub      {found.hub_url} (host {found.host_id})"))
    click.echo(f"ledger   {found.ledger_id}, {found.acked_seq:,} of {found.head_seq:,}, {found.pending:,} pending")
    for row in found.rows[:_MOST_ROWS]:
        where = f"session {row.session_id or row.session_key or 'unknown'} of {row.harness or 'an unknown harness'}"
        click.echo(printable(f"{_IN_WORDS[row.difference]} {row.table[:-1]} {row.key}, {where}"))
    if len(found.rows) > _MOST_ROWS:
        click.echo(f"and {len(found.rows) - _MOST_ROWS:,} more: --json has all of them")
    if found.rejected:
        click.echo(f"rejected {len(found.rejected):,} rows that the hub cannot take: `trueup pg status` names them")
    click.echo(
        f"differs  {len(found.buckets_differing)} of 256 buckets: {len(found.only_here):,} rows only here, "
        f"{len(found.only_hub):,} only at the hub, {len(found.different):,} different"
    )
    click.echo(f"digests  ledger {found.ledger_digest}")
    click.echo(f"         hub    {found.hub_digest}")
    click.echo(f"verdict  {found.verdict}{', by the stored columns' if found.deep else ''}")


_IN_WORDS = {"only_here": "only here   ", "only_hub": "only at hub ", "different": "different   "}


def fail_unless_converged(verdict: wire.Verdict, note: str | None = None) -> None:
    if verdict == "behind":
        raise NotConverged("the hub does not have everything yet: push again")
    if verdict == "diverged":
        why = note or "`trueup pg push` repairs it"
        raise NotConverged(f"the hub has everything but its sums differ from the ledger's: {why}")
