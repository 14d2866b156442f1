"""Events that their source no longer shows: they stay, and are marked."""

from typing import TYPE_CHECKING

from trueup_agent.ledger.sources import SourceInfo
from trueup_agent.ledger.tables import EVENTS, SET_ASIDE
from trueup_agent.records import SERIES
from trueup_shared.keys import KEY_BYTES

if TYPE_CHECKING:
    from trueup_agent.ledger.writing import Writer


async def mark(writer: "Writer", source: SourceInfo, seen: bytes) -> None:
    """`seen`: keys, in a row, of all events that a reading of the whole source gave.

    A running total shows all that went into it: its former observations are gone with its last.
    """
    shown = {seen[start : start + KEY_BYTES] for start in range(0, len(seen), KEY_BYTES)}
    for table in (EVENTS.name, SET_ASIDE):
        rows = await writer.select(
            f"SELECT key, family, rule, gone, data_version FROM {table} WHERE source_key = ?", (source.source_key,)
        )
        going_on = {family for key, family, rule, _, _ in rows if rule == SERIES and key in shown}
        changed: list[tuple[int, bytes]] = []
        for key, family, rule, was_gone, version in rows:
            is_gone = key not in shown and not (rule == SERIES and family in going_on)
            # What a newer parser did not emit again is not gone: it is withdrawn (rederive.py).
            is_kept = is_gone and source.reread and version < source.data_version
            if is_gone != bool(was_gone) and not is_kept:
                changed.append((int(is_gone), key))
        await writer.execute(f"UPDATE {table} SET gone = ? WHERE key = ?", changed)
