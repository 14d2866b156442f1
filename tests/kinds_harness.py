"""A made-up harness with a source of each kind, for tests of what reads them: put in by the fixture `kinds`.

notes.lines     {"id": 1, "tokens": 5} a line; the model is in notes.model beside it
notes.doc       {"requests": [{"id": 1, "tokens": 5}, ...]}
notes.tree/     files of one such object each
notes.rows      a database: requests (n INTEGER PRIMARY KEY, id, tokens), read past the greatest n
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import (
    LINES,
    MALFORMED,
    ROWS,
    WHOLE,
    About,
    Files,
    Harness,
    Kind,
    SourceFile,
    Unfinished,
    skip,
)
from trueup_agent.harnesses.lines import JsonLines
from trueup_agent.records import EventRecord, Parsed
from trueup_shared import keys
from trueup_shared.harnesses import DATA_VERSIONS

NOON = 1_790_000_000_000_000
KINDS: dict[str, Kind] = {".lines": LINES, ".doc": WHOLE, ".tree": WHOLE, ".rows": ROWS}
PIECE = 3  # requests


def request(parsed: Parsed, id_: Any, tokens: Any, model: str | None = None) -> None:
    parsed.lines += 1
    if not isinstance(id_, int) or not isinstance(tokens, int):
        skip(parsed, MALFORMED)
        return
    parsed.events.append(
        EventRecord(
            key=keys.event_key("kinds", id_),
            session_key=keys.session_key("kinds", "s"),
            harness="kinds",
            at=NOON + id_,
            model=model,
            output_tokens=tokens,
            identity=f"[{id_}]",
        )
    )


class Lines(JsonLines):
    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        super().__init__()
        self._source, self._files = source, files
        self._ids: list[list[int]] = msgspec.json.decode(state or b"[]")

    def decode(self, line: memoryview) -> Any:
        return msgspec.json.decode(line)

    def record(self, record: Any, line: memoryview) -> None:
        self.parsed.lines -= 1
        self._ids.append([record["id"], record["tokens"]])
        request(self.parsed, record["id"], record["tokens"])

    def close(self) -> None:
        raw = self._files.read(self._source.companions[0])
        if raw is not None:
            if not raw.endswith(b"."):
                raise Unfinished("half-written model")
            for id_, tokens in self._ids:
                request(self.parsed, id_, tokens, raw.decode()[:-1])
                self.parsed.lines -= 1

    def state(self) -> bytes:
        return msgspec.json.encode(self._ids)


class Documents:
    def __init__(self, source: SourceFile, state: bytes | None, files: Files) -> None:
        self._source, self._files = source, files
        self._last = int(state or b"0")

    def read(self, everything: bool) -> Iterator[Parsed]:
        if self._source.kind == ROWS:
            yield from self._rows(-1 if everything else self._last)
            return
        is_tree = self._source.path.suffix == ".tree"
        parsed = Parsed()
        for path in self._files.list(self._source.path) if is_tree else [self._source.path]:
            try:
                found = msgspec.json.decode(self._files.read(path) or b"")
            except msgspec.DecodeError:
                raise Unfinished("half-written JSON") from None
            for one in [found] if is_tree else found["requests"]:
                request(parsed, one["id"], one["tokens"])
                if parsed.lines == PIECE:
                    yield parsed
                    parsed = Parsed()
        yield parsed

    def _rows(self, after: int) -> Iterator[Parsed]:
        db = self._files.database(self._source.path)
        while rows := db.rows("SELECT n, id, tokens FROM requests WHERE n > ? ORDER BY n LIMIT ?", (after, PIECE)):
            parsed = Parsed()
            for n, id_, tokens in rows:
                request(parsed, id_, tokens)
                after = self._last = n
            yield parsed

    def state(self) -> bytes:
        return str(self._last).encode()


class Kinds(Harness):
    id = "kinds"
    about = About(name="Kinds", sources="one of each", counters={"output_tokens": "exact"}, verified=True)

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        return [home / "kinds"]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for path in sorted(folder.iterdir()):
            if path.suffix in KINDS:
                companions = (path.with_suffix(".model"),) if path.suffix == ".lines" else ()
                yield SourceFile(
                    harness=self.id,
                    path=path,
                    identity=str(path),
                    kind=KINDS[path.suffix],
                    companions=companions,
                )

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        return None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> Lines | Documents:
        return (Lines if source.kind == LINES else Documents)(source, state, files)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> Kinds:
    """The harness `kinds`, for one test."""
    monkeypatch.setitem(DATA_VERSIONS, "kinds", 1)
    harness = Kinds()
    monkeypatch.setitem(HARNESSES._loaded, "kinds", harness)  # type: ignore[attr-defined]
    return harness
