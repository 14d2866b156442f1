"""Antigravity: Google's agent IDE and its CLI `agy` (formats/antigravity.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import (
    LINES,
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
from trueup_agent.harnesses.folders import children, is_dir, is_file, is_sqlite

HOMES = ("antigravity", "antigravity-cli", "antigravity-ide")
CONVERSATIONS = ("conversations", "implicit")
STORE, SIDECAR = ".db", ".trajectory.json"
_BRAIN = "brain"
_TRANSCRIPT = Path(".system_generated", "logs", "transcript.jsonl")
_STEP = re.compile(rb'^\{\s*"step_index"\s*:\s*\d+\s*,\s*"source"\s*:')


class Antigravity(Harness):
    """A conversation is one database; what its brain folder says of it is read beside it."""

    id = "antigravity"
    about = About(
        name="Antigravity",
        sources="SQLite with protobuf, a database per conversation; JSON sidecars; JSONL, appended, without usage",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "output_tokens": "exact",
            "reasoning_tokens": "exact, in sidecars (in databases it is not known which of two fields it is)",
            "context_tokens": "exact",
        },
        undercounts=(
            "conversations of older CLIs, which are encrypted (.pb)",
            "attempts that were retried, except in sidecars",
        ),
        verified=False,
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        return [home / ".gemini" / name for name in HOMES]

    def folders_of_root(self, root: Path) -> list[Path]:
        if found := [folder for base in (root, root / ".gemini") for name in HOMES if _is_ours(folder := base / name)]:
            return found
        if root.name in CONVERSATIONS and _is_ours(root.parent):
            return [root.parent]
        return [root] if _is_ours(root) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """Where there is a database, what is said elsewhere of its conversation is said twice."""
        entries = [path for name in CONVERSATIONS for path in children(folder / name, errors.append)]
        stores = [path for path in entries if path.suffix == STORE]
        in_database = {path.stem for path in stores}
        yield from map(self._store, stores)
        for path in entries:
            if path.name.endswith(SIDECAR) and path.name.removesuffix(SIDECAR) not in in_database:
                yield self.source_at(path, WHOLE)
        for brain in children(folder / _BRAIN, errors.append):
            path = brain / _TRANSCRIPT
            if brain.name not in in_database and is_file(path, errors.append):
                yield self.source_at(path, LINES)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            return self._store(path) if path.suffix == STORE and b"gen_metadata" in head else None
        if path.suffix == ".json" and b'"generatorMetadata"' in head:
            return self.source_at(path, WHOLE)
        if path.suffix == ".jsonl" and _STEP.match(head):
            return self.source_at(path, LINES)
        return None

    def _store(self, path: Path) -> SourceFile:
        transcript = path.parent.parent / _BRAIN / path.stem / _TRANSCRIPT
        return self.source_at(path, ROWS, (transcript,))

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        from trueup_agent.harnesses.antigravity.parser import Sidecar, Store, Transcript

        if source.kind == LINES:
            return Transcript(source, state)
        return Sidecar(source, files) if source.kind == WHOLE else Store(source, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.antigravity.usage import of_raw

        return of_raw(raw)


HARNESS = Antigravity()


def conversation_of(path: Path) -> str:
    """The id is the file's name; of a transcript it is the folder's in the brain."""
    if path.name == _TRANSCRIPT.name and len(path.parts) > 3:
        return path.parents[2].name
    return path.name.removesuffix(SIDECAR).removesuffix(STORE).removesuffix(".jsonl").removesuffix(".json")


def _is_ours(folder: Path) -> bool:
    return any(is_dir(folder / name) for name in (*CONVERSATIONS, _BRAIN))
