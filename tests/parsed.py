"""What a harness's parser says of files, joined as the ledger joins it, without a ledger: to cut, mutate and compare.

`Parse("pi").lines(PATH, [b"…"], cuts=[2])` feeds lines to new parsers after each cut; `.file(PATH)` reads one that
exists; `.root(PATH)` everything that `--root` would find there.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trueup_agent.files import DiskFiles
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, SourceFile, Usage
from trueup_agent.ledger import merge, rows
from trueup_agent.policy import Policy
from trueup_agent.records import Parsed
from trueup_shared.metrics import COUNTERS


class Parse:
    def __init__(self, harness: str) -> None:
        self.harness = HARNESSES[harness]
        self.sessions: dict[bytes, rows.StoredSession] = {}
        self.messages: dict[bytes, rows.StoredMessage] = {}
        self.events: dict[bytes, rows.StoredEvent] = {}
        self.skipped: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.unmetered = 0

    def lines(self, path: Path, lines: Iterable[bytes], cuts: Iterable[int] = (), **fields: Any) -> "Parse":
        whole, done, state = list(lines), 0, None
        source = SourceFile(harness=self.harness.id, path=path, identity=str(path), **fields)
        for cut in (*sorted(set(cuts)), len(whole)):
            parser = self.harness.parser(source, state, DiskFiles(source))
            parser.feed(b"".join(line + b"\n" for line in whole[done:cut]))  # type: ignore[union-attr]
            parser.close()  # type: ignore[union-attr]
            self._add(source, parser.take())  # type: ignore[union-attr]
            state, done = parser.state(), max(done, cut)
        return self

    def source(self, source: SourceFile) -> "Parse":
        parser = self.harness.parser(source, None, DiskFiles(source))
        if source.kind == "lines":
            parser.feed(source.path.read_bytes())  # type: ignore[union-attr]
            parser.close()  # type: ignore[union-attr]
            self._add(source, parser.take())  # type: ignore[union-attr]
        else:
            for piece in parser.read(True):  # type: ignore[union-attr]
                self._add(source, piece)
        return self

    def file(self, path: Path) -> "Parse":
        """A file found elsewhere."""
        source = self.harness.recognise(path, path.read_bytes()[: 64 << 10])
        assert source is not None, path
        return self.source(source)

    def root(self, root: Path) -> "Parse":
        for folder in self.harness.folders_of_root(root):
            for source in self.harness.sources(folder, []) if folder.is_dir() else ():
                self.source(source)
        return self

    def in_order(self) -> list[rows.StoredEvent]:
        return sorted(self.events.values(), key=lambda event: (event.at, event.key))

    def totals(self) -> dict[str, int | None]:
        """Sums per counter, as if every event counted; context: the maximum."""
        totals: dict[str, int | None] = {}
        for name in COUNTERS:
            known = [n for event in self.events.values() if (n := getattr(event, name)) is not None]
            totals[name] = (max if name == "context_tokens" else sum)(known) if known else None
        return totals

    def everything(self) -> tuple[Any, ...]:
        """To compare two readings; not where in a file something stood."""
        tables: list[dict[bytes, Any]] = [self.sessions, self.messages, self.events]
        return (*({key: row.digest for key, row in table.items()} for table in tables), self.skipped, self.unknown)

    def _add(self, source: SourceFile, parsed: Parsed) -> None:
        origin, policy = rows.Origin(source.identity.encode()[:16], self.harness.data_version), Policy()
        for name, number in parsed.skipped.items():
            self.skipped[name] = self.skipped.get(name, 0) + number
        for name, number in parsed.unknown.items():
            self.unknown[name] = self.unknown.get(name, 0) + number
        self.unmetered = parsed.unmetered + (0 if parsed.metered else self.unmetered)
        _join(self.sessions, (rows.session_row(r, origin, policy) for r in parsed.sessions), policy)
        _join(self.messages, (rows.message_row(r, origin, policy) for r in parsed.messages), policy)
        _join(self.events, (rows.event_row(r, origin, policy) for r in parsed.events), policy)
        for event in parsed.events:
            self._derive_again(event)

    def _derive_again(self, event: Any) -> None:
        """Deriving from the raw usage gives what reading gave."""
        if event.raw_usage is None:
            return
        facts = Facts(provider=event.provider, model=event.model, identity=event.identity, usage=_usage(event))
        usage = self.harness.usage(event.raw_usage, facts)
        assert usage == facts.usage, event


def _usage(event: Any) -> Usage:
    return Usage(**{name: getattr(event, name) for name in Usage.__struct_fields__})


def _join(table: dict[bytes, Any], news: Iterable[Any], policy: Policy) -> None:
    finish = {
        rows.StoredSession: rows.finish_session,
        rows.StoredMessage: rows.finish_message,
        rows.StoredEvent: rows.finish_event,
    }
    for row in news:
        known = table.get(row.key)
        table[row.key] = row if known is None else finish[type(row)](merge.join(known, row), policy)  # type: ignore[operator]
