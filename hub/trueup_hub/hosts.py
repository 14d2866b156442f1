"""Hosts: what state each is in and why, and the facts that say so.

The state is computed here and nowhere else, from facts; it is never stored (design section 8).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.db import Connection, Database
from trueup_shared.keys import digest_bytes

State = Literal["never", "converged", "behind", "diverged", "forked", "silent", "retired"]
STATES: tuple[State, ...] = ("never", "converged", "behind", "diverged", "forked", "silent", "retired")

# How long a machine may say nothing before it counts as silent, by its kind. Kept with each host.
EXPECTED_SILENCE = {"server": timedelta(minutes=15), "laptop": timedelta(days=3), "ephemeral": timedelta(days=3)}

_CLOCK_SKEW = timedelta(minutes=5)

# A host is as bad as the worst of its ledgers. Silence wins over behind: who says nothing cannot catch up.
_WORST_FIRST: tuple[State, ...] = ("forked", "diverged", "silent", "behind", "converged")


class LedgerFacts(Struct, frozen=True, kw_only=True):
    """What the hub knows of one ledger. `head_seq`: what its machine said last in a heartbeat, None = nothing yet."""

    acked_seq: int = 0
    head_seq: int | None = None
    verdict: str | None = None  # of the last batch: converged | behind | diverged | forked; None = no batch yet


def ledger_state(ledger: LedgerFacts) -> State:
    """State of one ledger, `never` where nothing of it has arrived."""
    if ledger.verdict is None:
        return "never"
    if ledger.verdict in ("forked", "diverged"):
        return cast(State, ledger.verdict)
    if ledger.verdict == "behind" or (ledger.head_seq is not None and ledger.head_seq > ledger.acked_seq):
        return "behind"
    return "converged"


def host_state(
    *,
    retired: bool,
    last_seen_at: datetime | None,
    expected_silence: timedelta,
    ledgers: Sequence[LedgerFacts],
    now: datetime,
) -> State:
    """Exactly one of STATES. `last_seen_at`: when anything authentic last came from the host."""
    if retired:
        return "retired"
    states = {ledger_state(ledger) for ledger in ledgers} - {"never"}
    if not states:
        return "never"
    if last_seen_at is None or now - last_seen_at > expected_silence:
        states.add("silent")
    return next(state for state in _WORST_FIRST if state in states)


class Flag(Struct, frozen=True):
    """Something to know beside the state, in words, and what to do about it."""

    flag: str
    reason: str
    action: str


class LedgerReport(Struct, frozen=True, kw_only=True):
    """A ledger as the API shows it. What only a heartbeat tells is None until one came."""

    ledger_id: UUID
    state: State
    verdict: str | None
    acked_seq: int
    digest: str  # hex
    sessions: int
    messages: int
    events: int
    rejected: int
    batch_no: int
    last_batch_at: datetime | None
    converged_at: datetime | None
    agent_version: str | None
    policy: dict[str, str]
    seen_at: datetime | None
    head_seq: int | None
    pending: int | None  # changes that the ledger had when it last told, and the hub has not
    skipped_lines: int | None
    unknown_records: int | None
    old_data: int | None
    source_gone: int | None
    drift_suspected: list[str]
    last_error: str | None


class HostReport(Struct, frozen=True, kw_only=True):
    host_id: UUID
    host_no: int
    label: str
    labels: dict[str, str]
    kind: str
    platform: str
    state: State
    reason: str
    flags: list[Flag]
    enrolled_at: datetime
    last_seen_at: datetime | None
    expected_silence_seconds: int
    readmitted_at: datetime | None
    retired_at: datetime | None
    ledgers: list[LedgerReport]


class SourceReport(Struct, frozen=True, kw_only=True):
    ledger_id: UUID
    source_key: str  # hex
    harness: str
    state: str
    bytes_read: int
    lines: int
    skipped_lines: int
    unknown_records: int
    path: str | None  # where the machine's policy sends it


async def list_hosts(
    db: Database | Connection, host_id: UUID | None = None, *, now: datetime | None = None
) -> list[HostReport]:
    """Every host in the order of enrolment, or the one asked for."""
    sql = sqlfiles.load("hosts")
    hosts = await db.fetch(sql["all_hosts"], host_id)
    only = hosts[0]["host_no"] if host_id is not None and hosts else None
    ledgers: dict[int, list[Any]] = {}
    for row in await db.fetch(sql["all_ledgers"], only):
        ledgers.setdefault(row["host_no"], []).append(row)
    return [_report(host, ledgers.get(host["host_no"], []), now or datetime.now(UTC)) for host in hosts]


def _report(host: Any, rows: list[Any], now: datetime) -> HostReport:
    ledgers = [_ledger_report(row) for row in rows]
    seen = [at for ledger in ledgers for at in (ledger.seen_at, ledger.last_batch_at) if at is not None]
    silence = timedelta(seconds=host["expected_silence_seconds"])
    state = host_state(
        retired=host["retired_at"] is not None,
        last_seen_at=max(seen, default=None),
        expected_silence=silence,
        ledgers=[_facts(row) for row in rows],
        now=now,
    )
    return HostReport(
        host_id=UUID(bytes=host["host_id"]),
        host_no=host["host_no"],
        label=host["label"],
        labels=host["labels"],
        kind=host["kind"],
        platform=host["platform"],
        state=state,
        reason=_REASONS[state],
        flags=_flags(host, rows),
        enrolled_at=host["enrolled_at"],
        last_seen_at=max(seen, default=None),
        expected_silence_seconds=host["expected_silence_seconds"],
        readmitted_at=host["readmitted_at"],
        retired_at=host["retired_at"],
        ledgers=ledgers,
    )


_REASONS: dict[State, str] = {
    "never": "It was enrolled but has not sent anything yet.",
    "converged": "The hub has what its ledger has.",
    "behind": "Its ledger has changes that the hub does not have yet.",
    "diverged": "The hub's rows and its ledger's do not add up to the same digest.",
    "forked": "Another machine sent batches under the same ledger.",
    "silent": "It has not been heard of for longer than expected.",
    "retired": "It was retired; what it sent stays and counts.",
}


def _facts(row: Any) -> LedgerFacts:
    verdict = row["verdict"] if row["batch_no"] else None
    return LedgerFacts(acked_seq=row["acked_seq"], head_seq=row["head_seq"], verdict=verdict)


def _ledger_report(row: Any) -> LedgerReport:
    facts = _facts(row)
    agent = row["agent"] or {}
    same = ("acked_seq", "sessions", "messages", "events", "rejected", "batch_no", "last_batch_at", "converged_at")
    told = ("policy", "seen_at", "head_seq", "skipped_lines", "unknown_records", "old_data", "source_gone")
    return LedgerReport(
        ledger_id=UUID(bytes=row["ledger_id"]),
        state=ledger_state(facts),
        verdict=facts.verdict,
        digest=digest_bytes(int(row["digest"])).hex(),
        agent_version=agent.get("version") or row["agent_version"] or None,
        # By what was received since: a heartbeat's own count is out of date as soon as a batch follows it.
        pending=None if row["head_seq"] is None else max(0, row["head_seq"] - row["acked_seq"]),
        drift_suspected=row["drift_suspected"] or [],
        last_error=row["last_error"],
        **{name: row[name] for name in (*same, *told)},
    )


def _flags(host: Any, rows: list[Any]) -> list[Flag]:
    """In the order of how much they matter to the numbers."""
    flags = []
    harnesses = sorted({name for row in rows for name in row["drift_suspected"] or []})
    rejected, old = sum(row["rejected"] for row in rows), sum(row["old_data"] or 0 for row in rows)
    skews = [row["sent_at"] - row["seen_at"] for row in rows if row["seen_at"] is not None]
    if harnesses:
        reason = f"The logs of {', '.join(harnesses)} grow but no usage is read from them."
        flags.append(Flag("drift_suspected", reason, "Update trueup on this host."))
    if rejected:
        flags.append(Flag("rejected", f"{rejected} rows could not be accepted.", "Update the hub or the agent."))
    if old:
        flags.append(Flag("old_data", f"{old} rows were read by an older parser and their logs are gone.", ""))
    if any(abs(skew) > _CLOCK_SKEW for skew in skews):
        flags.append(Flag("clock_skew", "Its clock differs from the hub's by more than 5 minutes.", "Set its clock."))
    for error in sorted({row["last_error"] for row in rows if row["last_error"]}):
        flags.append(Flag("agent_error", error, "Run `trueup agent status` on this host."))
    if host["readmitted_at"] is not None:
        flags.append(Flag("readmitted", "The hub lost its database and knew the host by its credential.", ""))
    return flags


async def sources_of(db: Database, host_no: int) -> list[SourceReport]:
    rows = await db.fetch(sqlfiles.load("hosts")["sources_of_host"], host_no)
    same = ("harness", "state", "bytes_read", "lines", "skipped_lines", "unknown_records", "path")
    return [
        SourceReport(
            ledger_id=UUID(bytes=row["ledger_id"]),
            source_key=row["source_key"].hex(),
            **{name: row[name] for name in same},
        )
        for row in rows
    ]


async def expected_silence_seconds(db: Database, host_no: int) -> int:
    seconds: int = await db.fetchval(sqlfiles.load("hosts")["expected_silence"], host_no)
    return seconds


async def change_host(db: Database, host_id: UUID, label: str | None, labels: dict[str, str] | None) -> bool:
    """False when there is no such host. None leaves a field as it is."""
    return await db.fetchval(sqlfiles.load("hosts")["change_host"], host_id, label, labels) is not None


async def retire_host(db: Database, host_id: UUID) -> bool:
    """Its access ends, what it sent stays. False when there is no such host."""
    return await db.fetchval(sqlfiles.load("hosts")["retire_host"], host_id) is not None
