"""Aider: a Markdown history in each repository, and an analytics log where its user wants one (formats/aider.md).

Histories have no place of their own: the user names roots to look through. Where an analytics log lies below the same
root, both tell of the same requests; the log's exact numbers count and the printed ones are set aside (history.py).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk
from trueup_agent.harnesses.lines import UNREADABLE

HISTORY = ".aider.chat.history.md"
MAX_DEPTH = 6  # folders below a root that are looked into
SMALL_TREE = 500  # files whose beginnings may be looked at
_SKIPPED = {
    *("node_modules", "bower_components", "vendor", "third_party", "site-packages", "Pods", "Carthage", "DerivedData"),
    *("build", "dist", "out", "target", "bin", "obj", "coverage", "venv", "env", "__pycache__", "Library", "AppData"),
    *(".git", ".hg", ".svn", ".venv", ".tox", ".nox", ".eggs", ".cache", ".npm", ".cargo", ".rustup", ".gradle", ".m2"),
    *(".local", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".next", ".nuxt", ".terraform", ".idea", ".vscode"),
}
_LOG_NAME = re.compile(r"(?:.*aider.*|analytics.*)\.jsonl$", re.IGNORECASE)
_HEADER = re.compile(rb"^# aider chat started at \d{4}-\d\d-\d\d ", re.MULTILINE)
_HEAD_RECORDS = 5
_PROSE = ("", ".md")  # endings of a history's name; its variable can give it another name
_EVENTS = {
    "launched",
    "message_send",
    "message_send_starting",
    "cli session",
    "exit",
    "model warning",
    "repo",
    "no-repo",
}
_decode = msgspec.json.Decoder().decode


class Aider(Harness):
    id = "aider"
    about = About(
        name="Aider",
        sources="Markdown, appended, below roots that you name; analytics log (JSONL) where it is switched on",
        counters={
            "input_undivided_tokens": "exact, in the analytics log; lower bound in the chat history, which rounds",
            "output_tokens": "exact, in the analytics log; lower bound in the chat history, which rounds",
        },
        undercounts=(
            "how much of a prompt was cached, but for the last request of a message: not taken",
            "times of messages: they have that of the start of their session",
            "requests for commit messages and summaries",
            "tokens of answers that were interrupted",
        ),
        verified=True,
        variables=("AIDER_CHAT_HISTORY_FILE", "AIDER_ANALYTICS_LOG"),
    )
    is_watched = False  # roots are whole trees of projects

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        """Files that its variables name. A relative one means another file in each repository."""
        named = (environ.get("AIDER_CHAT_HISTORY_FILE"), environ.get("AIDER_ANALYTICS_LOG"))
        paths = [home / name[1:].lstrip("/\\") if name[0] == "~" else Path(name) for name in named if name]
        return [path for path in paths if path.is_absolute()]

    def folders_of_root(self, root: Path) -> list[Path]:
        """A tree of projects is searched by name. Only a small one without any such name is left to `recognise`."""
        look = _look(root, [])
        return [root] if look.histories or look.logs or look.files > SMALL_TREE else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        look = _look(folder, errors)
        for path in look.logs:
            yield self.source_at(path)
        for path in look.histories:
            yield self.source_at(path, companions=tuple(look.logs))

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.suffix not in _PROSE:
            return self.source_at(path) if _is_analytics(head) else None
        if not _HEADER.search(head):
            return None
        try:
            logs = sorted(one for one in path.parent.iterdir() if _LOG_NAME.match(one.name))
        except OSError:
            logs = []
        return self.source_at(path, companions=tuple(logs))

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        if source.path.suffix not in _PROSE:
            from trueup_agent.harnesses.aider.analytics import AnalyticsParser

            return AnalyticsParser(source.path, state)
        from trueup_agent.harnesses.aider.history import HistoryParser

        return HistoryParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.aider.usage import of_raw

        return of_raw(raw)


HARNESS = Aider()


class _Look(NamedTuple):
    histories: list[Path]
    logs: list[Path]
    files: int


def _look(top: Path, errors: list[OSError]) -> _Look:
    """What the names of the files below a folder say, to a depth, without what is built or depended on."""
    histories, logs, files = [], [], 0
    for directory, below, names in walk(top, errors.append):
        is_deepest = len(directory.parts) - len(top.parts) >= MAX_DEPTH
        below[:] = [] if is_deepest else [name for name in below if _is_entered(directory / name)]
        histories += [directory / name for name in names if name.endswith(HISTORY)]
        logs += [directory / name for name in names if _LOG_NAME.match(name)]
        files += len(names)
    return _Look(histories, logs, files)


def _is_entered(folder: Path) -> bool:
    return folder.name not in _SKIPPED and not folder.is_symlink()


def _is_analytics(head: bytes) -> bool:
    return any(_fits(line) for line in head.split(b"\n")[:_HEAD_RECORDS] if line.strip())


def _fits(line: bytes) -> bool:
    try:
        record = _decode(line)
    except UNREADABLE:
        return False
    if not isinstance(record, dict) or not isinstance(record.get("properties"), dict):
        return False
    known = str(record.get("event")) in _EVENTS or "aider_version" in record["properties"]
    return known and "user_id" in record and "time" in record
