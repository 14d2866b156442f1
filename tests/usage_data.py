"""Machines that send made-up usage to a hub's database through its real ingest, for tests of what the hub answers."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import Raw

from trueup_hub.db import Database
from trueup_hub.ingest import apply_batch
from trueup_shared import keys
from trueup_shared.wire import (
    AgentInfo,
    Batch,
    EventBody,
    EventRow,
    MessageBody,
    MessageRow,
    ParserVersion,
    Receipt,
    SessionBody,
    SessionRow,
    encode_body,
)

Body = SessionBody | MessageBody | EventBody
_TABLES: dict[type, tuple[int, type]] = {
    SessionBody: (keys.SESSIONS, SessionRow),
    MessageBody: (keys.MESSAGES, MessageRow),
    EventBody: (keys.EVENTS, EventRow),
}


def micros(text: str) -> int:
    """ISO time with its offset, as microseconds."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


def session_key(name: str, harness: str = "claude") -> bytes:
    return keys.session_key(harness, name)


def session(name: str, at: str | int | None, harness: str = "claude", **fields: Any) -> tuple[bytes, SessionBody]:
    started = micros(at) if isinstance(at, str) else at
    return session_key(name, harness), SessionBody(harness=harness, session_id=name, started_at=started, **fields)


def message(name: str, session_name: str, at: str | int, harness: str = "claude", **fields: Any) -> tuple[bytes, Body]:
    values: dict[str, Any] = {"role": "user", "kind": "prompt"} | fields
    body = MessageBody(
        session_key=session_key(session_name, harness),
        at=micros(at) if isinstance(at, str) else at,
        harness=harness,
        **values,
    )
    return keys.message_key(harness, name), body


def event(name: str, session_name: str, at: str | int, harness: str = "claude", **fields: Any) -> tuple[bytes, Body]:
    body = EventBody(
        session_key=session_key(session_name, harness),
        at=micros(at) if isinstance(at, str) else at,
        time_quality=1,
        harness=harness,
        **fields,
    )
    return keys.event_key(harness, name), body


class Machine:
    """One enrolled host with one ledger. `send` sends rows as an agent would, so that the hub ends converged."""

    def __init__(self, db: Database, host_no: int, host_id: UUID, label: str) -> None:
        self.db, self.host_no, self.host_id, self.label = db, host_no, host_id, label
        self.ledger_id = uuid4()
        self.seq = self.batch_no = 0
        self.last_batch: bytes | None = None
        self.digests: dict[tuple[int, bytes], int] = {}

    async def send(self, *rows: tuple[bytes, Body], head: bool = True) -> Receipt:
        from_seq, packed = self.seq, {SessionBody: [], MessageBody: [], EventBody: []}
        for key, body in rows:
            self.seq += 1
            table, kind = _TABLES[type(body)]
            packed[type(body)].append(Raw(msgspec.msgpack.encode(kind(key, self.seq, None, body))))
            self.digests[table, key] = keys.row_digest(table, key, encode_body(body))
        self.batch_no += 1
        batch = Batch(
            batch_id=uuid4().bytes,
            previous_batch_id=self.last_batch,
            batch_no=self.batch_no,
            from_seq=from_seq,
            to_seq=self.seq,
            sessions=packed[SessionBody],
            messages=packed[MessageBody],
            events=packed[EventBody],
            head_digest=keys.digest_bytes(sum(self.digests.values())) if head else None,
            agent=AgentInfo(version="1"),
            parsers={"claude": ParserVersion(1, 1), "codex": ParserVersion(1, 1)},
        )
        self.last_batch = batch.batch_id
        return await apply_batch(self.db, self.host_no, str(self.host_id), str(self.ledger_id), batch)


async def machine(db: Database, label: str, kind: str = "server") -> Machine:
    """Enrol a host; the one made first was enrolled first."""
    host_id = uuid4()
    host_no = await db.fetchval(
        "INSERT INTO hosts (host_id, label, kind, enrolled_at, credential_hash) VALUES ($1, $2, $3, $4, '')"
        " RETURNING host_no",
        host_id,
        label,
        kind,
        datetime.now(UTC),
    )
    return Machine(db, host_no, host_id, label)


COUNTER_NAMES = (
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens"),
    *("reasoning_tokens", "input_undivided_tokens", "undivided_tokens", "context_tokens"),
)


def random_rows(rng: random.Random, first: int, last: int, names: int = 300) -> list[tuple[bytes, Body]]:
    """Sessions, messages and events between two times (seconds), every field sometimes unknown. Names collide between
    machines, so that some rows are copies, some of them with other numbers."""

    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.8 else None

    rows: list[tuple[bytes, Body]] = []
    sessions = [f"s{rng.randrange(40)}" for _ in range(12)]
    for name in dict.fromkeys(sessions):
        at = maybe(rng.randrange(first, last) * 1_000_000)
        rows.append(session(name, at, project=maybe(rng.choice(["alpha", "beta", "=1+1", "a,b"]))))
    for _ in range(60):
        fields = {"project": maybe("alpha"), "model": maybe("claude-opus-4-1")}
        fields["role"] = rng.choice(["user", "assistant"])
        tools = maybe(["Bash", "Read"][: rng.randrange(3)])
        at = rng.randrange(first, last) * 1_000_000
        rows.append(message(f"m{rng.randrange(10**6)}", rng.choice(sessions), at, tool_names=tools, **fields))
    for _ in range(120):
        counters = {name: maybe(rng.randrange(5000)) for name in COUNTER_NAMES}
        divided = rng.random() < 0.7
        for name in ("input_undivided_tokens", "undivided_tokens") if divided else ("input_tokens",):
            counters[name] = None
        rows.append(
            event(
                f"e{rng.randrange(names)}",
                rng.choice(sessions),
                rng.randrange(first, last) * 1_000_000,
                provider=maybe("anthropic"),
                model=maybe(rng.choice(["claude-opus-4-1", "claude-3-5-haiku-20241022", "nobody-knows-1"])),
                project=maybe(rng.choice(["alpha", "beta"])),
                lower_bounds=maybe(rng.randrange(512)) or None,
                derived=maybe(rng.randrange(512)) or None,
                reported_cost=maybe("0.0123456"),
                reported_cost_unit=rng.choice(["usd", "credits"]),
                **counters,
            )
        )
    return list(dict(rows).items())
