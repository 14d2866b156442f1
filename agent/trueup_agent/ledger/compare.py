"""What the ledger says when it is compared with the hub: sums by session, digests of rows, the rows that differ.

Read beside the writer, in one snapshot. Nothing is indexed by session: sums and rows are a pass over the tables each
(490,000 rows: 0.4 s), and no row is kept.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import aiosqlite
from msgspec import Struct

from trueup_agent.ledger.outbox import BatchRows, versions
from trueup_agent.ledger.reader import LedgerReader
from trueup_agent.ledger.tables import EVENTS, KEYS, MESSAGES, SESSIONS, TABLES, Table
from trueup_agent.policy import Policy
from trueup_shared import keys, wire

Place = tuple[int, bytes]  # table number, key

BUCKETS = 256  # by the first byte of the session key

_BY_SESSION = " UNION ALL ".join(
    f"SELECT {session_key}, digest FROM {table.name}"
    for table, session_key in ((SESSIONS, "key"), (MESSAGES, "session_key"), (EVENTS, "session_key"))
)


class OwnRow(Struct, frozen=True, gc=False):
    table: int
    key: bytes
    session_key: bytes
    harness: str
    seq: int
    digest: bytes

    @property
    def place(self) -> Place:
        return self.table, self.key


def session_sums(reader: LedgerReader) -> dict[bytes, int]:
    """session key -> sum of the digests of its row, its messages and its events. Not yet reduced modulo 2^128."""
    sums: dict[bytes, int] = {}
    number = int.from_bytes
    for session_key, digest in reader.each(_BY_SESSION):
        sums[session_key] = sums.get(session_key, 0) + number(digest, "big")
    return sums


def rows_of(reader: LedgerReader, sessions: Collection[bytes]) -> Iterator[OwnRow]:
    """The rows of these sessions."""
    for table, column in ((SESSIONS, "key"), (MESSAGES, "session_key"), (EVENTS, "session_key")):
        query = f"{KEYS} SELECT key, {column}, harness, seq, digest FROM {table.name} WHERE {column} IN keys"
        for row in reader.each(query, (b"".join(sessions),)):
            yield OwnRow(table.number, *row)


def rows_at(reader: LedgerReader, places: Iterable[Place]) -> dict[Place, OwnRow]:
    """Those of these rows that the ledger has."""
    found: dict[Place, OwnRow] = {}
    for table, wanted in _by_table(places):
        session_key = "key" if table is SESSIONS else "session_key"
        query = f"{KEYS} SELECT key, {session_key}, harness, seq, digest FROM {table.name} WHERE key IN keys"
        for row in reader.each(query, (wanted,)):
            found[table.number, row[0]] = OwnRow(table.number, *row)
    return found


def removed_after(reader: LedgerReader, places: Iterable[Place], seq: int) -> set[Place]:
    """Those of these rows that were removed from the ledger after `seq`."""
    removed: set[Place] = set()
    for table, wanted in _by_table(places):
        query = f"{KEYS} SELECT key FROM tombstones WHERE key IN keys AND table_no = ?2 AND seq > ?3"
        removed.update((table.number, key) for (key,) in reader.each(query, (wanted, table.number, seq)))
    return removed


async def read_repair(db: aiosqlite.Connection, policy: Policy, places: Sequence[Place], acked_seq: int) -> BatchRows:
    """What the hub is to have of these rows: those that are here, deletions of those that are not.

    Call inside a read transaction: a row is absent only if it is absent now. What changed after `acked_seq` is left to
    an ordinary batch.
    """
    [(head_seq, head_digest)] = await db.execute_fetchall("SELECT seq, digest FROM ledger")
    rows: dict[int, list[Any]] = {table.number: [] for table in TABLES}
    tombstones: list[wire.Tombstone] = []
    for table, wanted in _by_table(places):
        query = f"{KEYS} SELECT {table.columns} FROM {table.name} WHERE key IN keys"
        stored = [table.kind(*columns) for columns in await db.execute_fetchall(query, (wanted,))]
        rows[table.number] = [row for row in stored if row.seq <= acked_seq]
        present = {row.key for row in stored}
        query = f"{KEYS} SELECT key, seq FROM tombstones WHERE key IN keys AND table_no = ?2"
        found = await db.execute_fetchall(query, (wanted, table.number))
        removed: dict[bytes, int] = dict(found)  # type: ignore[arg-type]
        for key in split(wanted):
            if key not in present and removed.get(key, 0) <= acked_seq:
                tombstones.append(wire.Tombstone(table.number, key, removed.get(key, 0)))

    def sent(table: Table[Any]) -> list[tuple[bytes, int, bytes | None, Any]]:
        return [(row.key, row.seq, row.source_key, table.body(row, policy)) for row in rows[table.number]]

    return BatchRows(
        to_seq=acked_seq,
        sessions=[wire.SessionRow(*row) for row in sent(SESSIONS)],
        messages=[wire.MessageRow(*row) for row in sent(MESSAGES)],
        events=[wire.EventRow(*row) for row in sent(EVENTS)],
        tombstones=tombstones,
        head_digest=head_digest if acked_seq == head_seq else None,
        **await versions(db, policy),
    )


def _by_table(places: Iterable[Place]) -> Iterator[tuple[Table[Any], bytes]]:
    """Each table that is concerned, with its keys in a row."""
    wanted: dict[int, set[bytes]] = {}
    for number, key in places:
        wanted.setdefault(number, set()).add(key)
    for table in TABLES:
        if table.number in wanted:
            yield table, b"".join(sorted(wanted[table.number]))


def split(joined: bytes | bytearray) -> Iterator[bytes]:
    """Keys that stand in a row."""
    for start in range(0, len(joined), keys.KEY_BYTES):
        yield bytes(joined[start : start + keys.KEY_BYTES])
