"""What `trueup agent status` tells: the ledger as it is, and the daemon where one runs."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import click
import msgspec
from msgspec import Struct

from trueup_agent.credential import load_host
from trueup_agent.daemon import DaemonStatus, ask_status
from trueup_agent.glance import drift_suspected
from trueup_agent.harnesses.base import LINES
from trueup_agent.ledger import LedgerReader, SourceInfo, identity
from trueup_agent.ledger.identity import Replaced
from trueup_agent.ledger.sources import GONE
from trueup_agent.push import directives
from trueup_agent.push.directives import Task
from trueup_agent.push.forever import LAST_REPAIR, Repaired
from trueup_agent.push.rejections import RejectedRow, still_rejected
from trueup_agent.settings import Loaded
from trueup_shared import wire
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.terminal import printable

MOST_SHOWN = 5


class HarnessStatus(Struct, kw_only=True):
    sources: int = 0
    source_gone: int = 0
    unreadable: int = 0
    sessions: int = 0
    messages: int = 0
    events: int = 0
    skipped_lines: int = 0
    unknown_records: int = 0
    unread_bytes: int = 0  # of logs that are appended to and that were longer than what had been read at the last look


class Rederiving(Struct, kw_only=True):
    """A newer release reads everything again: how far it has come."""

    done: int = 0
    sources: int = 0


class Convergence(Struct, kw_only=True):
    """As of the last receipt; `trueup pg status` asks the hub."""

    verdict: wire.Verdict | None
    acked_seq: int
    head_seq: int
    pending: int


class AgentStatus(Struct, kw_only=True):
    data_dir: str
    ledger_id: str
    ledger_digest: str
    rows: int
    set_aside: int
    harnesses: dict[str, HarnessStatus]
    rederiving: dict[str, Rederiving]
    drift_suspected: dict[str, str]  # harness -> why, and what to do
    last_error: str | None
    hub: dict[str, str] | None
    convergence: Convergence
    rejected: list[RejectedRow]
    repaired: Repaired | None  # the last time that the hub was found to differ
    identity: list[Replaced]  # ids that this ledger took the place of, newest first
    directives: list[Task]  # what the hub asked for, oldest first
    policy: dict[str, str]
    daemon: DaemonStatus | None


async def gather(loaded: Loaded) -> AgentStatus:
    daemon = await ask_status(loaded.data_dir)
    host = load_host(loaded.data_dir)
    with LedgerReader(loaded.data_dir) as reader:
        reader.snapshot()
        sources = reader.sources()
        head_seq, digest, rows = reader.head()
        harnesses: dict[str, HarnessStatus] = {}
        for name, (sessions, messages, events) in reader.harness_rows().items():
            harnesses[name] = HarnessStatus(sessions=sessions, messages=messages, events=events)
        for source in sources:
            of = harnesses.setdefault(source.harness, HarnessStatus())
            of.sources += 1
            of.source_gone += source.state == GONE
            of.unreadable += source.error is not None
            of.skipped_lines += source.skipped_lines
            of.unknown_records += source.unknown_records
            of.unread_bytes += _unread_bytes(source)
        receipt_json = reader.meta("last_receipt")
        receipt = msgspec.json.decode(receipt_json, type=wire.Receipt) if receipt_json and host else None
        acked = receipt.acked_seq if receipt else 0
        verdict: wire.Verdict | None = None
        if receipt:
            verdict = receipt.verdict if acked == head_seq else "behind"
        problems = [f"{source.path}: {source.error}" for source in sources if source.error]
        return AgentStatus(
            data_dir=str(loaded.data_dir),
            ledger_id=reader.ledger_id(),
            ledger_digest=digest.hex(),
            rows=rows,
            set_aside=reader.set_aside_events(),
            harnesses=harnesses,
            rederiving=_rederiving(_enabled_floors(loaded, reader), sources),
            drift_suspected=drift_suspected(sources),
            last_error=(daemon.last_error if daemon else None) or (problems[0] if problems else None),
            hub={"url": host.hub_url, "host_id": host.host_id, "label": host.label} if host else None,
            convergence=Convergence(
                verdict=verdict, acked_seq=acked, head_seq=head_seq, pending=reader.pending(acked) if host else 0
            ),
            rejected=still_rejected(reader, host.host_id) if host else [],
            repaired=_repaired(reader.meta(LAST_REPAIR)),
            identity=identity.decode(reader.meta(identity.META)),
            directives=daemon.directives if daemon else directives.decode(reader.meta(directives.META)),
            policy=loaded.agent.policy.as_dict(),
            daemon=daemon,
        )


def _repaired(value: str | None) -> Repaired | None:
    return msgspec.json.decode(value, type=Repaired) if value else None


def _enabled_floors(loaded: Loaded, reader: LedgerReader) -> dict[str, int]:
    """Of harnesses whose logs are read at all."""
    of = loaded.places.harnesses
    return {name: floor for name, floor in reader.floors().items() if name not in of or of[name].enabled}


def _unread_bytes(source: SourceInfo) -> int:
    """What is rewritten, or a database, is read whole or not at all: that has no position."""
    if source.kind != LINES or source.compressed or source.state == GONE:
        return 0
    return max(0, source.size - source.position)


def _rederiving(floors: Mapping[str, int], sources: Iterable[SourceInfo]) -> dict[str, Rederiving]:
    """Harnesses of which not all rows are of this release's data version yet."""
    found = {name: Rederiving() for name, floor in floors.items() if floor < DATA_VERSIONS.get(name, 0)}
    for source in sources:
        if source.harness in found and source.state != GONE:
            found[source.harness].sources += 1
            found[source.harness].done += source.data_version >= DATA_VERSIONS[source.harness]
    return found


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def show(found: AgentStatus) -> None:
    """For people: one fact a line."""
    width = max([8, *(len(name) for name in found.harnesses)])
    click.echo(f"ledger   {found.data_dir} ({found.ledger_id}), {found.rows:,} rows, {found.set_aside:,} set aside")
    for name, of in sorted(found.harnesses.items()):
        click.echo(
            f"{name:<{width}} {of.sources:,} sources, {of.sessions:,} sessions, {of.messages:,} messages, "
            f"{of.events:,} events"
        )
        remarks = {
            "sources whose log is gone": of.source_gone,
            "sources that cannot be read": of.unreadable,
            "lines skipped": of.skipped_lines,
            "records of unknown type": of.unknown_records,
            "bytes not yet read": of.unread_bytes,
        }
        told = [f"{count:,} {what}" for what, count in remarks.items() if count]
        if told:
            click.echo(f"{'':<{width}} {', '.join(told)}")
    for name, progress in sorted(found.rederiving.items()):
        click.echo(f"re-deriving {name}: {progress.done:,} of {progress.sources:,} sources")
    for name, why in sorted(found.drift_suspected.items()):
        click.echo(f"drift    {name}: {why}")
    if found.hub:
        at = found.convergence
        click.echo(printable(f"hub      {found.hub['url']} as {found.hub['label']} (host {found.hub['host_id']})"))
        click.echo(
            f"pushed   {at.acked_seq:,} of {at.head_seq:,}, {at.pending:,} rows pending: {at.verdict or 'never pushed'}"
        )
        if found.repaired:
            last = found.repaired
            click.echo(f"repaired {last.rows:,} rows at {_utc(last.at)}, then {last.verdict}")
        for row in found.rejected[:10]:
            click.echo(printable(f"rejected {row.table or 'row'} {row.key or ''}: {row.code}: {row.reason}"))
        if len(found.rejected) > 10:
            click.echo(f"         and {len(found.rejected) - 10:,} more: --json has all of them")
    else:
        click.echo("hub      none: this machine is not enrolled")
    for one in found.identity[:MOST_SHOWN]:
        click.echo(printable(f"new id   {one.replaced_by} for {one.ledger_id} at {_utc(one.at / 1e6)}: {one.why}"))
    for task in found.directives[-MOST_SHOWN:]:
        far = f" {task.done:,} of {task.of:,}" if task.state == "running" and task.of else ""
        note = f", {task.note}" if task.note else ""
        click.echo(printable(f"asked    {task.kind.replace('_', ' ')}: {task.state}{far}{note}"))
    click.echo("sends    " + ", ".join(f"{name}: {value}" for name, value in found.policy.items()))
    if found.daemon:
        since = _utc(found.daemon.started_at)
        watching = found.daemon.watching.replace("_", " ")
        why = f": {found.daemon.watching_reason}" if found.daemon.watching_reason else ""
        click.echo(printable(f"daemon   running since {since} (pid {found.daemon.pid}), {watching}{why}"))
    else:
        click.echo("daemon   not running")
    if found.last_error:
        click.echo(printable(f"error    {found.last_error}"))
