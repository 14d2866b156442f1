"""The transaction that moves the ledger on: rows joined, keys kept unique, digest and seq advanced."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import aiosqlite
import msgspec
from msgspec import Struct

from trueup_agent.ledger import families, forgotten, gone, rederive
from trueup_agent.ledger.rows import StoredEvent, StoredSession
from trueup_agent.ledger.rules import as_read
from trueup_agent.ledger.tables import EVENTS, KEYS, MESSAGES, SESSIONS, SET_ASIDE, SET_ASIDE_INSERT, S, Table
from trueup_agent.ledger.updates import SourceUpdate
from trueup_agent.policy import Policy
from trueup_shared import keys

_COUNTED_AT_ONCE = 10_000


class WriteCounts(Struct):
    """Rows of sessions, messages and events. Restated: the wire form changed. Unchanged: it was read again."""

    inserted: int = 0
    restated: int = 0
    unchanged: int = 0
    removed: int = 0

    def add(self, other: "WriteCounts") -> None:
        self.inserted += other.inserted
        self.restated += other.restated
        self.unchanged += other.unchanged
        self.removed += other.removed


class Writer:
    """One transaction in the making. `seq` and digest are read inside it and written back by `close`, never cached."""

    def __init__(self, db: aiosqlite.Connection, policy: Policy) -> None:
        self._db = db
        self.policy = policy
        self._seq = self._digest = self._rows = 0
        self._has_tombstones = self._has_set_aside = self._has_forgotten = False
        self._sessions_written: set[bytes] = set()  # of messages and events; kept where something was forgotten
        self._held: list[StoredSession] = []
        self._changes: dict[tuple[str, str], int] = {}  # (harness, table) -> rows more
        self.counts = WriteCounts()

    async def begin(self) -> None:
        await self._db.execute("BEGIN IMMEDIATE")
        [row] = await self._db.execute_fetchall(
            "SELECT seq, rows, digest, EXISTS (SELECT 1 FROM tombstones), EXISTS (SELECT 1 FROM set_aside_events),"
            " EXISTS (SELECT 1 FROM tombstones WHERE forgotten = 1) FROM ledger"
        )
        self._seq, self._rows = row[0], row[1]
        self._digest = int.from_bytes(row[2], "big")
        self._has_tombstones, self._has_set_aside, self._has_forgotten = map(bool, row[3:])

    async def close(self) -> None:
        """Write the head back and commit."""
        if self._sessions_written:
            await forgotten.revive(self, self._sessions_written, self._held)
        await self._db.execute(
            "UPDATE ledger SET seq = ?, digest = ?, rows = ?", (self._seq, keys.digest_bytes(self._digest), self._rows)
        )
        for (harness, table), more in self._changes.items():
            await self._db.execute(f"UPDATE harnesses SET {table} = {table} + ? WHERE harness = ?", (more, harness))
        await self._db.commit()

    async def write(self, updates: Sequence[SourceUpdate]) -> None:
        """Join the rows of `updates` into the tables."""
        versions = {update.source.harness: update.data_version for update in updates}
        await self.execute(
            "INSERT INTO harnesses (harness, version, floor) VALUES (?1, ?2, ?2)"
            " ON CONFLICT DO UPDATE SET version = max(version, excluded.version)",
            list(versions.items()),
        )
        sessions = [row for update in updates for row in update.sessions]
        messages = [row for update in updates for row in update.messages]
        events = [row for update in updates for row in update.events]
        changed: set[bytes] = set()
        if self._has_forgotten:
            sifted = await forgotten.sift(self, sessions, messages, events)
            sessions, messages, events, changed = sifted.sessions, sifted.messages, sifted.events, sifted.families
            self._held += sifted.held
        await self.merge(SESSIONS, sessions)
        await self.merge(MESSAGES, messages)
        await self._merge_events(events, changed)
        for update in updates:
            if update.seen is not None:
                await gone.mark(self, update.source, update.seen)

    async def merge(self, table: Table[S], incoming: list[S]) -> None:
        if not incoming:
            return
        fresh = self.joined(table, incoming)
        stored = await self.fetch(table, table.name, fresh)
        for key, old in stored.items():
            fresh[key] = self.onto(table, fresh[key], old)
        await self.put(table, fresh.values(), stored)

    async def _merge_events(self, incoming: list[StoredEvent], changed_families: set[bytes]) -> None:
        if not incoming and not changed_families:
            return
        fresh = self.joined(EVENTS, incoming)
        counted = await self.fetch(EVENTS, EVENTS.name, fresh)
        aside = await self.fetch(EVENTS, SET_ASIDE, fresh)
        changed: dict[bytes, StoredEvent] = {}
        left = set(changed_families)  # and families that lost a row to another
        for key, stored in (aside | counted).items():
            old, new = as_read(stored), fresh.pop(key)
            merged = self.onto(EVENTS, new, rederive.fuller(old, new))
            # Who owns a row says whether it is gone: what others show is a copy, unless it is its session, moved.
            if old.gone and (new.copy, new.session_key) == (merged.copy, merged.session_key):
                merged.source_key, merged.position = new.source_key, new.position
            merged.gone = 0 if new.source_key == merged.source_key else old.gone
            if merged == (old if old is stored else EVENTS.finish(old, self.policy)):
                self.counts.unchanged += 1
            else:
                changed[key] = merged
                if old.family is not None and old.family != merged.family:
                    left.add(old.family)
        await families.settle(self, changed | fresh, counted, aside, left)

    def joined(self, table: Table[S], incoming: Iterable[S]) -> dict[bytes, S]:
        """One row per key."""
        fresh: dict[bytes, S] = {}
        several = set()
        for row in incoming:
            other = fresh.setdefault(row.key, row)
            if other is not row:
                fresh[row.key] = table.join(other, row)
                several.add(row.key)
        for key in several:
            fresh[key] = table.finish(fresh[key], self.policy)
        return fresh

    def onto(self, table: Table[S], row: S, old: S) -> S:
        """`row` joined to what is stored, with its seq."""
        merged = table.finish(table.join(old, row), self.policy)
        merged.seq = old.seq
        return merged

    async def fetch(self, table: Table[S], name: str, wanted: Iterable[bytes], by: str = "key") -> dict[bytes, S]:
        """Stored rows of a table (or of its set-aside twin) by key, whose column `by` is one of `wanted`."""
        if (name == SET_ASIDE and not self._has_set_aside) or (name in forgotten.TWINS and not self._has_forgotten):
            return {}
        query = f"SELECT {table.columns} FROM starts CROSS JOIN {name} ON {by} = substr(?1, start, {keys.KEY_BYTES})"
        found = await self._db.execute_fetchall(KEYS + query, (b"".join(wanted),))
        rows = [table.kind(*columns) for columns in found]
        return {row.key: row for row in rows}

    async def forgotten(self, table: Table[S], wanted: Iterable[bytes]) -> set[bytes]:
        """Those of these keys whose row was forgotten."""
        if not self._has_forgotten:
            return set()
        query = f"{KEYS} SELECT key FROM starts CROSS JOIN tombstones ON key = substr(?1, start, {keys.KEY_BYTES})"
        found = await self.select(f"{query} WHERE table_no = ?2 AND forgotten = 1", (b"".join(wanted), table.number))
        return {key for (key,) in found}

    async def select(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return list(await self._db.execute_fetchall(query, parameters))

    async def greatest_seq(self, name: str) -> int:
        [row] = await self._db.execute_fetchall(f"SELECT max(seq) FROM {name}")
        return int(row[0] or 0)

    async def range(self, table: Table[S], name: str, after: int, last: int, limit: int) -> dict[bytes, S]:
        """At most `limit` stored rows with a seq in (after, last], by key."""
        query = f"SELECT {table.columns} FROM {name} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        found = [table.kind(*columns) for columns in await self._db.execute_fetchall(query, (after, last, limit))]
        return {row.key: row for row in found}

    async def older(
        self, table: Table[S], name: str, harness: str, version: int, after: int, last: int, limit: int
    ) -> dict[bytes, S]:
        """At most `limit` stored rows of a harness with a data version below `version` and a seq in (after, last]."""
        query = (
            f"SELECT {table.columns} FROM {name} WHERE seq > ? AND seq <= ? AND harness = ? AND data_version < ?"
            " ORDER BY seq LIMIT ?"
        )
        parameters = (after, last, harness, version, limit)
        found = [table.kind(*columns) for columns in await self._db.execute_fetchall(query, parameters)]
        return {row.key: row for row in found}

    async def put(self, table: Table[S], new: Iterable[S], stored: dict[bytes, S]) -> None:
        """Write rows that belong in the table. A new seq only where the wire form is new."""
        fresh: list[S] = []
        again: list[S] = []
        for row in new:
            (again if row.key in stored else fresh).append(row)
        for seq, row in enumerate(fresh, self._seq + 1):
            row.seq = seq
        self._seq += len(fresh)
        self._count(table, fresh, 1)
        self.counts.inserted += len(fresh)
        changed: list[S] = [row for row in again if self._restate(row, stored[row.key])]
        if self._has_forgotten:
            self._sessions_written.update(
                written.session_key for written in (*fresh, *changed) if not isinstance(written, StoredSession)
            )
        await self.execute(table.insert, [msgspec.structs.astuple(row) for row in fresh])
        await self.execute(table.upsert, [msgspec.structs.astuple(row) for row in changed])
        if self._has_tombstones and fresh:
            await self.execute(
                "DELETE FROM tombstones WHERE key = ? AND table_no = ?", [(row.key, table.number) for row in fresh]
            )

    def _restate(self, row: S, old: S) -> bool:
        """Is there anything to write? Local columns alone take no seq."""
        if row.digest == old.digest:
            self.counts.unchanged += 1
            return row != old
        self.counts.restated += 1
        self._seq += 1
        row.seq = self._seq
        self._digest += int.from_bytes(row.digest, "big") - int.from_bytes(old.digest, "big")
        return True

    async def redigest(self, table: Table[S], rows: Sequence[S], stored: dict[bytes, S]) -> None:
        """Other digests of wire forms that are what they were (another digest set): no new seq."""
        for row in rows:
            self._digest += int.from_bytes(row.digest, "big") - int.from_bytes(stored[row.key].digest, "big")
        await self.execute(f"UPDATE {table.name} SET digest = ? WHERE seq = ?", [(row.digest, row.seq) for row in rows])

    async def remove(self, table: Table[S], gone: Sequence[S], forgotten: bool = False) -> None:
        """Take rows out of the table; each leaves a tombstone."""
        self._count(table, gone, -1)
        self.counts.removed += len(gone)
        await self.execute(f"DELETE FROM {table.name} WHERE seq = ?", [(row.seq,) for row in gone])
        await self.bury(table, [row.key for row in gone], forgotten)

    async def bury(self, table: Table[S], gone: Sequence[bytes], forgotten: bool) -> None:
        """Tombstones for keys that are not in the table; one that was there before keeps its seq."""
        tombstones = [(seq, table.number, key, int(forgotten)) for seq, key in enumerate(gone, self._seq + 1)]
        self._seq += len(gone)
        await self.execute(
            "INSERT INTO tombstones (seq, table_no, key, forgotten) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key, table_no) DO UPDATE SET forgotten = max(forgotten, excluded.forgotten)",
            tombstones,
        )
        self._has_tombstones = self._has_tombstones or bool(gone)
        self._has_forgotten = self._has_forgotten or (forgotten and bool(gone))

    async def recount(self) -> bool:
        """Take the sum and the number of all rows from the rows themselves; True when they were right."""
        was = self._digest % keys.DIGEST_MODULUS, self._rows
        self._digest = self._rows = 0
        digests = " UNION ALL ".join(f"SELECT digest FROM {table.name}" for table in (SESSIONS, MESSAGES, EVENTS))
        async with self._db.execute(digests) as cursor:
            while found := list(await cursor.fetchmany(_COUNTED_AT_ONCE)):
                self._digest += sum(int.from_bytes(digest, "big") for (digest,) in found)
                self._rows += len(found)
        return was == (self._digest % keys.DIGEST_MODULUS, self._rows)

    async def execute(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        if parameters:
            self._has_set_aside = self._has_set_aside or sql == SET_ASIDE_INSERT
            await self._db.executemany(sql, parameters)

    def _count(self, table: Table[S], rows: Sequence[S], sign: int) -> None:
        self._rows += sign * len(rows)
        self._digest += sign * sum(int.from_bytes(row.digest, "big") for row in rows)
        for harness, number in Counter(row.harness for row in rows).items():
            self._changes[harness, table.name] = self._changes.get((harness, table.name), 0) + sign * number
