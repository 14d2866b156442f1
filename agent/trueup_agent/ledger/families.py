"""Events of which not each counts as it was read: where each row of a family belongs, and with which numbers.

`rules.decide` says it from the family's rows alone, so not from the order in which they came. Rows that are set aside
wait in `set_aside_events` and come back when the family changes. Forgotten ones have their say, and stay away.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from trueup_agent.ledger import rules
from trueup_agent.ledger.forgotten import FORGOTTEN_EVENTS
from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.ledger.tables import EVENTS, SET_ASIDE, SET_ASIDE_INSERT
from trueup_agent.records import SERIES

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer

Rows = dict[bytes, StoredEvent]
Families = dict[bytes, list[StoredEvent]]

_ALL = (EVENTS.name, SET_ASIDE, FORGOTTEN_EVENTS)


async def settle(
    writer: "Writer", changed: Rows, counted: Rows, aside: Rows, more_families: Iterable[bytes] = ()
) -> None:
    """Put each changed event, and those of its family that it moves, where it belongs.

    `changed` are as read. `counted` and `aside` hold what is stored under the keys that came in; `more_families` lost a
    row.
    """
    family_keys = {row.family for row in changed.values() if row.family is not None}
    grown = {row.family for row in changed.values() if row.rule == SERIES and row.family is not None}
    family_keys |= set(more_families) | await _heirs(writer, grown | set(more_families))
    counted = counted | await writer.fetch(EVENTS, EVENTS.name, family_keys, by="family")
    aside = aside | await writer.fetch(EVENTS, SET_ASIDE, family_keys, by="family")
    stored = aside | counted
    members = {key: rules.as_read(row) for key, row in stored.items() if row.family in family_keys}
    forgotten = await writer.fetch(EVENTS, FORGOTTEN_EVENTS, family_keys, by="family")
    decided = await _decided(writer, family_keys, members | changed | forgotten)
    final: rules.Decided = {**members, **changed}
    final |= {key: row for key, row in decided.items() if key not in forgotten}

    counting: list[StoredEvent] = []
    losing: Rows = {}
    for key, row in final.items():
        if row is None:
            losing[key] = changed.get(key) or members[key]
        else:
            counting.append(_finished(writer, row, stored.get(key)))
    await writer.put(EVENTS, [row for row in counting if counted.get(row.key) is not row], counted)
    await writer.remove(EVENTS, [counted[key] for key in losing if key in counted])
    won = [(row.key,) for row in counting if row.key in aside]
    await writer.execute(f"DELETE FROM {SET_ASIDE} WHERE key = ?", won)
    moved = [_finished(writer, row, stored.get(key)) for key, row in losing.items()]
    lost = [msgspec.structs.astuple(row)[1:] for row in moved if aside.get(row.key) is not row]
    await writer.execute(SET_ASIDE_INSERT, lost)


async def _heirs(writer: "Writer", families: set[bytes]) -> set[bytes]:
    """Families whose running totals may go on where one of these stopped: they change with it."""
    if not families:
        return set()
    found: Rows = {}
    for name in _ALL:
        found |= await writer.fetch(EVENTS, name, families, by="after")
    return {row.family for row in found.values() if row.family is not None}


async def _decided(writer: "Writer", family_keys: set[bytes], rows: Rows) -> rules.Decided:
    families: Families = {}
    for row in rows.values():
        if row.family is not None and row.family in family_keys:
            families.setdefault(row.family, []).append(row)
    parents = {  # a session that calls itself its parent has none
        key: min((row.after for row in of if row.after and row.after != key), default=None)
        for key, of in families.items()
    }
    absent = {parent for parent in parents.values() if parent is not None and parent not in families}
    if absent:
        for name in _ALL:
            for row in (await writer.fetch(EVENTS, name, absent, by="family")).values():
                if row.family is not None:
                    families.setdefault(row.family, []).append(rules.as_read(row))
    decided: rules.Decided = {}
    for key, parent in parents.items():
        members = families[key]
        if len(members) > 1 or members[0].rule is not None:
            decided |= rules.decide(members, families.get(parent, ()) if parent is not None else ())
    return decided


def _finished(writer: "Writer", row: StoredEvent, stored: StoredEvent | None) -> StoredEvent:
    """`row` with price and digest of its numbers; `stored` itself where that is what it holds."""
    if row is stored or row.rule is None:
        return row
    if stored is None:
        return EVENTS.finish(msgspec.structs.replace(row), writer.policy)
    if row == stored:
        return stored
    row = EVENTS.finish(msgspec.structs.replace(row, seq=stored.seq), writer.policy)
    return stored if row == stored else row
