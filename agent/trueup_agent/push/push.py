"""Bring the hub up to the ledger's head, and say whether it is there (design section 6, steps 1 to 6)."""

import asyncio

from trueup_agent.errors import Busy, HubFailed, HubUnreachable, PositionMismatch, TooLarge
from trueup_agent.ledger import Ledger
from trueup_agent.push.batches import BatchSize, Prepared
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.rejections import retried, rows_to_retry
from trueup_agent.push.repair import Repair
from trueup_agent.push.sender import Progress, PushResult, Sender, Tell

__all__ = ["MAX_STALLS", "PATIENCE_SECONDS", "STALL_SECONDS", "Progress", "Push", "PushResult", "Tell"]

# How often a push goes on after a 409 or a lost reply without any batch getting through in between.
MAX_STALLS = 4
STALL_SECONDS = 0.25
# How long a command waits for a hub that says it is busy.
PATIENCE_SECONDS = 60.0


class Push:
    """One push: position, batches one after another, verdict, repair. Made for a single run."""

    def __init__(
        self, ledger: Ledger, hub: HubClient, size: BatchSize, tell: Tell | None = None, repairs: bool = True
    ) -> None:
        self._repairs = repairs
        self._sender = Sender(ledger, hub, size, tell)
        self._repair = Repair(self._sender)
        self._ledger = ledger

    @property
    def result(self) -> PushResult:
        return self._sender.result

    async def run(self, patience: float) -> PushResult:
        """Until the hub is at the head. A busy hub may make us wait `patience` seconds in a row; more is an error.

        Raises the hub client's errors, and Forked before anything is sent.
        """
        stalls, waited = 0, 0.0
        while True:
            batches = self.result.batches
            try:
                # The hub decides what it has: after an error it is asked again, and we go on from there.
                await self._sender.ask()
                await self._work()
                return self.result
            except (PositionMismatch, HubUnreachable, HubFailed, TooLarge, Busy) as error:
                if self.result.batches > batches:
                    stalls, waited = 0, 0.0
                elif not isinstance(error, Busy):
                    stalls += 1
                if isinstance(error, Busy):
                    waited += max(error.retry_after, STALL_SECONDS)
                    if waited > patience:
                        raise
                    await asyncio.sleep(error.retry_after)
                elif stalls >= MAX_STALLS:
                    raise
                else:
                    await asyncio.sleep(STALL_SECONDS * (2**stalls - 1))

    async def _work(self) -> None:
        await self._retry()
        await self._to_head()
        await self._mend()

    async def _retry(self) -> None:
        """Send again what was rejected, once for each version of either side."""
        sender, before = self._sender, len(self.result.rejections)
        position = sender.position
        if places := await rows_to_retry(self._ledger, sender.hub, position):
            self.result.compare_requests += 1
            await self._repair.send(places)
            await retried(self._ledger, position, self.result.rejections[before:])

    async def _to_head(self) -> None:
        """Ordinary batches until the hub has everything; leaves the verdict in the result."""
        sender = self._sender
        head_digest: bytes | None = None

        async def following() -> Prepared | None:
            nonlocal head_digest
            if head_digest is not None:
                return None
            batch = await sender.ordinary()
            head_digest = batch.head_digest
            return batch

        receipt = await sender.stream(following)
        assert head_digest is not None
        result, position = self.result, sender.position
        equal = head_digest == position.digest
        result.verdict = receipt.verdict if receipt else "converged" if equal else "diverged"
        result.acked_seq = position.acked_seq
        result.hub_digest, result.ledger_digest = position.digest.hex(), head_digest.hex()

    async def _mend(self) -> None:
        """Repair what differs; the result says how that ended."""
        while self.result.verdict == "diverged" and self._repairs and await self._repair.round():
            await self._to_head()
        if self.result.verdict == "converged":
            self.result.note = None
