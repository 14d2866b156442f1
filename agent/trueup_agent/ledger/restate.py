"""Passes over the whole ledger: another policy, another price table, a newer data version."""

from typing import TYPE_CHECKING, Any

import msgspec

from trueup_agent.ledger.families import settle
from trueup_agent.ledger.tables import EVENTS, SET_ASIDE, TABLES, Table
from trueup_agent.policy import Policy
from trueup_shared import keys, prices

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer

BASIS = "basis"  # the name in `meta` of what digests and costs were computed from

_CHUNK = 5_000


def basis(policy: Policy) -> str:
    return msgspec.json.encode(
        {"policy": policy.as_dict(), "prices": prices.DIGEST, "digest_set": keys.DIGEST_SET}, order="sorted"
    ).decode()


async def restate_all(writer: "Writer") -> None:
    """Finish every row again. A new seq goes only to those whose wire form changed."""
    for table in TABLES:
        await _restate(writer, table, table.name)
    await _restate(writer, EVENTS, SET_ASIDE)


async def _restate(writer: "Writer", table: Table[Any], name: str) -> None:
    after, last = 0, await writer.greatest_seq(name)  # restated rows move behind `last`
    while after < last:
        stored = await writer.range(table, name, after, last, _CHUNK)
        if not stored:
            return
        after = max(row.seq for row in stored.values())
        changed = []
        for row in stored.values():
            finished = table.finish(msgspec.structs.replace(row), writer.policy)
            if finished != row:
                changed.append(finished)
        if name == SET_ASIDE:
            await writer.execute(
                table.upsert.replace(table.name, SET_ASIDE), [msgspec.structs.astuple(r) for r in changed]
            )
        else:
            await writer.put(table, changed, stored)


async def finish_harness(writer: "Writer", harness: str, version: int, unread: set[bytes]) -> None:
    """Every source of `harness` was read by parser `version`, but `unread` (gone, or no longer what it was).

    Rows of older versions whose source was read whole are withdrawn: the new parser did not emit them. Those of unread
    sources stay as they are and are flagged.
    """
    families: set[bytes] = set()
    for table in TABLES:
        stored = await writer.older(table, table.name, harness, version)
        withdrawn = [row for row in stored if row.source_key not in unread]
        flagged = [msgspec.structs.replace(row, old_data=1) for row in stored if row.source_key in unread]
        await writer.remove(table, withdrawn)
        await writer.put(table, flagged, {row.key: row for row in stored})
        if table is EVENTS:
            families = {row.family for row in withdrawn if row.family}
    aside = await writer.older(EVENTS, SET_ASIDE, harness, version)
    await writer.execute(
        f"DELETE FROM {SET_ASIDE} WHERE key = ?", [(row.key,) for row in aside if row.source_key not in unread]
    )
    await settle(writer, {}, {}, {}, frozenset(families))
    await writer.execute("UPDATE harnesses SET version = ?2, floor = ?2 WHERE harness = ?1", [(harness, version)])
