"""A ledger as the hub sees it: rows by key, numbered changes, batches that bring them to a hub."""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec import Raw

from trueup_hub.db import Database
from trueup_hub.ingest import apply_batch, generations
from trueup_hub.ingest.cells import KEYS
from trueup_shared import keys, wire

HOUR = 3_600_000_000
NOON = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * 1_000_000
_NAMESPACE = UUID(int=7)
_TABLE = {wire.SessionBody: keys.SESSIONS, wire.MessageBody: keys.MESSAGES, wire.EventBody: keys.EVENTS}
_ROW = {keys.SESSIONS: wire.SessionRow, keys.MESSAGES: wire.MessageRow, keys.EVENTS: wire.EventRow}
_encode = msgspec.msgpack.encode
AGENT = wire.AgentInfo(version="0.1.0", features=list(wire.FEATURES))


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
        self.raw: dict[tuple[int, bytes], Raw] = {}  # bodies sent as they are, whatever they hold
        self.seqs: dict[tuple[int, bytes], int] = {}
        self.sources: dict[tuple[int, bytes], bytes] = {}  # the log that a row is from, where that is not `source`
        self.source = keys.key("source", ledger_id)
        self.seq = self.acked = self.batch_no = 0
        self.generation = self.full_seq = self.full_target = 0  # the open one
        self.last_batch: bytes | None = None
        self.versions = {"claude": wire.ParserVersion(1, 1), "codex": wire.ParserVersion(1, 1)}

    def put(self, key: bytes, body: wire.Body, source: bytes | None = None) -> None:
        place = (_TABLE[type(body)], key)
        if source is not None:
            self.sources[place] = source
        self.seq += 1
        self.rows[place], self.seqs[place] = body, self.seq
        self.raw.pop(place, None)

    def put_raw(self, table: int, key: bytes, body: Any) -> None:
        """A row whose body is encoded as given."""
        self.seq += 1
        place = (table, key)
        self.seqs[place] = self.seq
        self.raw[place] = Raw(_encode(body))
        self.rows.pop(place, None)

    def remove(self, table: int, key: bytes) -> None:
        self.seq += 1
        self.rows.pop((table, key), None)
        self.raw.pop((table, key), None)
        self.seqs[table, key] = self.seq

    @property
    def digest(self) -> bytes:
        bodies = {place: wire.encode_body(body) for place, body in self.rows.items()}
        bodies |= {place: wire.canonical_header(bytes(body)) for place, body in self.raw.items()}
        return keys.digest_bytes(sum(keys.row_digest(*place, body) for place, body in bodies.items()))

    def batch(self, limit: int | None = None, **changes: Any) -> wire.Batch:
        """The next batch of at most `limit` changes; the one after it follows once this is `applied`."""
        to_seq = self.seq if limit is None else min(self.seq, self.acked + limit)
        places = [place for place, seq in self.seqs.items() if self.acked < seq <= to_seq]
        head = self.digest if to_seq == self.seq else None
        return self._batch(places, {"from_seq": self.acked, "to_seq": to_seq, "head_digest": head} | changes)

    def full_batch(self, limit: int | None = None, **changes: Any) -> wire.Batch:
        """The next batch of the generation that is open; no tombstones."""
        to_seq = self.full_target if limit is None else min(self.full_target, self.full_seq + limit)
        places = [place for place in (*self.rows, *self.raw) if self.full_seq < self.seqs[place] <= to_seq]
        fields = {"kind": "full", "generation": self.generation, "from_seq": self.full_seq, "to_seq": to_seq}
        return self._batch(places, fields | changes)

    def repair(self, places: Iterable[tuple[int, bytes]], **changes: Any) -> wire.Batch:
        """Rows as they are; deletions of those that are not here."""
        head = self.digest if self.acked == self.seq else None
        fields = {"kind": "repair", "from_seq": self.acked, "to_seq": self.acked, "head_digest": head}
        return self._batch(places, fields | changes)

    def _batch(self, places: Iterable[tuple[int, bytes]], changes: dict[str, Any]) -> wire.Batch:
        lists: dict[int, list[Raw]] = {keys.SESSIONS: [], keys.MESSAGES: [], keys.EVENTS: []}
        tombstones: list[Raw] = []
        for table, key in sorted(places, key=lambda place: (self.seqs.get(place, 0), place)):
            seq = self.seqs.get((table, key), 0)
            if (raw := self.raw.get((table, key))) is not None:
                lists[table].append(Raw(_encode([key, seq, None, raw])))
            elif (body := self.rows.get((table, key))) is not None:
                source = self.sources.get((table, key), self.source)
                row = _ROW[table](key, seq, source, body)  # type: ignore[arg-type]
                lists[table].append(Raw(_encode(row)))
            else:
                tombstones.append(Raw(_encode(wire.Tombstone(table, key, seq))))
        fields: dict[str, Any] = {
            "batch_id": secrets.token_bytes(16),
            "previous_batch_id": self.last_batch,
            "batch_no": self.batch_no + 1,
            "sessions": lists[keys.SESSIONS],
            "messages": lists[keys.MESSAGES],
            "events": lists[keys.EVENTS],
            "tombstones": tombstones,
            "agent": AGENT,
            "parsers": self.versions,
        }
        encoded = _encode(wire.Batch(**(fields | changes)))
        return msgspec.msgpack.decode(encoded, type=wire.Batch)

    def applied(self, receipt: wire.Receipt) -> None:
        self.acked, self.batch_no, self.last_batch = receipt.acked_seq, receipt.batch_no, receipt.batch_id
        self.full_seq = receipt.full_seq


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

    async def open_generation(self) -> wire.Position:
        asked = wire.OpenGeneration(last_batch_id=self.last_batch, agent=AGENT)
        where = await generations.open_generation(self.db, self.host_no, self.host_id, self.ledger_id, asked)
        self.generation, self.full_seq, self.full_target = where.open_generation, where.full_seq, where.full_target
        return where

    async def commit(self, number: int | None = None, **changes: Any) -> wire.Committed:
        fields = {"last_batch_id": self.last_batch, "at_seq": self.seq, "head_digest": self.digest, "agent": AGENT}
        asked = wire.CommitGeneration(**(fields | changes))
        number = self.generation if number is None else number
        place = (self.host_no, self.host_id, self.ledger_id)
        return await generations.commit_generation(self.db, *place, number, asked)

    async def push_full(self, limit: int | None = None) -> wire.Committed:
        """A full push, on from where the last one stopped."""
        await self.open_generation()
        while self.full_seq < self.full_target:
            await self.send(self.full_batch(limit))
        while self.acked < self.seq:
            await self.push(limit)
        return await self.commit()

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
        f" measures, {', '.join(KEYS)}"
    )
    db.caches.pop("precedence", None)
