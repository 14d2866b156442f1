"""What logs that were read again from their beginning no longer give, though they lost nothing: mistakes of ours.

A newer parser of the same data version emits something else, or a row is in the ledger that never should have been. As
after a change of the data version (rederive.py) it is withdrawn, but only at the end of a pass over everything, because
a row is good as long as any log gives it.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from trueup_agent.harnesses.base import LINES
from trueup_agent.ledger.compare import split
from trueup_agent.ledger.reader import LedgerReader
from trueup_agent.ledger.rederive import CHUNK_ROWS
from trueup_agent.ledger.sources import PRESENT, SourceInfo
from trueup_agent.ledger.tables import EVENTS, MESSAGES, SESSIONS, SET_ASIDE
from trueup_agent.ledger.updates import SourceUpdate
from trueup_agent.records import SERIES

# Messages and sessions are not marked when their log loses them: only of a log that never did can they be missed.
_MISSING = " UNION ALL ".join(
    f"SELECT {number}, key FROM {name} JOIN temp.reread USING (source_key) WHERE {condition}"
    f" AND NOT EXISTS (SELECT 1 FROM temp.given WHERE given.key = {name}.key)"
    for number, name, condition in (
        (SESSIONS.number, SESSIONS.name, "reread.intact"),
        (MESSAGES.number, MESSAGES.name, "reread.intact"),
        (EVENTS.number, EVENTS.name, f"gone = 0 AND rule IS NOT '{SERIES}'"),
        (EVENTS.number, SET_ASIDE, f"gone = 0 AND rule IS NOT '{SERIES}'"),
    )
)


class Given(Struct):
    """What a pass gave: the keys of all rows, in a row, and the sources that were read whole and had lost nothing."""

    keys: bytearray
    whole: dict[bytes, tuple[SourceInfo, bytes]]  # source key -> source, keys of its events

    @classmethod
    def nothing(cls) -> "Given":
        return cls(bytearray(), {})

    def add(self, update: SourceUpdate) -> None:
        """What a whole source no longer shows is withdrawn and not gone: that is told at the end of the pass."""
        for rows in (update.sessions, update.messages, update.events):
            for row in rows:
                self.keys += row.key
        if update.whole and update.seen is not None:
            self.whole[update.source.source_key] = (replace(update.source, parser_state=None), update.seen)
            update.seen = None


def missing(data_dir: Path, given: Given, harnesses: set[str]) -> Iterator[tuple[int, set[bytes]]]:
    """(table number, keys) of rows that their log gave once and that no log gave in this pass, in chunks."""
    sources = [source for source, _ in given.whole.values() if source.harness in harnesses]
    with LedgerReader(data_dir) as reader:
        reader.query("CREATE TEMP TABLE given (key BLOB PRIMARY KEY) WITHOUT ROWID")
        reader.insert("INSERT OR IGNORE INTO temp.given VALUES (?)", ((key,) for key in split(given.keys)))
        lossy = {key for (key,) in reader.query("SELECT DISTINCT source_key FROM events WHERE gone = 1")}
        reader.query("CREATE TEMP TABLE reread (source_key BLOB PRIMARY KEY, intact INTEGER) WITHOUT ROWID")
        reader.insert("INSERT INTO temp.reread VALUES (?, ?)", ((s.source_key, _is_intact(s, lossy)) for s in sources))
        found = reader.query(_MISSING)
    for number, rows in groupby(found, lambda row: row[0]):
        keys = [row[1] for row in rows]
        for start in range(0, len(keys), CHUNK_ROWS):
            yield number, set(keys[start : start + CHUNK_ROWS])


def _is_intact(source: SourceInfo, lossy: set[bytes]) -> bool:
    """A log of which no line was ever lost, with nothing beside it that may have been."""
    alone = source.kind == LINES and not source.companions
    return alone and source.state == PRESENT and source.source_key not in lossy
