"""Passes over the whole ledger: another policy, another price table, another digest set."""

from typing import TYPE_CHECKING, Any

import msgspec

from trueup_agent.ledger.tables import SET_ASIDE, STORES, Table
from trueup_agent.policy import Policy
from trueup_shared import prices

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer

BASIS = "basis"  # the name in `meta` of what digests and costs were computed from
FORM = 2  # raised when the same columns come to travel in another form. 2: OLD_DATA is among the flags

_CHUNK = 5_000


def basis(policy: Policy) -> str:
    return msgspec.json.encode(
        {"policy": policy.as_dict(), "prices": prices.DIGEST, "form": FORM}, order="sorted"
    ).decode()


async def restate_all(writer: "Writer", before: Policy | None = None) -> None:
    """Finish every row again. A new seq goes only to those whose wire form changed.

    With `before`, nothing but the digest set is another than in that policy: every digest changes, few wire forms do.
    """
    for table, name in STORES:
        await _restate(writer, table, name, before)


async def _restate(writer: "Writer", table: Table[Any], name: str, before: Policy | None) -> None:
    after, last = 0, await writer.greatest_seq(name)  # restated rows move behind `last`
    while after < last:
        stored = await writer.range(table, name, after, last, _CHUNK)
        if not stored:
            return
        after = max(row.seq for row in stored.values())
        changed, same_form = [], []
        for row in stored.values():
            finished = table.finish(msgspec.structs.replace(row), writer.policy)
            if before is not None and table.body(row, before) == table.body(row, writer.policy):
                same_form.append(finished)
            elif finished != row:
                changed.append(finished)
        if name == SET_ASIDE:
            await writer.execute(
                table.upsert.replace(table.name, SET_ASIDE), [msgspec.structs.astuple(r) for r in changed]
            )
        else:
            await writer.redigest(table, same_form, stored)
            await writer.put(table, changed, stored)
