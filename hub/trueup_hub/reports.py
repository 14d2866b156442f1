"""Hosts, ledgers and sources as the API and the command line show them."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from trueup_hub.states import LedgerState, State
from trueup_hub.versions import Parsers, Versions
from trueup_shared.wire import AgentInfo


class Flag(Struct, frozen=True, gc=False):
    """Something to know beside the state, in words, and what to do about it ('' = nothing)."""

    flag: str
    reason: str
    action: str


class LedgerReport(Struct, frozen=True, kw_only=True, gc=False):
    """A ledger as the API shows it. What only a heartbeat tells is None until one came."""

    ledger_id: UUID
    state: LedgerState
    live: bool  # no other ledger took its place: what it said last is true of its host
    verdict: str | None
    acked_seq: int
    digest: str  # hex
    sessions: int
    messages: int
    events: int
    rejected: int
    batch_no: int
    generation: int  # the last full push that was committed
    open_generation: int  # the one under way, 0 = none, which has come to full_seq of full_target
    full_seq: int
    full_target: int
    first_contact_at: datetime
    last_batch_at: datetime | None
    converged_at: datetime | None
    scrubbed_at: datetime | None  # every stored row was recomputed by then
    corrected: int  # rows that this found altered or lost, ever
    corrected_at: datetime | None  # the last of them
    mended_at: datetime | None  # when the ledger sent them again
    replaces: list[UUID]  # ledgers that it took the place of
    replaced_by: UUID | None
    superseded_at: datetime | None
    agent_version: str | None
    agent: AgentInfo | None  # what its agent can do
    parsers: Parsers
    versions: Versions
    unstated: bool  # events came with counters of 0 that no parser version stands for: unknown
    policy: dict[str, str]
    seen_at: datetime | None
    clock_skew_seconds: int | None  # how far its machine's clock is ahead of the hub's
    head_seq: int | None
    pending: int | None  # changes that the ledger had when it last told, and the hub has not
    skipped_lines: int | None
    unknown_records: int | None
    old_data: int | None
    source_gone: int | None
    drift_suspected: list[str]
    withheld: list[str]  # fields that its agent keeps back because this hub does not know them
    last_error: str | None


class HostReport(Struct, frozen=True, kw_only=True, gc=False):
    host_id: UUID
    host_no: int
    label: str
    labels: dict[str, str]
    kind: str
    platform: str
    state: State
    reason: str
    action: str
    flags: list[Flag]
    enrolled_at: datetime
    last_seen_at: datetime | None
    expected_silence_seconds: int
    readmitted_at: datetime | None
    retired_at: datetime | None
    forgotten_at: datetime | None
    ledgers: list[LedgerReport]

    def flagged(self, name: str) -> bool:
        return any(flag.flag == name for flag in self.flags)

    @property
    def live(self) -> list[LedgerReport]:
        return [ledger for ledger in self.ledgers if ledger.live]


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
