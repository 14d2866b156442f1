"""Which copies count: decided anew for every owner key whose copies change, and written down.

The owners are locked by then, and stay so until the transaction ends: a copy's counters and `counted` change under that
lock alone. Data versions of ledgers are read after it, so that whoever changes one decides after us (jobs.py).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct, field

from trueup_hub.db import Record
from trueup_hub.ingest import ownership
from trueup_hub.ingest.copies import EVENT_COLUMNS, EventCopy, stored_event
from trueup_hub.ingest.transaction import Transaction
from trueup_hub.sqlfiles import load

_COLUMNS = ", ".join(EVENT_COLUMNS)
_SQL = {name: text.replace("{columns}", _COLUMNS) for name, text in load("ownership").items()}

Owner = tuple[int | None, int | None, bool]  # host_no, ledger_no, contested
Place = tuple[int, int]  # host_no, ledger_no
Claims = dict[Place, bool]  # -> conflict


class _Change(Struct):
    """One owner key whose copies change."""

    owner: Owner
    claims: Claims = field(default_factory=dict)
    others: list[EventCopy] = field(default_factory=list)


class _Decisions(Struct):
    """Rows to write, all at once: a statement each, pipelined."""

    owners: list[tuple[Any, ...]] = field(default_factory=list)
    claims: list[tuple[Any, ...]] = field(default_factory=list)
    dropped: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, key: bytes, change: _Change, place: Place | None, claims: Claims) -> None:
        owner: Owner = (*(place or (None, None)), bool(claims))
        if owner != change.owner:
            self.owners.append((key, *owner))
        self.dropped += [(key, *other) for other in change.claims.keys() - claims.keys()]
        self.claims += [
            (key, *other, conflict) for other, conflict in claims.items() if change.claims.get(other) is not conflict
        ]

    async def write(self, tx: Transaction) -> None:
        for block, rows in (("set_owner", self.owners), ("drop_claim", self.dropped), ("put_claim", self.claims)):
            if rows:
                await tx.connection.executemany(_SQL[block], rows)


async def lock_owners(tx: Transaction, ordered: Sequence[bytes]) -> list[Record]:
    """The owner rows of these keys, ascending, that are there."""
    return await tx.connection.fetch(_SQL["lock_owners"], ordered) if ordered else []


async def settle(
    tx: Transaction, owners: Iterable[Record], series: Collection[bytes], written: Sequence[EventCopy]
) -> None:
    """Decide locked owners whose copies in this ledger change: `written` is all it has of them now, if not of series.

    Sets `counted` of what is about to be written; what other ledgers have is flipped.
    """
    changes = _changes(owners)
    await _load_claims(tx, changes, [key for key, change in changes.items() if change.owner[2]])
    await _load_known(tx, changes)
    mine = {copy.event_key: copy for copy in written if copy.owner_key is None and copy.event_key in changes}
    await _decide(tx, changes, mine, set(series), written)


async def settle_owners(tx: Transaction, owner_keys: Collection[bytes], *, search: bool = False) -> None:
    """Decide these owner keys again from the stored copies of all ledgers; the caller writes tx.rollup.

    `search`: trust neither owners nor claims to know the copies. Looks every key up in every ledger and makes missing
    owner rows: for what may have been altered behind the hub's back.
    """
    ordered = sorted(set(owner_keys))
    if search:
        await tx.connection.execute(_SQL["make_owners"], ordered)
    changes = _changes(await lock_owners(tx, ordered))
    await _load_claims(tx, changes, list(changes))
    if search:
        found = await tx.connection.fetch(_SQL["events_anywhere"], list(changes))
        _add_others(changes, map(stored_event, found))
    else:
        await _load_known(tx, changes)
    await _decide(tx, changes, {}, await _which_are_series(tx, changes), ())


async def _decide(
    tx: Transaction,
    changes: dict[bytes, _Change],
    mine: dict[bytes, EventCopy],
    series: set[bytes],
    written: Sequence[EventCopy],
) -> None:
    """Requests first. A series under the key of a request (no agent of ours makes one) neither takes its owner row,
    which alone knows the request's copies, nor is taken by it: its own copies are found by an index.
    """
    decisions = _Decisions()
    without = await _settle_identities(tx, changes, mine, decisions)
    series = series | await _which_are_series(tx, without - series)
    for key in without - series:
        decisions.add(key, changes[key], None, {})
    await _settle_series(tx, {key: changes[key] for key in series}, written, without, decisions)
    await decisions.write(tx)


async def _which_are_series(tx: Transaction, owner_keys: Collection[bytes]) -> set[bytes]:
    if not owner_keys:
        return set()
    return {row[0] for row in await tx.connection.fetch(_SQL["which_are_series"], list(owner_keys))}


def _changes(owners: Iterable[Record]) -> dict[bytes, _Change]:
    return {key: _Change((host_no, ledger_no, contested)) for key, host_no, ledger_no, contested in owners}


async def _load_claims(tx: Transaction, changes: dict[bytes, _Change], contested: list[bytes]) -> None:
    if contested:
        for key, host_no, ledger_no, conflict in await tx.connection.fetch(_SQL["claims_of"], contested):
            changes[key].claims[host_no, ledger_no] = conflict


async def _load_known(tx: Transaction, changes: dict[bytes, _Change]) -> None:
    """Copies of other ledgers, which owners and claims name."""
    wanted = [
        (host_no, ledger_no, key)
        for key, change in changes.items()
        for host_no, ledger_no in {change.owner[:2], *change.claims}
        if host_no is not None and ledger_no is not None and ledger_no != tx.ledger_no
    ]
    _add_others(changes, await copies_at(tx, wanted))


async def copies_at(tx: Transaction, places: list[tuple[int, int, bytes]]) -> list[EventCopy]:
    """Those that are there of (host_no, ledger_no, event key)."""
    if not places:
        return []
    records = await tx.connection.fetch(_SQL["events_at"], *map(list, zip(*places, strict=True)))
    return [stored_event(record) for record in records]


def _add_others(changes: dict[bytes, _Change], copies: Iterable[EventCopy]) -> None:
    for copy in copies:
        changes[copy.event_key].others.append(copy)


async def _settle_identities(
    tx: Transaction, changes: dict[bytes, _Change], mine: dict[bytes, EventCopy], decisions: _Decisions
) -> set[bytes]:
    """Decide for each event key which copy counts, and flip the copies of others; the keys that have no copy."""
    ledgers = {tx.ledger_no, *(copy.ledger_no for change in changes.values() for copy in change.others)}
    order, versions = await tx.precedence(ledgers - {0}), await tx.versions(ledgers)
    flips: list[EventCopy] = []
    without: set[bytes] = set()
    for key, change in changes.items():
        copies = [*change.others, *((mine[key],) if key in mine else ())]
        if not copies:
            without.add(key)
            continue
        ledger_no = ownership.best([(ownership.rank(c, versions), c.ledger_no) for c in copies], order)
        winner = next(c for c in copies if c.ledger_no == ledger_no)
        flips += [c for c in change.others if c.counted != (c is winner)]
        if key in mine:
            mine[key].counted = mine[key] is winner
        claims = {(c.host_no, c.ledger_no): ownership.conflicts(winner, c, versions) for c in copies if c is not winner}
        decisions.add(key, change, (winner.host_no, winner.ledger_no), claims)
    await _flip(tx, flips)
    return without


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


async def _settle_series(
    tx: Transaction,
    changes: dict[bytes, _Change],
    written: Sequence[EventCopy],
    owning: set[bytes],
    decisions: _Decisions,
) -> None:
    """All events of a series count from one ledger. Those of `owning` have the owner row for themselves."""
    if not changes:
        return
    ranks = await rank_series(tx, set(changes), written)
    order = await tx.precedence({ledger_no for by_place in ranks.values() for _, ledger_no in by_place})
    winners: dict[bytes, int | None] = {}
    for key in sorted(changes):
        ranked = [(rank, ledger_no) for (_, ledger_no), rank in ranks[key].items()]
        winners[key] = winner = ownership.best(ranked, order) if ranked else None
        for host_no, ledger_no in sorted(ranks[key]):
            flipped = await tx.connection.fetch(_SQL["flip_series"], host_no, ledger_no, key, ledger_no == winner)
            for record in flipped:
                _flipped(tx, stored_event(record))
        if key in owning:
            place = next((place for place in ranks[key] if place[1] == winner), None)
            decisions.add(key, changes[key], place, {other: False for other in ranks[key] if other != place})
    for copy in written:
        if copy.owner_key in changes:
            copy.counted = winners[copy.owner_key] == tx.ledger_no


async def rank_series(
    tx: Transaction, owner_keys: set[bytes], written: Sequence[EventCopy] = ()
) -> dict[bytes, dict[Place, int]]:
    """By owner key and place: what is stored, and what is about to be."""
    if not owner_keys:
        return {}
    stored = await tx.connection.fetch(_SQL["series_parts"], list(owner_keys))
    versions = await tx.versions({tx.ledger_no, *(ledger_no for _, _, ledger_no, *_ in stored)})
    parts: dict[tuple[bytes, Place], list[tuple[int, int]]] = {}
    for key, host_no, ledger_no, harness, old_data, version, total in stored:
        part = (versions.effective(ledger_no, harness, version, old_data), int(total))
        parts.setdefault((key, (host_no, ledger_no)), []).append(part)
    for copy in written:
        if copy.owner_key in owner_keys:
            place = (copy.host_no, copy.ledger_no)
            parts.setdefault((copy.owner_key, place), []).append((versions.of(copy), ownership.total_of(copy)))
    ranks: dict[bytes, dict[Place, int]] = {key: {} for key in owner_keys}
    for (key, place), found in parts.items():
        version = min(version for version, _ in found)
        ranks[key][place] = ownership.series_rank(version, sum(total for _, total in found))
    return ranks
