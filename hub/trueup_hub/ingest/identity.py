"""Which ledger of a host is which (design section 6): successors, ledgers that are back, signs of life.

A machine whose ledger forked, was lost or was reinstalled goes on under a new ledger that says what it replaces. Its
predecessor is superseded once the successor has converged and nobody writes it any more (superseding.py). One that is
heard of all the same belongs to another machine with the same credential, and stays as it is.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from trueup_hub.db import Connection, Database, retried
from trueup_hub.errors import Problem
from trueup_hub.sqlfiles import load
from trueup_shared import logs

log = structlog.get_logger()

_SQL = load("identity")
_MOST_REPLACED = 10
MOST_LEDGERS = 500  # of a host, ever


async def ledger_number(connection: Connection, host_no: int, ledger_id: str) -> int:
    """Of a ledger, which is known from its first sign of life. Problem 401 of a host that is forgotten, 409 of one that
    has MOST_LEDGERS: every page and every scrub looks at each of them."""
    number: int | None = await connection.fetchval(_SQL["ledger_number"], host_no, ledger_id)
    if number is None:
        await connection.execute(_SQL["first_contact"], host_no, ledger_id, MOST_LEDGERS)
        number = await connection.fetchval(_SQL["ledger_number"], host_no, ledger_id)
    if number is not None:
        return number
    if not await connection.fetchval(_SQL["is_kept"], host_no):  # it was let in a moment before
        raise Problem(401, "revoked", "The access of this host was revoked; enrol it again.")
    detail = (
        f"This host has had {MOST_LEDGERS} ledgers: run `trueup agent rekey --code CODE` to make this machine another."
    )
    raise Problem(409, "too_many_ledgers", detail)


async def heard(db: Database, host_no: int, ledger_id: str) -> None:
    """A sign of life from the agent of a ledger, if the hub knows it. A superseded one is revived."""
    if await db.fetchval(_SQL["heard_of"], host_no, ledger_id):
        await _revive(db, host_no, ledger_id)


async def contact(db: Database, host_no: int, ledger_id: str, replaces: Sequence[str]) -> None:
    """The same with what the ledger says it took the place of: ids of ledgers, the newest first."""
    await heard(db, host_no, ledger_id)
    if not replaces:
        return
    ids = [text for text in replaces[:_MOST_REPLACED] if _is_uuid(text)]

    async def attempt() -> None:
        async with db.transaction() as connection:
            await ledger_number(connection, host_no, ledger_id)
            await connection.execute(_SQL["replacing"], host_no, ledger_id, ids)
            await connection.execute(_SQL["replace"], host_no, ledger_id, ids)

    await retried(attempt)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


async def _revive(db: Database, host_no: int, ledger_id: str) -> None:
    async with db.transaction() as connection:
        ledger_no = await connection.fetchval(_SQL["revive"], host_no, ledger_id)
        if ledger_no is not None:
            await connection.execute(_SQL["drop_confirmations"], host_no, ledger_no)
    if ledger_no is not None:
        log.warning("a ledger whose place was taken is back", **{logs.LEDGER: ledger_id})
