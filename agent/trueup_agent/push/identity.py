"""Is this ledger still the one that the hub knows? (design section 6, Identity)."""

from trueup_agent.errors import Forked
from trueup_agent.ledger import Ledger
from trueup_agent.push.hub_client import HubClient
from trueup_shared import wire


async def ask_position(ledger: Ledger, hub: HubClient) -> wire.Position:
    """The hub's position, when it is one that this ledger can go on from. Raises Forked."""
    position = await hub.position(ledger.ledger_id)
    last = position.last_batch_id
    known = last is not None and await ledger.knows_batch(last)
    why = fork(position, (await ledger.head()).seq, known, await ledger.oldest_batch_no())
    if why:
        raise Forked(f"{why}. Nothing was sent")
    return position


def fork(position: wire.Position, head_seq: int, known: bool, oldest_batch_no: int | None) -> str | None:
    """Why this ledger is not the one that the hub knows, else None.

    The hub's last batch is one of ours (`known`), or older than the history we keep: then the hub was restored from a
    backup. A batch that this ledger never sent was sent by a copy of it; a hub that is ahead knows a later state of it.
    """
    kept = oldest_batch_no is None or position.batch_no >= oldest_batch_no
    if position.last_batch_id is not None and not known and kept:
        return (
            f"the hub's last batch (number {position.batch_no}) was not sent by this ledger: a copy of it, on a "
            "cloned machine or restored from a backup, has pushed too"
        )
    if position.acked_seq > head_seq:
        return (
            f"the hub has change {position.acked_seq} of this ledger, which ends at {head_seq}: it is an older copy of "
            "itself, restored from a backup perhaps"
        )
    return None
