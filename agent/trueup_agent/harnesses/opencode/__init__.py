"""OpenCode (formats/opencode.md): a database per channel, before early 2026 a tree of JSON files; both may be there.

Kilo Code is built on the same store and inherits from here.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from trueup_agent.harnesses.base import ROWS, WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.homes import application_support, local_app_data, xdg_data

_SQLITE = b"SQLite format 3\x00"
_TABLE = re.compile(
    rb"""CREATE TABLE\s+[`"']?(?:part[`"']?\s*\(.{0,300}?message_id|session_message[`"']?\s*\(.{0,300}?session_id)""",
    re.S,
)
_MEMORY = ":memory:"
# What `export` prints: {"info": {"id": "ses_…", …}, "messages": […]}.
_EXPORT = re.compile(rb'\s*\{\s*"info"\s*:\s*\{[^{}]{0,2000}?"id"\s*:\s*"ses_')
_TREE_SESSION = re.compile(rb'\s*\{.{0,4000}?"(?:projectID|directory)"\s*:', re.S)
_TREE_MESSAGE = re.compile(rb'\s*\{.{0,4000}?"sessionID"\s*:', re.S)

COUNTERS = {
    "input_tokens": "exact",
    "cache_read_tokens": "exact",
    "cache_write_tokens": "exact; 0 counts as not reported where the provider never reports it",
    "output_tokens": "exact, reasoning included",
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
        found = super().folders_of_root(root)
        return found or [folder for folder in (root / self.app, root) if self._is_store(folder)][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for name in _names(folder, errors):
            if self.databases.fullmatch(name):
                yield self._database(folder / name)
        for storage in (folder / "storage", folder):
            if _is_storage(storage):
                yield from self._tree(storage, errors)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if head.startswith(_SQLITE):
            ours = self.databases.fullmatch(path.name) or _TABLE.search(head)
            return self._database(path) if ours else None
        if path.suffix == ".json" and _EXPORT.match(head) and b'"messages"' in head:
            return SourceFile(harness=self.id, path=path, identity=str(path), kind=WHOLE)
        if path.suffix != ".json" or len(path.parents) < 3:
            return None
        storage, kind = path.parents[2], path.parents[1].name
        if kind == "session" and _TREE_SESSION.match(head) and _is_dir(storage / "message"):
            return self._session(storage, path, _message_folder(storage, path.stem))
        if kind == "message" and _TREE_MESSAGE.match(head) and not _session_of(storage, path.parent.name):
            return self._session(storage, path.parent, path.parent)
        return None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        if source.kind == ROWS:
            from trueup_agent.harnesses.opencode.database import DatabaseParser

            return DatabaseParser(self.id, source.path, files, state, self.folds_costs)
        from trueup_agent.harnesses.opencode.documents import ExportParser, TreeParser

        if source.companions or source.path.suffix != ".json":
            return TreeParser(self.id, source, files, self.folds_costs)
        return ExportParser(self.id, source.path, files, self.folds_costs)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.opencode.usage import of_raw

        return of_raw(raw, facts.provider, facts.model)

    def _is_store(self, folder: Path) -> bool:
        if _is_storage(folder) or _is_storage(folder / "storage"):
            return True
        return any(self.databases.fullmatch(name) for name in _names(folder, []))

    def _database(self, path: Path) -> SourceFile:
        return SourceFile(harness=self.id, path=path, identity=str(path), kind=ROWS)

    def _tree(self, storage: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """One source per session, and per folder of messages whose session is not there."""
        claimed = set()
        for project in _names(storage / "session", errors):
            for name in _names(storage / "session" / project, []):
                if name.endswith(".json"):
                    folder = _message_folder(storage, name.removesuffix(".json"))
                    claimed.add(folder.name)
                    yield self._session(storage, storage / "session" / project / name, folder)
        for name in _names(storage / "message", errors):
            if name not in claimed and _is_dir(storage / "message" / name):
                yield self._session(storage, storage / "message" / name, storage / "message" / name)

    def _session(self, storage: Path, path: Path, messages: Path) -> SourceFile:
        """`path`: its file or, where that is gone, its folder of messages."""
        parts = [storage / "part" / name.removesuffix(".json") for name in _names(messages, [])]
        # A session moves to another project's folder when its directory becomes a repository.
        identity = str(path) if path == messages else str(storage / "session" / path.name)
        companions = (messages, *parts)
        return SourceFile(harness=self.id, path=path, identity=identity, kind=WHOLE, companions=companions)


HARNESS = OpenCode()


def _names(folder: Path, errors: list[OSError]) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        errors.append(error)
        return []


def _is_storage(folder: Path) -> bool:
    return _is_dir(folder / "message") or (_is_dir(folder / "session") and _is_dir(folder / "part"))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # closed to us
        return False


def _message_folder(storage: Path, session: str) -> Path:
    folder = storage / "message" / session
    bare = storage / "message" / session.removeprefix("ses_")
    return bare if not _is_dir(folder) and _is_dir(bare) else folder


def _session_of(storage: Path, session: str) -> bool:
    return any(
        f"{name}.json" in _names(storage / "session" / project, [])
        for project in _names(storage / "session", [])
        for name in (session, f"ses_{session}")
    )
