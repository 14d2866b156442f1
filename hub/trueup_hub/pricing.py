"""Which price table is in force at a hub: a fact of its database, so that every replica prices alike.

It is the newest by date of this release's own and of those that were applied, under the overrides of the hub that
started last. Rows keep the price, and the number of the table, that they were written with (repricing.py).
"""

import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from trueup_hub.db import Connection, Database, Record
from trueup_hub.errors import HubError
from trueup_hub.sqlfiles import load
from trueup_shared.price_overrides import NO_OVERRIDES, Overrides, decode_overrides, encode_overrides, read_overrides
from trueup_shared.price_table import MAX_FILE_BYTES, PriceError
from trueup_shared.prices import RELEASED, PriceList
from trueup_shared.settings import SettingError

_SQL = load("prices")
_TABLES_AT_HAND = 8  # some megabytes each


class InForce(Struct, frozen=True):
    """`number`: events.price_no."""

    number: int
    prices: PriceList


class Facts(Struct, frozen=True, kw_only=True):
    """What `/capabilities` says of prices. `own`: how many overrides and aliases lie over the table.

    `priced_otherwise`: stored requests that another table priced, as of `counted_at`: `trueup hub reprice` brings them
    to this one. Null before they were counted.
    """

    digest: str
    date: str
    source: str
    own: int
    priced_otherwise: int | None
    counted_at: datetime | None


def own_overrides(path: Path | None) -> Overrides:
    """SettingError says what is wrong with the file, in one line."""
    if path is None:
        return NO_OVERRIDES
    try:
        return read_overrides(path)
    except PriceError as error:
        raise SettingError(f"setting 'price_overrides': {error}") from None


def applicable(path: Path, overrides: Overrides) -> PriceList:
    """A price table in a file, to be applied. HubError says why it cannot be."""
    try:
        with path.open("rb") as file:
            found = PriceList(file.read(MAX_FILE_BYTES + 1), overrides)
    except OSError as error:
        raise HubError(f"{path}: {error.strerror or error}") from None
    except PriceError as error:
        raise HubError(f"{path}: {error}") from None
    if found.date < RELEASED.date:
        raise HubError(
            f"{path} is dated {found.date}, this release has the table of {RELEASED.date}, which would come back at the"
            " next start: give the file a later 'date' if its prices are meant"
        )
    return found


async def establish(
    db: Database, overrides: Overrides, actor: str = "hub", applied: PriceList | None = None
) -> InForce:
    """Put a table in force: `applied`, which has the overrides, or the newest that there is under them."""
    async with db.transaction() as connection:
        await connection.execute(_SQL["lock_in_force"])
        before = await connection.fetchrow(_SQL["table_in_force"])
        assert before is not None  # hub_state has one row
        chosen, is_applied = (applied, True) if applied is not None else _choose(before, overrides)
        number = await _keep(connection, chosen, is_applied)
        if number != before["price_no"]:
            await connection.execute(_SQL["set_in_force"], number)
            about = {"before": before["digest"], "after": chosen.digest, "date": chosen.date, "source": chosen.source}
            await connection.execute(_SQL["note"], actor, "prices.in_force", chosen.digest, about)
    return InForce(number, chosen)


async def candidate(db: Database, overrides: Overrides) -> PriceList:
    """What `establish` would put in force."""
    async with db.snapshot() as connection:
        before = await connection.fetchrow(_SQL["table_in_force"])
        assert before is not None
        return _choose(before, overrides)[0]


async def fits_nothing(db: Database, prices: PriceList) -> list[str]:
    """Overrides that no request meets."""
    if prices.overrides == NO_OVERRIDES:
        return []
    return prices.fits_nothing([(row[0], row[1]) for row in await db.fetch(_SQL["models_used"])])


def _choose(before: Record, overrides: Overrides) -> tuple[PriceList, bool]:
    """The table in force under these overrides, unless this release's own is newer; whether it was applied."""
    newer = before["content"] is not None and before["dated"] > RELEASED.date
    if newer or (before["applied"] and before["dated"] == RELEASED.date):
        return PriceList(_unpacked(before), overrides), before["applied"]
    return PriceList(RELEASED.content, overrides), False


async def released(db: Database, connection: Connection) -> None:
    """Keep this release's own table. Outside of a batch's transaction, for batches would wait for one another."""
    if "own_prices" not in db.caches:
        db.caches["own_prices"] = InForce(await _keep(connection, RELEASED, False), RELEASED)


async def in_force(db: Database, connection: Connection) -> InForce:
    """What new rows are priced with; after `released`, in the transaction that writes them, its ledger being locked: a
    repricing goes through each ledger after the table has changed, so that no batch is in the middle of it.
    """
    number = await connection.fetchval(_SQL["number_in_force"])
    own: InForce = db.caches["own_prices"]
    if number is None or number == own.number:
        return own
    # None: of a newer release, whose rules are not ours. Rows say which table priced them.
    prices = await table_of(db, connection, number)
    return own if prices is None else InForce(number, prices)


async def table_of(db: Database, connection: Connection, number: int) -> PriceList | None:
    """The table that rows with this price_no were priced with; None where this release cannot price with it."""
    known: dict[int, PriceList | None] = db.caches.setdefault("prices", {})
    if number not in known:
        record = await connection.fetchrow(_SQL["read_table"], number)
        if len(known) >= _TABLES_AT_HAND:
            known.clear()
        known[number] = _rebuilt(record) if record is not None else None
    return known[number]


async def facts(db: Database) -> Facts:
    record = await db.fetchrow(_SQL["facts"])
    if record is None:
        return Facts(
            digest=RELEASED.digest,
            date=RELEASED.date,
            source=RELEASED.source,
            own=0,
            priced_otherwise=None,
            counted_at=None,
        )
    overrides = decode_overrides(record["overrides"]) if record["overrides"] else NO_OVERRIDES
    return Facts(
        digest=record["digest"],
        date=record["dated"],
        source=record["source"],
        own=overrides.number,
        priced_otherwise=record["priced_otherwise"] if record["counted_at"] else None,
        counted_at=record["counted_at"],
    )


async def count_uses(db: Database) -> None:
    """Count the rows of each table: one pass over all events, where there is more than one table."""
    async with db.transaction() as connection:
        if await connection.fetchval(_SQL["several_tables"]):
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(_SQL["count_uses"])


async def _keep(connection: Connection, prices: PriceList, applied: bool) -> int:
    overrides = None if prices.overrides == NO_OVERRIDES else encode_overrides(prices.overrides)
    content = zlib.compress(prices.content)
    number: int = await connection.fetchval(
        _SQL["keep_table"], prices.digest, prices.date, prices.source, content, overrides, applied
    )
    return number


def _rebuilt(record: Record) -> PriceList | None:
    """None where its content is not known, or gives other prices in this release."""
    if record["content"] is None:
        return None
    overrides = decode_overrides(record["overrides"]) if record["overrides"] else NO_OVERRIDES
    try:
        prices = PriceList(_unpacked(record), overrides)
    except PriceError:
        return None
    return prices if prices.digest == record["digest"] else None


def _unpacked(record: Any) -> bytes:
    return zlib.decompress(record["content"])
