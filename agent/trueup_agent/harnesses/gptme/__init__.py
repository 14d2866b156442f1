"""gptme: a folder per conversation, whose JSONL is rewritten as a whole on every change (formats/gptme.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses.base import WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children
from trueup_agent.harnesses.homes import expanded
from trueup_agent.harnesses.lines import UNREADABLE

MAIN = "conversation.jsonl"
_COPIES = ("branches", "views")
_ROLES = {"system", "user", "assistant", "tool"}
_ZONELESS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?$")
_decode = msgspec.json.Decoder().decode


class Gptme(Harness):
    id = "gptme"
    about = About(
        name="gptme",
        sources="JSONL, rewritten whole; branches and views of a conversation beside it",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact",
            "output_tokens": "exact",
            "reasoning_tokens": "exact, where the provider splits it off",
            "context_tokens": "exact; lower bound where cache counters are missing",
        },
        undercounts=(
            "requests for names and summaries of conversations",
            "usage in older releases, and of some providers in newer ones",
        ),
        verified=False,
        variables=("GPTME_LOGS_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if named := expanded(environ.get("GPTME_LOGS_HOME"), home):
            return [named]
        if data := expanded(environ.get("XDG_DATA_HOME"), home):
            return [data / "gptme/logs"]
        folders = [home / ".local/share/gptme/logs"]
        if platform == "darwin":
            folders.append(home / "Library/Application Support/gptme/logs")
        elif platform == "win32":
            local = Path(environ.get("LOCALAPPDATA") or home / "AppData/Local")
            folders += [local / "gptme/logs", local / "gptme/gptme/logs"]
        return folders

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        if not found and (root / "logs").is_dir():
            found = [root / "logs"]
        return found or ([root] if root.name == "logs" or next(root.glob(f"*/{MAIN}"), None) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for conversation in children(folder, errors.append):
            if (conversation / MAIN).is_file():
                yield self._source(conversation / MAIN)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        is_copy = path.parent.name in _COPIES and (path.parents[1] / MAIN).is_file()
        if path.suffix != ".jsonl" or is_copy or not _fits(head.lstrip().split(b"\n", 1)[0]):
            return None
        return self._source(path)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.gptme.parser import GptmeParser

        return GptmeParser(source, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.gptme.parser import of_raw

        return of_raw(raw)

    def _source(self, path: Path) -> SourceFile:
        beside = (*_COPIES, "config.toml") if path.name == MAIN else ()
        companions = tuple(path.parent / name for name in beside)
        return self.source_at(path, WHOLE, companions)


HARNESS = Gptme()


def _fits(line: bytes) -> bool:
    """Its messages have a role, their text and a local time, and neither type nor id."""
    try:
        record = _decode(line)
    except UNREADABLE:
        return False
    return (
        isinstance(record, dict)
        and str(record.get("role")) in _ROLES
        and isinstance(record.get("content"), str)
        and _ZONELESS.match(str(record.get("timestamp"))) is not None
        and not {"type", "id", "uuid", "sessionId"} & record.keys()
    )
