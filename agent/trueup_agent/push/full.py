"""`trueup pg push --full` (design section 6): a generation is opened, every row sent along a cursor of its own while
ordinary batches go on, and committed. Whatever interrupts it, the next run goes on where the hub is.
"""

import msgspec
from msgspec import Struct

from trueup_agent.errors import HubTooOld, PositionMismatch, Refused
from trueup_agent.ledger import Ledger
from trueup_agent.push.batches import AGENT, BatchSize, Prepared, asking_for_receipt
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import Push
from trueup_agent.push.sender import COUNTS, Progress, PushResult, Tell
from trueup_agent.push.versions import hub_version
from trueup_shared import wire

META = "full_push"
COMMIT_TIMES = 10  # as long as for a batch
_MOST_UNCOUNTED = 20


class Account(Struct, kw_only=True):
    """What the receipts of the open generation said, kept in the ledger: whoever goes on with it tells all of it."""

    generation: int
    host_id: str
    ledger_id: str
    batch_no: int  # of the last receipt that is counted
    result: PushResult


class FullPush(Push):
    """One full push, or the rest of one. Made for a single run."""

    def __init__(self, ledger: Ledger, hub: HubClient, size: BatchSize, tell: Tell | None = None) -> None:
        super().__init__(ledger, hub, size, tell)
        self._sender.counted = self._keep_account
        self._sent_before: int | None = None  # number of the last batch of those who ran before us
        self._generation = 0  # ours, once it is open
        self._committed = False

    async def run(self, patience: float) -> PushResult:
        """See Push. A hub that removes and recomputes is busy for as long as that takes."""
        return await super().run(patience * COMMIT_TIMES)

    async def _work(self) -> None:
        sender = self._sender
        require_generations(sender.position)
        if not self._committed:
            await self._take_account()
            await self._to_head()
            if self._generation != sender.position.generation or not self._generation:
                await self._open()
                await self._send_everything()
            await self._commit()
            await sender.ask()
        await self._to_head()
        result = self.result
        before = result.inserted + result.updated
        await self._mend()
        # What is repaired now was counted when it was confirmed, as it seemed to be then.
        result.unchanged -= min(result.unchanged, result.inserted + result.updated - before)

    async def _open(self) -> None:
        """Or go on with the one that is open."""
        sender = self._sender
        opening = wire.OpenGeneration(last_batch_id=sender.position.last_batch_id, agent=AGENT)
        sender.moved_to(await sender.hub.open_generation(self._ledger.ledger_id, opening))
        self._generation = sender.position.open_generation
        await self._keep_account()

    async def _send_everything(self) -> None:
        """Full batches, and an ordinary one after each when there is news."""
        sender, was_full = self._sender, True

        async def following() -> Prepared | None:
            nonlocal was_full
            was_full = not (was_full and await sender.behind())
            return await sender.full() if was_full else await sender.ordinary()

        await sender.stream(following)

    async def _commit(self) -> None:
        """Asked again after a lost answer, the hub goes on or gives the same one."""
        sender = self._sender
        head = await self._ledger.head()
        while head.seq != sender.position.acked_seq:
            before = sender.position.acked_seq
            await self._to_head()
            if sender.position.acked_seq <= before:
                raise Refused(
                    f"the hub does not get on: it is at {before} of {head.seq}, and what is sent stays so", ""
                )
            head = await self._ledger.head()
        sender.tell(Progress("Removing what is not in the ledger", 0, 0, ""))
        commit = wire.CommitGeneration(
            last_batch_id=sender.position.last_batch_id, at_seq=head.seq, head_digest=head.digest, agent=AGENT
        )
        committed = await sender.hub.commit_generation(self._ledger.ledger_id, self._generation, commit)
        self.result.removed += committed.removed
        self.result.corrected = committed.corrected
        self._committed = True
        await self._ledger.set_meta(META, "null")

    async def _keep_account(self) -> None:
        sender = self._sender
        if not self._generation or self._committed:
            return
        account = Account(
            generation=self._generation,
            host_id=sender.position.host_id,
            ledger_id=self._ledger.ledger_id,
            batch_no=sender.position.batch_no,
            result=self.result,
        )
        await self._ledger.set_meta(META, msgspec.json.encode(account).decode())

    async def _take_account(self) -> None:
        """Of an interrupted run, with the batches that arrived although it did not live to see their receipts."""
        if self._sent_before is not None:
            return
        [[newest]] = await self._ledger.query("SELECT coalesce(max(batch_no), 0) FROM batches")
        self._sent_before = newest
        known, position = await self._ledger.get_meta(META), self._sender.position
        account = msgspec.json.decode(known, type=Account | None) if known else None
        place = (position.open_generation, position.host_id, self._ledger.ledger_id)
        if account is None or (account.generation, account.host_id, account.ledger_id) != place:
            return
        for name in COUNTS:
            setattr(self.result, name, getattr(self.result, name) + getattr(account.result, name))
        self.result.rejections += account.result.rejections
        sent = await self._ledger.query(
            "SELECT batch_id FROM batches WHERE batch_no > ? AND batch_no <= ? ORDER BY batch_no LIMIT ?",
            (account.batch_no, newest, _MOST_UNCOUNTED),
        )
        for (batch_id,) in sent:
            try:
                receipt = await self._sender.hub.send_batch(self._ledger.ledger_id, asking_for_receipt(batch_id))
            except PositionMismatch:
                continue  # it never arrived
            received = receipt.inserted + receipt.updated + receipt.unchanged + receipt.removed
            self.result.rows_sent += received + len(receipt.rejected)
            await self._sender.count(receipt)


def require_generations(position: wire.Position) -> None:
    """Raises HubTooOld."""
    if wire.GENERATIONS not in position.features:
        version = hub_version(position)
        raise HubTooOld(
            f"the hub ({version}) is too old for a full push: upgrade it; `trueup pg push` works with it as before"
        )
