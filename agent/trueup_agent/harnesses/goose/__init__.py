"""Goose: CLI, desktop app and server (formats/goose.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses.base import ROWS, WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children, is_sqlite
from trueup_agent.harnesses.homes import app_data, application_support, xdg_data
from trueup_agent.harnesses.lines import UNREADABLE

DATABASE, LEGACY = "sessions.db", ".jsonl"
_decode = msgspec.json.Decoder().decode


class Goose(Harness):
    """One database for all sessions; before it, a file each, which stay where they were when they are imported."""

    id = "goose"
    about = About(
        name="Goose",
        sources="SQLite; JSONL per session before",
        counters={
            "input_tokens": "exact; derived or undivided where there is no ledger of requests",
            "cache_read_tokens": "exact, where the provider reports it",
            "cache_write_tokens": "exact, where the provider reports it",
            "output_tokens": "exact; derived like input",
            "context_tokens": "exact, with a ledger of requests",
        },
        undercounts=("from where a session was imported: its usage counts again under the new id",),
        verified=False,
        variables=("GOOSE_PATH_ROOT", "XDG_DATA_HOME", "APPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if root := environ.get("GOOSE_PATH_ROOT"):
            return [Path(root).expanduser() / "data" / "sessions"]
        if platform == "win32":
            return [app_data(home, environ) / "Block" / "goose" / "data" / "sessions"]
        found = [xdg_data(home, environ) / "goose" / "sessions", xdg_data(home, environ) / "Block/goose/sessions"]
        return [*found, application_support(home) / "goose" / "sessions"] if platform == "darwin" else found

    def folders_of_root(self, root: Path) -> list[Path]:
        places = (root / "data" / "sessions", root / "sessions", root)
        return super().folders_of_root(root) or [place for place in places if (place / DATABASE).is_file()][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for path in children(folder, errors.append):
            if path.name == DATABASE or path.suffix == LEGACY:
                yield self._source(path)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            fits = path.name == DATABASE or b"accumulated_total_tokens" in head
        else:
            fits = path.suffix == LEGACY and _is_header(head.split(b"\n", 1)[0])
        return self._source(path) if fits else None

    def _source(self, path: Path) -> SourceFile:
        return self.source_at(path, WHOLE if path.suffix == LEGACY else ROWS)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        if source.kind == WHOLE:
            from trueup_agent.harnesses.goose.legacy import LegacyParser

            return LegacyParser(source.path, files)
        from trueup_agent.harnesses.goose.parser import GooseParser

        return GooseParser(source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.goose.usage import of_raw

        return of_raw(raw)


HARNESS = Goose()


def _is_header(line: bytes) -> bool:
    """The first line of a session's file: no other harness has a `working_dir` without a `type` there."""
    try:
        header = _decode(line)
    except UNREADABLE:
        return False
    return isinstance(header, dict) and "working_dir" in header and "type" not in header
