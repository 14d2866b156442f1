"""Rows that the hub could not accept: remembered beside the ledger, so that both sides show them, and sent again when
one of the two sides is of another version than when they were rejected.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from msgspec import Struct

from trueup_agent.errors import NotAHub
from trueup_agent.ledger import Ledger, LedgerReader, tables
from trueup_agent.ledger.compare import Place
from trueup_agent.push.hub_client import HubClient
from trueup_shared import __version__, wire

META = "rejected_rows"
TRIED = "rejected_by"
MOST = 1_000
TABLES = {table.number: table.name for table in tables.TABLES}


class RejectedRow(Struct, frozen=True, kw_only=True):
    """`table` names the ledger's table, `key` is hex; both unknown when the hub could not even read that much."""

    host_id: str
    table: str | None
    key: str | None
    seq: int | None
    code: str
    reason: str


def rejected_rows(host_id: str, receipt: wire.Receipt) -> list[RejectedRow]:
    return [
        RejectedRow(
            host_id=host_id,
            table=TABLES.get(row.table),
            key=row.key.hex() if row.key else None,
            seq=row.seq,
            code=row.code,
            reason=row.reason,
        )
        for row in receipt.rejected
    ]


async def remember(ledger: Ledger, rows: list[RejectedRow]) -> None:
    """Add to what the ledger remembers; of very many only the newest are kept."""
    known = await ledger.get_meta(META)
    before = msgspec.json.decode(known, type=list[RejectedRow]) if known else []
    fresh = {(row.host_id, row.table, row.key) for row in rows}
    kept = [row for row in before if (row.host_id, row.table, row.key) not in fresh]
    await ledger.set_meta(META, msgspec.json.encode((kept + rows)[-MOST:]).decode())


async def rejected_pages(
    position: wire.Position, ask: Callable[[str], Awaitable[wire.Buckets]]
) -> AsyncIterator[wire.Buckets]:
    """All that the hub has rejected, page by page; the first has its sums. `ask` takes `more` of the page before."""
    told, more = 0, ""
    while True:
        page = await ask(more)
        yield page
        told += len(page.rejected)
        if not page.more:
            return
        more = page.more
        if not page.rejected or told >= position.rejected:
            raise NotAHub(f"the hub tells of more rejected rows than the {position.rejected} that it says it has")


async def rows_to_retry(ledger: Ledger, hub: HubClient, position: wire.Position) -> list[Place]:
    """Rows that this hub rejected when it or we were of another version; `retried` follows when they were sent.

    Before anything else is sent. The hub knows them all; what is remembered here is for people.
    """
    if wire.REPAIR not in position.features:
        return []
    if position.rejected:
        if await ledger.get_meta(TRIED) == _versions(position):
            return []
        pages = rejected_pages(position, lambda after: hub.buckets(ledger.ledger_id, after=after))
        found = [row async for page in pages for row in page.rejected]
        if places := [(row.table, row.key) for row in found if row.key is not None and row.table in TABLES]:
            return places
    else:
        await retried(ledger, position, [])
    return []


async def retried(ledger: Ledger, position: wire.Position, again: list[RejectedRow]) -> None:
    """What this hub had rejected was sent again: `again` is all that it rejects now."""
    known = await ledger.get_meta(META)
    before = msgspec.json.decode(known, type=list[RejectedRow]) if known else []
    kept = [row for row in before if row.host_id != position.host_id] + again
    if kept != before:
        await ledger.set_meta(META, msgspec.json.encode(kept[-MOST:]).decode())
    if await ledger.get_meta(TRIED) != _versions(position):
        await ledger.set_meta(TRIED, _versions(position))


def _versions(position: wire.Position) -> str:
    """Of whom all rejections are that the hub has."""
    return msgspec.json.encode((position.host_id, position.hub_version, __version__)).decode()


def still_rejected(reader: LedgerReader, host_id: str) -> list[RejectedRow]:
    """Those that are still in the ledger as they were sent to this hub."""
    known = reader.meta(META)
    rows = msgspec.json.decode(known, type=list[RejectedRow]) if known else []
    return [row for row in rows if row.host_id == host_id and _unchanged(reader, row)]


def _unchanged(reader: LedgerReader, row: RejectedRow) -> bool:
    if row.table not in TABLES.values() or row.key is None:
        return True
    found = reader.query(f"SELECT seq FROM {row.table} WHERE key = ?", (bytes.fromhex(row.key),))
    return bool(found) and found[0][0] == row.seq
