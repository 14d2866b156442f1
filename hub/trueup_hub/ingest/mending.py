"""Which copies count, held against the rows: what owners, claims and flags no longer say right is decided again.

Doubts are found by statements that read one moment and lock nothing; a doubt that was none changes nothing. Decisions
are those of batches (settling.py, sessions.py), under their locks.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from trueup_hub.db import Database, retried
from trueup_hub.ingest.activity import Activity
from trueup_hub.ingest.digests import FIRST, LAST, following
from trueup_hub.ingest.jobs import decide_again, settling_transaction
from trueup_hub.ingest.messages import plan_messages
from trueup_hub.ingest.sessions import apply_sessions
from trueup_hub.ingest.terms import Terms
from trueup_hub.sqlfiles import load

_SQL = load("scrub")
_SLICE_ROWS = 2_000
_OWNERS_AT_ONCE = 4_000


async def mend_ownership(db: Database, host_no: int, ledger_no: int) -> AsyncIterator[int]:
    """Decide again what is doubtful in a ledger's sessions; doubts by each slice.

    Copies of which there are several are decided again whether they look right or not.
    """
    low: bytes | None = FIRST
    while low is not None:
        high = await db.fetchval(_SQL["end_of_slice"], host_no, ledger_no, low, _SLICE_ROWS) or LAST
        yield await _mend_slice(db, host_no, ledger_no, low, high)
        low = following(high)


async def _mend_slice(db: Database, *place: Any) -> int:
    stale: int = await db.fetchval(_SQL["uncount_stale"], *place)
    found = await db.fetch(_SQL["doubtful_events"], *place)
    doubtful = [record["owner_key"] for record in found if record["doubtful"]]
    if doubtful:
        await decide_again(db, doubtful, search=True)
    if contested := [record["owner_key"] for record in found if not record["doubtful"]]:
        await decide_again(db, contested)
    sessions = [record["session_key"] for record in await db.fetch(_SQL["doubtful_sessions"], *place)]
    if sessions:
        await _choose_again(db, sessions)
    return stale + len(doubtful) + len(sessions)


async def mend_owners(db: Database) -> AsyncIterator[int]:
    """Go through all owners and claims, and decide those again that stand for no copy; doubts by each slice."""
    for block in ("doubtful_owners", "doubtful_claims"):
        low: bytes | None = FIRST
        while low is not None:
            last, doubtful = await db.fetchrow(_SQL[block], low, _OWNERS_AT_ONCE) or (None, [])
            if doubtful:
                await decide_again(db, doubtful, search=True)
            yield len(doubtful)
            low = following(last) if last is not None else None


async def _choose_again(db: Database, session_keys: Sequence[bytes]) -> None:
    """Choose among the copies of these sessions; the activity of those that begin or cease to be chosen moves along."""
    async with db.connection() as connection:
        await Terms(db).add(connection, {"user", "prompt"})

    async def attempt() -> None:
        async with settling_transaction(db) as tx:
            activity = Activity(tx.terms["user"], tx.terms["prompt"])
            nothing = await plan_messages(tx, [], set(), set())
            # No ledger has number 0: none of these sessions is its own, and so nothing but the choice is written.
            await apply_sessions(tx, [], set(session_keys), set(), nothing, activity)
            await activity.write(tx.connection)

    await retried(attempt)
