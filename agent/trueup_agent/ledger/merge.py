"""The join of two snapshots of one row: commutative, associative, idempotent (docs/adr/0001).

So what the ledger holds is a function of the set of records: the order of files, the cuts of appends and restarts do
not matter, and reading again changes nothing. Each field is a register of its own: the value with the greatest rank
wins. A field whose value comes from another snapshot than the one that gives the row its rank is named in `fills`, with
the rank of its snapshot; without that the join would not be associative. A newer data version replaces an older row.

`seq`, `digest` and `cost_nanousd` of the result are not filled in: `rows.finish_…` does it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from trueup_agent.ledger.rows import Stored, StoredEvent, StoredMessage, StoredSession
from trueup_shared.metrics import BIT, COUNTERS

Rank = tuple[int, ...]
S = TypeVar("S", StoredSession, StoredMessage, StoredEvent)

_UNKNOWN_START = 1 << 62  # a session without a start ranks last

_SESSION_FIELDS = (
    ("parent_key",),
    ("relationship",),
    ("project_path",),
    ("git_branch",),
    ("harness_version",),
    ("os_user",),
    ("title",),
    ("source_key",),
)
_EVENT_FIELDS = (
    ("provider",),
    ("model",),
    ("service_tier",),
    ("speed",),
    ("reported_cost", "reported_cost_unit", "reported_cost_status"),
    ("raw_usage",),
)
_OWNED = ("role", "kind", "model", "event_key", "project_path")

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode_fills = msgspec.msgpack.Decoder(dict[str, tuple[int, ...]]).decode


def join_sessions(a: StoredSession, b: StoredSession) -> StoredSession:
    """The snapshot that starts earliest, its gaps filled from the others."""
    if a.data_version != b.data_version:
        return _newer(a, b)
    rank_a, rank_b = _session_rank(a), _session_rank(b)
    values = _fullest(a, b, rank_a, rank_b, _SESSION_FIELDS)
    values["started_at"] = a.started_at if rank_a >= rank_b else b.started_at
    values["session_id"] = min(a.session_id, b.session_id)
    values["old_data"] = min(a.old_data, b.old_data)
    return msgspec.structs.replace(a, **values)


def join_messages(a: StoredMessage, b: StoredMessage) -> StoredMessage:
    """The owner's entry, with the earliest time, the greatest size and the longest list of tools."""
    if a.data_version != b.data_version:
        return _newer(a, b)
    values = _owner(a, b, _OWNED)
    values["at"] = _least(a.at, b.at)
    values["size_chars"] = _greatest(a.size_chars, b.size_chars)
    values["tool_names"] = max(a.tool_names, b.tool_names, key=_tools_rank)
    values["old_data"] = min(a.old_data, b.old_data)
    return msgspec.structs.replace(a, **values)


def join_events(a: StoredEvent, b: StoredEvent) -> StoredEvent:
    """Each counter at its greatest; date and description from the fullest snapshot (most output, then earliest)."""
    assert a.observed is None and b.observed is None, "rows join as they were read (rules.as_read)"
    if a.data_version != b.data_version:
        return _newer(a, b)
    rank_a, rank_b = _event_rank(a), _event_rank(b)
    values = _fullest(a, b, rank_a, rank_b, _EVENT_FIELDS)
    if rank_a == rank_b:
        values |= {"time_quality": min(a.time_quality, b.time_quality), "flags": a.flags | b.flags}
    else:
        full = a if rank_a > rank_b else b
        values |= {"at": full.at, "time_quality": full.time_quality, "flags": full.flags}
    values |= _counters(a, b)
    values |= _owner(a, b, ("project_path",))
    values["web_searches"] = _greatest(a.web_searches, b.web_searches)
    values["owner_key"] = _least(a.owner_key, b.owner_key)
    for name in ("family", "rule", "since", "after"):
        values[name] = _least(getattr(a, name), getattr(b, name))
    values["rank"] = min(a.rank, b.rank)
    values["identity"] = max(a.identity, b.identity)
    values["old_data"] = min(a.old_data, b.old_data)
    return msgspec.structs.replace(a, **values)


def _newer(a: S, b: S) -> S:
    return msgspec.structs.replace(a if a.data_version > b.data_version else b)


def _session_rank(row: StoredSession) -> Rank:
    return (-(_UNKNOWN_START if row.started_at is None else row.started_at),)


def _event_rank(row: StoredEvent) -> Rank:
    return (-1 if row.output_tokens is None else row.output_tokens, -row.at)


def _fullest(
    a: StoredSession | StoredEvent,
    b: StoredSession | StoredEvent,
    rank_a: Rank,
    rank_b: Rank,
    groups: Sequence[tuple[str, ...]],
) -> dict[str, Any]:
    """Per group of fields the value of the greatest rank that knows it; on a tie the smaller value."""
    fills_a, fills_b = _fills(a), _fills(b)
    top = max(rank_a, rank_b)
    values: dict[str, Any] = {}
    fills: dict[str, Rank] = {}
    for group in groups:
        first = group[0]
        if not fills_a and not fills_b and all(getattr(a, name) == getattr(b, name) for name in group):
            continue
        known = [
            (fills_of.get(first, rank), tuple(getattr(row, name) for name in group))
            for row, rank, fills_of in ((a, rank_a, fills_a), (b, rank_b, fills_b))
            if getattr(row, first) is not None
        ]
        if not known:
            continue
        best = max(rank for rank, _ in known)
        value = min((value for rank, value in known if rank == best), key=_nulls_last)
        values.update(zip(group, value, strict=True))
        if best != top:
            fills[first] = best
    values["fills"] = _encode(fills) if fills else None
    return values


def _fills(row: StoredSession | StoredEvent) -> Mapping[str, Rank]:
    return _decode_fills(row.fills) if row.fills else {}


def _counters(a: StoredEvent, b: StoredEvent) -> dict[str, Any]:
    """The greatest of each; a bit stays only where every snapshot that knows the counter has it."""
    values: dict[str, Any] = {}
    for name in COUNTERS:
        values[name] = _greatest(getattr(a, name), getattr(b, name))
    return values | {
        "lower_bounds": _bits(a, b, a.lower_bounds, b.lower_bounds),
        "derived": _bits(a, b, a.derived, b.derived),
    }


def _bits(a: StoredEvent, b: StoredEvent, bits_a: int, bits_b: int) -> int:
    if not bits_a and not bits_b:
        return 0
    bits = 0
    for name in COUNTERS:
        bit = BIT[name]
        known_a, known_b = getattr(a, name) is not None, getattr(b, name) is not None
        if known_a == known_b:
            bits |= (bits_a & bits_b if known_a else bits_a | bits_b) & bit
        else:
            bits |= (bits_a if known_a else bits_b) & bit
    return bits


def _owner(a: StoredMessage | StoredEvent, b: StoredMessage | StoredEvent, names: tuple[str, ...]) -> dict[str, Any]:
    """Not a copy before a copy, then the session that began first, then the session key."""
    rank_a = (a.copy, a.session_started, a.session_key)
    rank_b = (b.copy, b.session_started, b.session_key)
    if rank_a != rank_b:
        first = a if rank_a < rank_b else b
        values = {name: getattr(first, name) for name in names}
        source = (first.source_key, first.position)
    else:
        values = {name: _least(getattr(a, name), getattr(b, name)) for name in names}
        source = min((a.source_key, a.position), (b.source_key, b.position), key=_nulls_last)
    copy, started, session_key = min(rank_a, rank_b)
    return values | {
        "copy": copy,
        "session_started": started,
        "session_key": session_key,
        "source_key": source[0],
        "position": source[1],
    }


def _nulls_last(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((value is None, value) for value in values)


def _tools_rank(names: str | None) -> tuple[int, list[int]]:
    """Longer first, then the lexicographically smaller (as code points, negated: the greatest rank wins)."""
    return (-1, []) if names is None else (len(msgspec.json.decode(names)), [-ord(c) for c in names] + [1])


def _least(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else min(a, b)


def _greatest(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else max(a, b)


def join(a: Stored, b: Stored) -> Stored:
    """Join two rows of one table and key."""
    if isinstance(a, StoredEvent) and isinstance(b, StoredEvent):
        return join_events(a, b)
    if isinstance(a, StoredMessage) and isinstance(b, StoredMessage):
        return join_messages(a, b)
    assert isinstance(a, StoredSession) and isinstance(b, StoredSession)
    return join_sessions(a, b)
