"""Bring the hub up to the ledger's head, and say whether it is there (design section 6, steps 1 to 5)."""

import asyncio
from collections.abc import Callable
from time import monotonic

from msgspec import Struct, field

from trueup_agent.errors import Busy, HubFailed, HubUnreachable, PositionMismatch, TooLarge
from trueup_agent.ledger import Ledger
from trueup_agent.push.batches import BatchSize, Prepared, prepare
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.identity import ask_position
from trueup_agent.push.rejections import RejectedRow, rejected_rows, remember
from trueup_shared import wire

# How often a push goes on after a 409, a lost reply or a busy hub without any batch getting through in between.
MAX_STALLS = 4
STALL_SECONDS = 0.25
# How long a command waits for a hub that says it is busy.
PATIENCE_SECONDS = 60.0


class PushResult(Struct, kw_only=True):
    """What `pg push` tells (interface.md). Counts are those of the receipts of this push."""

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


class Progress(Struct, frozen=True):
    """After each receipt: the hub has everything up to `acked_seq` of `head_seq`."""

    acked_seq: int
    head_seq: int
    rows_sent: int


Tell = Callable[[Progress], None]


class Push:
    """One push: position, batches one after another, verdict. Made for a single run."""

    def __init__(self, ledger: Ledger, hub: HubClient, size: BatchSize, tell: Tell | None = None) -> None:
        self._ledger = ledger
        self._hub = hub
        self._size = size
        self._tell = tell
        self._unanswered: Prepared | None = None
        self.result = PushResult(host_id="", ledger_id=ledger.ledger_id)

    async def run(self, patience: float) -> PushResult:
        """Until the hub is at the head. A busy hub may ask us to wait `patience` seconds; more is an error.

        Raises the hub client's errors, and Forked before anything is sent.
        """
        stalls = 0
        while True:
            batches = self.result.batches
            try:
                position = await ask_position(self._ledger, self._hub)
            except Busy as busy:
                await self._wait_for(busy, stalls, patience)
                stalls += 1
                continue
            try:
                return await self._send_from(position)
            except (PositionMismatch, HubUnreachable, HubFailed, TooLarge, Busy) as error:
                # The hub decides what it has: ask it again and go on from there.
                stalls = 0 if self.result.batches > batches else stalls + 1
                if isinstance(error, Busy):
                    await self._wait_for(error, stalls, patience)
                elif stalls >= MAX_STALLS:
                    raise
                else:
                    await asyncio.sleep(STALL_SECONDS * (2**stalls - 1))

    async def _wait_for(self, busy: Busy, stalls: int, patience: float) -> None:
        if stalls >= MAX_STALLS or busy.retry_after > patience:
            raise busy
        await asyncio.sleep(busy.retry_after)

    async def _send_from(self, position: wire.Position) -> PushResult:
        result = self.result
        result.host_id, result.generation = position.host_id, position.generation
        self._size.limit(position.max_batch_rows)
        lost, self._unanswered = self._unanswered, None
        if lost is not None and lost.batch_id == position.last_batch_id:
            # Applied, only the receipt was lost: a replay gets the same one.
            await self._send(lost)
        batch = await self._prepare(
            position, position.acked_seq, await self._next_batch_no(position), position.last_batch_id
        )
        if batch.head_digest is not None and batch.body is None:
            verdict: wire.Verdict = "converged" if batch.head_digest == position.digest else "diverged"
            return self._conclude(position.acked_seq, position.digest, batch.head_digest, verdict)
        while batch.head_digest is None:
            batch = await self._send_and_prepare(batch, position)
        receipt = await self._send(batch)
        return self._conclude(receipt.acked_seq, receipt.digest, batch.head_digest, receipt.verdict)

    async def _send_and_prepare(self, batch: Prepared, position: wire.Position) -> Prepared:
        """Send a batch; the one that follows it is read and encoded in the meantime."""
        following = asyncio.create_task(
            self._prepare(position, batch.to_seq, batch.batch_no + 1, batch.batch_id), name="prepare batch"
        )
        try:
            await self._send(batch)
        except BaseException:
            await asyncio.gather(following, return_exceptions=True)
            raise
        return await following

    async def _next_batch_no(self, position: wire.Position) -> int:
        """Our own count, never used twice: after a lost request the hub may yet apply the batch of that number."""
        [[newest]] = await self._ledger.query("SELECT coalesce(max(batch_no), 0) FROM batches")
        return max(int(newest), position.batch_no) + 1

    async def _prepare(self, position: wire.Position, from_seq: int, batch_no: int, previous: bytes | None) -> Prepared:
        return await prepare(
            self._ledger,
            self._size,
            position.max_body_bytes,
            from_seq=from_seq,
            batch_no=batch_no,
            previous=previous,
        )

    async def _send(self, batch: Prepared) -> wire.Receipt:
        assert batch.body is not None
        started, result = monotonic(), self.result
        await self._ledger.record_batch(batch.batch_no, batch.batch_id, batch.from_seq, batch.to_seq, "ordinary")
        try:
            receipt = await self._hub.send_batch(self._ledger.ledger_id, batch.body)
        except TooLarge:
            self._size.was_too_large(batch.rows)
            raise
        except (HubUnreachable, HubFailed, Busy):
            self._unanswered = batch
            raise
        self._size.took(monotonic() - started)
        await self._ledger.record_receipt(receipt)
        result.batches += 1
        result.rows_sent += batch.rows
        result.bytes_sent += len(batch.body)
        result.inserted += receipt.inserted
        result.updated += receipt.updated
        result.unchanged += receipt.unchanged
        result.removed += receipt.removed
        result.rejected += len(receipt.rejected)
        if receipt.rejected:
            rejected = rejected_rows(result.host_id, receipt)
            result.rejections += rejected
            await remember(self._ledger, rejected)
        result.acked_seq = receipt.acked_seq
        if self._tell:
            head = await self._ledger.head()
            self._tell(Progress(receipt.acked_seq, head.seq, result.rows_sent))
        return receipt

    def _conclude(self, acked_seq: int, hub_digest: bytes, head_digest: bytes, verdict: wire.Verdict) -> PushResult:
        result = self.result
        result.acked_seq = acked_seq
        result.hub_digest = hub_digest.hex()
        result.ledger_digest = head_digest.hex()
        result.verdict = verdict
        return result
