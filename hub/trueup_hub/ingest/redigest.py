"""A ledger goes on in another digest set (design section 5): all its sums are computed anew, once."""

from trueup_hub.db import Database, retried
from trueup_hub.ingest.digests import rebuilt_rows
from trueup_hub.ingest.position import lock_ledger
from trueup_hub.ingest.scrub import write_digests
from trueup_hub.sqlfiles import load
from trueup_shared import keys

_SQL = load("redigest")


async def change_digest_set(db: Database, host_no: int, ledger_id: str, digest_set: int) -> None:
    """In a transaction of its own: it locks events without their owners, which a batch may not.

    Rejected rows are forgotten, for their digests were of the other set: the repair that follows brings them again.
    """

    async def attempt() -> None:
        async with db.transaction() as connection:
            ledger = await lock_ledger(connection, host_no, ledger_id)
            place = (host_no, ledger["ledger_no"])
            if ledger["digest_set"] == digest_set:
                return
            await connection.execute(_SQL["set_digest_set"], *place, digest_set)
            sessions: dict[bytes, int] = {}
            async for rows in rebuilt_rows(connection, *place):
                await write_digests(connection, *place, rows)
                for row in rows:
                    sessions[row.session_key] = sessions.get(row.session_key, 0) + int.from_bytes(row.digest, "big")
            sums = sorted((*place, key, total % keys.DIGEST_MODULUS) for key, total in sessions.items())
            if sums:
                await connection.executemany(_SQL["set_session_sum"], sums)
            total = sum(sessions.values()) % keys.DIGEST_MODULUS
            await connection.execute(_SQL["forget_rejections"], *place)
            await connection.execute(_SQL["set_ledger_sum"], *place, total)

    await retried(attempt)
