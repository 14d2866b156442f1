"""What parsers hand to the ledger. Apart from sources.py, which whoever only reads needs: rows are priced."""

from msgspec import Struct

from trueup_agent.ledger.rows import StoredEvent, StoredMessage, StoredSession
from trueup_agent.ledger.sources import SourceInfo


class SourceUpdate(Struct, kw_only=True, gc=False):
    """Rows parsed from a source, and where it stands after them: both are committed in one transaction."""

    source: SourceInfo
    sessions: list[StoredSession] = []
    messages: list[StoredMessage] = []
    events: list[StoredEvent] = []
    bytes_read: int = 0  # of the log, since the update before
    # Only at the end of a reading from beginning to end of a source that was known before: the keys of all events that
    # it gave, in a row. Events of this source that are not among them are gone from it; b"": the source vanished.
    seen: bytes | None = None
    whole: bool = False  # the end of such a reading of a source that lost nothing since it was read before

    @property
    def rows(self) -> int:
        return len(self.sessions) + len(self.messages) + len(self.events)

    @property
    def data_version(self) -> int:
        """Of its rows: while a source is read again it stands where it was."""
        rows = self.events or self.messages or self.sessions
        return max(self.source.data_version, rows[0].data_version if rows else 0)
