"""Factory Droid: a conversation per file, its usage as a running total in the settings beside it (formats/droid.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses.base import (
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
from trueup_agent.harnesses.folders import walk

SETTINGS_END = ".settings.json"
LOG_END = ".jsonl"
_HEAD_RECORDS = 5
_decode = msgspec.json.Decoder().decode


class Droid(Harness):
    """Sessions lie in folders per working directory, in the first releases beside each other."""

    id = "droid"
    about = About(
        name="Factory Droid",
        sources="JSONL, appended, with JSON beside it, rewritten",
        counters={
            "input_tokens": "derived from a session's running total",
            "cache_read_tokens": "derived like input",
            "cache_write_tokens": "derived like input",
            "output_tokens": "derived like input; thinking is added to it",
            "reasoning_tokens": "derived like input",
        },
        undercounts=(
            "what was used before a running total began anew, where nobody looked in between",
            "which of several models used how much between two looks: the last is named",
        ),
        verified=False,
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        return [home / ".factory" / "sessions"]

    def folders_of_root(self, root: Path) -> list[Path]:
        usual = super().folders_of_root(root)
        if usual:
            return usual
        if root.name == ".factory" and (root / "sessions").is_dir():
            return [root / "sessions"]
        return [root] if root.name == "sessions" and root.parent.name == ".factory" else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for directory, _, names in walk(folder, errors.append):
            for name in names:
                if name.endswith(LOG_END):
                    yield self._log(directory / name)
                elif name.endswith(SETTINGS_END) and name.removesuffix(SETTINGS_END) + LOG_END not in names:
                    yield self._settings(directory / name)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.name.endswith(SETTINGS_END):
            fits = b'"tokenUsage"' in head or b'"assistantActiveTimeMs"' in head
            has_log = path.with_name(path.name.removesuffix(SETTINGS_END) + LOG_END).exists()
            return self._settings(path) if fits and not has_log else None
        if path.suffix != LOG_END:
            return None
        lines = [line for line in head.split(b"\n")[:_HEAD_RECORDS] if line.strip()]
        return self._log(path) if any(map(_fits, lines)) else None

    def _log(self, path: Path) -> SourceFile:
        settings = path.with_name(path.name.removesuffix(LOG_END) + SETTINGS_END)
        return self.source_at(path, companions=(settings,))

    def _settings(self, path: Path) -> SourceFile:
        """Settings without a conversation."""
        return self.source_at(path, WHOLE)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        from trueup_agent.harnesses.droid.parser import DroidParser, SettingsParser

        if source.kind == WHOLE:
            return SettingsParser(source, files)
        return DroidParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.droid import totals

        return totals.of_raw(raw)


HARNESS = Droid()


def _fits(line: bytes) -> bool:
    try:
        record = _decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return line.startswith(b'{"type":"session_start"')  # longer than the head
    return isinstance(record, dict) and record.get("type") == "session_start" and isinstance(record.get("id"), str)
