"""What the hub has of a ledger, for its agent to find what differs: buckets, then sessions, then rows.

Each answer is of one moment and names the ledger's last batch then. `deep` recomputes from the stored columns what is
otherwise taken from running sums and stored digests.
"""

import contextlib
from collections.abc import AsyncIterator

from msgspec import UNSET

from trueup_hub.db import Connection, Database, Record
from trueup_hub.errors import BadRequest, Problem
from trueup_hub.ingest.digests import FIRST, LAST, recomputed_buckets, recomputed_rows, recomputed_sessions
from trueup_hub.ingest.position import read_ledger
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire

_SQL = load("compare")
BUCKETS = 256  # by the first byte of the session key
PAGE = 10_000  # rejected rows in an answer, of 50 bytes each
MOST_REJECTED = 200_000  # to an agent that knows no pages


async def buckets(
    db: Database, host_no: int, ledger_id: str, *, deep: bool = False, after: str | None = None
) -> wire.Buckets:
    """Of a ledger that the hub does not know: all zeros. `after`: where a page of rejected rows begins, '' = the first,
    which has the sums with it; None = all rejected rows, for agents that know no pages. Problem 409 where they are too
    many for that."""
    begin = _read_place(after) if after else (-1, FIRST)
    async with _ledger(db, host_no, ledger_id) as (connection, ledger):
        if ledger is None:
            return wire.Buckets(last_batch_id=None, acked_seq=0, sums=bytes(BUCKETS * 16))
        place, most = (host_no, ledger["ledger_no"]), MOST_REJECTED if after is None else PAGE
        found = await connection.fetch(_SQL["rejected_rows"], *place, *begin, most + 1)
        if after is None and len(found) > most:
            detail = f"More than {most} rows of this ledger were rejected: its agent is too old to be told. Update it."
            raise Problem(409, "too_many_rejected", detail, members={"limit": most})
        return wire.Buckets(
            last_batch_id=ledger["last_batch_id"],
            acked_seq=ledger["acked_seq"],
            digest_set=ledger["digest_set"],
            sums=b"" if after else await _sums(connection, place, deep),
            rejected=[wire.RejectedDigest(*row[:4]) for row in found[:most]],
            more=_place(found[most - 1]) if len(found) > most else UNSET,
        )


async def _sums(connection: Connection, place: tuple[int, int], deep: bool) -> bytes:
    if deep:
        sums = await recomputed_buckets(connection, *place)
    else:
        sums = [0] * BUCKETS
        for bucket, digest in await connection.fetch(_SQL["bucket_sums"], *place):
            sums[bucket] = int(digest)
    return b"".join(map(keys.digest_bytes, sums))


def _place(row: Record) -> str:
    return f"{row['table_no']}.{row['row_key'].hex()}"


def _read_place(text: str) -> tuple[int, bytes]:
    table, _, key = text.partition(".")
    with contextlib.suppress(ValueError):
        if table in ("0", "1", "2", "3") and len(found := bytes.fromhex(key)) == keys.KEY_BYTES:
            return int(table), found
    raise BadRequest("bad_parameter", "'rejected_after' is not what `more` of an answer said.")


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
