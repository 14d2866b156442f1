"""Feeds sources to a harness's parsers without an engine, and joins what they say as the ledger does.

read = Read("gemini").root(folder)          # as `--root` finds it
read = Read("gemini").file(path, cuts={3})  # a new parser after the third line
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trueup_agent.files import DiskFiles
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import LINES, LineParser, SourceFile, WholeParser
from trueup_agent.ledger import merge
from trueup_agent.ledger.rows import (
    Origin,
    Stored,
    StoredEvent,
    StoredMessage,
    StoredSession,
    event_row,
    finish_event,
    finish_message,
    finish_session,
    message_row,
    session_row,
)
from trueup_agent.policy import Policy
from trueup_agent.records import EventRecord, MessageRecord, Parsed, SessionRecord
from trueup_shared.metrics import COUNTERS

_ROWS: dict[type, Any] = {EventRecord: event_row, MessageRecord: message_row, SessionRecord: session_row}

_FINISH: dict[type, Any] = {StoredEvent: finish_event, StoredMessage: finish_message, StoredSession: finish_session}


class Read:
    """Rows by key. `unmetered` is the drift canary's count after the last source."""

    def __init__(self, harness: str) -> None:
        self.harness = HARNESSES[harness]
        self.skipped: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.lines = self.unmetered = 0
        self._rows: dict[type[Stored], dict[bytes, Stored]] = {StoredEvent: {}, StoredMessage: {}, StoredSession: {}}
        self.records: list[EventRecord] = []

    def root(self, root: Path) -> "Read":
        errors: list[OSError] = []
        folders = self.harness.folders_of_root(root) if root.is_dir() else []
        for folder in folders:
            for source in self.harness.sources(folder, errors) if folder.is_dir() else ():
                self.source(source)
        if not folders:
            for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
                if path.is_file():
                    self.file(path, optional=True)
        assert not errors
        return self

    def file(self, path: Path, cuts: Iterable[int] = (), optional: bool = False) -> "Read":
        """A file by what it looks like."""
        with path.open("rb") as file:
            source = self.harness.recognise(path, file.read(1 << 16))
        assert optional or source is not None, path
        return self if source is None else self.source(source, cuts)

    def source(self, source: SourceFile, cuts: Iterable[int] = ()) -> "Read":
        files = DiskFiles(source)
        try:
            if source.kind == LINES:
                self._lines(source, files, cuts)
            else:
                parser = self.harness.parser(source, None, files)
                for parsed in whole(parser).read(everything=True):
                    self.add(parsed)
        finally:
            files.close()
        return self

    def _lines(self, source: SourceFile, files: DiskFiles, cuts: Iterable[int]) -> None:
        data = source.path.read_bytes()
        lines = data.splitlines(keepends=True) if data.endswith(b"\n") else data.splitlines(keepends=True)[:-1]
        state, done = None, 0
        for cut in (*sorted({cut for cut in cuts if cut < len(lines)}), len(lines)):
            parser = self.harness.parser(source, state, files)
            assert hasattr(parser, "feed")
            feed(parser, b"".join(lines[done:cut]))
            self.add(parser.take())
            state, done = parser.state(), cut

    def add(self, parsed: Parsed) -> None:
        self.lines += parsed.lines
        self.unmetered = parsed.unmetered if parsed.metered else self.unmetered + parsed.unmetered
        for table, news in ((self.skipped, parsed.skipped), (self.unknown, parsed.unknown)):
            for name, n in news.items():
                table[name] = table.get(name, 0) + n
        self.records += parsed.events
        origin = Origin(b"source", self.harness.data_version)
        for record in (*parsed.sessions, *parsed.messages, *parsed.events):
            row = _ROWS[type(record)](record, origin, Policy())
            rows = self._rows[type(row)]
            rows[row.key] = _FINISH[type(row)](merge.join(rows[row.key], row), Policy()) if row.key in rows else row

    @property
    def events(self) -> list[StoredEvent]:
        return sorted(self._rows[StoredEvent].values(), key=lambda row: (row.at, row.key))  # type: ignore[union-attr]

    @property
    def messages(self) -> list[StoredMessage]:
        return sorted(self._rows[StoredMessage].values(), key=lambda row: (row.at or 0, row.key))  # type: ignore[union-attr]

    @property
    def sessions(self) -> list[StoredSession]:
        return sorted(self._rows[StoredSession].values(), key=lambda row: row.session_id)  # type: ignore[union-attr]

    def usage(self) -> list[tuple[int | None, ...]]:
        """(input, cache read, output, reasoning, context) of each event, in order of time."""
        names = ("input", "cache_read", "output", "reasoning", "context")
        return [tuple(getattr(event, f"{name}_tokens") for name in names) for event in self.events]

    def total(self, counter: str) -> int | None:
        known = [n for event in self.events if (n := getattr(event, counter)) is not None]
        return sum(known) if known else None

    def coverage(self) -> dict[str, int]:
        """Per counter the number of events that know it."""
        return {name: sum(getattr(event, name) is not None for event in self.events) for name in COUNTERS}

    def same(self) -> tuple[list[StoredEvent], list[StoredMessage], list[StoredSession]]:
        return self.events, self.messages, self.sessions


def feed(parser: LineParser | WholeParser, lines: bytes) -> None:
    parser.feed(lines)  # type: ignore[union-attr]
    parser.close()  # type: ignore[union-attr]


def whole(parser: LineParser | WholeParser) -> WholeParser:
    assert hasattr(parser, "read")
    return parser
