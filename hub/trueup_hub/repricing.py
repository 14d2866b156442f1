"""Stored requests priced again, in chunks, while everything goes on; and what was not kept of old ones filled in.

A chunk is a transaction like a batch's: the ledger's lock, then the owners', then rows, then the rollups, which change
by what was written. How far it came and what it did are in `repricings`, in the same transaction: who goes on after a
kill, here or at another replica, counts nothing twice. The table in force is set before the first chunk, so that
whatever a batch brings behind it is priced with it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from msgspec import Struct, field

from trueup_hub.db import Connection, Database, OutOfRange, Record, retried
from trueup_hub.errors import HubError, NotFound
from trueup_hub.ingest.changes import hint
from trueup_hub.ingest.copies import EVENT_COLUMNS, EventCopy, stored_event
from trueup_hub.ingest.ownership import total_of
from trueup_hub.ingest.position import lock_ledger_no
from trueup_hub.ingest.rollups import Rollup, write_rollups
from trueup_hub.ingest.terms import Terms
from trueup_hub.ingest.zones import zones_for_ingest
from trueup_hub.pricing import InForce, count_uses, released, table_of
from trueup_hub.sqlfiles import load
from trueup_shared.keys import KEY_BYTES
from trueup_shared.money import micro
from trueup_shared.prices import Price, PriceList

log = structlog.get_logger()

_COLUMNS = ", ".join(f"e.{name}" for name in EVENT_COLUMNS)
_SQL = {name: text.replace("{columns}", _COLUMNS) for name, text in load("prices").items()}
_LOCK_OWNERS = load("ownership")["lock_owners"]

CHUNK_ROWS = 1000  # other batches of the ledger wait for one chunk at most
_FIRST = bytes(KEY_BYTES)
_GREATEST = 2**63 - 1


class Sums(Struct, frozen=True):
    """Money in microdollars at list price."""

    cost_microusd: int
    cache_savings_microusd: int
    unpriced_tokens: int


class Repriced(Struct, frozen=True, kw_only=True):
    """What a repricing did so far. `seen` of `rows`: gone through; `events`: priced by another table until then.

    `before` and `after` are sums of those of them that count. `digests`: of the tables that they had.
    """

    seen: int
    rows: int
    events: int
    counted: int
    before: Sums
    after: Sums
    digests: list[str]
    ended: bool


class _Tally(Struct):
    """Of a chunk. Sums are pairs: before, after."""

    seen: int = 0
    events: int = 0
    counted: int = 0
    cost: list[int] = field(default_factory=lambda: [0, 0])
    savings: list[int] = field(default_factory=lambda: [0, 0])
    unpriced: list[int] = field(default_factory=lambda: [0, 0])
    tables: set[int] = field(default_factory=set)

    def add(self, copy: EventCopy, price: Price) -> None:
        self.events += 1
        self.tables.add(copy.price_no)
        if not copy.counted:
            return
        self.counted += 1
        before: Price = (copy.cost_nanousd, copy.cache_savings_nanousd)
        for side, (cost, savings) in enumerate((before, price)):
            self.cost[side] += cost or 0
            self.savings[side] += savings or 0
            self.unpriced[side] += total_of(copy) if cost is None else 0

    def columns(self) -> list[Any]:
        sums = [Decimal(value) for pair in (self.cost, self.savings, self.unpriced) for value in pair]
        return [self.seen, self.events, self.counted, *sums, sorted(self.tables)]


async def begin(db: Database, table: InForce, actor: str) -> int:
    """Ask for all rows to be priced with the table, which is in force; the number of the repricing.

    One that was interrupted goes on; one to another table is given up, which is noted with what it did. HubError when
    somebody has put another in force meanwhile.
    """
    async with db.transaction() as connection:
        if await connection.fetchval(_SQL["lock_in_force"]) != table.number:  # one asks at a time
            raise HubError("another price table was put in force meanwhile: run this again for the one that is meant")
        for replaced in await connection.fetch(_SQL["replace_repricings"], table.number):
            await _note(connection, replaced)
        number = await connection.fetchval(_SQL["open_repricing"], table.number)
        if number is None:
            number = await connection.fetchval(_SQL["begin_repricing"], table.number, actor)
    return int(number)


async def go_on(db: Database, number: int, chunk: int = CHUNK_ROWS) -> AsyncGenerator[Repriced, None]:
    """Work on a repricing until it has ended, whoever else does; yields how far it is after each chunk."""
    rows, more = chunk, True
    while more:
        try:
            more = await retried(partial(_step, db, number, rows))
            rows = min(rows * 10, chunk)
        except OutOfRange:
            # What a host claims, at the new price, is more than a sum can hold: found, and left as it is.
            if rows == 1:
                log.warning("a request keeps its price: no sum can hold the new one")
                await retried(partial(_step, db, number, rows, leave=True))
            rows = max(rows // 10, 1)
        yield await state(db, number)
    await count_uses(db)


async def go_on_with_all(db: Database) -> None:
    """What was interrupted, and what an upgrade left to do: a job of the hub, which rests as long as it works."""
    for record in await db.fetch(_SQL["unfinished"]):
        started = time.monotonic()
        async for _ in go_on(db, record["repricing_no"]):
            await asyncio.sleep(time.monotonic() - started)
            started = time.monotonic()


async def state(db: Database, number: int) -> Repriced:
    async with db.snapshot() as connection:
        record = await connection.fetchrow(_SQL["repricing"], number)
        if record is None:
            raise NotFound("There is no such repricing.")
        return await _account(connection, record)


async def dry_run(db: Database, prices: PriceList, chunk: int = CHUNK_ROWS) -> AsyncIterator[Repriced]:
    """What a repricing with this table would do to the rows of this moment; nothing is written."""
    total = _Tally()
    async with db.snapshot() as connection:
        rows = await connection.fetchval(_SQL["rows_of_hub"])
        number = await connection.fetchval("SELECT price_no FROM prices WHERE digest = $1", prices.digest)
        at = 0
        while (ledger := await connection.fetchrow(_SQL["ledger_from"], at)) is not None:
            after, place = _FIRST, tuple(ledger)
            while part := await connection.fetch(_SQL["part_of_ledger"], *place, after, False, number or 0, chunk):
                after = part[-1]["event_key"]
                total.seen += len(part)
                for copy, *names in await _rows(connection, place, _wanted(part)):
                    total.add(copy, _price(prices, copy, names))
                yield await _seen(connection, total, rows)
            at = ledger["ledger_no"] + 1
        ended = await _seen(connection, total, rows)
    yield Repriced(**{name: getattr(ended, name) for name in ended.__struct_fields__} | {"ended": True})


async def _seen(connection: Connection, total: _Tally, rows: int) -> Repriced:
    values = total.columns()
    names = ("seen", "events", "counted", "cost_before", "cost_after", "savings_before", "savings_after")
    record = dict(zip((*names, "unpriced_before", "unpriced_after", "tables"), values, strict=True))
    return await _account(connection, record | {"ended_at": None}, rows)


async def _step(db: Database, number: int, chunk: int, leave: bool = False) -> bool:
    """A chunk, or the end; False when it has ended. `leave`: go past the chunk."""
    async with db.ingest() as connection:
        terms = Terms(db)
        await terms.add(connection, {"usd", "credits"})
        await released(db, connection)
        host_id: bytes | None = None
        async with connection.transaction():
            job = await connection.fetchrow(_SQL["lock_repricing"], number)
            if job is None:
                return False
            ledger = await connection.fetchrow(_SQL["ledger_from"], job["ledger_no"])
            if ledger is None:
                ended = await connection.fetchrow(_SQL["end_repricing"], number)
                assert ended is not None
                await _note(connection, ended)
                return False
            place, table = (ledger["host_no"], ledger["ledger_no"]), await _table_for(db, connection, job)
            after = job["event_key"] if ledger["ledger_no"] == job["ledger_no"] else _FIRST
            tally, position = _Tally(), (ledger["ledger_no"] + 1, _FIRST)
            try:
                host_id = (await lock_ledger_no(connection, *place))["host_id"]
                rollup = Rollup(usd=terms["usd"], credits=terms["credits"])
                part = await connection.fetch(
                    _SQL["part_of_ledger"], *place, after, job["kind"] == "savings", table.number, chunk
                )
                tally.seen = len(part)
                if not leave:
                    await _price_rows(connection, job["kind"], table, place, part, tally, rollup)
                if len(part) == chunk:
                    position = (ledger["ledger_no"], part[-1]["event_key"])
            except NotFound:  # its host was forgotten at this moment
                tally = _Tally()
            await connection.execute(_SQL["move_repricing"], number, *position, *tally.columns())
        if tally.counted and host_id is not None and position[1] == _FIRST:
            await hint(connection, str(UUID(bytes=host_id)))
    return True


async def _price_rows(
    connection: Connection,
    kind: str,
    table: InForce,
    place: tuple[int, int],
    part: Sequence[Record],
    tally: _Tally,
    rollup: Rollup,
) -> None:
    """Give rows of a locked ledger the table's price; of kind `savings` what was not kept beside it."""
    zones = await zones_for_ingest(connection)
    wanted = [row for row in part if row["wanted"]]
    await connection.fetch(_LOCK_OWNERS, sorted({row["owner_key"] for row in wanted}))  # `counted` stays from here on
    changes = []
    for copy, *names in await _rows(connection, place, [row["event_key"] for row in wanted]):
        price, price_no = _price(table.prices, copy, names), table.number
        if kind == "savings":
            if price[0] != copy.cost_nanousd:
                continue  # another table priced it: what it would have saved then is not known
            price_no = copy.price_no
        tally.add(copy, price)
        changes.append((*place, copy.event_key, *price, price_no))
        if copy.counted and price != (copy.cost_nanousd, copy.cache_savings_nanousd):
            rollup.subtract(copy)
            copy.cost_nanousd, copy.cache_savings_nanousd = price
            rollup.add(copy)
    if changes:
        await connection.executemany(_SQL["set_price"], changes)
    await write_rollups(connection, rollup, zones)


async def _table_for(db: Database, connection: Connection, job: Record) -> InForce:
    if job["price_no"] is None:  # of before overrides were
        own: InForce = db.caches["own_prices"]
        return own
    prices = await table_of(db, connection, job["price_no"])
    if prices is None:
        raise HubError("the price table of a repricing is of another release of trueup, which has to go on with it")
    return InForce(job["price_no"], prices)


async def _rows(
    connection: Connection, place: tuple[int, ...], event_keys: Sequence[bytes]
) -> list[tuple[EventCopy, str | None, str | None, str | None, str | None]]:
    """Rows with provider, model, tier and speed in words, in the order of their keys."""
    if not event_keys:
        return []
    records = await connection.fetch(_SQL["rows_to_price"], *place, list(event_keys))
    return [(stored_event(tuple(r)[: len(EVENT_COLUMNS)]), *tuple(r)[len(EVENT_COLUMNS) :]) for r in records]


def _wanted(part: Sequence[Record]) -> list[bytes]:
    return [row["event_key"] for row in part if row["wanted"]]


def _price(prices: PriceList, e: EventCopy, names: Sequence[str | None]) -> Price:
    provider, model, tier, speed = names
    return prices.price(
        *(provider, model, e.at, e.input_tokens, e.cache_read_tokens, e.cache_write_tokens, e.cache_write_1h_tokens),
        *(e.output_tokens, tier, speed, e.context_tokens, e.web_searches),
        *(e.input_undivided_tokens, e.undivided_tokens),
    )


async def _account(connection: Connection, record: Any, rows: int | None = None) -> Repriced:
    digests = await connection.fetch(_SQL["digests"], list(record["tables"]))
    return Repriced(
        seen=record["seen"],
        rows=await connection.fetchval(_SQL["rows_of_hub"]) if rows is None else rows,
        events=record["events"],
        counted=record["counted"],
        before=_sums(record, "before"),
        after=_sums(record, "after"),
        digests=[row["digest"] for row in digests],
        ended=record["ended_at"] is not None,
    )


def _sums(record: Any, side: str) -> Sums:
    """A sum ends at 2^63-1, as everywhere: what one host claims must not stop the work."""
    cost, savings, unpriced = (int(record[f"{name}_{side}"]) for name in ("cost", "savings", "unpriced"))
    limited = (max(-_GREATEST, min(value, _GREATEST)) for value in (micro(cost), micro(savings), unpriced))
    return Sums(*limited)


async def _note(connection: Connection, record: Record) -> None:
    """The audit's line of a repricing that has ended, in the transaction that ends it."""
    done = await _account(connection, record)
    digest = await connection.fetchval("SELECT digest FROM prices WHERE price_no = $1", record["price_no"])
    detail = {
        "outcome": record["outcome"],
        "tables_before": done.digests,
        "table_after": digest,
        "events": done.events,
        "counted": done.counted,
        "before": {name: getattr(done.before, name) for name in Sums.__struct_fields__},
        "after": {name: getattr(done.after, name) for name in Sums.__struct_fields__},
    }
    await connection.execute(_SQL["note"], record["asked_by"], f"prices.{record['kind']}", digest or "", detail)
