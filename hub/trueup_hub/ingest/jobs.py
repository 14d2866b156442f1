"""What the hub decides again by itself, in chunks, each a transaction that leaves all totals right.

Copies are ranked by data versions that agents state and up to what this release knows. When either changes, contested
copies were decided by other versions than today's: `ledgers.decided_by` remembers by which.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from trueup_hub.db import Database, retried
from trueup_hub.ingest.rollups import Rollup, write_rollups
from trueup_hub.ingest.settling import settle_owners
from trueup_hub.ingest.terms import Terms
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.ingest.zones import zones_for_ingest
from trueup_hub.sqlfiles import load
from trueup_shared import digest_sets
from trueup_shared.harnesses import DATA_VERSIONS

_SQL = load("ownership")
CHUNK_KEYS = 2000

Decided = dict[str, list[int]]  # harness -> [floor, cap]


def decided_by(floors: Mapping[str, int]) -> Decided:
    """What ranks the copies of a ledger whose agent states these floors, by harness."""
    return {name: [floor, DATA_VERSIONS[name]] for name, floor in sorted(floors.items()) if name in DATA_VERSIONS}


@contextlib.asynccontextmanager
async def settling_transaction(db: Database) -> AsyncIterator[Transaction]:
    """A transaction that changes no ledger's rows, only which of them count. Writes the rollups at its end."""
    async with db.ingest() as connection:
        terms = Terms(db)
        await terms.add(connection, {"usd", "credits", *DATA_VERSIONS})
        async with connection.transaction():
            rollup = Rollup(usd=terms["usd"], credits=terms["credits"])
            tx = Transaction(
                db=db,
                connection=connection,
                host_no=0,
                ledger_no=0,
                batch_no=0,
                terms=terms,
                rollup=rollup,
                digest_set=digest_sets.newest(),
                parsers=None,
            )
            zones = await zones_for_ingest(connection)
            yield tx
            await write_rollups(connection, tx.rollup, zones)


async def decide_again(db: Database, owner_keys: Sequence[bytes], *, search: bool = False) -> None:
    """Decide these owner keys from the stored copies, in one transaction (settling.settle_owners)."""

    async def attempt() -> None:
        async with settling_transaction(db) as tx:
            await settle_owners(tx, owner_keys, search=search)

    await retried(attempt)


async def settle_pending(db: Database, chunk: int = CHUNK_KEYS) -> int:
    """Decide contested copies again where other versions hold than those that decided; how many owner keys.

    Begins anew when it is killed. Batches decide by today's versions meanwhile, so that nothing is missed.
    """
    pending = {}
    for ledger_no, parsers, before in await db.fetch(_SQL["versions_of_ledgers"]):
        today = decided_by({name: parser["floor"] for name, parser in parsers.items()})
        # A replica of an older release leaves alone what a newer one decided.
        if today != before and all(before.get(name, [0, 0])[1] <= cap for name, (_, cap) in today.items()):
            pending[ledger_no] = today
    if not pending:
        return 0
    number, after = 0, bytes(16)
    while keys := await db.fetch(_SQL["contested_keys"], list(pending), after, chunk):
        await decide_again(db, [record["owner_key"] for record in keys])
        number += len(keys)
        after = keys[-1]["owner_key"]
    for ledger_no, today in sorted(pending.items()):
        await db.execute(_SQL["set_decided_by"], ledger_no, today)
    return number
