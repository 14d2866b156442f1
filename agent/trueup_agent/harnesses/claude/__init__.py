"""Claude Code: terminal agent, IDE extensions, Agent SDK and the desktop app's agent mode (formats/claude.md).

One JSONL file per session and per subagent, below a `projects` folder. What a file is, its path tells.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk
from trueup_agent.harnesses.homes import expanded

if TYPE_CHECKING:
    from trueup_agent.harnesses.claude.records import Record

_DESKTOP = "local-agent-mode-sessions"
_DESKTOP_DEPTH = 8  # how far below it `projects` folders are looked for
_NOT_TRANSCRIPTS = {"journal.jsonl", "history.jsonl"}
_NOT_ENTERED = {"tool-results"}
_HEAD_RECORDS = 20
_TALK = {"user", "assistant", "system", "progress", "attachment"}
# A first record longer than the head: its outer fields usually come before the message.
_CUT_RECORD = rb'(?s)^\{.{0,2000}?"sessionId"\s*:\s*"[^"]+".{0,2000}?"(?:type"\s*:\s*"(?:user|assistant)|message)"'
# Qwen Code and iFlow descend from the same shape: these say so for the whole file, whatever its other lines look like.
_OF_A_FORK = (
    rb'"message"\s*:\s*\{\s*(?:"role"\s*:\s*"\w+"\s*,\s*)?"parts"\s*:|"subtype"\s*:\s*"ui_telemetry"'
    rb'|"usageMetadata"\s*:|"sessionId"\s*:\s*"session-[0-9a-f]{8}-'
)


class Claude(Harness):
    id = "claude"
    about = About(
        name="Claude Code",
        sources="JSONL, appended; a file per session and per subagent",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact",
            "cache_write_1h_tokens": "exact, where the split by lifetime is logged",
            "output_tokens": "exact; lower bound where no line of the request has a stop reason",
            "context_tokens": "exact",
        },
        undercounts=("requests for titles and summaries",),
        verified=True,
        variables=("CLAUDE_CONFIG_DIR", "CLAUDE_CONFIG_DIRS"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        config = _path(environ.get("XDG_CONFIG_HOME"), home) or home / ".config"
        separator = ";" if platform == "win32" else ":"
        named = environ.get("CLAUDE_CONFIG_DIR", "").split(",") + environ.get("CLAUDE_CONFIG_DIRS", "").split(separator)
        homes = [path for name in named if (path := _path(name, home))]
        homes += [home / ".claude", config / "claude"]
        folders = [path if path.name == "projects" else path / "projects" for path in homes]
        folders += _desktop_folders(home, config, environ, platform)
        return list(dict.fromkeys(folders))

    def folders_of_root(self, root: Path) -> list[Path]:
        of_home = [root / ".claude/projects", root / ".config/claude/projects", root / ".config/Claude" / _DESKTOP]
        of_home.append(root / "Library/Application Support/Claude" / _DESKTOP)
        found = [folder for folder in of_home if folder.is_dir()]
        if found:
            return found
        if (root / "projects").is_dir():
            return [root / "projects"]
        return [root] if root.name in ("projects", _DESKTOP) or _holds_projects(root) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        roots = _projects_below(folder, errors) if folder.name == _DESKTOP else [folder]
        for root in roots:
            for path in _transcripts(root, errors):
                yield self.source_at(path)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.suffix != ".jsonl" or path.name in _NOT_TRANSCRIPTS or not _NOT_ENTERED.isdisjoint(path.parts):
            return None
        if re.search(_OF_A_FORK, head):
            return None
        lines = head.split(b"\n")
        if (len(lines) == 1 and re.match(_CUT_RECORD, head)) or any(_fits(line) for line in lines[:_HEAD_RECORDS]):
            return self.source_at(path)
        return None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        from trueup_agent.harnesses.claude.parser import ClaudeParser
        from trueup_agent.harnesses.claude.session import origin_of

        return ClaudeParser(origin_of(source.path), state)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.claude.usage import of_raw

        return of_raw(raw, facts)


HARNESS = Claude()


def _path(value: str | None, home: Path) -> Path | None:
    return expanded((value or "").strip(), home)


def _desktop_folders(home: Path, config: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
    if platform == "darwin":
        return [home / "Library/Application Support/Claude" / _DESKTOP]
    if platform != "win32":
        return [config / "Claude" / _DESKTOP]
    roaming = Path(environ.get("APPDATA") or home / "AppData/Roaming")
    packages = Path(environ.get("LOCALAPPDATA") or home / "AppData/Local") / "Packages"
    installed = sorted({*packages.glob("Claude_*"), *packages.glob("*.Claude_*")})
    return [roaming / "Claude" / _DESKTOP] + [p / "LocalCache/Roaming/Claude" / _DESKTOP for p in installed]


def _holds_projects(root: Path) -> bool:
    """Is it a data folder under another name: are there sessions one level below?"""
    from trueup_agent.harnesses.claude.session import AGENT_FILE, SESSION_ID

    return any(
        SESSION_ID.fullmatch(path.stem) or AGENT_FILE.fullmatch(path.stem)
        for child in sorted(root.iterdir())
        if child.is_dir()
        for path in child.glob("*.jsonl")
    )


def _transcripts(projects: Path, errors: list[OSError]) -> Iterator[Path]:
    for directory, below, names in walk(projects, errors.append):
        below[:] = [name for name in below if name not in _NOT_ENTERED]
        for name in names:
            if name.endswith(".jsonl") and name not in _NOT_TRANSCRIPTS:
                yield directory / name


def _projects_below(desktop: Path, errors: list[OSError]) -> list[Path]:
    found: list[Path] = []
    for directory, below, _ in walk(desktop, errors.append):
        if "projects" in below:
            found.append(directory / "projects")
            below.remove("projects")
        if len(directory.parts) - len(desktop.parts) >= _DESKTOP_DEPTH - 1:
            below.clear()
    return found


def _fits(line: bytes) -> bool:
    from trueup_agent.harnesses.claude.records import UNREADABLE, decode_record, salvage

    try:
        records = [decode_record(line)]
    except UNREADABLE:
        records = [record for record, _ in salvage(line)[0]]
    return any(_is_ours(record) for record in records)


def _is_ours(record: "Record") -> bool:
    from trueup_agent.harnesses.claude.records import is_given

    if record.message is not None and is_given(record.message.usage) and record.type in ("assistant", None):
        return True
    return (
        record.type in _TALK
        and record.session_id is not None
        and (record.uuid is not None or record.message is not None)
    )
