"""What is left of an older data version once every source that can be read was read by the newer parser (design 4).

Rows that their source gave again are new already. Of the others, those whose log was read again as it had been are
mistakes of the older parser and are withdrawn; those that no log shows any more are derived from their raw usage; what
neither tells stays as it is and is flagged. It goes in chunks, each a transaction of its own: whoever is interrupted
begins again, and finds less to do.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import LINES, Facts, Harness, Usage
from trueup_agent.ledger.families import Rows, settle
from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.ledger.rules import as_read
from trueup_agent.ledger.sources import GONE, PRESENT, SourceInfo
from trueup_agent.ledger.tables import EVENTS, SET_ASIDE, S, Table
from trueup_agent.records import SERIES

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer

CHUNK_ROWS = 5_000

_USAGE = Usage.__struct_fields__


class Plan(Struct, frozen=True):
    """What the sources of a harness say of the rows that they gave to older parsers."""

    version: int
    reread: frozenset[bytes]  # read again whole, and they still began as they had when they were read before
    intact: frozenset[bytes]  # of those, logs of which no line was ever lost
    waiting: frozenset[bytes]  # there, but they cannot be read

    @classmethod
    def of(cls, version: int, sources: Iterable[SourceInfo]) -> "Plan":
        known = list(sources)
        reread = {source.source_key for source in known if source.reread}
        intact = {s.source_key for s in known if s.reread and s.kind == LINES and s.state == PRESENT}
        waiting = {s.source_key for s in known if s.data_version != version and s.state != GONE and s.error}
        return cls(version, frozenset(reread), frozenset(intact), frozenset(waiting))


async def rederive(
    writer: "Writer", table: Table[S], name: str, harness: Harness, plan: Plan, after: int, last: int
) -> int | None:
    """One chunk of the rows of a table in (after, last]: the seq of the last one, or None when there is no more."""
    stored = await writer.older(table, name, harness.id, plan.version, after, last, CHUNK_ROWS)
    if not stored:
        return None
    after = max(row.seq for row in stored.values())
    events: Rows = dict(stored)  # type: ignore[arg-type]
    if table.kind is StoredEvent:
        await _events(writer, harness, plan, events, name)
        return after
    withdrawn = [row for row in stored.values() if row.source_key in plan.intact]
    flagged = [msgspec.structs.replace(row, old_data=1) for row in stored.values() if row.source_key not in plan.intact]
    await writer.remove(table, withdrawn)
    await writer.put(table, flagged, stored)
    return after


async def _events(writer: "Writer", harness: Harness, plan: Plan, chunk: Rows, name: str) -> None:
    """Whole families at once: half of one would be decided by numbers of two kinds."""
    families = {row.family for row in chunk.values() if row.family is not None}
    counted = await writer.fetch(EVENTS, EVENTS.name, families, by="family")
    aside = await writer.fetch(EVENTS, SET_ASIDE, families, by="family")
    counted, aside = (counted | chunk, aside) if name == EVENTS.name else (counted, aside | chunk)
    withdrawn: set[bytes] = set()
    changed: Rows = {}
    for key, row in (aside | counted).items():
        if row.data_version >= plan.version:
            continue
        if row.source_key in plan.reread and not row.gone and row.rule != SERIES:
            withdrawn.add(key)
        else:
            new = None if row.source_key in plan.waiting else _from_raw_usage(as_read(row), plan.version, harness)
            changed[key] = EVENTS.finish(new or msgspec.structs.replace(as_read(row), old_data=1), writer.policy)
    await _take_out(writer, withdrawn, changed, counted, aside)


async def _take_out(writer: "Writer", withdrawn: set[bytes], changed: Rows, counted: Rows, aside: Rows) -> None:
    """`withdrawn` are among `counted` and `aside`, which have all of their families."""
    left = {row.family for key in withdrawn if (row := counted.get(key) or aside[key]).family is not None}
    await writer.remove(EVENTS, [counted.pop(key) for key in withdrawn if key in counted])
    await writer.execute(f"DELETE FROM {SET_ASIDE} WHERE key = ?", [(k,) for k in withdrawn if aside.pop(k, None)])
    await settle(writer, changed, counted, aside, left)


async def withdraw(writer: "Writer", table: Table[S], keys: set[bytes]) -> None:
    """Take out rows that a parser of today does not emit again."""
    if table.kind is not StoredEvent:
        await writer.remove(table, list((await writer.fetch(table, table.name, keys)).values()))
        return
    counted = await writer.fetch(EVENTS, EVENTS.name, keys)
    aside = await writer.fetch(EVENTS, SET_ASIDE, keys)
    families = {row.family for row in (counted | aside).values() if row.family is not None}
    counted |= await writer.fetch(EVENTS, EVENTS.name, families, by="family")
    aside |= await writer.fetch(EVENTS, SET_ASIDE, families, by="family")
    await _take_out(writer, keys & (counted.keys() | aside.keys()), {}, counted, aside)


def fuller(old: StoredEvent, new: StoredEvent) -> StoredEvent:
    """`old` as the newer parser would say it, where it was read from another snapshot.

    `new` may be the lesser part of a request: all that logs still show.
    """
    if new.data_version <= old.data_version or new.raw_usage == old.raw_usage or old.harness not in HARNESSES:
        return old
    return _from_raw_usage(old, new.data_version, HARNESSES[old.harness]) or old


def _from_raw_usage(row: StoredEvent, version: int, harness: Harness) -> StoredEvent | None:
    """By the mapping that today's parser uses too."""
    if row.raw_usage is None:
        return None
    was = Usage(**{name: getattr(row, name) for name in _USAGE})
    facts = Facts(provider=row.provider, model=row.model, identity=row.identity, usage=was)
    usage = harness.usage(row.raw_usage, facts)
    if usage is None:
        return None
    counters = {name: getattr(usage, name) for name in _USAGE}
    return msgspec.structs.replace(row, **counters, data_version=version, old_data=0)


async def finish(writer: "Writer", harness: str, version: int) -> None:
    await writer.execute("UPDATE harnesses SET version = ?2, floor = ?2 WHERE harness = ?1", [(harness, version)])
    await writer.execute("UPDATE sources SET reread = 0 WHERE harness = ? AND reread", [(harness,)])
