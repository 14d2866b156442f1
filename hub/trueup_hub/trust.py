"""How far a number can be trusted (design section 8): the `trust` block of answers, and `/trust` host by host."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from trueup_hub.analytics.scope import Range, Scope, open_scope
from trueup_hub.errors import BadRequest
from trueup_hub.hosts import MAX_HOSTS, list_hosts
from trueup_hub.params import Common
from trueup_hub.reports import Flag, HostReport, LedgerReport
from trueup_hub.states import State

if TYPE_CHECKING:
    from trueup_hub.db import Database


class HostCounts(Struct, kw_only=True):
    """`total` is without the retired ones: nothing more is expected of them."""

    total: int = 0
    converged: int = 0
    behind: int = 0
    silent: int = 0
    diverged: int = 0
    forked: int = 0
    never: int = 0
    retired: int = 0


class Trust(Struct, frozen=True, kw_only=True):
    """Filtered like the aggregate beside it. Facts of a whole host are filtered by host alone.

    `complete_up_to`: before this time no host has anything that is not counted, but for what `rejected` counts; null
    when one has never converged, or has diverged. Ledgers whose place another one took are left out.
    """

    as_of: datetime
    complete_up_to: datetime | None
    hosts: HostCounts
    needs_resync: int  # hosts
    drift_suspected: int  # hosts
    pending_changes: int
    old_data: int
    source_gone: int
    set_aside_duplicates: int
    conflicting_copies: int
    rejected: int
    unpriced_tokens: int
    scrubbed_at: datetime | None  # since then every stored row was recomputed; null: of one ledger none ever was


class HostTrust(Struct, frozen=True, kw_only=True):
    """One host: its state, why, and what to do; `flags` say what stands beside the state."""

    host_id: str
    label: str
    state: State
    reason: str
    action: str
    complete_up_to: datetime | None
    pending_changes: int
    flags: list[Flag]


class TrustReport(Range, frozen=True, kw_only=True):
    trust: Trust
    hosts: list[HostTrust]


class Reply(Range, frozen=True, kw_only=True):
    """What every analytics answer begins with."""

    trust: Trust


async def trust_of(scope: Scope) -> Trust:
    """The trust block for what `scope` counts."""
    return await _block(scope, await _hosts_of(scope))


async def trust_report(db: "Database", common: Common) -> TrustReport:
    """`GET /trust`. BadRequest `too_many_points` when there are more than MAX_HOSTS."""
    async with open_scope(db, common) as scope:
        hosts = await _hosts_of(scope)
        if len(hosts) > MAX_HOSTS:
            detail = f"That would be {len(hosts)} hosts of at most {MAX_HOSTS}: filter by 'host' or 'label'."
            raise BadRequest("too_many_points", detail, limit=MAX_HOSTS)
        return TrustReport(trust=await _block(scope, hosts), hosts=[_host(host) for host in hosts], **scope.echo)


async def _hosts_of(scope: Scope) -> list[HostReport]:
    return await list_hosts(scope.connection, host_numbers=scope.numbers[0])


async def _block(scope: Scope, hosts: list[HostReport]) -> Trust:
    counts = HostCounts()
    for host in hosts:
        setattr(counts, host.state, getattr(counts, host.state) + 1)
    counts.total = len(hosts) - counts.retired
    expected = [host for host in hosts if host.state != "retired"]
    complete = [complete_up_to(host) for host in expected]
    known = [at for at in complete if at is not None]
    ledgers = [ledger for host in hosts for ledger in host.live]
    set_aside, conflicts, old_data = [
        (await scope.fetch("trust", name))[0][0] for name in ("set_aside", "conflicts", "old_data")
    ]
    return Trust(
        as_of=datetime.now(UTC),
        complete_up_to=min(known) if known and len(known) == len(complete) else None,
        hosts=counts,
        needs_resync=sum(host.flagged("needs_resync") for host in hosts),
        drift_suspected=sum(host.flagged("drift_suspected") for host in hosts),
        pending_changes=sum(pending_changes(host) for host in expected),
        old_data=old_data + sum(_old_data_told(ledger) for ledger in ledgers),
        source_gone=sum(ledger.source_gone or 0 for ledger in ledgers),
        set_aside_duplicates=set_aside,
        conflicting_copies=conflicts,
        rejected=sum(ledger.rejected for ledger in ledgers),
        unpriced_tokens=await scope.unpriced_tokens(),
        scrubbed_at=_scrubbed_at(ledgers),
    )


def _old_data_told(ledger: LedgerReport) -> int:
    """What an agent of the first release says of its ledger; later ones flag the rows (wire.OLD_DATA)."""
    return 0 if ledger.agent is not None and ledger.agent.features else ledger.old_data or 0


def _scrubbed_at(ledgers: list[LedgerReport]) -> datetime | None:
    """The oldest; a ledger without any rows has nothing to recompute."""
    times = [ledger.scrubbed_at for ledger in ledgers if ledger.sessions or ledger.messages or ledger.events]
    known = [at for at in times if at is not None]
    return min(known) if known and len(known) == len(times) else None


def complete_up_to(host: HostReport) -> datetime | None:
    """When the hub last had all that the host's ledgers had; None where one has never converged or has diverged.

    Of a diverged ledger nobody knows which rows the hub lacks; nor while what a scrub found is not mended.
    """
    times = []
    for ledger in host.live:
        if ledger.state == "never":
            continue
        altered = ledger.corrected_at is not None and ledger.mended_at is None
        if ledger.converged_at is None or ledger.verdict == "diverged" or altered:
            return None
        # A heartbeat of a ledger without pending changes says that nothing came since.
        current = ledger.state == "converged" and ledger.seen_at is not None
        times.append(max(ledger.converged_at, ledger.seen_at) if current and ledger.seen_at else ledger.converged_at)
    return min(times, default=None)


def pending_changes(host: HostReport) -> int:
    """Changes that its ledgers have and the hub has not, by what they said last."""
    return sum(ledger.pending or 0 for ledger in host.live)


def _host(host: HostReport) -> HostTrust:
    return HostTrust(
        host_id=str(host.host_id),
        label=host.label,
        state=host.state,
        reason=host.reason,
        action=host.action,
        complete_up_to=complete_up_to(host),
        pending_changes=pending_changes(host),
        flags=host.flags,
    )
