"""The events of a batch: which are new, who owns them, what is written. Owners are locked before facts are read."""

import asyncio
import contextlib
from collections.abc import Iterator

from msgspec import Struct

from trueup_hub.db import Record, UniqueViolation
from trueup_hub.ingest.copies import (
    EVENT_COLUMNS,
    OWNER_COLUMNS,
    EventCopy,
    copy_stream,
    pack_event,
    pack_owner,
    stored_event,
)
from trueup_hub.ingest.decode import Decoded
from trueup_hub.ingest.incoming import event_copies
from trueup_hub.ingest.settling import lock_owners, settle
from trueup_hub.ingest.transaction import SessionDelta, Transaction
from trueup_hub.sqlfiles import load
from trueup_shared import keys

_COLUMNS = ", ".join(EVENT_COLUMNS)
_SQL = {name: text.replace("{columns}", _COLUMNS) for name, text in load("ingest").items()}

_BULK_KEYS = 1000


class _Plan(Struct):
    new: list[EventCopy]
    changed: list[EventCopy]
    renumbered: list[tuple[bytes, int]]  # unchanged, under another seq
    gone: list[bytes]  # tombstoned
    stale: list[bytes]  # a newer version was refused
    locked: list[bytes]  # owner keys somebody has, ascending
    series: set[bytes]


async def apply_events(tx: Transaction, decoded: Decoded, gone: set[bytes], refused: set[bytes]) -> None:
    """Write the batch's events, remove the keys `gone`, take accepted versions of `refused` keys out of the sums."""
    lookups = gone | refused | {row.key for row in decoded.events if tx.careful or row.body.owner_key is not None}
    own = await _own(tx, lookups)
    # The database claims owners while we price and digest: two thirds of the time of either.
    claim = asyncio.create_task(_claim(tx, decoded), name="claim owners")
    try:
        incoming = await event_copies(tx, decoded)
    finally:
        won = await claim
    own |= await _own(tx, {e.event_key for e in incoming if (e.owner_key or e.event_key) not in won} - lookups)
    plan = _plan(tx, incoming, own, won, gone, refused)
    owners = await lock_owners(tx, plan.locked)
    await _remove_old(tx, plan)
    written = [*plan.new, *plan.changed]
    if owners:
        await settle(tx, owners, plan.series, written)
    if written:
        await tx.connection.copy_to_table(
            "events", source=copy_stream(_pack_and_account(tx, written)), columns=EVENT_COLUMNS, format="binary"
        )
    # Without their owners' locks, so after all flips: who waits to flip one of these then has nothing that we wait for.
    if plan.renumbered:
        numbers = [(tx.host_no, tx.ledger_no, *pair) for pair in plan.renumbered]
        await tx.connection.executemany(_SQL["renumber_event"], numbers)
    tx.counts.inserted += len(plan.new)
    tx.counts.updated += len(plan.changed)


async def _own(tx: Transaction, event_keys: set[bytes]) -> dict[bytes, Record]:
    """Which of these this ledger has. Only its own batches change that, and they wait for one another."""
    if not event_keys:
        return {}
    rows = await tx.connection.fetch(_SQL["own_events"], tx.host_no, tx.ledger_no, sorted(event_keys))
    return {row[0]: row for row in rows}


async def _claim(tx: Transaction, decoded: Decoded) -> set[bytes]:
    """Take the owner keys that nobody has, in their order; an event whose key was taken is new to the whole hub."""
    if not decoded.events:
        return set()
    wanted = {row.body.owner_key or row.key for row in decoded.events}
    ordered = sorted(wanted)
    # COPY costs half as much, but takes all or nothing: tried while the ledger's batches hold nothing but new keys.
    all_new: dict[int, bool] = tx.db.caches.setdefault("all_new", {})
    if len(ordered) >= _BULK_KEYS and all_new.get(tx.ledger_no, True):
        with contextlib.suppress(UniqueViolation):
            async with tx.connection.transaction():
                await tx.connection.copy_to_table(
                    "event_owners",
                    source=copy_stream(pack_owner(key, tx.host_no, tx.ledger_no) for key in ordered),
                    columns=OWNER_COLUMNS,
                    format="binary",
                )
            return wanted
    joined = b"".join(ordered)
    taken: bytes = await tx.connection.fetchval(_SQL["claim_owners"], joined, tx.host_no, tx.ledger_no)
    all_new[tx.ledger_no] = len(taken) == len(joined)
    if len(taken) == len(joined):
        return wanted
    return {taken[i : i + keys.KEY_BYTES] for i in range(0, len(taken), keys.KEY_BYTES)}


def _plan(
    tx: Transaction,
    incoming: list[EventCopy],
    own: dict[bytes, Record],
    won: set[bytes],
    gone: set[bytes],
    refused: set[bytes],
) -> _Plan:
    if not own and len(won) == len(incoming):  # the usual case of a first push: all of it is new to the whole hub
        return _Plan(new=incoming, changed=[], renumbered=[], gone=[], stale=[], locked=[], series=set())
    plan = _Plan(new=[], changed=[], renumbered=[], gone=[], stale=[], locked=[], series=set())
    touched: set[bytes] = set()
    for event in incoming:
        stored = own.get(event.event_key)
        if stored is None:
            plan.new.append(event)
        elif stored["row_digest"] == event.row_digest and stored["unstated"] == event.unstated and not stored["stale"]:
            tx.counts.unchanged += 1
            if stored["seq"] != event.seq:
                plan.renumbered.append((event.event_key, event.seq))
            continue
        else:
            plan.changed.append(event)
        touched.add(event.owner_key or event.event_key)
        if event.owner_key is not None:
            plan.series.add(event.owner_key)
    for key in (*gone, *refused, *(e.event_key for e in plan.changed)):
        if (stored := own.get(key)) is not None:
            touched.add(stored["owner_key"] or key)
            if stored["owner_key"] is not None:
                plan.series.add(stored["owner_key"])
    plan.gone = sorted(key for key in gone if key in own)
    plan.stale = sorted(key for key in refused if key in own and not own[key]["stale"])
    # A series that was just taken is settled like the others: its events come from this ledger alone.
    plan.locked = sorted(touched - (won - plan.series))
    return plan


async def _remove_old(tx: Transaction, plan: _Plan) -> None:
    """Old versions leave rollups and sums by what the database says was there."""
    place = (tx.host_no, tx.ledger_no)
    removed = [*plan.gone, *sorted(e.event_key for e in plan.changed)]
    for record in await tx.each(_SQL["remove_event"], [(*place, key) for key in removed]):
        _leave(tx, stored_event(record))
    for record in await tx.each(_SQL["set_stale_event"], [(*place, key) for key in plan.stale]):
        copy = stored_event(record)
        copy.stale = False  # as it was until now
        _leave(tx, copy)
    if plan.stale:
        await tx.connection.executemany(_SQL["uncount_event"], [(*place, key) for key in plan.stale])
    tx.counts.removed += len(plan.gone)


def _leave(tx: Transaction, copy: EventCopy) -> None:
    if not copy.stale:
        tx.account(keys.EVENTS, copy.session_key, copy.row_digest, -1)
        if copy.counted:
            tx.rollup.subtract(copy)


def _pack_and_account(tx: Transaction, written: list[EventCopy]) -> Iterator[bytes]:
    add = tx.rollup.add
    session_key, session = b"", SessionDelta()
    for event in written:
        if event.session_key != session_key:  # sessions come in runs
            session_key = event.session_key
            session = tx.sessions.setdefault(session_key, SessionDelta())
        digest = int.from_bytes(event.row_digest, "big")
        session.rows += 1
        session.digest += digest
        tx.digest += digest
        if event.counted:
            add(event)
        yield pack_event(event)
    tx.rows[keys.EVENTS] += len(written)
