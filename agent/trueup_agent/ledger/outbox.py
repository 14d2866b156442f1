"""What push reads and remembers: the rows of a batch, and the batches that were sent."""

from time import time_ns
from typing import Any

import aiosqlite
from msgspec import Struct

from trueup_agent.ledger import schema
from trueup_agent.ledger.tables import EVENTS, MESSAGES, SESSIONS, TABLES, S, Table
from trueup_agent.policy import Policy
from trueup_shared import wire

KEPT_BATCHES = 10_000  # a hub restored from a backup older than this history is still no fork


class BatchRows(Struct, frozen=True, kw_only=True):
    """Everything whose seq lies in (from_seq, to_seq], and the ledger's digest when that reaches its head."""

    to_seq: int
    sessions: list[wire.SessionRow]
    messages: list[wire.MessageRow]
    events: list[wire.EventRow]
    tombstones: list[wire.Tombstone]
    head_digest: bytes | None
    parsers: dict[str, wire.ParserVersion]
    policy: dict[str, str]
    digest_set: int


async def read_batch(
    db: aiosqlite.Connection, policy: Policy, from_seq: int, max_rows: int, last: int | None = None
) -> BatchRows:
    """Call inside a read transaction: rows and digest must be of one moment.

    With `last`: rows with a seq up to it, without tombstones (a full batch: what it does not have is removed).
    """
    [(head_seq, head_digest)] = await db.execute_fetchall("SELECT seq, digest FROM ledger")
    to_seq = await _last_seq(db, from_seq, max_rows)
    to_seq = head_seq if to_seq is None else to_seq
    to_seq = to_seq if last is None else min(to_seq, last)
    tombstones = await db.execute_fetchall(
        "SELECT table_no, key, seq FROM tombstones WHERE seq > ? AND seq <= ? ORDER BY seq",
        (from_seq, to_seq if last is None else from_seq),
    )
    return BatchRows(
        to_seq=to_seq,
        sessions=[wire.SessionRow(*row) for row in await _rows(db, SESSIONS, policy, from_seq, to_seq)],
        messages=[wire.MessageRow(*row) for row in await _rows(db, MESSAGES, policy, from_seq, to_seq)],
        events=[wire.EventRow(*row) for row in await _rows(db, EVENTS, policy, from_seq, to_seq)],
        tombstones=[wire.Tombstone(*row) for row in tombstones],
        head_digest=head_digest if to_seq == head_seq and last is None else None,
        **await versions(db, policy),
    )


async def versions(db: aiosqlite.Connection, policy: Policy) -> dict[str, Any]:
    """What every batch says of how its rows came about."""
    harnesses = await db.execute_fetchall("SELECT harness, version, floor FROM harnesses")
    return {
        "parsers": {harness: wire.ParserVersion(version, floor) for harness, version, floor in harnesses},
        "policy": policy.as_dict(),
        "digest_set": policy.digest_set,
    }


async def _last_seq(db: aiosqlite.Connection, from_seq: int, max_rows: int) -> int | None:
    """The seq of the last row that fits; None when all do."""
    parts = " UNION ALL ".join(
        f"SELECT * FROM (SELECT seq FROM {name} WHERE seq > ?1 ORDER BY seq LIMIT ?2)"
        for name in (*(table.name for table in TABLES), "tombstones")
    )
    found = list(
        await db.execute_fetchall(f"SELECT seq FROM ({parts}) ORDER BY seq LIMIT ?2", (from_seq, max_rows + 1))
    )
    return int(found[max_rows - 1][0]) if len(found) > max_rows else None


async def _rows(
    db: aiosqlite.Connection, table: Table[S], policy: Policy, from_seq: int, to_seq: int
) -> list[tuple[bytes, int, bytes | None, Any]]:
    query = f"SELECT {table.columns} FROM {table.name} WHERE seq > ? AND seq <= ? ORDER BY seq"
    stored = [table.kind(*columns) for columns in await db.execute_fetchall(query, (from_seq, to_seq))]
    return [(row.key, row.seq, row.source_key, table.body(row, policy)) for row in stored]


async def record_batch(
    db: aiosqlite.Connection, batch_no: int, batch_id: bytes, from_seq: int, to_seq: int, kind: str
) -> None:
    """Durable when it returns, and everything committed before it: the hub must never know more than the disk does."""
    async with schema.durable(db):
        await db.execute(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)",
            (batch_no, batch_id, from_seq, to_seq, kind, time_ns() // 1000),
        )
        await db.execute("DELETE FROM batches WHERE batch_no <= ?", (batch_no - KEPT_BATCHES,))
