"""Rows of `events` and `messages` as Python has them, and their binary COPY form.

Field names are those of the columns. Times are microseconds UTC, keys and row digests 16 bytes, dimensions terms.
"""

from collections.abc import AsyncIterator, Iterable
from struct import Struct as Layout
from typing import Any

from msgspec import Struct

from trueup_shared.times import micros

_PG_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970


class EventCopy(Struct, gc=False):
    """One usage event as one ledger has it."""

    at: int
    seq: int
    host_no: int
    ledger_no: int
    batch_no: int
    data_version: int
    price_no: int
    harness: int
    provider: int
    model: int
    project: int
    service_tier: int
    speed: int
    reported_cost_unit: int
    reported_cost_status: int
    counted: bool
    stale: bool
    event_key: bytes
    session_key: bytes
    row_digest: bytes
    cost_nanousd: int | None
    cache_savings_nanousd: int | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    input_undivided_tokens: int | None
    undivided_tokens: int | None
    context_tokens: int | None
    web_searches: int | None
    flags: int | None
    time_quality: int | None
    lower_bounds: int | None
    derived: int | None
    unstated: int | None
    source_key: bytes | None
    owner_key: bytes | None
    reported_cost: str | None


class MessageCopy(Struct, gc=False):
    seq: int
    host_no: int
    ledger_no: int
    batch_no: int
    data_version: int
    harness: int
    project: int
    model: int
    role: int
    kind: int
    stale: bool
    message_key: bytes
    session_key: bytes
    row_digest: bytes
    at: int | None
    size_chars: int | None
    source_key: bytes | None
    event_key: bytes | None
    tool_names: list[int] | None


EVENT_COLUMNS = EventCopy.__struct_fields__
MESSAGE_COLUMNS = MessageCopy.__struct_fields__


def stored_event(record: Any) -> EventCopy:
    """From a record of EVENT_COLUMNS."""
    at, *rest = record
    return EventCopy(micros(at), *rest)


def stored_message(record: Any) -> MessageCopy:
    """From a record of MESSAGE_COLUMNS."""
    copy = MessageCopy(*record)
    if copy.at is not None:
        copy.at = micros(record[MESSAGE_COLUMNS.index("at")])
    return copy


# Binary COPY: a field count, then each field with its length before it; length -1 is null.
_NULL = b"\xff\xff\xff\xff"
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_CHUNK_ROWS = 500

_int8 = Layout(">iq").pack
_int4 = Layout(">ii").pack
_int2 = Layout(">ih").pack
_uuid = Layout(">i16s").pack
_event_head = Layout(">h" + "iq" * 2 + "ii" * 13 + "i?" * 2 + "i16s" * 3).pack
_message_head = Layout(">h" + "iq" + "ii" * 9 + "i?" + "i16s" * 3).pack


def pack_event(e: EventCopy) -> bytes:
    head = _event_head(
        *(len(EVENT_COLUMNS), 8, e.at - _PG_EPOCH, 8, e.seq, 4, e.host_no, 4, e.ledger_no, 4, e.batch_no),
        *(4, e.data_version, 4, e.price_no, 4, e.harness, 4, e.provider, 4, e.model, 4, e.project),
        *(4, e.service_tier, 4, e.speed, 4, e.reported_cost_unit, 4, e.reported_cost_status),
        *(1, e.counted, 1, e.stale, 16, e.event_key, 16, e.session_key, 16, e.row_digest),
    )
    text = e.reported_cost
    return b"".join(
        (
            head,
            _NULL if (v := e.cost_nanousd) is None else _int8(8, v),
            _NULL if (v := e.cache_savings_nanousd) is None else _int8(8, v),
            _NULL if (v := e.input_tokens) is None else _int8(8, v),
            _NULL if (v := e.cache_read_tokens) is None else _int8(8, v),
            _NULL if (v := e.cache_write_tokens) is None else _int8(8, v),
            _NULL if (v := e.cache_write_1h_tokens) is None else _int8(8, v),
            _NULL if (v := e.output_tokens) is None else _int8(8, v),
            _NULL if (v := e.reasoning_tokens) is None else _int8(8, v),
            _NULL if (v := e.input_undivided_tokens) is None else _int8(8, v),
            _NULL if (v := e.undivided_tokens) is None else _int8(8, v),
            _NULL if (v := e.context_tokens) is None else _int8(8, v),
            _NULL if (v := e.web_searches) is None else _int8(8, v),
            _NULL if (v := e.flags) is None else _int4(4, v),
            _NULL if (v := e.time_quality) is None else _int2(2, v),
            _NULL if (v := e.lower_bounds) is None else _int2(2, v),
            _NULL if (v := e.derived) is None else _int2(2, v),
            _NULL if (v := e.unstated) is None else _int2(2, v),
            _NULL if (k := e.source_key) is None else _uuid(16, k),
            _NULL if (k := e.owner_key) is None else _uuid(16, k),
            _NULL if text is None else len(text).to_bytes(4, "big") + text.encode(),  # ASCII digits
        )
    )


OWNER_COLUMNS = ("owner_key", "host_no", "ledger_no", "contested")
_owner = Layout(">hi16siiiii?").pack


def pack_owner(key: bytes, host_no: int, ledger_no: int) -> bytes:
    return _owner(len(OWNER_COLUMNS), 16, key, 4, host_no, 4, ledger_no, 1, False)


def pack_message(m: MessageCopy) -> bytes:
    head = _message_head(
        *(len(MESSAGE_COLUMNS), 8, m.seq, 4, m.host_no, 4, m.ledger_no, 4, m.batch_no, 4, m.data_version),
        *(4, m.harness, 4, m.project, 4, m.model, 4, m.role, 4, m.kind, 1, m.stale),
        *(16, m.message_key, 16, m.session_key, 16, m.row_digest),
    )
    return b"".join(
        (
            head,
            _NULL if (v := m.at) is None else _int8(8, v - _PG_EPOCH),
            _NULL if (v := m.size_chars) is None else _int8(8, v),
            _NULL if (k := m.source_key) is None else _uuid(16, k),
            _NULL if (k := m.event_key) is None else _uuid(16, k),
            _NULL if (names := m.tool_names) is None else _pack_int4s(names),
        )
    )


_INT4_OID = 23


def _pack_int4s(values: list[int]) -> bytes:
    if not values:
        return Layout(">iiii").pack(12, 0, 0, _INT4_OID)
    body = Layout(f">iiiii{'ii' * len(values)}").pack(
        1, 0, _INT4_OID, len(values), 1, *(part for value in values for part in (4, value))
    )
    return len(body).to_bytes(4, "big") + body


async def copy_stream(packed: Iterable[bytes]) -> AsyncIterator[bytes]:
    """What COPY … (FORMAT binary) reads, in chunks, so that the server works while the next rows are packed."""
    chunk = [_HEADER]
    for row in packed:
        chunk.append(row)
        if len(chunk) > _CHUNK_ROWS:
            yield b"".join(chunk)
            chunk = []
    chunk.append(_TRAILER)
    yield b"".join(chunk)
