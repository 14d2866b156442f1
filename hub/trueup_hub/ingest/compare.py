"""What the hub has of a ledger, for its agent to find what differs: buckets, then sessions, then rows.

Each answer is of one moment and names the ledger's last batch then. `deep` recomputes from the stored columns what is
otherwise taken from running sums and stored digests.
"""

import contextlib
from collections.abc import AsyncIterator

from trueup_hub.db import Connection, Database, Record
from trueup_hub.ingest.digests import FIRST, LAST, recomputed_buckets, recomputed_rows, recomputed_sessions
from trueup_hub.ingest.position import read_ledger
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire

_SQL = load("compare")
BUCKETS = 256  # by the first byte of the session key


async def buckets(db: Database, host_no: int, ledger_id: str, *, deep: bool = False) -> wire.Buckets:
    """Of a ledger that the hub does not know: all zeros."""
    async with _ledger(db, host_no, ledger_id) as (connection, ledger):
        if ledger is None:
            return wire.Buckets(last_batch_id=None, acked_seq=0, sums=bytes(BUCKETS * 16))
        place = (host_no, ledger["ledger_no"])
        if deep:
            sums = await recomputed_buckets(connection, *place)
        else:
            sums = [0] * BUCKETS
            for bucket, digest in await connection.fetch(_SQL["bucket_sums"], *place):
                sums[bucket] = int(digest)
        rejected = [wire.RejectedDigest(*row) for row in await connection.fetch(_SQL["rejected_rows"], *place)]
        return wire.Buckets(
            last_batch_id=ledger["last_batch_id"],
            acked_seq=ledger["acked_seq"],
            digest_set=ledger["digest_set"],
            sums=b"".join(map(keys.digest_bytes, sums)),
            rejected=rejected,
        )


async def bucket_sessions(
    db: Database, host_no: int, ledger_id: str, bucket: int, *, deep: bool = False
) -> wire.BucketSessions:
    async with _ledger(db, host_no, ledger_id) as (connection, ledger):
        if ledger is None:
            return wire.BucketSessions(last_batch_id=None, acked_seq=0)
        place = (host_no, ledger["ledger_no"])
        if deep:
            sessions = await recomputed_sessions(connection, *place, bucket)
        else:
            between = (bytes([bucket]) + FIRST[1:], bytes([bucket]) + LAST[1:])
            sessions = [
                wire.SessionSum(key, rows, keys.digest_bytes(int(digest)))
                for key, rows, digest in await connection.fetch(_SQL["bucket_sessions"], *place, *between)
            ]
        return wire.BucketSessions(
            last_batch_id=ledger["last_batch_id"], acked_seq=ledger["acked_seq"], sessions=sessions
        )


async def session_rows(
    db: Database, host_no: int, ledger_id: str, session_key: bytes, *, deep: bool = False
) -> wire.SessionRows:
    async with _ledger(db, host_no, ledger_id) as (connection, ledger):
        if ledger is None:
            return wire.SessionRows(last_batch_id=None, acked_seq=0)
        place = (host_no, ledger["ledger_no"])
        if deep:
            rows = await recomputed_rows(connection, *place, session_key)
        else:
            found = await connection.fetch(_SQL["session_rows"], *place, session_key)
            rows = [wire.RowDigest(*row) for row in found]
        return wire.SessionRows(last_batch_id=ledger["last_batch_id"], acked_seq=ledger["acked_seq"], rows=rows)


@contextlib.asynccontextmanager
async def _ledger(db: Database, host_no: int, ledger_id: str) -> AsyncIterator[tuple[Connection, Record | None]]:
    async with db.snapshot() as connection:
        yield connection, await read_ledger(connection, host_no, ledger_id)
