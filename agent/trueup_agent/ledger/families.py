"""Which events of a family count (formats/claude.md, Dedup 4).

Requests that may be copies of one another under different keys share a family. All of its events of rank 0 count; where
there is none, only the best. The others wait in `set_aside_events` and come back when the choice changes. It depends on
the family's rows alone, so not on the order in which they came.
"""

from typing import TYPE_CHECKING

import msgspec

from trueup_agent.ledger import merge
from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.ledger.tables import EVENTS, SET_ASIDE, SET_ASIDE_INSERT

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer

Rows = dict[bytes, StoredEvent]


async def settle(
    writer: "Writer", changed: Rows, counted: Rows, aside: Rows, more_families: frozenset[bytes] = frozenset()
) -> None:
    """Put each changed event, and those of its family that it moves, where it belongs.

    `counted` and `aside` hold what is stored under the keys that came in; `more_families` lost a row.
    """
    family_keys = {row.family for row in changed.values() if row.family is not None} | more_families
    counted = counted | await writer.fetch(EVENTS, EVENTS.name, family_keys, by="family")
    aside = aside | await writer.fetch(EVENTS, SET_ASIDE, family_keys, by="family")
    losers = _losers(family_keys, counted | aside | changed)
    siblings = {key: row for key, row in (counted | aside).items() if row.family in family_keys}
    wanted = siblings | changed

    def moved(stored: Rows, lost: bool) -> list[StoredEvent]:
        """Rows that belong in that table and are not stored there as they are."""
        return [row for key, row in wanted.items() if (key in losers) == lost and stored.get(key) is not row]

    await writer.put(EVENTS, moved(counted, lost=False), counted)
    await writer.remove(EVENTS, [counted[key] for key in wanted if key in losers and key in counted])
    won = [(key,) for key in wanted if key in aside and key not in losers]
    await writer.execute(f"DELETE FROM {SET_ASIDE} WHERE key = ?", won)
    await writer.execute(SET_ASIDE_INSERT, [msgspec.structs.astuple(row)[1:] for row in moved(aside, lost=True)])


def _losers(family_keys: set[bytes], events: Rows) -> set[bytes]:
    families: dict[bytes, list[StoredEvent]] = {}
    for event in events.values():
        if event.family is not None and event.family in family_keys:
            families.setdefault(event.family, []).append(event)
    return {key for members in families.values() if len(members) > 1 for key in _set_aside(members)}


def _set_aside(members: list[StoredEvent]) -> set[bytes]:
    best = merge.best_of_family(members)
    if best is None:
        return {event.key for event in members if event.rank > 0}
    return {event.key for event in members if event is not best}
