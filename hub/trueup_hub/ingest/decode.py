"""A batch's raw rows, decoded one by one: what cannot be stored is refused by itself and nothing else suffers."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from trueup_shared import digest_sets, keys, wire
from trueup_shared.metrics import COUNTERS
from trueup_shared.storable import Key

BAD_ROW = "bad_row"  # not a row, or not one of this batch
BAD_VALUE = "bad_value"  # a field that cannot be stored
NOT_FAITHFUL = "not_faithful"  # what was decoded is not what was received
FAILED = "failed"  # the transaction fails on it (poison.py)

_MAX_REASON = 200
_MODEST = 1 << 30  # of any counter: a hundred times the largest prompt that a model takes

Row = TypeVar("Row", wire.SessionRow, wire.MessageRow, wire.EventRow)


class Refused(Struct, gc=False):
    """`digest` is that of the row as received, so that the ledger's sum still comes out."""

    table: int
    key: bytes | None
    row_key: bytes  # the key, or a digest of the bytes where it could not be read
    seq: int | None
    code: str
    reason: str
    digest: bytes


class Decoded(Struct, gc=False):
    sessions: list[wire.SessionRow]
    messages: list[wire.MessageRow]
    events: list[wire.EventRow]
    tombstones: list[wire.Tombstone]
    refused: list[Refused]
    event_dimensions: list[tuple[str | None, ...]]  # of each event, in the order of EventCopy's columns


class _Outline(Struct, array_like=True, gc=False):
    """As much of a row as its rejection needs."""

    key: Key
    seq: int
    source_key: Raw
    body: Raw


_outline = msgspec.msgpack.Decoder(_Outline)
_session = msgspec.msgpack.Decoder(wire.SessionRow)
_message = msgspec.msgpack.Decoder(wire.MessageRow)
_event = msgspec.msgpack.Decoder(wire.EventRow)
_tombstone = msgspec.msgpack.Decoder(wire.Tombstone)


def decode_batch(
    batch: wire.Batch, *, modest: bool = False, failed: Mapping[tuple[int, bytes], str] | None = None
) -> Decoded:
    """`modest`: refuse events of which a batch could overflow a sum. `failed`: refuse these rows (table, key)."""
    reader = _Reader(batch, failed or {})
    clean: set[tuple[str | None, ...]] = set()
    dimensions: list[tuple[str | None, ...]] = []

    def event_fault(b: wire.EventBody) -> str | None:
        if b.session_key is None or b.at is None or b.harness is None:
            return "an event needs a session key, a time and a harness"
        # fmt: off
        names = (b.harness, b.provider, b.model, b.project, b.service_tier, b.speed,
                 b.reported_cost_unit, b.reported_cost_status)
        # fmt: on
        if modest and not _is_modest(b):
            return "it claims more than any request can use, and the sums cannot hold it"
        if names not in clean:  # they repeat: looked at once
            if (fault := _nul(*names)) is not None:
                return fault
            clean.add(names)
        dimensions.append(names)
        return None

    return Decoded(
        sessions=list(reader.rows(keys.SESSIONS, batch.sessions, _session.decode, _session_fault)),
        messages=list(reader.rows(keys.MESSAGES, batch.messages, _message.decode, _message_fault)),
        events=list(reader.rows(keys.EVENTS, batch.events, _event.decode, event_fault)),
        tombstones=list(reader.tombstones(batch.tombstones)),
        refused=reader.refused,
        event_dimensions=dimensions,
    )


def _is_modest(b: wire.EventBody) -> bool:
    counters = (getattr(b, name) or 0 for name in COUNTERS)
    return max(*counters, b.web_searches or 0) <= _MODEST and len((b.reported_cost or "").partition(".")[0]) <= 5


class _Reader:
    """Of a repair batch, which moves nothing: rows with any seq up to where the ledger is, and none that decodes into
    something else than it is, for it would differ again."""

    def __init__(self, batch: wire.Batch, failed: Mapping[tuple[int, bytes], str]) -> None:
        self._failed = failed
        self._repair = batch.kind == "repair"
        self._digest_set = batch.digest_set
        self._from, self._to = (0, batch.to_seq) if self._repair else (batch.from_seq, batch.to_seq)
        self._seen: dict[int, set[bytes]] = {keys.SESSIONS: set(), keys.MESSAGES: set(), keys.EVENTS: set()}
        self.refused: list[Refused] = []

    def rows(
        self, table: int, raws: list[Raw], decode: Callable[[Raw], Row], fault: Callable[[Any], str | None]
    ) -> Iterator[Row]:
        seen = self._seen[table]
        for raw in raws:
            try:
                row = decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse(table, raw, BAD_VALUE, str(error))
                continue
            key = row.key
            if key in seen:
                self._refuse(table, raw, BAD_ROW, "this key is twice in the batch")
            elif not self._from < row.seq <= self._to:
                self._refuse(table, raw, BAD_ROW, f"seq {row.seq} lies outside ({self._from}, {self._to}]")
            elif self._repair and self._decoded(table, row.body) != _received(raw):
                self._refuse(table, raw, NOT_FAITHFUL, "the hub reads something else than was sent: upgrade the hub")
            elif (table, key) in self._failed:
                self._refuse(table, raw, FAILED, self._failed[table, key])
            elif (reason := fault(row.body)) is not None:
                self._refuse(table, raw, BAD_VALUE, reason)
            else:
                seen.add(key)
                yield row

    def tombstones(self, raws: list[Raw]) -> Iterator[wire.Tombstone]:
        for raw in raws:
            try:
                row = _tombstone.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse_bytes(0, raw, str(error))
                continue
            seen = self._seen.get(row.table)
            lowest = 0 if self._repair else self._from + 1  # a key that the ledger never had goes with seq 0
            if seen is None or row.key in seen or not lowest <= row.seq <= self._to:
                self._refuse_bytes(0, raw, "a tombstone of no table, of a row in this batch or with a seq outside it")
            else:
                seen.add(row.key)
                yield row

    def _decoded(self, table: int, body: wire.Body) -> bytes:
        return wire.encode_body(digest_sets.within(table, body, self._digest_set))

    def _refuse(self, table: int, raw: Raw, code: str, reason: str) -> None:
        try:
            outline = _outline.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._refuse_bytes(table, raw, reason)
            return
        if outline.key in self._seen[table]:  # one fate for one key: what was accepted stands
            self._refuse_bytes(table, raw, "this key is twice in the batch")
            return
        self._seen[table].add(outline.key)
        digest = keys.row_digest(table, outline.key, _received(raw), self._digest_set)
        seq = outline.seq if -(2**63) <= outline.seq < 2**63 else None
        self.refused.append(
            Refused(table, outline.key, outline.key, seq, code, reason[:_MAX_REASON], keys.digest_bytes(digest))
        )

    def _refuse_bytes(self, table: int, raw: Raw, reason: str) -> None:
        data = bytes(raw)
        name = blake2b(data, digest_size=keys.KEY_BYTES).digest()
        digest = keys.row_digest_bytes(table, name, data, self._digest_set)
        self.refused.append(Refused(table, None, name, None, BAD_ROW, reason[:_MAX_REASON], digest))


def _received(raw: Raw) -> bytes:
    """The body of a row, canonical if it came so."""
    return wire.canonical_header(bytes(_outline.decode(raw).body))


def _nul(*texts: str | None) -> str | None:
    return "text with NUL" if any(text is not None and "\0" in text for text in texts) else None


def _session_fault(body: wire.SessionBody) -> str | None:
    return _nul(
        *(body.harness, body.session_id, body.relationship, body.project),
        *(body.git_branch, body.harness_version, body.os_user),
    )


def _message_fault(body: wire.MessageBody) -> str | None:
    if body.session_key is None:
        return "a message needs a session key"
    return _nul(body.role, body.kind, body.model, body.project, body.harness, *(body.tool_names or ()))
