"""OpenCode (formats/opencode.md): a database per channel, before early 2026 a tree of JSON files; both may be there.

Kilo Code is built on the same store and inherits from here.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from trueup_agent.harnesses.base import ROWS, WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import is_dir, is_sqlite
from trueup_agent.harnesses.homes import application_support, local_app_data, xdg_data
from trueup_agent.harnesses.opencode.trees import (
    is_tree,
    names,
    recognised,
    sources_of_projects,
    sources_of_tree,
)

_TABLE = re.compile(
    rb"""CREATE TABLE\s+[`"']?(?:part[`"']?\s*\(.{0,300}?message_id|session_message[`"']?\s*\(.{0,300}?session_id)""",
    re.S,
)
_MEMORY = ":memory:"
# What `export` prints: {"info": {"id": "ses_…", …}, "messages": […]}.
_EXPORTS = (".json", ".jsonl")  # whatever its name says, an export is one document
_EXPORT = re.compile(rb'\s*\{\s*"info"\s*:\s*\{[^{}]{0,2000}?"id"\s*:\s*"ses_')

COUNTERS = {
    "input_tokens": "exact",
    "cache_read_tokens": "exact",
    "cache_write_tokens": "exact; 0 counts as not reported where the provider never reports it",
    "output_tokens": "exact",
    "reasoning_tokens": "exact",
    "context_tokens": "exact",
}


class OpenCode(Harness):
    id = "opencode"
    about = About(
        name="OpenCode",
        sources="SQLite; JSON files in the older tree; files written by `opencode export`",
        counters=COUNTERS,
        undercounts=(
            "requests for titles",
            "messages that were undone or deleted before they were read",
        ),
        verified=True,
        variables=("XDG_DATA_HOME", "OPENCODE_DB"),
    )
    app: ClassVar[str] = "opencode"  # its folder
    databases: ClassVar[re.Pattern[str]] = re.compile(r"opencode(?:-[\w.-]+)?\.db")
    override: ClassVar[str] = "OPENCODE_DB"
    # A subagent's cost is added to its parent's message when the task is done (formats/kilo.md).
    folds_costs: ClassVar[bool] = False

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        """The override names a database, in the data folder if it is relative: it is listed as itself."""
        folder = xdg_data(home, environ) / self.app
        folders = [folder]
        named = environ.get(self.override, "")
        if named and named != _MEMORY:
            folders.append(folder / named)
        if platform == "win32":
            folders.append(local_app_data(home, environ) / self.app)
        elif platform == "darwin":
            folders.append(application_support(home) / self.app)
        return list(dict.fromkeys(folders))

    def folders_of_root(self, root: Path) -> list[Path]:
        platforms = ("linux", "darwin", "win32")
        named = dict.fromkeys(folder for platform in platforms for folder in self.data_folders(root, {}, platform))
        found = [folder for folder in named if is_dir(folder)]
        return found or [folder for folder in (root / self.app, root) if self._is_store(folder)][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        listed = names(folder, errors)
        for name in listed:
            if self.databases.fullmatch(name):
                yield self._database(folder / name)
        for storage in (folder / "storage", folder):
            if is_tree(storage):
                yield from sources_of_tree(self.id, storage, errors)
        if "project" in listed:
            yield from sources_of_projects(self.id, folder, errors)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            ours = self.databases.fullmatch(path.name) or _TABLE.search(head)
            return self._database(path) if ours else None
        if path.suffix in _EXPORTS and _EXPORT.match(head) and b'"messages"' in head:
            return self.source_at(path, WHOLE)
        return recognised(self.id, path, head)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        if source.kind == ROWS:
            from trueup_agent.harnesses.opencode.database import DatabaseParser

            return DatabaseParser(self.id, source.path, files, state, self.folds_costs)
        from trueup_agent.harnesses.opencode.documents import ExportParser, TreeParser

        if source.companions or source.path.suffix not in _EXPORTS:
            return TreeParser(self.id, source, files, self.folds_costs)
        return ExportParser(self.id, source.path, files, self.folds_costs)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.opencode.usage import of_raw

        return of_raw(raw, facts.provider, facts.model)

    def _is_store(self, folder: Path) -> bool:
        trees = is_tree(folder) or is_tree(folder / "storage") or any(sources_of_projects(self.id, folder, []))
        return trees or any(self.databases.fullmatch(name) for name in names(folder, []))

    def _database(self, path: Path) -> SourceFile:
        return self.source_at(path, ROWS)


HARNESS = OpenCode()
