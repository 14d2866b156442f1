"""Whose ledger this is: its id, and the ids that it, or ledgers before it on this machine, had (design section 6)."""

import uuid
from time import time_ns
from typing import Literal

import aiosqlite
import msgspec
from msgspec import Struct

from trueup_agent.ledger import schema

META = "replaced"
KEPT = 100
MOST_ON_THE_WIRE = 10

# fork: the hub knows a copy or a later state of this ledger      by_hand: `trueup agent rekey`
# put_back: an older ledger file was put back                     own_host: the same, and enrolled as another host
# new_file: the ledger file was removed, or made anew
Reason = Literal["fork", "put_back", "new_file", "by_hand", "own_host"]

# What is true only of this id at its hub.
_OF_THE_OLD_ID = ("last_receipt", "rejected_rows", "directives", "full_push", "last_repair")


class Replaced(Struct, frozen=True, kw_only=True):
    """An id that was given up, newest first in the list. `why` is one sentence for people."""

    ledger_id: str
    replaced_by: str
    at: int  # microseconds UTC
    reason: Reason
    why: str


def decode(value: str | None) -> list[Replaced]:
    return msgspec.json.decode(value, type=list[Replaced]) if value else []


def replaces(replaced: list[Replaced]) -> list[str]:
    """Ids as they travel. What was left behind at another host is that host's."""
    ids: list[str] = []
    for one in replaced:
        if one.reason == "own_host":
            break
        if one.ledger_id not in ids:
            ids.append(one.ledger_id)
    return ids[:MOST_ON_THE_WIRE]


async def load(db: aiosqlite.Connection) -> list[Replaced]:
    rows = list(await db.execute_fetchall("SELECT value FROM meta WHERE name = ?", (META,)))
    return decode(rows[0][0]) if rows else []


async def take_new(db: aiosqlite.Connection, reason: Reason, why: str, also: str | None = None) -> str:
    """The same rows under a new id, which is returned; `also`: another id that it takes the place of.

    Durable when it returns: an id that was used at the hub and then lost could never be told to be replaced.
    """
    new = str(uuid.uuid4())
    async with schema.durable(db):
        [(old,)] = await db.execute_fetchall("SELECT ledger_id FROM ledger")
        ids = [old] if also in (None, old) else [also, old]
        await _remember(db, ids, new, reason, why)
        await db.execute("UPDATE ledger SET ledger_id = ?", (new,))
        await db.execute("DELETE FROM batches")
        await db.executemany("DELETE FROM meta WHERE name = ?", [(name,) for name in _OF_THE_OLD_ID])
    return new


async def replace(db: aiosqlite.Connection, old: str, reason: Reason, why: str) -> None:
    """This ledger, under the id that it has, takes the place of `old`."""
    await db.execute("BEGIN IMMEDIATE")
    try:
        [(present,)] = await db.execute_fetchall("SELECT ledger_id FROM ledger")
        await _remember(db, [old], present, reason, why)
        await db.commit()
    except BaseException:
        await db.rollback()
        raise


async def _remember(db: aiosqlite.Connection, ids: list[str], new: str, reason: Reason, why: str) -> None:
    now = time_ns() // 1000
    fresh = [Replaced(ledger_id=old, replaced_by=new, at=now, reason=reason, why=why) for old in ids]
    value = msgspec.json.encode((fresh + await load(db))[:KEPT]).decode()
    await db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (META, value))
