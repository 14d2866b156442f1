"""Where the hub is with a ledger, and the ledger's row, whose lock makes one writer of it."""

from typing import Any

from trueup_hub.db import Connection, Database, Record
from trueup_hub.errors import NotFound
from trueup_hub.ingest.identity import heard, ledger_number
from trueup_hub.sqlfiles import load
from trueup_shared import __version__, digest_sets, keys, wire

_BLOCKS = load("ingest")
_SQL = {name: text.replace("{ledger_row}", _BLOCKS["ledger_row"]) for name, text in _BLOCKS.items()}


async def position(db: Database, host_no: int, host_id: str, ledger_id: str) -> wire.Position:
    """Where the hub is with a ledger, whose agent asks; zeros for one that it does not know."""
    await heard(db, host_no, ledger_id)
    return position_of(await read_ledger(db, host_no, ledger_id), host_id, ledger_id)


async def read_ledger(db: Database | Connection, host_no: int, ledger_id: str) -> Record | None:
    """The row of a ledger of this host, as it was a moment ago; None where it never pushed."""
    record: Record | None = await db.fetchrow(_SQL["position_of_ledger"], host_no, ledger_id)
    return record


def position_of(record: Record | None, host_id: str, ledger_id: str) -> wire.Position:
    """`record` as `lock_ledger` and `position_of_ledger` read it."""
    if record is None:
        return wire.Position(host_id=host_id, ledger_id=ledger_id, **_abilities())
    total = int(record["digest"]) + int(record["rejected_digest"])
    return wire.Position(
        host_id=host_id,
        ledger_id=ledger_id,
        acked_seq=record["acked_seq"],
        last_batch_id=record["last_batch_id"],
        batch_no=record["batch_no"],
        generation=record["generation"],
        open_generation=record["open_generation"],
        full_seq=record["full_seq"],
        full_target=record["full_target"],
        digest=keys.digest_bytes(total),
        digest_set=record["digest_set"],
        state=record["verdict"],
        rejected=record["rejected"],
        **_abilities(),
    )


def _abilities() -> dict[str, Any]:
    """What this hub can do, whatever the ledger."""
    return {"hub_version": __version__, "features": list(wire.FEATURES), "digest_sets": digest_sets.known()}


async def lock_ledger(connection: Connection, host_no: int, ledger_id: str) -> Record:
    """The row of a ledger, locked until the transaction ends; made at its first contact (ledger_number)."""
    ledger = await connection.fetchrow(_SQL["lock_ledger"], host_no, ledger_id)
    if ledger is None:
        await ledger_number(connection, host_no, ledger_id)
        ledger = await connection.fetchrow(_SQL["lock_ledger"], host_no, ledger_id)
    if ledger is None:
        raise NotFound("There is no such ledger any more.")
    return ledger


async def lock_ledger_no(connection: Connection, host_no: int, ledger_no: int) -> Record:
    """The same for a ledger that is known by its number. NotFound when its host was forgotten meanwhile."""
    ledger = await connection.fetchrow(_SQL["lock_ledger_no"], host_no, ledger_no)
    if ledger is None:
        raise NotFound("There is no such ledger any more.")
    return ledger
