"""Is this ledger still the one that the hub knows, and what follows when it is not (design section 6, Identity).

A copy of a ledger, or an older state of it, may not go on under an id that the hub knows more of. It takes a new one
and sends everything again, which is always safe: ownership counts each request once.
"""

from time import time_ns

import structlog

from trueup_agent.errors import Forked
from trueup_agent.ledger import Ledger, LedgerReader
from trueup_agent.ledger.identity import Reason, Replaced
from trueup_agent.push.hub_client import HubClient
from trueup_shared import logs, wire

log = structlog.get_logger()

DAY = 86_400 * 1_000_000
MOST_A_DAY = 3
_BY_ITSELF = ("fork", "put_back")


async def ask_position(ledger: Ledger, hub: HubClient) -> wire.Position:
    """The hub's position, when it is one that this ledger can go on from. Raises Forked."""
    position = await hub.position(ledger.ledger_id)
    last = position.last_batch_id
    known = last is not None and await ledger.knows_batch(last)
    why = fork(position, (await ledger.head()).seq, known, await ledger.oldest_batch_no())
    if why:
        raise Forked(why)
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


def fork_of(reader: LedgerReader, position: wire.Position) -> str | None:
    """The same of a ledger that is read beside its writer."""
    [[known, oldest]] = reader.query(
        "SELECT coalesce(max(batch_id = ?), 0), min(batch_no) FROM batches", (position.last_batch_id,)
    )
    return fork(position, reader.head()[0], bool(known), oldest)


async def begin_anew(ledger: Ledger, forked: Forked) -> None:
    """Go on under a new id. Raises Forked when this happens too often to be a copy that was made once."""
    await _take_new(ledger, "fork", str(forked))


async def settle(ledger: Ledger, last_used: str) -> None:
    """`last_used` is another ledger that this machine pushed with as the host that it is; this one replaces it.

    One that has pushed before is an old file that was put back: its successor at the hub must be younger than what it
    succeeds. Raises Forked as begin_anew.
    """
    if last_used in ledger.replaces:
        return
    if await ledger.oldest_batch_no() is not None:
        why = f"this machine last pushed with ledger {last_used}, not with this one: an older file was put back"
        await _take_new(ledger, "put_back", why, last_used)
        return
    why = f"the ledger file was made anew since this machine pushed with ledger {last_used}"
    await ledger.replace(last_used, "new_file", why)
    _say(ledger.replaced[0])


async def rekey(ledger: Ledger, own_host: bool) -> Replaced:
    """A new id by hand; `own_host`: of a machine that is now another host, and leaves the old id to the old one."""
    reason: Reason = "own_host" if own_host else "by_hand"
    await ledger.take_new_identity(reason, "`trueup agent rekey` was run")
    _say(ledger.replaced[0])
    return ledger.replaced[0]


async def _take_new(ledger: Ledger, reason: Reason, why: str, also: str | None = None) -> None:
    now = time_ns() // 1000
    recent = {one.replaced_by for one in ledger.replaced if one.reason in _BY_ITSELF and abs(now - one.at) < DAY}
    if len(recent) >= MOST_A_DAY:
        raise Forked(
            f"{why}. The ledger has taken a new id {len(recent)} times in 24 hours and this goes on: run `trueup agent "
            "rekey --code CODE` on the machine that is the copy. Nothing was sent"
        )
    await ledger.take_new_identity(reason, why, also)
    _say(ledger.replaced[0])


def _say(taken: Replaced) -> None:
    fields = {logs.LEDGER: taken.replaced_by, "replaces": taken.ledger_id, "reason": taken.reason, "why": taken.why}
    log.warning("new_identity", **fields)


def in_words(taken: Replaced) -> str:
    """One line for the terminal: what happened, why, and that nothing needs to be done."""
    return (
        f"new id {taken.replaced_by} in place of {taken.ledger_id}: {taken.why}. "
        "Everything is sent again under it and counted once"
    )
