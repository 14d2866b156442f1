"""`trueup pg`: this ledger and its hub."""

from typing import Any

import click
import msgspec
from msgspec import Struct

from trueup_agent.cli import start
from trueup_agent.cli.progress import stages
from trueup_agent.settings import Loaded
from trueup_shared import wire
from trueup_shared.cli import Failure, Globals, NotConverged
from trueup_shared.terminal import printable

NOT_ENROLLED = "this machine is not enrolled at a hub: run `trueup agent enroll URL --code CODE`"


class Standing(Struct, frozen=True, kw_only=True):
    """The ledger and the hub's position, side by side. Digests are hex."""

    hub_url: str
    host_id: str
    ledger_id: str
    generation: int
    acked_seq: int
    head_seq: int
    pending: int
    ledger_digest: str
    hub_digest: str
    verdict: wire.Verdict
    forked: str | None = None  # why


@click.group()
def pg() -> None:
    """Push to the hub, and compare with it."""


@pg.command()
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def push(given: Globals, dry_run: bool, as_json: bool) -> None:
    """Push what is pending, and say whether hub and ledger are equal.

    Exit status 0 when they are, 3 when they are not, 4 when the hub cannot be reached.
    """
    loaded = start.load(given)
    if dry_run:
        standing = start.run(_standing(loaded))
        if as_json:
            start.print_json(standing)
        else:
            click.echo(f"would send {standing.pending:,} rows and deletions to {standing.hub_url}")
        return
    result = start.run(push_now(loaded))
    if as_json:
        start.print_json(result)
    else:
        print_push(result)
    fail_unless_converged(result.verdict)


@pg.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def status(given: Globals, as_json: bool) -> None:
    """Compare positions and digests of this ledger and the hub. Exit status as for push."""
    standing = start.run(_standing(start.load(given)))
    if as_json:
        start.print_json(standing)
    else:
        click.echo(f"hub      {standing.hub_url} (host {standing.host_id})")
        click.echo(f"ledger   {standing.ledger_id}")
        click.echo(f"position {standing.acked_seq:,} of {standing.head_seq:,}, {standing.pending:,} pending")
        click.echo(f"digests  ledger {standing.ledger_digest}, hub {standing.hub_digest}")
        click.echo(f"verdict  {standing.verdict}")
    if standing.forked:
        raise Failure(standing.forked)
    fail_unless_converged(standing.verdict)


async def push_now(loaded: Loaded) -> Any:
    """PushResult of one push, here or inside the daemon."""
    from trueup_agent import control
    from trueup_agent.ledger import Ledger
    from trueup_agent.push.forever import Pusher
    from trueup_agent.push.push import PATIENCE_SECONDS, Progress, PushResult
    from trueup_agent.push.uplink import Uplink

    with stages("Pushing") as show:

        def tell(progress: Progress) -> None:
            show(progress.phase, progress.done, progress.of, progress.unit)

        async def here(ledger: Ledger) -> PushResult | None:
            uplink = Uplink(loaded.data_dir, loaded.agent, ledger)
            try:
                return await Pusher(ledger, uplink).push(tell, PATIENCE_SECONDS)
            finally:
                await uplink.close()

        async def there() -> PushResult | None:
            return await control.ask(
                loaded.data_dir,
                "push",
                None,
                PushResult | None,  # type: ignore[arg-type]
                lambda raw: tell(msgspec.json.decode(raw, type=Progress)),
            )

        result = await start.with_ledger(loaded, here, there)
    if result is None:
        raise Failure(NOT_ENROLLED)
    return result


async def _standing(loaded: Loaded) -> Standing:
    """Reads the ledger beside its writer, and asks the hub."""
    from trueup_agent.credential import load_host
    from trueup_agent.ledger import LedgerReader
    from trueup_agent.push.hub_client import HubClient
    from trueup_agent.push.identity import fork

    host = load_host(loaded.data_dir)
    if host is None:
        raise Failure(NOT_ENROLLED)
    with LedgerReader(loaded.data_dir) as reader:
        ledger_id = reader.ledger_id()
    async with HubClient(host.hub_url, host.credential, loaded.agent.hub_ca) as hub:
        position = await hub.position(ledger_id)
    with LedgerReader(loaded.data_dir) as reader:
        reader.snapshot()
        head_seq, digest, _ = reader.head()
        known, oldest = reader.query(
            "SELECT coalesce(max(batch_id = ?), 0), min(batch_no) FROM batches", (position.last_batch_id,)
        )[0]
        verdict: wire.Verdict = "behind"
        if position.acked_seq == head_seq:
            verdict = "converged" if position.digest == digest else "diverged"
        return Standing(
            hub_url=host.hub_url,
            host_id=position.host_id,
            ledger_id=ledger_id,
            generation=position.generation,
            acked_seq=position.acked_seq,
            head_seq=head_seq,
            pending=reader.pending(position.acked_seq),
            ledger_digest=digest.hex(),
            hub_digest=position.digest.hex(),
            verdict=verdict,
            forked=fork(position, head_seq, bool(known), oldest),
        )


def print_push(result: Any) -> None:
    for line in result.identity:
        click.echo(line)
    click.echo(
        f"sent {result.rows_sent:,} rows in {result.batches} batches ({result.bytes_sent:,} bytes): "
        f"{result.inserted:,} inserted, {result.updated:,} updated, {result.unchanged:,} unchanged, "
        f"{result.removed:,} removed"
    )
    for rejected in result.rejections:
        click.echo(printable(f"rejected {rejected.table} {rejected.key}: {rejected.code}: {rejected.reason}"))
    click.echo(f"ledger {result.ledger_digest}")
    click.echo(f"hub    {result.hub_digest}")
    click.echo(result.verdict)


def fail_unless_converged(verdict: wire.Verdict) -> None:
    if verdict == "behind":
        raise NotConverged("the hub does not have everything yet: push again")
    if verdict == "diverged":
        raise NotConverged("the hub has everything but its sums differ from the ledger's")
