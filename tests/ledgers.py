"""A ledger as the hub sees it: rows by key, numbered changes, batches that bring them to a hub."""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec import Raw

from trueup_hub.db import Database
from trueup_hub.ingest import apply_batch
from trueup_shared import keys, wire

HOUR = 3_600_000_000
NOON = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * 1_000_000
_NAMESPACE = UUID(int=7)
_TABLE = {wire.SessionBody: keys.SESSIONS, wire.MessageBody: keys.MESSAGES, wire.EventBody: keys.EVENTS}
_ROW = {keys.SESSIONS: wire.SessionRow, keys.MESSAGES: wire.MessageRow, keys.EVENTS: wire.EventRow}
_encode = msgspec.msgpack.encode


async def add_host(db: Database, name: str, enrolled: int = 0, kind: str = "server") -> tuple[int, str]:
    """(host_no, host_id). `enrolled` orders hosts."""
    host_id = str(uuid5(_NAMESPACE, name))
    host_no = await db.fetchval(
        "INSERT INTO hosts (host_id, label, kind, enrolled_at, credential_hash) VALUES ($1, $2, $3, $4, $5)"
        " RETURNING host_no",
        host_id,
        name,
        kind,
        datetime.fromtimestamp(1_700_000_000 + enrolled, UTC),
        b"",
    )
    return host_no, host_id


class Rows:
    """What a ledger has. `digest` is what the agent would put into `head_digest`."""

    def __init__(self, ledger_id: str) -> None:
        self.ledger_id = ledger_id
        self.rows: dict[tuple[int, bytes], wire.Body] = {}
        self.raw: dict[tuple[int, bytes], Raw] = {}  # rows sent as they are, whatever they hold
        self.seqs: dict[tuple[int, bytes], int] = {}
        self.seq = self.acked = self.batch_no = 0
        self.last_batch: bytes | None = None
        self.versions = {"claude": wire.ParserVersion(1, 1), "codex": wire.ParserVersion(1, 1)}

    def put(self, key: bytes, body: wire.Body) -> None:
        place = (_TABLE[type(body)], key)
        self.seq += 1
        self.rows[place], self.seqs[place] = body, self.seq
        self.raw.pop(place, None)

    def put_raw(self, table: int, key: bytes, body: Any) -> None:
        """A row whose body is encoded as given."""
        self.seq += 1
        place = (table, key)
        self.seqs[place] = self.seq
        self.raw[place] = Raw(_encode([key, self.seq, None, body]))
        self.rows.pop(place, None)

    def remove(self, table: int, key: bytes) -> None:
        self.seq += 1
        self.rows.pop((table, key), None)
        self.raw.pop((table, key), None)
        self.seqs[table, key] = self.seq

    @property
    def digest(self) -> bytes:
        total = sum(keys.row_digest(table, key, wire.encode_body(body)) for (table, key), body in self.rows.items())
        return keys.digest_bytes(total)

    def batch(self, limit: int | None = None, **changes: Any) -> wire.Batch:
        """The next batch of at most `limit` changes; the one after it follows once this is `applied`."""
        to_seq = self.seq if limit is None else min(self.seq, self.acked + limit)
        places = sorted((seq, place) for place, seq in self.seqs.items() if self.acked < seq <= to_seq)
        lists: dict[int, list[Raw]] = {keys.SESSIONS: [], keys.MESSAGES: [], keys.EVENTS: []}
        tombstones: list[Raw] = []
        for seq, (table, key) in places:
            if (table, key) in self.raw:
                lists[table].append(self.raw[table, key])
            elif (body := self.rows.get((table, key))) is not None:
                row = _ROW[table](key, seq, keys.key("source", self.ledger_id), body)  # type: ignore[arg-type]
                lists[table].append(Raw(_encode(row)))
            else:
                tombstones.append(Raw(_encode(wire.Tombstone(table, key, seq))))
        fields: dict[str, Any] = {
            "batch_id": secrets.token_bytes(16),
            "previous_batch_id": self.last_batch,
            "batch_no": self.batch_no + 1,
            "from_seq": self.acked,
            "to_seq": to_seq,
            "sessions": lists[keys.SESSIONS],
            "messages": lists[keys.MESSAGES],
            "events": lists[keys.EVENTS],
            "tombstones": tombstones,
            "head_digest": self.digest if to_seq == self.seq else None,
            "agent": wire.AgentInfo(version="0.1.0"),
            "parsers": self.versions,
        }
        encoded = _encode(wire.Batch(**(fields | changes)))
        return msgspec.msgpack.decode(encoded, type=wire.Batch)

    def applied(self, receipt: wire.Receipt) -> None:
        self.acked, self.batch_no, self.last_batch = receipt.acked_seq, receipt.batch_no, receipt.batch_id


class Ledger(Rows):
    """A ledger of a host; its batches go straight into the hub's ingest."""

    def __init__(self, db: Database, host: tuple[int, str], name: str = "a") -> None:
        self.db = db
        self.host_no, self.host_id = host
        super().__init__(str(uuid5(UUID(self.host_id), name)))

    async def send(self, batch: wire.Batch) -> wire.Receipt:
        receipt = await apply_batch(self.db, self.host_no, self.host_id, self.ledger_id, batch)
        self.applied(receipt)
        return receipt

    async def push(self, limit: int | None = None) -> wire.Receipt:
        return await self.send(self.batch(limit))

    async def number(self) -> int:
        number: int = await self.db.fetchval("SELECT ledger_no FROM ledgers WHERE ledger_id = $1", self.ledger_id)
        return number


def event(n: int = 0, **fields: Any) -> wire.EventBody:
    """A priced Claude request, `n` minutes after noon."""
    body: dict[str, Any] = {
        "session_key": keys.session_key("claude", "s1"),
        "at": NOON + n * 60_000_000,
        "time_quality": 1,
        "harness": "claude",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "project": "trueup",
        "input_tokens": 10,
        "cache_read_tokens": 1000,
        "cache_write_tokens": 50,
        "output_tokens": 100 + n,
        "context_tokens": 1060,
    }
    return wire.EventBody(**(body | fields))


def message(n: int = 0, **fields: Any) -> wire.MessageBody:
    body: dict[str, Any] = {
        "session_key": keys.session_key("claude", "s1"),
        "at": NOON + n * 60_000_000,
        "role": "user",
        "kind": "prompt",
        "size_chars": 40,
        "project": "trueup",
        "harness": "claude",
    }
    return wire.MessageBody(**(body | fields))


def session(name: str = "s1", **fields: Any) -> wire.SessionBody:
    body = {"harness": "claude", "session_id": name, "started_at": NOON, "project": "trueup"}
    return wire.SessionBody(**(body | fields))


def event_key(n: int | str) -> bytes:
    return keys.event_key("claude", "msg", n)


def message_key(n: int | str) -> bytes:
    return keys.message_key("claude", "m", n)


def put_events(ledger: Ledger, numbers: Iterable[int], **fields: Any) -> None:
    for n in numbers:
        ledger.put(event_key(n), event(n, **fields))


async def empty(db: Database) -> None:
    """Forget everything but terms and hosts."""
    await db.execute(
        "TRUNCATE ledgers, batches, rejections, events, event_owners, event_claims, messages, sessions, session_owners,"
        " usage_slots, session_slots, usage_days, activity_slots"
    )
    db.caches.pop("precedence", None)
