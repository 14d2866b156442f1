"""Kimi CLI, its successor Kimi Code, and Kimi Work, which embeds the latter (formats/kimi.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk
from trueup_agent.harnesses.homes import expanded
from trueup_agent.harnesses.lines import UNREADABLE

_WIRE = "wire.jsonl"
_WORK = "Library/Application Support/kimi-desktop/daimon-share/daimon/runtime/kimi-code/home"
_HEAD_RECORDS = 8
_CODE_TYPES = {
    *("config.update", "turn.prompt", "llm.request", "usage.record", "context.append_message", "profile.bind"),
    *("context.append_loop_event", "tools.set_active_tools"),
}
_decode = msgspec.json.Decoder().decode


class Kimi(Harness):
    """One wire.jsonl per session and per subagent; the folders above it name both."""

    id = "kimi"
    about = About(
        name="Kimi CLI, Kimi Code",
        sources="JSONL, appended; a file per session and per subagent",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact, where it is not 0: most providers report none",
            "output_tokens": "exact",
            "undivided_tokens": "exact, where only a total is logged",
            "context_tokens": "exact",
        },
        undercounts=(
            "usage of compactions and of questions aside, by Kimi CLI",
            "models, by Kimi CLI",
            "usage of requests that were retried",
        ),
        verified=True,
        variables=("KIMI_SHARE_DIR", "KIMI_CODE_HOME"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        homes = [
            expanded(environ.get("KIMI_SHARE_DIR"), home) or home / ".kimi",
            expanded(environ.get("KIMI_CODE_HOME"), home) or home / ".kimi-code",
        ]
        if platform == "darwin":
            homes.append(home / _WORK)
        return [folder / "sessions" for folder in homes]

    def folders_of_root(self, root: Path) -> list[Path]:
        names = (".kimi/sessions", ".kimi-code/sessions", f"{_WORK}/sessions")
        found = [root / name for name in names if (root / name).is_dir()]
        if not found and (root / "sessions").is_dir():
            found = [root / "sessions"]
        return found or ([root] if root.name == "sessions" else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for directory, _, names in walk(folder, errors.append):
            if _WIRE in names:
                yield self._source(directory / _WIRE)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        lines = [line for line in head.split(b"\n")[:_HEAD_RECORDS] if line.strip()]
        if path.suffix != ".jsonl" or not any(_fits(line) for line in lines):
            return None
        return self._source(path)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        from trueup_agent.harnesses.kimi.parser import KimiParser

        return KimiParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.kimi.usage import of_raw

        return of_raw(raw)

    def _source(self, path: Path) -> SourceFile:
        from trueup_agent.harnesses.kimi.place import place_of

        place = place_of(path)
        companions = tuple(file for file in (place.state_file, place.registry) if file is not None)
        return self.source_at(path, companions=companions)


HARNESS = Kimi()


def _fits(line: bytes) -> bool:
    """A record of either format that no other harness writes; the line of metadata before it says too little."""
    try:
        record = _decode(line)
    except UNREADABLE:
        return False
    if not isinstance(record, dict):
        return False
    message = record.get("message")
    if isinstance(message, dict) and isinstance(record.get("timestamp"), float | int):
        return isinstance(message.get("type"), str) and isinstance(message.get("payload"), dict)
    return str(record.get("type")) in _CODE_TYPES
