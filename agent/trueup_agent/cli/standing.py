"""`trueup pg status`: the ledger and the hub's position, side by side."""

from datetime import UTC, datetime

import click
import msgspec
from msgspec import Struct

from trueup_agent.cli import start
from trueup_agent.credential import Host, load_host
from trueup_agent.ledger import LedgerReader
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.identity import fork_of
from trueup_agent.push.rejections import RejectedRow, still_rejected
from trueup_agent.settings import Loaded
from trueup_shared import digest_sets, wire
from trueup_shared.cli import Failure
from trueup_shared.terminal import printable


class Received(Struct, frozen=True, kw_only=True):
    """The last receipt; `sent_at` is seconds UTC, by this machine's clock."""

    batch_no: int
    kind: str
    sent_at: float
    acked_seq: int
    verdict: wire.Verdict


class Standing(Struct, frozen=True, kw_only=True):
    """`pg status --json`. Digests are hex."""

    hub_url: str
    hub_version: str
    host_id: str
    ledger_id: str
    rows: int  # of the ledger: sessions, messages and events
    acked_seq: int
    head_seq: int
    pending: int  # rows and deletions that the hub does not have yet
    ledger_digest: str
    hub_digest: str
    verdict: wire.Verdict
    last_receipt: Received | None
    generation: int
    open_generation: int  # a full push that is under way or was interrupted; 0 none
    full_seq: int  # how far that is …
    full_target: int  # … of
    rejected: int  # rows that the hub could not take
    rejections: list[RejectedRow]
    withheld: list[str]  # fields that the hub does not know
    forked: str | None = None  # why


def enrolment(loaded: Loaded) -> tuple[Host, str]:
    """The host that this machine is, and its ledger's id, which may be asked about at the hub.

    Another ledger than the one last pushed with is not named there before a push has settled which replaces which: the
    hub would take it for a second machine.
    """
    host = load_host(loaded.data_dir)
    if host is None:
        raise Failure(start.NOT_ENROLLED)
    with LedgerReader(loaded.data_dir) as reader:
        ledger_id = reader.ledger_id()
    if host.ledger_id and host.ledger_id != ledger_id:
        raise Failure(
            f"this machine last pushed with ledger {host.ledger_id} and not with {ledger_id}, which is here now: run "
            "`trueup pg push` first, which tells the hub"
        )
    return host, ledger_id


async def gather(loaded: Loaded) -> Standing:
    """Reads the ledger beside its writer, and asks the hub."""
    host, ledger_id = enrolment(loaded)
    async with HubClient(host.hub_url, host.credential, loaded.agent.hub_ca) as hub:
        position = await hub.position(ledger_id)
    with LedgerReader(loaded.data_dir) as reader:
        reader.snapshot()
        head_seq, digest, rows = reader.head()
        [[digest_set]] = reader.query("SELECT digest_set FROM ledger")
        verdict: wire.Verdict = "behind"
        if position.acked_seq == head_seq:
            verdict = "converged" if position.digest == digest else "diverged"
        return Standing(
            hub_url=host.hub_url,
            hub_version=position.hub_version,
            host_id=position.host_id,
            ledger_id=ledger_id,
            rows=rows,
            acked_seq=position.acked_seq,
            head_seq=head_seq,
            pending=reader.pending(position.acked_seq),
            ledger_digest=digest.hex(),
            hub_digest=position.digest.hex(),
            verdict=verdict,
            last_receipt=_last_receipt(reader),
            generation=position.generation,
            open_generation=position.open_generation,
            full_seq=position.full_seq,
            full_target=position.full_target,
            rejected=position.rejected,
            rejections=still_rejected(reader, position.host_id),
            withheld=digest_sets.withheld(digest_set),
            forked=fork_of(reader, position),
        )


def _last_receipt(reader: LedgerReader) -> Received | None:
    value = reader.meta("last_receipt")
    if value is None:
        return None
    receipt = msgspec.json.decode(value, type=wire.Receipt)
    sent = reader.query("SELECT kind, created_at FROM batches WHERE batch_id = ?", (receipt.batch_id,))
    if not sent:  # under another id of this ledger, or long ago
        return None
    [(kind, created_at)] = sent
    return Received(
        batch_no=receipt.batch_no,
        kind=kind,
        sent_at=created_at / 1e6,
        acked_seq=receipt.acked_seq,
        verdict=receipt.verdict,
    )


def show(standing: Standing) -> None:
    """For people: one fact a line."""
    click.echo(printable(f"hub      {standing.hub_url} (host {standing.host_id})"))
    click.echo(f"ledger   {standing.ledger_id}, {standing.rows:,} rows")
    click.echo(f"position {standing.acked_seq:,} of {standing.head_seq:,}, {standing.pending:,} pending")
    if (last := standing.last_receipt) is not None:
        at = datetime.fromtimestamp(last.sent_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        click.echo(f"receipt  batch {last.batch_no:,} ({last.kind}) of {at}: {last.verdict} at {last.acked_seq:,}")
    if standing.open_generation:
        click.echo(
            f"full     generation {standing.open_generation} is under way or was interrupted: "
            f"{standing.full_seq:,} of {standing.full_target:,}; `trueup pg push --full` goes on"
        )
    elif standing.generation:
        click.echo(f"full     generation {standing.generation}")
    if standing.rejected:
        click.echo(f"rejected {standing.rejected:,} rows")
    for row in standing.rejections:
        click.echo(printable(f"         {row.table} {row.key}: {row.code}: {row.reason}"))
    if standing.withheld:
        click.echo(printable(f"withheld {', '.join(standing.withheld)}: the hub does not know them, upgrade it"))
    click.echo(f"digests  ledger {standing.ledger_digest}")
    click.echo(f"         hub    {standing.hub_digest}")
    click.echo(f"verdict  {standing.verdict}")
