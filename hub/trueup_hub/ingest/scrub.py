"""Scrubbing (design section 5): running sums prove what was received, so they are held against the stored columns.

A ledger is gone through in slices of whole sessions. A slice holds the ledger's row: its own batches wait for one slice
at most. Row digests become those of the columns, sums of sessions and ledger those of the rows that are there.
Where that changes the ledger's digest its verdict is `diverged`, and the ordinary repair brings back what was lost.
"""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct, field

from trueup_hub.db import Connection, Database, retried
from trueup_hub.ingest.digests import FACTS, FIRST, LAST, Rebuilt, Sums, following, rebuilt_rows
from trueup_hub.ingest.position import lock_ledger_no
from trueup_hub.pricing import table_of
from trueup_hub.sqlfiles import load
from trueup_shared import keys
from trueup_shared.prices import Price, PriceList

_SQL = load("scrub")
_CORRECT_LEDGER = _SQL["correct_ledger"].format(
    digest_number=_SQL["digest_number"].format(digest="digest"),
    head_number=_SQL["digest_number"].format(digest="l.head_digest"),
)
_POSSIBLE = load("verify")
_DROP = [
    _SQL[f"drop_impossible_{kind}s"].format(possible=_POSSIBLE[f"possible_{kind}"])
    for kind in ("event", "message", "session")
]
_SLICE_ROWS = 1_000  # of a table; a session is never cut


class Slice(Struct):
    """Sessions `low` … `high` of a ledger as a pass came by."""

    low: bytes
    high: bytes
    rows: int = 0
    corrected: int = 0


class _Found(Struct):
    """What is stored in a slice, and what is not as it should be."""

    sums: dict[bytes, Sums] = field(default_factory=dict)
    wrong_digests: dict[int, list[Rebuilt]] = field(default_factory=lambda: {table: [] for table in FACTS})
    wrong_costs: list[tuple[bytes, int | None, int | None]] = field(default_factory=list)
    altered: int = 0


async def drop_rows_of_nobody(db: Database) -> dict[int, int]:
    """Drop rows of ledgers that are not there, which nobody could bring again or take away; how many, by host_no."""
    dropped: dict[int, int] = {}
    for name, _ in FACTS.values():
        for place in await db.fetch(_SQL["places_of_nobody"].format(table=name)):
            rows = await db.fetchval(_SQL["drop_rows"].format(table=name), *place)
            dropped[place["host_no"]] = dropped.get(place["host_no"], 0) + rows
    return dropped


async def correct_ledger(db: Database, host_no: int, ledger_no: int) -> int:
    """Correct all digests and sums of a ledger; how many rows had been altered or lost.

    Slices are transactions of their own: batches may come in between.
    """
    corrected = 0
    low: bytes | None = FIRST
    while low is not None:
        done = await correct_slice(db, host_no, ledger_no, low)
        corrected += done.corrected
        low = following(done.high)
    return corrected


async def count_altered(db: Database, host_no: int, ledger_no: int) -> tuple[int, int]:
    """Rows whose columns are not what their ledger sent, and events that do not cost what their price table says.
    Nothing is changed."""
    async with db.snapshot() as connection:
        found = await _look(db, connection, host_no, ledger_no, Slice(FIRST, LAST))
    return sum(map(len, found.wrong_digests.values())), len(found.wrong_costs)


async def correct_slice(db: Database, host_no: int, ledger_no: int, low: bytes) -> Slice:
    """The slice from session `low` on. NotFound when the ledger is gone."""
    return await retried(partial(_correct_slice, db, host_no, ledger_no, low))


async def _correct_slice(db: Database, host_no: int, ledger_no: int, low: bytes) -> Slice:
    async with db.transaction() as connection:
        await lock_ledger_no(connection, host_no, ledger_no)
        place = (host_no, ledger_no)
        high = await connection.fetchval(_SQL["end_of_slice"], *place, low, _SLICE_ROWS) or LAST
        done = Slice(low, high)
        for sql in _DROP:
            await connection.execute(sql, *place, low, high)
        found = await _look(db, connection, host_no, ledger_no, done)
        await _set_digests(connection, host_no, ledger_no, found)
        done.corrected = await _set_sums(connection, host_no, ledger_no, done, found)
        if done.corrected or high == LAST:
            done.corrected += await connection.fetchval(_CORRECT_LEDGER, *place) is not None and not done.corrected
        if done.corrected:
            await connection.execute(_SQL["note_corrected"], *place, done.corrected)
    return done


async def _look(db: Database, connection: Connection, host_no: int, ledger_no: int, done: Slice) -> _Found:
    found = _Found()
    async for rows in rebuilt_rows(connection, host_no, ledger_no, done.low, done.high):
        done.rows += len(rows)
        for row in rows:
            sums = found.sums.get(row.session_key)
            if sums is None:
                sums = found.sums[row.session_key] = Sums()
            sums.add(row)
            altered = row.digest != row.stored
            if altered:
                found.wrong_digests[row.table].append(row)
            if row.table == keys.EVENTS and (prices := await table_of(db, connection, row.record["price_no"])):
                price = _price(row, prices)
                if price != (row.record["cost_nanousd"], row.record["cache_savings_nanousd"]):
                    found.wrong_costs.append((row.key, *price))
                    altered = True
            found.altered += altered
    return found


def _price(row: Rebuilt, prices: PriceList) -> Price:
    """By the table that the row names: what another would charge is a repricing's to say."""
    b, r = row.body, row.record
    return prices.price(
        *(b.provider, b.model, b.at, r["input_tokens"], r["cache_read_tokens"], r["cache_write_tokens"]),
        *(r["cache_write_1h_tokens"], r["output_tokens"], b.service_tier, b.speed, r["context_tokens"]),
        *(b.web_searches, r["input_undivided_tokens"], r["undivided_tokens"]),
    )


async def _set_digests(connection: Connection, host_no: int, ledger_no: int, found: _Found) -> None:
    """Rows in the order in which ingest writes them: other ledgers' batches may flip them meanwhile."""
    for table, rows in found.wrong_digests.items():
        await write_digests(connection, host_no, ledger_no, rows)
        if table == keys.EVENTS and found.wrong_costs:
            costs = [(host_no, ledger_no, *wrong) for wrong in sorted(found.wrong_costs, key=lambda wrong: wrong[0])]
            await connection.executemany(_SQL["set_cost"], costs)


async def write_digests(connection: Connection, host_no: int, ledger_no: int, rows: Sequence[Rebuilt]) -> None:
    """Keep what the columns of these rows, all of one table, come to."""
    if rows:
        name, key = FACTS[rows[0].table]
        arguments = sorted((host_no, ledger_no, row.key, row.digest) for row in rows)
        await connection.executemany(_SQL["set_digest"].format(table=name, key=key), arguments)


async def _set_sums(connection: Connection, host_no: int, ledger_no: int, done: Slice, found: _Found) -> int:
    """Sums of sessions; how many rows were altered or lost."""
    altered: dict[bytes, int] = {}
    for rows in found.wrong_digests.values():
        for row in rows:
            altered[row.session_key] = altered.get(row.session_key, 0) + 1
    place, wrong, lost = (host_no, ledger_no), [], []
    corrected = found.altered
    for record in await connection.fetch(_SQL["copies_in_slice"], *place, done.low, done.high):
        key = record["session_key"]
        sums = found.sums.pop(key, Sums())
        if not sums.rows and record["without_row"]:
            lost.append((*place, key))
            corrected += max(1, abs(record["rows"]))
        elif (sums.rows, sums.messages, sums.digest % keys.DIGEST_MODULUS) != (
            *(record["rows"], record["messages"]),
            int(record["digest"]),
        ):
            wrong.append((*place, key, sums.rows, sums.messages, sums.digest % keys.DIGEST_MODULUS))
            corrected += max(abs(sums.rows - record["rows"]), 0 if key in altered else 1)
    for key, sums in found.sums.items():  # copies that were lost themselves
        wrong.append((*place, key, sums.rows, sums.messages, sums.digest % keys.DIGEST_MODULUS))
        corrected += 1
    if wrong:
        await connection.executemany(_SQL["set_session_sums"], sorted(wrong))
    if lost:
        await connection.executemany(_SQL["drop_lost_session"], lost)
    return corrected
