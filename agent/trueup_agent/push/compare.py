"""Hub and ledger side by side: sums of buckets, then of the sessions of those that differ, then their rows (design 6).

What is asked for is proportional to what differs. Rejected rows that are as the ledger has them are agreed, rows that
changed after the hub's position are still to come: neither is a difference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field

from trueup_agent.errors import Busy, PositionMismatch, cause_of
from trueup_agent.ledger import LedgerReader
from trueup_agent.ledger.compare import BUCKETS, OwnRow, Place, removed_after, rows_at, rows_of, session_sums
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.rejections import rejected_pages
from trueup_shared import keys, wire

K = TypeVar("K")
Answer = TypeVar("Answer", wire.Buckets, wire.BucketSessions, wire.SessionRows)

# What is compared at a time: rows at the hub, and sessions.
GROUP_ROWS = 20_000
GROUP_SESSIONS = 200
# A hub that asks to wait is waited for: to begin anew would cost more.
PATIENCE_SECONDS = 60.0
MOST_WAITS = 10
REQUESTS_AT_ONCE = 4

Tell = Callable[[int, int], None]  # sessions compared, of


class Difference(Struct, frozen=True, kw_only=True):
    """A row that only one side has, or that differs. `here` and `hub` are digests."""

    table: int
    key: bytes
    session_key: bytes | None  # unknown for a rejected row that the ledger does not have
    harness: str | None  # as the ledger knows it
    here: bytes | None
    hub: bytes | None

    @property
    def place(self) -> Place:
        return self.table, self.key


class Comparison(Struct, kw_only=True):
    """What a comparison found, and what it cost."""

    acked_seq: int
    head_seq: int = 0  # of the ledger as it was compared, with its digest, and how much of it is yet to come
    ledger_digest: bytes = b""
    pending: int = 0
    buckets: list[int] = field(default_factory=list)  # whose sums differ
    differences: list[Difference] = field(default_factory=list)  # by table and key
    rejected: list[Place] = field(default_factory=list)  # agreed
    partial: bool = False  # so much differs that the rest was left for another time
    without_key: int = 0  # rejected rows that the hub could not read a key of
    requests: int = 0
    bytes: int = 0


class Comparer:
    """One comparison, with the ledger as it is at one moment."""

    def __init__(
        self,
        hub: HubClient,
        ledger_id: str,
        position: wire.Position,
        deep: bool = False,
        tell: Tell | None = None,
        enough: int | None = None,
    ) -> None:
        """`enough`: so many differences are as many as anybody wants to know of."""
        self._enough = enough
        self._hub = hub
        self._ledger_id = ledger_id
        self._position = position
        self._deep = deep
        self._tell = tell or (lambda done, of: None)
        self._agreed: set[Place] = set()
        self._here: dict[Place, OwnRow] = {}
        self._there: dict[Place, tuple[bytes | None, bytes]] = {}  # session key, digest
        self.found = Comparison(acked_seq=position.acked_seq)

    async def run(self, data_dir: Path) -> Comparison:
        """Raises PositionMismatch when the hub moves on meanwhile, and the hub client's errors."""
        before = self._hub.bytes_received
        with await asyncio.to_thread(_snapshot, data_dir) as reader:
            await self._compare(reader)
            await asyncio.to_thread(self._conclude, reader)
        self.found.bytes = self._hub.bytes_received - before
        return self.found

    async def _compare(self, reader: LedgerReader) -> None:
        told, own = b"", await asyncio.to_thread(session_sums, reader)
        [[digest_set]] = reader.query("SELECT digest_set FROM ledger")
        async for page in rejected_pages(self._position, self._ask_for_sums):
            if page.digest_set != digest_set and page.last_batch_id is not None:
                raise PositionMismatch("the hub's sums are of another digest set until the next push")
            await asyncio.to_thread(self._settle_rejections, reader, page.rejected, own)
            told = told or page.sums
        sums = [0] * BUCKETS
        for session_key, digest in own.items():
            sums[session_key[0]] += digest
        size = keys.KEY_BYTES
        self.found.buckets = [
            n for n in range(BUCKETS) if keys.digest_bytes(sums[n]) != told[n * size : (n + 1) * size]
        ]
        rows = await self._sessions(own)
        done = 0
        for group in _groups(rows):
            await _at_once(self._ask_for_rows, (session_key for session_key in group if rows[session_key]))
            await asyncio.to_thread(self._compare_rows, reader, group)
            done += len(group)
            self._tell(done, len(rows))
            if self._enough is not None and len(self._here) + len(self._there) >= self._enough and done < len(rows):
                self.found.partial = True
                return

    async def _sessions(self, own: dict[bytes, int]) -> dict[bytes, int]:
        """The sessions whose sums differ -> how many rows the hub has of them."""
        here: dict[int, dict[bytes, int]] = {bucket: {} for bucket in self.found.buckets}
        for session_key, digest in own.items():
            if session_key[0] in here:
                here[session_key[0]][session_key] = digest
        differing: dict[bytes, int] = {}

        async def compare_bucket(bucket: int) -> None:
            told = await self._asked(partial(self._hub.bucket_sessions, self._ledger_id, bucket, self._deep))
            sums = here.pop(bucket)
            for session in told.sessions:
                if keys.digest_bytes(sums.pop(session.key, 0)) != session.digest:
                    differing[session.key] = max(session.rows, 1)
            differing.update((key, 0) for key, digest in sums.items() if digest % keys.DIGEST_MODULUS)

        await _at_once(compare_bucket, list(here))
        return differing

    async def _ask_for_sums(self, after: str) -> wire.Buckets:
        return await self._asked(partial(self._hub.buckets, self._ledger_id, self._deep, after))

    async def _ask_for_rows(self, session_key: bytes) -> None:
        told = await self._asked(partial(self._hub.session_rows, self._ledger_id, session_key, self._deep))
        for row in told.rows:
            self._there[row.table, row.key] = (session_key, row.digest)

    async def _asked(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        for waits in range(MOST_WAITS + 1):
            self.found.requests += 1
            try:
                answer = await ask()
            except Busy as busy:
                if waits == MOST_WAITS or busy.retry_after > PATIENCE_SECONDS:
                    raise
                await asyncio.sleep(busy.retry_after)
                continue
            if answer.last_batch_id != self._position.last_batch_id or answer.acked_seq != self.found.acked_seq:
                raise PositionMismatch("the hub moved on while it was being compared")
            return answer
        raise AssertionError

    def _settle_rejections(
        self, reader: LedgerReader, rejected: list[wire.RejectedDigest], own: dict[bytes, int]
    ) -> None:
        """Rejected rows are in no sum of the hub; those that are as the ledger has them are taken out of ours."""
        here = rows_at(reader, [(row.table, row.key) for row in rejected if row.key is not None])
        for row in rejected:
            if row.key is None:
                self.found.without_key += 1
                continue
            place = (row.table, row.key)
            stored = here.get(place)
            if stored is not None and stored.digest == row.digest:
                own[stored.session_key] -= int.from_bytes(row.digest, "big")
                self._agreed.add(place)
            else:
                self._there[place] = (None, row.digest)

    def _compare_rows(self, reader: LedgerReader, sessions: list[bytes]) -> None:
        """Keep what differs of these sessions; a row may yet turn up in another one."""
        for row in rows_of(reader, sessions):
            if row.seq > self.found.acked_seq or row.place in self._agreed:
                continue
            _, digest = self._there.get(row.place, (None, None))
            if digest == row.digest:
                del self._there[row.place]
            else:
                self._here[row.place] = row

    def _conclude(self, reader: LedgerReader) -> None:
        self.found.head_seq, self.found.ledger_digest, _ = reader.head()
        self.found.pending = reader.pending(self.found.acked_seq)
        unknown = self._there.keys() - self._here.keys()
        stored = rows_at(reader, unknown)
        coming = removed_after(reader, unknown, self.found.acked_seq)
        coming |= {place for place, row in stored.items() if row.seq > self.found.acked_seq}
        for place in sorted((self._here.keys() | self._there.keys()) - coming):
            row = self._here.get(place) or stored.get(place)
            session_key, digest = self._there.get(place, (None, None))
            if row is not None and row.digest == digest:
                continue
            difference = Difference(
                table=place[0],
                key=place[1],
                session_key=row.session_key if row else session_key,
                harness=row.harness if row else None,
                here=row.digest if row else None,
                hub=digest,
            )
            self.found.differences.append(difference)
        self.found.rejected = sorted(self._agreed)


async def _at_once(work: Callable[[K], Awaitable[None]], asked: Iterable[K]) -> None:
    """Several requests under way at a time: over a network each of them is mostly waiting."""
    left = iter(asked)

    async def take() -> None:
        for one in left:
            await work(one)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(REQUESTS_AT_ONCE):
                tasks.create_task(take(), name="compare")
    except BaseExceptionGroup as failed:
        raise cause_of(failed) from None


def _snapshot(data_dir: Path) -> LedgerReader:
    reader = LedgerReader(data_dir)
    reader.snapshot()
    return reader


def _groups(rows: dict[bytes, int]) -> Iterator[list[bytes]]:
    """Sessions that together have about GROUP_ROWS rows at the hub, or are many."""
    group: list[bytes] = []
    total = 0
    for session_key, count in rows.items():
        group.append(session_key)
        total += count
        if total >= GROUP_ROWS or len(group) >= GROUP_SESSIONS:
            yield group
            group, total = [], 0
    if group:
        yield group
