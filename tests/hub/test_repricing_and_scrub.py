"""What an upgrade left unknown is filled in, and a scrub holds a cost against the table that its row names."""

from contextlib import aclosing

from ledgers import Ledger, add_host, event_key, put_events
from price_tables import apply, reprice, table, three, totals
from trueup_hub import repricing
from trueup_hub.db import Database
from trueup_hub.ingest.verify import verify
from trueup_hub.pricing import establish
from trueup_hub.scrubbing import scrub_all
from trueup_shared.price_overrides import NO_OVERRIDES


async def test_savings_are_filled_in_where_this_table_gives_the_cost_that_is_stored(db: Database) -> None:
    await three(db)
    cost, saved, unpriced = await totals(db)
    await db.execute(
        "INSERT INTO prices (digest, dated, first_used_at) VALUES ('of before', '2025-01-01', now());"
        "UPDATE events SET cache_savings_nanousd = NULL,"
        " price_no = (SELECT price_no FROM prices WHERE digest = 'of before')"
    )
    other = await db.fetch(
        "UPDATE events SET cost_nanousd = cost_nanousd + 1 WHERE ctid IN"
        " (SELECT ctid FROM events WHERE counted AND cost_nanousd IS NOT NULL ORDER BY event_key LIMIT 5)"
        " RETURNING event_key"
    )
    await scrub_all(db)
    assert await totals(db) == (cost + 5, 0, unpriced)
    await db.execute("INSERT INTO repricings (kind, asked_by) VALUES ('savings', 'upgrade')")
    await repricing.go_on_with_all(db)
    assert await verify(db) == {}
    after = await totals(db)
    assert (after[0], after[2]) == (cost + 5, unpriced)  # no number that was shown changes
    left = await db.fetch(
        "SELECT event_key FROM events WHERE cost_nanousd IS NOT NULL AND cache_savings_nanousd IS NULL"
    )
    assert {row[0] for row in left} == {row[0] for row in other}
    assert await db.fetchval("SELECT count(DISTINCT price_no) FROM events") == 1
    assert await db.fetchval("SELECT sum(r_cost) - sum(r_cache_savings) FROM usage_slots") == 5
    await reprice(db, await repricing.begin(db, await establish(db, NO_OVERRIDES), "a test"))
    assert await totals(db) == (cost, saved, unpriced)


async def test_a_scrub_holds_costs_against_the_table_that_they_name_and_leaves_unknown_tables_alone(
    db: Database,
) -> None:
    ledger = Ledger(db, await add_host(db, "ana"))
    put_events(ledger, range(3))
    await ledger.push()
    price_no = await db.fetchval(
        "INSERT INTO prices (digest, dated, first_used_at) VALUES ('of before', '2025-01-01', now()) RETURNING price_no"
    )
    await db.execute("UPDATE events SET cost_nanousd = 5, price_no = $2 WHERE event_key = $1", event_key(0), price_no)
    async with aclosing(repricing.go_on(db, await apply(db, table(times=2)), 1)) as steps:
        for _ in range(2):
            await anext(steps)
    await scrub_all(db)
    assert await verify(db) == {}
    stored = await db.fetch("SELECT cost_nanousd, price_no FROM events ORDER BY price_no, cost_nanousd")
    assert len({row[1] for row in stored}) == 2
    await db.execute("UPDATE events SET cost_nanousd = 7 WHERE price_no <> $1", price_no)
    await db.execute("UPDATE events SET cost_nanousd = 7 WHERE price_no = $1", price_no)
    await scrub_all(db)
    mended = await db.fetch("SELECT cost_nanousd, price_no FROM events ORDER BY price_no, cost_nanousd")
    assert [7 if row[1] == price_no else row[0] for row in stored] == [row[0] for row in mended]
    assert await verify(db) == {}
