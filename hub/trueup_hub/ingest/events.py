"""The events of a batch: which are new, who owns them, what is written. Owners are locked before facts are read."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from trueup_hub.db import Record, UniqueViolation
from trueup_hub.ingest import ownership
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
from trueup_hub.ingest.transaction import SessionDelta, Transaction
from trueup_hub.sqlfiles import load
from trueup_shared import keys

_COLUMNS = ", ".join(EVENT_COLUMNS)
_SQL = {name: text.replace("{columns}", _COLUMNS) for name, text in load("ingest").items()}

_BULK_KEYS = 1000

Owner = tuple[int | None, int | None, bool]  # host_no, ledger_no, contested
Claims = dict[tuple[int, int], bool]  # (host_no, ledger_no) -> conflict


class _Change(Struct):
    """One owner key whose copies change in this batch."""

    owner: Owner
    claims: Claims = field(default_factory=dict)
    others: list[EventCopy] = field(default_factory=list)


class _Plan(Struct):
    new: list[EventCopy]
    changed: list[EventCopy]
    gone: list[bytes]  # tombstoned
    stale: list[bytes]  # a newer version was refused
    locked: list[bytes]  # owner keys somebody has, ascending
    series: set[bytes]


async def apply_events(tx: Transaction, decoded: Decoded, price_no: int, gone: set[bytes], refused: set[bytes]) -> None:
    """Write the batch's events, remove the keys `gone`, take accepted versions of `refused` keys out of the sums."""
    lookups = gone | refused | {row.key for row in decoded.events if tx.careful or row.body.owner_key is not None}
    own = await _own(tx, lookups)
    # The database claims owners while we price and digest: two thirds of the time of either.
    claim = asyncio.create_task(_claim(tx, decoded), name="claim owners")
    try:
        incoming = await event_copies(tx, decoded, price_no)
    finally:
        won = await claim
    own |= await _own(tx, {e.event_key for e in incoming if (e.owner_key or e.event_key) not in won} - lookups)
    plan = _plan(tx, incoming, own, won, gone, refused)
    owners = {row[0]: row for row in await tx.connection.fetch(_SQL["lock_owners"], plan.locked)} if plan.locked else {}
    await _remove_old(tx, plan)
    written = [*plan.new, *plan.changed]
    if owners:
        changes = {key: _Change(tuple(row)[1:]) for key, row in owners.items()}
        await _load_claims(tx, changes)
        mine = {copy.event_key: copy for copy in written if copy.owner_key is None and copy.event_key in changes}
        await _settle_identities(tx, {k: c for k, c in changes.items() if k not in plan.series}, mine)
        await _settle_series(tx, {k: c for k, c in changes.items() if k in plan.series}, written)
    if written:
        await tx.connection.copy_to_table(
            "events", source=copy_stream(_pack_and_account(tx, written)), columns=EVENT_COLUMNS, format="binary"
        )
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
        return _Plan(new=incoming, changed=[], gone=[], stale=[], locked=[], series=set())
    plan = _Plan(new=[], changed=[], gone=[], stale=[], locked=[], series=set())
    touched: set[bytes] = set()
    for event in incoming:
        stored = own.get(event.event_key)
        if stored is None:
            plan.new.append(event)
        elif stored["row_digest"] == event.row_digest and not stored["stale"]:
            tx.counts.unchanged += 1
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


async def _load_claims(tx: Transaction, changes: dict[bytes, _Change]) -> None:
    contested = [key for key, change in changes.items() if change.owner[2]]
    if contested:
        for key, host_no, ledger_no, conflict in await tx.connection.fetch(_SQL["claims_of"], contested):
            changes[key].claims[host_no, ledger_no] = conflict


async def _settle_identities(tx: Transaction, changes: dict[bytes, _Change], mine: dict[bytes, EventCopy]) -> None:
    """Decide for each event key which copy counts, and flip the copies of others."""
    wanted = [
        (host_no, ledger_no, key)
        for key, change in changes.items()
        for host_no, ledger_no in {change.owner[:2], *change.claims}
        if host_no is not None and ledger_no is not None and ledger_no != tx.ledger_no
    ]
    if wanted:
        for record in await tx.connection.fetch(_SQL["events_at"], *map(list, zip(*wanted, strict=True))):
            copy = stored_event(record)
            changes[copy.event_key].others.append(copy)
    order = await tx.precedence({tx.ledger_no, *(ledger_no for _, ledger_no, _ in wanted)})
    caps = tx.data_version_caps()
    flips: list[EventCopy] = []
    for key, change in changes.items():
        copies = [*change.others, *((mine[key],) if key in mine else ())]
        winner = None
        if copies:
            ledger_no = ownership.best([(ownership.rank(c, caps), c.ledger_no) for c in copies], order)
            winner = next(c for c in copies if c.ledger_no == ledger_no)
        flips += [c for c in change.others if c.counted != (c is winner)]
        if key in mine:
            mine[key].counted = mine[key] is winner
        claims = {
            (c.host_no, c.ledger_no): winner is not None and ownership.conflicts(winner, c, caps)
            for c in copies
            if c is not winner
        }
        await _write_owner(tx, key, change, winner, claims)
    await _flip(tx, flips)


async def _flip(tx: Transaction, flips: Iterable[EventCopy]) -> None:
    ordered = sorted(flips, key=lambda c: (c.event_key, c.host_no, c.ledger_no))
    arguments = [(c.host_no, c.ledger_no, c.event_key, not c.counted) for c in ordered]
    for record in await tx.each(_SQL["flip_event"], arguments):
        _flipped(tx, stored_event(record))


def _flipped(tx: Transaction, copy: EventCopy) -> None:
    """`copy` as it is now."""
    if copy.counted:
        tx.rollup.add(copy)
    else:
        tx.rollup.subtract(copy)


async def _settle_series(tx: Transaction, changes: dict[bytes, _Change], written: list[EventCopy]) -> None:
    """All events of a series count from one ledger: the one with the greatest sum."""
    if not changes:
        return
    here = (tx.host_no, tx.ledger_no)
    totals: dict[bytes, dict[tuple[int, int], int]] = {key: {} for key in changes}
    for key, host_no, ledger_no, total in await tx.connection.fetch(_SQL["series_totals"], list(changes)):
        totals[key][host_no, ledger_no] = int(total)
    for copy in written:
        if copy.owner_key in changes:
            totals[copy.owner_key][here] = totals[copy.owner_key].get(here, 0) + ownership.total_of(copy)
    order = await tx.precedence({ledger_no for by_ledger in totals.values() for _, ledger_no in by_ledger})
    winners: dict[bytes, int | None] = {}
    for key in sorted(changes):
        ranked = [(total, ledger_no) for (_, ledger_no), total in totals[key].items()]
        winners[key] = winner = ownership.best(ranked, order) if ranked else None
        for host_no, ledger_no in sorted(totals[key]):
            flipped = await tx.connection.fetch(_SQL["flip_series"], host_no, ledger_no, key, ledger_no == winner)
            for record in flipped:
                _flipped(tx, stored_event(record))
        place = next((place for place in totals[key] if place[1] == winner), None)
        claims = {other: False for other in totals[key] if other != place}
        await _write_place(tx, key, changes[key], place, claims)
    for copy in written:
        if copy.owner_key in changes:
            copy.counted = winners[copy.owner_key] == tx.ledger_no


async def _write_owner(tx: Transaction, key: bytes, change: _Change, winner: EventCopy | None, claims: Claims) -> None:
    place = (winner.host_no, winner.ledger_no) if winner is not None else None
    await _write_place(tx, key, change, place, claims)


async def _write_place(
    tx: Transaction, key: bytes, change: _Change, place: tuple[int, int] | None, claims: Claims
) -> None:
    owner: Owner = (*(place or (None, None)), bool(claims))
    if owner != change.owner:
        await tx.connection.execute(_SQL["set_owner"], key, *owner)
    for other in change.claims.keys() - claims.keys():
        await tx.connection.execute(_SQL["drop_claim"], key, *other)
    for other, conflict in claims.items():
        if change.claims.get(other) is not conflict:
            await tx.connection.execute(_SQL["put_claim"], key, *other, conflict)


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
