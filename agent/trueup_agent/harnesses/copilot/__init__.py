"""GitHub Copilot CLI, and the desktop app that runs it (formats/copilot.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses.base import (
    ROWS,
    WHOLE,
    About,
    Facts,
    Files,
    Harness,
    LineParser,
    SourceFile,
    Usage,
    WholeParser,
)
from trueup_agent.harnesses.folders import children, is_sqlite, walk

STORE = "session-store.db"
LOG = "events.jsonl"
WORKSPACE = "workspace.yaml"
_LOGS, _HISTORY, _EXPORTS = "session-state", "history-session-state", "otel"
_HEAD_RECORDS = 5
_decode = msgspec.json.Decoder().decode


class Copilot(Harness):
    """A log per session, and a database with a row per request: ledger/rules.py, LEGS, says which of them counts."""

    id = "copilot"
    about = About(
        name="GitHub Copilot CLI",
        sources="JSONL, appended; SQLite",
        counters={
            "input_tokens": "exact; derived from totals of a run where a request has no row",
            "cache_read_tokens": "exact; derived like input",
            "cache_write_tokens": "exact; derived like input",
            "output_tokens": "exact; derived like input; lower bound of a run that crashed",
            "reasoning_tokens": "exact; derived like input",
            "context_tokens": "exact, with a row in the database",
        },
        undercounts=("all but the output of answers, of a run that crashed and has no rows in the database",),
        verified=True,
        variables=("COPILOT_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "COPILOT_OTEL_FILE_EXPORTER_PATH"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        """Builds before 1.0.5 kept what they wrote below the XDG folders; a later one moves only what it finds."""
        if named := environ.get("COPILOT_HOME"):
            found = [Path(named).expanduser()]
        else:
            found = [home / ".copilot"]
            found += [Path(environ[name]) / ".copilot" for name in self.about.variables[1:3] if environ.get(name)]
        export = Path(environ.get("COPILOT_OTEL_FILE_EXPORTER_PATH") or ".").expanduser()
        return list(dict.fromkeys([*found, export] if export.is_absolute() else found))

    def folders_of_root(self, root: Path) -> list[Path]:
        if (root / ".copilot").is_dir():
            return [root / ".copilot"]
        is_home = (root / STORE).is_file() or any((root / name).is_dir() for name in (_LOGS, _HISTORY))
        return [root] if is_home or root.name in (_LOGS, _HISTORY) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        parent = folder.parent if folder.name in (_LOGS, _HISTORY) else folder
        if folder.name != _HISTORY:
            yield from self._logs(parent / _LOGS, errors)
        if folder.name != _LOGS:
            for path in _files(parent / _HISTORY, ".json", errors):
                yield self.source_at(path, WHOLE)
        if folder == parent:
            yield from self._beside_logs(folder, errors)

    def _logs(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if folder.is_dir():
            for directory, below, names in walk(folder, errors.append):
                if directory != folder:
                    below.clear()  # checkpoints, snapshots and files of the session
                    names = [name for name in names if name == LOG]
                yield from (self._log(directory / name) for name in names if name.endswith(".jsonl"))

    def _log(self, path: Path) -> SourceFile:
        beside = (path.with_name(WORKSPACE),) if path.name == LOG else ()
        return self.source_at(path, companions=beside)

    def _beside_logs(self, home: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if (home / STORE).is_file():
            yield self.source_at(home / STORE, ROWS)
        for path in _files(home / _EXPORTS, ".jsonl", errors):
            yield self.source_at(path)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            fits = path.name == STORE or b"assistant_usage_events" in head
            return self.source_at(path, ROWS) if fits else None
        if path.suffix == ".json":
            fits = b'"sessionId"' in head and (b'"chatMessages"' in head or b'"timeline"' in head)
            return self.source_at(path, WHOLE) if fits else None
        lines = [line for line in head.split(b"\n")[:_HEAD_RECORDS] if line.strip()]
        fits = path.suffix == ".jsonl" and path.parent.name != "transcripts" and any(map(_fits, lines))
        return self._log(path) if fits else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        if source.kind == ROWS:
            from trueup_agent.harnesses.copilot.store import StoreParser

            return StoreParser(source.path, state, files)
        if source.kind == WHOLE:
            from trueup_agent.harnesses.copilot.history import HistoryParser

            return HistoryParser(source.path, files)
        from trueup_agent.harnesses.copilot.parser import LogParser

        return LogParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.copilot.usage import of_raw

        return of_raw(raw)


HARNESS = Copilot()


def _files(folder: Path, suffix: str, errors: list[OSError]) -> list[Path]:
    return [path for path in children(folder, errors.append) if path.suffix == suffix]


def _fits(line: bytes) -> bool:
    """One whole record: of the log, or of a file that Copilot exported OpenTelemetry to."""
    try:
        record = _decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        # The first record can be longer than the head that is looked at.
        return line.startswith(b'{"type":"session.start","data":{"sessionId":')
    if not isinstance(record, dict):
        return False
    kind = record.get("type")
    if isinstance(kind, str) and isinstance(record.get("data"), dict):
        return "." in kind and isinstance(record.get("id"), str) and "parentId" in record
    return b"gen_ai." in line and (b"github.copilot" in line or b"github-copilot" in line)
