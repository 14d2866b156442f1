"""Changes to one ledger's rows: by its batches, or by the hub itself where it removes rows.

Nothing else writes or deletes facts, for with them go the sums of sessions and ledger, which copy counts, and the
rollups, all in one transaction; but for a scrub, which drops what no agent can have sent and mends all of that after
it (scrub.py). Order of locks: ledger, new event owners, existing event owners, session owners, rollup
cells; each kind in the order of its keys. Facts are read and written under their owner's lock.
"""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from uuid import UUID

from trueup_hub.db import Connection, Database, Record
from trueup_hub.ingest.activity import Activity
from trueup_hub.ingest.decode import Decoded
from trueup_hub.ingest.events import apply_events
from trueup_hub.ingest.incoming import digest_of, message_copies
from trueup_hub.ingest.messages import plan_messages
from trueup_hub.ingest.position import lock_ledger_no
from trueup_hub.ingest.rollups import Rollup, write_rollups
from trueup_hub.ingest.sessions import apply_sessions
from trueup_hub.ingest.terms import Terms
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.ingest.zones import zones_for_ingest
from trueup_hub.pricing import InForce
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire
from trueup_shared.harnesses import DATA_VERSIONS

_SQL = load("ingest")
CHANNEL = "trueup_update"  # live.py listens

TABLES = (keys.SESSIONS, keys.MESSAGES, keys.EVENTS)
Keys = Mapping[int, Collection[bytes]]  # by table
_NOTHING = Decoded(sessions=[], messages=[], events=[], tombstones=[], refused=[], event_dimensions=[])


def new_transaction(
    db: Database,
    connection: Connection,
    ledger: Record,
    terms: Terms,
    *,
    batch_no: int = 0,
    parsers: Mapping[str, wire.ParserVersion] | None = None,
    priced: InForce | None = None,
    careful: bool = False,
) -> Transaction:
    """For the changes of one ledger, whose row is locked, made at once: its sums are of one call of what follows."""
    return Transaction(
        db=db,
        connection=connection,
        host_no=ledger["host_no"],
        ledger_no=ledger["ledger_no"],
        batch_no=batch_no,
        terms=terms,
        rollup=Rollup(usd=terms["usd"], credits=terms["credits"]),
        digest_set=ledger["digest_set"],
        parsers=parsers,
        priced=priced,
        careful=careful,
    )


@contextlib.asynccontextmanager
async def ledger_transaction(db: Database, host_no: int, ledger_no: int) -> AsyncIterator[tuple[Transaction, Record]]:
    """A transaction of the hub's own on a ledger, whose row is locked: for `remove_rows`. Wrap it in db.retried."""
    async with db.ingest() as connection:
        terms = await add_terms(db, connection, _NOTHING)
        async with connection.transaction():
            ledger = await lock_ledger_no(connection, host_no, ledger_no)
            tx = new_transaction(db, connection, ledger, terms)
            yield tx, ledger
        if tx.counts.removed:
            await hint(connection, str(UUID(bytes=ledger["host_id"])))


async def remove_rows(tx: Transaction, gone: Keys) -> None:
    """Take rows of the transaction's ledger away; keys that it does not have are no error.

    Counted in tx.counts.removed. The next best copies count from now on. Position and verdict of the ledger stay.
    """
    await apply_changes(tx, _NOTHING, gone, {})
    rows = (tx.rows[table] for table in TABLES)
    await tx.connection.execute(_SQL["add_to_ledger"], tx.host_no, tx.ledger_no, tx.digest % keys.DIGEST_MODULUS, *rows)


async def apply_changes(tx: Transaction, decoded: Decoded, gone: Keys, refused: Keys) -> None:
    """Write decoded rows, remove the keys `gone`, take accepted versions of `refused` keys out of the sums.

    What it comes to for the ledger's own row is in tx.digest and tx.rows, for the caller to write.
    """
    gone_of, refused_of = ({table: set(by.get(table, ())) for table in TABLES} for by in (gone, refused))
    zones = await zones_for_ingest(tx.connection)
    await apply_events(tx, decoded, gone_of[keys.EVENTS], refused_of[keys.EVENTS])
    copies = message_copies(tx, decoded)
    messages = await plan_messages(tx, copies, gone_of[keys.MESSAGES], refused_of[keys.MESSAGES])
    sessions = [(row, digest_of(keys.SESSIONS, row, tx.digest_set)) for row in decoded.sessions]
    activity = Activity(tx.terms["user"], tx.terms["prompt"])
    await apply_sessions(tx, sessions, gone_of[keys.SESSIONS], refused_of[keys.SESSIONS], messages, activity)
    await write_rollups(tx.connection, tx.rollup, zones)
    await activity.write(tx.connection)


async def add_terms(db: Database, connection: Connection, decoded: Decoded) -> Terms:
    wanted: set[str | None] = {"usd", "credits", "user", "prompt", *DATA_VERSIONS}
    for names in set(decoded.event_dimensions):
        wanted.update(names)
    for message in decoded.messages:
        m = message.body
        wanted.update((m.harness, m.project, m.model, m.role, m.kind))
        if m.tool_names:
            wanted.update(m.tool_names)
    for session in decoded.sessions:
        s = session.body
        wanted.update((s.harness, s.project, s.relationship, s.os_user))
    terms = Terms(db)
    await terms.add(connection, wanted)
    return terms


async def hint(connection: Connection, host_id: str) -> None:
    """Tell live.py, after the commit: NOTIFY inside the transaction would let all commits wait for one another."""
    await connection.execute(f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}, '{host_id}'; COMMIT")
