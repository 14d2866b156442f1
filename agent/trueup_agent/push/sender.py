"""One push's way to the hub: where the hub is, batches in their chain, what their receipts say."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from msgspec import Struct, field, structs

from trueup_agent.errors import Busy, HubFailed, HubUnreachable, TooLarge
from trueup_agent.ledger import BatchRows, Ledger
from trueup_agent.ledger.compare import Place
from trueup_agent.push.batches import BatchSize, Prepared, prepare
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.identity import ask_position
from trueup_agent.push.rejections import RejectedRow, rejected_rows, remember
from trueup_agent.push.versions import agree, sums_differ_in_kind
from trueup_shared import wire


class LogsRead(Struct, frozen=True, kw_only=True):
    """All logs that exist, read again by today's parsers, and the ledger checked: what that changed in the ledger."""

    sources: int
    inserted: int
    restated: int
    removed: int
    unreadable: int
    rechecked: int  # rows whose digest was not that of their columns
    sum_was_right: bool


class PushResult(Struct, kw_only=True):
    """What `pg push` tells (interface.md). Counts are those of the receipts of this push.

    Of a full push: of all batches since its generation was opened, by whatever runs.
    """

    host_id: str
    ledger_id: str
    generation: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    rejected: int = 0
    bytes_sent: int = 0
    acked_seq: int = 0
    ledger_digest: str = ""  # hex
    hub_digest: str = ""
    verdict: wire.Verdict = "behind"
    rows_sent: int = 0
    batches: int = 0
    rejections: list[RejectedRow] = field(default_factory=list)
    identity: list[str] = field(default_factory=list)  # lines for people: the ledger goes by another id now, and why
    repaired_rows: int = 0  # rows and deletions in repair batches
    compared_bytes: int = 0  # what the hub told of its sums and digests for that
    compare_requests: int = 0
    corrected: int = 0  # rows that the hub found altered when it ended a generation
    logs: LogsRead | None = None  # what a full push read first
    note: str | None = None  # one line: why it is not converged, and what to do


COUNTS = (
    *("inserted", "updated", "unchanged", "removed", "rejected", "bytes_sent", "rows_sent", "batches"),
    *("repaired_rows", "compared_bytes", "compare_requests"),
)


class Progress(Struct, frozen=True):
    """How far a push is, in `unit`s of its phase. `of` is 0 where nobody knows."""

    phase: str
    done: int
    of: int
    unit: str


Tell = Callable[[Progress], None]
# The batch that follows the one that was prepared last; None when there is no more.
Following = Callable[[], Awaitable[Prepared | None]]


async def _nothing() -> None:
    pass


class Sender:
    """Batches leave one after another. `ask` before anything else, and again after every error."""

    def __init__(self, ledger: Ledger, hub: HubClient, size: BatchSize, tell: Tell | None = None) -> None:
        self.ledger = ledger
        self.hub = hub
        self.result = PushResult(host_id="", ledger_id=ledger.ledger_id)
        self.position = wire.Position(host_id="", ledger_id=ledger.ledger_id)
        self.tell: Tell = tell or (lambda _: None)
        self.counted: Callable[[], Awaitable[None]] = _nothing  # called after each receipt
        self._size = size
        self._tail = self.position  # where the hub will be when all that was prepared has arrived
        self._unanswered: Prepared | None = None

    async def ask(self) -> None:
        """Where is the hub? A batch that was applied although its receipt was lost is counted. Raises Forked."""
        position = await ask_position(self.ledger, self.hub)
        await agree(self.ledger, position)
        self.result.host_id = position.host_id
        self._size.limit(position.max_batch_rows)
        lost, self._unanswered = self._unanswered, None
        if lost is not None and lost.batch_id == position.last_batch_id:
            await self.send(lost)  # a replay gets the same receipt
        self.moved_to(position)

    def moved_to(self, position: wire.Position) -> None:
        """The hub says where it is; nothing is under way."""
        self.position = self._tail = position
        self.result.generation = position.generation

    async def ordinary(self) -> Prepared:
        """What comes next in the ledger; without a body, but with the ledger's digest, when nothing does."""
        return await self._prepare("ordinary", self._tail.acked_seq)

    async def full(self) -> Prepared | None:
        """What comes next in the open generation; None when the hub has all of it."""
        tail = self._tail
        if tail.full_seq >= tail.full_target:
            return None

        async def read(most: int) -> BatchRows:
            return await self.ledger.read_batch(tail.full_seq, most, tail.full_target)

        return await self._prepare("full", tail.full_seq, tail.open_generation, read)

    async def repair(self, places: Sequence[Place]) -> tuple[Prepared, int]:
        """The first of these rows, or their deletions; how many of them."""
        acked_seq, taken = self._tail.acked_seq, 0

        async def read(most: int) -> BatchRows:
            nonlocal taken
            taken = min(most, len(places))
            return await self.ledger.read_repair(places[:most], acked_seq)

        return await self._prepare("repair", acked_seq, read=read), taken

    async def behind(self) -> bool:
        """Is there more in the ledger than an ordinary batch was prepared of?"""
        return (await self.ledger.head()).seq > self._tail.acked_seq

    async def _prepare(
        self,
        kind: wire.BatchKind,
        from_seq: int,
        generation: int = 0,
        read: Callable[[int], Awaitable[BatchRows]] | None = None,
    ) -> Prepared:
        batch = await prepare(
            self.ledger,
            self._size,
            self._tail.max_body_bytes,
            from_seq=from_seq,
            batch_no=await self._next_batch_no(),
            previous=self._tail.last_batch_id,
            kind=kind,
            generation=generation,
            read=read,
            even_empty=sums_differ_in_kind(self.ledger, self._tail),
        )
        if batch.body is not None:
            moved = {"full_seq": batch.to_seq} if kind == "full" else {"acked_seq": batch.to_seq}
            self._tail = structs.replace(
                self._tail,
                last_batch_id=batch.batch_id,
                batch_no=batch.batch_no,
                digest_set=self.ledger.policy.digest_set,
                **moved,
            )
        return batch

    async def _next_batch_no(self) -> int:
        """Our own count, never used twice: after a lost request the hub may yet apply the batch of that number."""
        [[newest]] = await self.ledger.query("SELECT coalesce(max(batch_no), 0) FROM batches")
        return max(int(newest), self._tail.batch_no) + 1

    async def stream(self, following: Following) -> wire.Receipt | None:
        """Send one batch after another, each read and encoded while the one before it is under way; the last receipt.

        A batch without a body is the end.
        """
        receipt = None
        batch = await following()
        while batch is not None and batch.body is not None:
            next_one = asyncio.ensure_future(following())
            try:
                receipt = await self.send(batch)
            except BaseException:
                await asyncio.gather(next_one, return_exceptions=True)
                raise
            batch = await next_one
        return receipt

    async def send(self, batch: Prepared) -> wire.Receipt:
        assert batch.body is not None
        started, result = monotonic(), self.result
        await self.ledger.record_batch(batch.batch_no, batch.batch_id, batch.from_seq, batch.to_seq, batch.kind)
        try:
            receipt = await self.hub.send_batch(self.ledger.ledger_id, batch.body)
        except TooLarge:
            self._size.was_too_large(batch.rows)
            raise
        except (HubUnreachable, HubFailed, Busy):
            self._unanswered = batch
            raise
        self._size.took(monotonic() - started)
        await self.ledger.record_receipt(receipt)
        result.rows_sent += batch.rows
        result.bytes_sent += len(batch.body)
        if batch.kind == "repair":
            result.repaired_rows += batch.rows
        self.position = structs.replace(
            self.position,
            acked_seq=receipt.acked_seq,
            full_seq=receipt.full_seq,
            last_batch_id=receipt.batch_id,
            batch_no=receipt.batch_no,
            digest=receipt.digest,
        )
        result.acked_seq = receipt.acked_seq
        await self.count(receipt)
        await self._say_how_far(batch.kind)
        return receipt

    async def count(self, receipt: wire.Receipt) -> None:
        result = self.result
        result.batches += 1
        result.inserted += receipt.inserted
        result.updated += receipt.updated
        result.unchanged += receipt.unchanged
        result.removed += receipt.removed
        result.rejected += len(receipt.rejected)
        if receipt.rejected:
            rejected = rejected_rows(result.host_id, receipt)
            result.rejections += rejected
            await remember(self.ledger, rejected)
        await self.counted()

    async def _say_how_far(self, kind: wire.BatchKind) -> None:
        position = self.position
        if kind == "full":
            self.tell(Progress("Sending everything", position.full_seq, position.full_target, "changes"))
        elif kind == "ordinary":
            self.tell(Progress("Pushing", position.acked_seq, (await self.ledger.head()).seq, "changes"))
