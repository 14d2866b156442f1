"""From ledger rows to the bytes of a batch, and how many rows a batch should have."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from backports import zstd

from trueup_agent.errors import TooLarge
from trueup_agent.ledger import BatchRows, Ledger
from trueup_shared import __version__, digest_sets, wire

BATCH_ID_BYTES = 16
ZSTD_LEVEL = 3
AGENT = wire.AgentInfo(version=__version__, digest_sets=digest_sets.known(), features=list(wire.FEATURES))

_encoder = msgspec.msgpack.Encoder()


class BatchSize:
    """Rows for the next batch: grows while the hub is quick, shrinks when it is slow or says that it was too much."""

    SLOW_SECONDS = 10.0
    QUICK_SECONDS = 2.0
    MOST_ROWS = 8_000  # more is no faster, and two batches are in memory at a time

    def __init__(self, rows: int = 4_000) -> None:
        self.rows = rows
        self._most = self.MOST_ROWS

    def limit(self, most: int) -> None:
        """What the hub says that it takes at most."""
        self._most = max(1, min(self._most, most))
        self.rows = min(self.rows, self._most)

    def took(self, seconds: float) -> None:
        if seconds > self.SLOW_SECONDS:
            self.rows = max(1, self.rows // 2)
        elif seconds < self.QUICK_SECONDS:
            self.rows = min(self._most, self.rows * 2)

    def was_too_large(self, rows: int) -> None:
        """Raises TooLarge when even one row is too much."""
        if rows <= 1:
            raise TooLarge("the hub does not take a batch of a single row: its limit on the body is too small")
        self._most = self.rows = max(1, min(self.rows, rows) // 2)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A batch ready to leave. `body` is None when there is nothing to send; then `head_digest` is the ledger's."""

    batch_no: int
    batch_id: bytes
    kind: wire.BatchKind
    from_seq: int
    to_seq: int
    rows: int
    head_digest: bytes | None
    body: bytes | None


Read = Callable[[int], Awaitable[BatchRows]]  # at most so many rows


async def prepare(
    ledger: Ledger,
    size: BatchSize,
    max_body: int,
    *,
    from_seq: int,
    batch_no: int,
    previous: bytes | None,
    kind: wire.BatchKind = "ordinary",
    generation: int = 0,
    read: Read | None = None,
    even_empty: bool = False,
) -> Prepared:
    """Read and encode the batch that follows `previous`, from `from_seq` on; `max_body`: bytes before compression.

    `read` gives its rows where those are not simply the ones that come next. Without rows there is no batch, unless
    `even_empty` or it is a repair.
    """

    async def next_rows(most: int) -> BatchRows:
        return await ledger.read_batch(from_seq, most)

    while True:
        found = await (read or next_rows)(size.rows)
        batch_id = secrets.token_bytes(BATCH_ID_BYTES)
        rows = len(found.sessions) + len(found.messages) + len(found.events) + len(found.tombstones)
        body = None
        if found.to_seq > from_seq or kind == "repair" or even_empty:
            frame = wire.Batch(
                batch_id=batch_id,
                previous_batch_id=previous,
                batch_no=batch_no,
                from_seq=from_seq,
                to_seq=found.to_seq,
                kind=kind,
                generation=generation,
                agent=AGENT,
                replaces=ledger.replaces,
            )
            body = await asyncio.to_thread(_encode, frame, found, max_body)
            if body is None:
                size.was_too_large(rows)
                continue
        return Prepared(
            batch_no=batch_no,
            batch_id=batch_id,
            kind=kind,
            from_seq=from_seq,
            to_seq=found.to_seq,
            rows=rows,
            head_digest=found.head_digest,
            body=body,
        )


def asking_for_receipt(batch_id: bytes) -> bytes:
    """The body of a batch that only gets the receipt of the one of that id, if that was ever applied.

    It follows itself and ends before it begins: no hub can apply it.
    """
    batch = wire.Batch(batch_id=batch_id, previous_batch_id=batch_id, batch_no=0, from_seq=1, to_seq=0, agent=AGENT)
    return zstd.compress(_encoder.encode(batch), ZSTD_LEVEL)


def _encode(frame: wire.Batch, found: BatchRows, max_body: int) -> bytes | None:
    """None when it is too large."""
    batch = msgspec.structs.replace(
        frame,
        sessions=_raw(found.sessions),
        messages=_raw(found.messages),
        events=_raw(found.events),
        tombstones=[msgspec.Raw(_encoder.encode(tombstone)) for tombstone in found.tombstones],
        head_digest=found.head_digest,
        parsers=found.parsers,
        policy=found.policy,
        digest_set=found.digest_set,
    )
    encoded = _encoder.encode(batch)
    return None if len(encoded) > max_body else zstd.compress(encoded, ZSTD_LEVEL)


def _raw(rows: Iterable[Any]) -> list[msgspec.Raw]:
    """Rows with the body in its canonical bytes: the very ones that the digest covers."""
    encode, encode_body = _encoder.encode, wire.encode_body
    return [msgspec.Raw(encode((row.key, row.seq, row.source_key, msgspec.Raw(encode_body(row.body))))) for row in rows]
