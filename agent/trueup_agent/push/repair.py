"""Repair (design section 6.6): after a diverged verdict what differs is found out, and sent again or deleted."""

from trueup_agent.ledger.compare import Place
from trueup_agent.push.batches import Prepared
from trueup_agent.push.compare import Comparer
from trueup_agent.push.sender import Progress, PushResult, Sender
from trueup_agent.push.versions import hub_version
from trueup_shared import wire

MOST_ROUNDS = 2  # what still differs then is not for us to mend
ENOUGH_ROWS = 50_000  # of a round; what differs beyond that comes in more rounds


class Repair:
    """The repairs of one push."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._rounds = 0

    async def round(self) -> bool:
        """Compare and mend once. False when there is nothing to be done; then the result's note says why.

        Raises PositionMismatch when the hub moves on meanwhile: such a round does not count.
        """
        sender, result = self._sender, self._sender.result
        if wire.REPAIR not in sender.position.features:
            result.note = f"the hub ({hub_version(sender.position)}) is too old to be repaired: upgrade it"
            return False
        if self._rounds == MOST_ROUNDS:
            result.note = (
                f"rows still differ after {MOST_ROUNDS} repairs: `trueup pg verify` names them, and "
                "`trueup pg push --full` sends everything again"
            )
            return False
        comparer = Comparer(
            sender.hub, sender.ledger.ledger_id, sender.position, tell=self._tell_compared, enough=ENOUGH_ROWS
        )
        try:
            found = await comparer.run(sender.ledger.path.parent)
        finally:
            result.compare_requests += comparer.found.requests
            result.compared_bytes += comparer.found.bytes
        if not found.differences and not found.without_key:
            result.note = (
                "no row differs, but the hub's sums do: it computes them anew every day, and at the end of "
                "`trueup pg push --full`"
            )
            return False
        self._rounds += 1
        mended = _changes(result)
        await self.send([difference.place for difference in found.differences])
        if found.partial and _changes(result) > mended:
            self._rounds -= 1
        return True

    async def send(self, places: list[Place]) -> None:
        """Send these rows again as the ledger has them, and delete those that it does not have."""
        sender, left = self._sender, places
        first = True

        async def following() -> Prepared | None:
            nonlocal first, left
            if not left and not first:
                return None
            first = False  # one batch in any case: it drops rejections that have no key
            batch, taken = await sender.repair(left)
            left = left[taken:]
            sender.tell(Progress("Repairing", len(places) - len(left), len(places), "rows"))
            return batch

        await sender.stream(following)

    def _tell_compared(self, done: int, of: int) -> None:
        self._sender.tell(Progress("Comparing", done, of, "sessions"))


def _changes(result: PushResult) -> int:
    return result.inserted + result.updated + result.removed
