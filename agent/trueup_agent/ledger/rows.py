"""Rows as the ledger stores them. Fields stand in the order of the columns: a row goes to SQLite by `astuple` and comes
back by `Stored…(*columns)`, and crosses from a parser process as it is.
"""

from functools import lru_cache
from time import time_ns

import msgspec
from msgspec import Struct

from trueup_agent.harnesses.values import text
from trueup_agent.ledger import pricing
from trueup_agent.policy import Policy
from trueup_agent.records import EventRecord, MessageRecord, SessionRecord
from trueup_shared import digest_sets, keys, wire

# Clocks of a network differ by seconds; what is dated further ahead than this is flagged.
SKEW_MICROS = 300 * 1_000_000


class StoredSession(Struct, array_like=True, gc=False):
    seq: int
    key: bytes
    digest: bytes
    harness: str
    session_id: str
    parent_key: bytes | None
    relationship: str | None
    started_at: int | None
    project_path: str | None
    git_branch: str | None
    harness_version: str | None
    os_user: str | None
    title: str | None
    fills: bytes | None
    source_key: bytes | None
    data_version: int
    old_data: int


class StoredMessage(Struct, array_like=True, gc=False):
    seq: int
    key: bytes
    digest: bytes
    harness: str
    session_key: bytes
    at: int | None
    role: str
    kind: str
    model: str | None
    tool_names: str | None  # JSON array
    size_chars: int | None
    event_key: bytes | None
    project_path: str | None
    copy: int
    session_started: int
    source_key: bytes | None
    position: int
    data_version: int
    old_data: int


class StoredEvent(Struct, array_like=True, gc=False):
    seq: int
    key: bytes
    digest: bytes
    harness: str
    session_key: bytes
    at: int
    time_quality: int
    flags: int
    provider: str | None
    model: str | None
    service_tier: str | None
    speed: str | None
    project_path: str | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    input_undivided_tokens: int | None
    undivided_tokens: int | None
    context_tokens: int | None
    lower_bounds: int
    derived: int
    web_searches: int | None
    reported_cost: str | None
    reported_cost_unit: str | None
    reported_cost_status: str | None
    cost_nanousd: int | None
    owner_key: bytes | None
    family: bytes | None
    rank: int
    copy: int
    session_started: int
    source_key: bytes | None
    position: int
    data_version: int
    old_data: int
    fills: bytes | None
    identity: str
    raw_usage: bytes | None
    rule: str | None
    since: int | None
    after: bytes | None
    observed: bytes | None  # as the parser read it, where the counters above are computed by a rule
    gone: int


Stored = StoredSession | StoredMessage | StoredEvent


class Origin(Struct, frozen=True):
    """Where records come from. `position` is how far the source had been read when they were emitted."""

    source_key: bytes
    data_version: int
    os_user: str | None = None
    position: int = 0


def session_row(record: SessionRecord, origin: Origin, policy: Policy) -> StoredSession:
    row = StoredSession(
        0,
        record.key,
        b"",
        record.harness,
        text(record.session_id) or "unknown",
        record.parent_key,
        record.relationship,
        record.started_at,
        record.project_path,
        record.git_branch,
        record.harness_version,
        origin.os_user,
        record.title,
        None,
        origin.source_key,
        origin.data_version,
        0,
    )
    return finish_session(row, policy)


def message_row(record: MessageRecord, origin: Origin, policy: Policy) -> StoredMessage:
    row = StoredMessage(
        0,
        record.key,
        b"",
        record.harness,
        record.session_key,
        record.at,
        record.role,
        record.kind,
        record.model,
        msgspec.json.encode(record.tool_names).decode() if record.tool_names else None,
        record.size_chars,
        record.event_key,
        record.project_path,
        record.copy,
        record.session_started,
        origin.source_key,
        origin.position,
        origin.data_version,
        0,
    )
    return finish_message(row, policy)


def event_row(record: EventRecord, origin: Origin, policy: Policy, now: int | None = None) -> StoredEvent:
    """`now`: the machine's clock in microseconds UTC; what is dated ahead of it is kept and flagged."""
    row = StoredEvent(
        0,
        record.key,
        b"",
        record.harness,
        record.session_key,
        record.at,
        record.time_quality,
        wire.CLOCK_SKEW if record.at > (now or time_ns() // 1000) + SKEW_MICROS else 0,
        record.provider,
        record.model,
        record.service_tier,
        record.speed,
        record.project_path,
        record.input_tokens,
        record.cache_read_tokens,
        record.cache_write_tokens,
        record.cache_write_1h_tokens,
        record.output_tokens,
        record.reasoning_tokens,
        record.input_undivided_tokens,
        record.undivided_tokens,
        record.context_tokens,
        record.lower_bounds,
        record.derived,
        record.web_searches,
        record.reported_cost,
        record.reported_cost_unit if record.reported_cost is not None else None,
        record.reported_cost_status if record.reported_cost is not None else None,
        None,
        record.owner_key if record.owner_key != record.key else None,
        record.family,
        record.rank,
        record.copy,
        record.session_started,
        origin.source_key,
        origin.position,
        origin.data_version,
        0,
        None,
        record.identity,
        record.raw_usage,
        record.rule,
        record.since,
        record.after,
        None,
        0,
    )
    return finish_event(row, policy)


def session_body(row: StoredSession, policy: Policy) -> wire.Body:
    """What travels of a row: what policy lets out, in the digest set that the hub knows. The same for the others."""
    body = wire.SessionBody(
        harness=row.harness,
        session_id=row.session_id,
        parent_key=row.parent_key,
        relationship=row.relationship,
        started_at=row.started_at,
        project=policy.sent_project(row.project_path),
        git_branch=row.git_branch,
        harness_version=row.harness_version,
        os_user=policy.sent_os_user(row.os_user),
    )
    return digest_sets.within(keys.SESSIONS, body, policy.digest_set)


def message_body(row: StoredMessage, policy: Policy) -> wire.Body:
    body = wire.MessageBody(
        session_key=row.session_key,
        at=row.at,
        role=row.role,
        kind=row.kind,
        model=row.model,
        tool_names=_tool_names(row.tool_names) if row.tool_names else None,
        size_chars=row.size_chars,
        event_key=row.event_key,
        project=policy.sent_project(row.project_path),
        harness=row.harness,
    )
    return digest_sets.within(keys.MESSAGES, body, policy.digest_set)


# The same few lists over and over.
_tool_names = lru_cache(maxsize=4096)(msgspec.json.Decoder(list[str]).decode)


def event_body(row: StoredEvent, policy: Policy) -> wire.Body:
    body = wire.EventBody(
        owner_key=row.owner_key,
        session_key=row.session_key,
        at=row.at,
        time_quality=row.time_quality,
        harness=row.harness,
        provider=row.provider,
        model=row.model,
        service_tier=row.service_tier,
        speed=row.speed,
        project=policy.sent_project(row.project_path),
        input_tokens=row.input_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        cache_write_1h_tokens=row.cache_write_1h_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        input_undivided_tokens=row.input_undivided_tokens,
        undivided_tokens=row.undivided_tokens,
        context_tokens=row.context_tokens,
        lower_bounds=row.lower_bounds or None,
        derived=row.derived or None,
        web_searches=row.web_searches,
        reported_cost=row.reported_cost,
        reported_cost_unit=row.reported_cost_unit,
        reported_cost_status=row.reported_cost_status,
        flags=(row.flags | wire.OLD_DATA if row.old_data else row.flags) or None,
    )
    return digest_sets.within(keys.EVENTS, body, policy.digest_set)


def finish_session(row: StoredSession, policy: Policy) -> StoredSession:
    """Fill in what follows from the rest of the row; the same for messages and events."""
    row.digest = _digest(keys.SESSIONS, row.key, session_body(row, policy), policy)
    return row


def finish_message(row: StoredMessage, policy: Policy) -> StoredMessage:
    row.digest = _digest(keys.MESSAGES, row.key, message_body(row, policy), policy)
    return row


def finish_event(row: StoredEvent, policy: Policy) -> StoredEvent:
    row.cost_nanousd = pricing.cost_nanousd(row)
    row.digest = _digest(keys.EVENTS, row.key, event_body(row, policy), policy)
    return row


def _digest(table: int, key: bytes, body: wire.Body, policy: Policy) -> bytes:
    return keys.row_digest_bytes(table, key, wire.encode_body(body), policy.digest_set)
