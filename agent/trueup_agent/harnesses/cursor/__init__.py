"""Cursor: editor, agent transcripts, terminal agent, and exports of its server's usage (formats/cursor.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses import editors
from trueup_agent.harnesses.base import (
    LINES,
    ROWS,
    WHOLE,
    About,
    Facts,
    Files,
    Harness,
    Kind,
    LineParser,
    SourceFile,
    Usage,
    WholeParser,
)
from trueup_agent.harnesses.folders import children, is_dir, is_file, is_sqlite, walk

GLOBAL, WORKSPACES, PROJECTS, CHATS = "globalStorage", "workspaceStorage", "projects", "chats"
STORE, CLI_STORE, WORKSPACE = "state.vscdb", "store.db", "workspace.json"
TRANSCRIPTS = "agent-transcripts"

_PAGE = re.compile(rb'"usageEventsDisplay"\s*:')
_CSV = re.compile(rb'^\xef?\xbb?\xbf?"?Date"?,.*Model.*Cache Read.*Output Tokens')
_LINE = re.compile(rb'^\{\s*(?:"role"\s*:\s*"(?:user|assistant)"\s*,\s*"message"\s*:\s*\{|"type"\s*:\s*"turn_ended")')
_FOREIGN = re.compile(rb'"(?:parentUuid|parentId|sessionId|session_id)"\s*:')


class Cursor(Harness):
    """Local logs hold no counters since 2025; what they hold is read, what they do not is unknown."""

    id = "cursor"
    is_watched = False  # an editor writes into its storage all the time
    about = About(
        name="Cursor",
        sources="SQLite (one key-value store and one per workspace); JSONL and text transcripts; exports of the server",
        counters={
            "input_undivided_tokens": "exact, in builds of 2024 and early 2025",
            "output_tokens": "exact, in builds of 2024 and early 2025",
            "context_tokens": "exact, of the last request of a conversation",
            "input_tokens": "exact, in exports of the server",
            "cache_read_tokens": "exact, in exports of the server",
            "cache_write_tokens": "exact, in exports of the server",
        },
        undercounts=(
            "tokens of current builds, whose requests are counted",
            "requests of transcripts and of the terminal agent's chats, whose messages are counted",
            "agent runs that left nothing but blobs of content",
            "completions in the editor",
        ),
        verified=False,
        variables=("CURSOR_CONFIG_DIR", "CURSOR_DATA_DIR", "XDG_CONFIG_HOME", "APPDATA"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._stores: dict[Path, set[Path]] = {}  # folder of projects -> stores of the same user's editors

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        users = editors.user_folders(home, environ, platform, ["Cursor"])
        config = Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else home / ".config"
        named = [Path(environ[name]) / CHATS for name in ("CURSOR_DATA_DIR", "CURSOR_CONFIG_DIR") if environ.get(name)]
        chats = [*named, home / ".cursor" / CHATS, config / "cursor" / CHATS]
        projects = home / ".cursor" / PROJECTS
        self._stores.setdefault(projects, set()).update(user / GLOBAL / STORE for user in users)
        return list(dict.fromkeys([*(u / name for u in users for name in (GLOBAL, WORKSPACES)), projects, *chats]))

    def folders_of_root(self, root: Path) -> list[Path]:
        of_home = [folder for one in ("linux", "darwin", "win32") for folder in self.data_folders(root, {}, one)]
        for choice in (of_home, [root / "User" / name for name in (GLOBAL, WORKSPACES)], _below(root)):
            found = [folder for folder in dict.fromkeys(choice) if is_dir(folder) and _holds_ours(folder)]
            if found:
                return found
        return [root] if _holds_ours(root) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if folder.name == GLOBAL:
            if is_file(folder / STORE, errors.append):
                yield _store(folder / STORE)
        elif folder.name == WORKSPACES:
            for child in children(folder, errors.append):
                if is_file(child / STORE, errors.append):
                    yield _workspace(child / STORE)
        elif folder.name == CHATS:
            for chats in children(folder, errors.append):
                for chat in children(chats, errors.append):
                    if is_file(chat / CLI_STORE, errors.append):
                        yield _source(chat / CLI_STORE, ROWS)
        else:
            yield from self._transcripts(folder, errors)

    def _transcripts(self, projects: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """What the editor logs here is in its store as well, with more about it: only the terminal agent's are read."""
        in_store = any(is_file(store) for store in self._stores.get(projects, ()))
        of_cli = {chat.name for chats in children(projects.parent / CHATS) for chat in children(chats)}
        for project in children(projects, errors.append):
            transcripts = project / TRANSCRIPTS
            for directory, _, names in walk(transcripts, errors.append) if is_dir(transcripts, errors.append) else ():
                for name in names:
                    path = directory / name
                    if path.suffix in (".jsonl", ".txt") and (not in_store or {path.stem, *path.parts} & of_cli):
                        yield _source(path, LINES)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            if path.name == STORE and (b"cursorDiskKV" in head or "Cursor" in path.parts):
                return _workspace(path) if is_file(path.with_name(WORKSPACE)) else _store(path)
            is_chat = b"TABLE blobs" in head and b"TABLE meta" in head
            return _source(path, ROWS) if path.suffix == ".db" and is_chat else None
        if path.suffix == ".json":
            return _source(path, WHOLE) if _PAGE.search(head) else None
        if path.suffix == ".csv":
            return _source(path, WHOLE) if _CSV.match(head.split(b"\n", 1)[0]) else None
        if path.suffix == ".jsonl":
            return _source(path, LINES) if _LINE.match(head) and not _FOREIGN.search(head) else None
        is_text = path.suffix == ".txt" and TRANSCRIPTS in path.parts
        return _source(path, LINES) if is_text else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        if source.kind == LINES:
            from trueup_agent.harnesses.cursor.transcripts import JsonTranscript, TextTranscript

            return (TextTranscript if source.path.suffix == ".txt" else JsonTranscript)(source.path, state)
        if source.kind == WHOLE:
            from trueup_agent.harnesses.cursor.exports import CsvExport, UsagePage

            return (CsvExport if source.path.suffix == ".csv" else UsagePage)(source, files)
        from trueup_agent.harnesses.cursor.chats import ChatTabs, CliChat
        from trueup_agent.harnesses.cursor.store import Store

        if source.path.name != STORE:
            return CliChat(source, files)
        return ChatTabs(source, state, files) if is_workspace(source) else Store(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.cursor.usage import of_raw

        return of_raw(raw)


HARNESS = Cursor()


def is_workspace(source: SourceFile) -> bool:
    return source.path.with_name(WORKSPACE) in source.companions


def _source(path: Path, kind: Kind) -> SourceFile:
    return SourceFile(harness="cursor", path=path, identity=str(path), kind=kind)


def _store(path: Path) -> SourceFile:
    """With the stores of all workspaces: they know which conversation belongs to which folder."""
    folders = children(path.parent.parent / WORKSPACES) if path.parent.name == GLOBAL else []
    found = [folder for folder in folders if is_file(folder / STORE)]
    companions = [folder / name for folder in found for name in (WORKSPACE, STORE)]
    return SourceFile(harness="cursor", path=path, identity=str(path), kind=ROWS, companions=tuple(companions))


def _workspace(path: Path) -> SourceFile:
    companions = (path.with_name(WORKSPACE),)
    return SourceFile(harness="cursor", path=path, identity=str(path), kind=ROWS, companions=companions)


def _below(root: Path) -> list[Path]:
    return [root / name for name in (GLOBAL, WORKSPACES, PROJECTS, CHATS)]


def _holds_ours(folder: Path) -> bool:
    """Folders of these names are common."""
    if folder.name == GLOBAL:
        return is_file(folder / STORE)
    pattern = {WORKSPACES: f"*/{STORE}", PROJECTS: f"*/{TRANSCRIPTS}", CHATS: f"*/*/{CLI_STORE}"}.get(folder.name)
    return pattern is not None and next(folder.glob(pattern), None) is not None
