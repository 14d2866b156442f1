"""Amp, CLI and editor plugins: one JSON document per thread (formats/amp.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children

_THREAD = re.compile(r"T-[0-9A-Za-z-]+\.json$")
_THREAD_ID = re.compile(rb'"id"\s*:\s*"T-')


class Amp(Harness):
    """Threads live on the server; the local file is a cache, rewritten on every change, and may be partial."""

    id = "amp"
    about = About(
        name="Amp",
        sources="JSON, rewritten; a file per thread",
        counters={
            "input_tokens": "exact; undivided where a thread of 2025 has only its ledger",
            "cache_read_tokens": "exact; unknown where a thread of 2025 has only its ledger",
            "cache_write_tokens": "exact; unknown where a thread of 2025 has only its ledger",
            "output_tokens": "exact",
            "context_tokens": "exact",
        },
        undercounts=(
            "requests of subagents, oracle and librarian, and for titles",
            "threads that are on the server alone",
        ),
        verified=False,
        variables=("XDG_DATA_HOME",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        named = environ.get("XDG_DATA_HOME") if platform != "win32" else None
        return [(Path(named) if named else home / ".local" / "share") / "amp" / "threads"]

    def folders_of_root(self, root: Path) -> list[Path]:
        usual = super().folders_of_root(root)
        nearer = [folder for folder in (root / "amp" / "threads", root / "threads", root) if _holds_threads(folder)]
        return usual or nearer[:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for path in children(folder, errors.append):
            if _THREAD.match(path.name):
                yield self.source_at(path, WHOLE)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        is_document = path.suffix == ".json" and head.lstrip()[:1] == b"{"
        is_thread = _THREAD.match(path.name) is not None or (_THREAD_ID.search(head) and b'"messages"' in head)
        return self.source_at(path, WHOLE) if is_document and is_thread else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.amp.parser import AmpParser

        return AmpParser(source, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.amp import usage

        return usage.of_raw(raw)


HARNESS = Amp()


def _holds_threads(folder: Path) -> bool:
    return any(_THREAD.match(path.name) for path in children(folder))
