"""Kiro: CLI and IDE, and Amazon Q Developer CLI, which the CLI descends from (formats/kiro.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from trueup_agent.harnesses import editors, homes
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
from trueup_agent.harnesses.folders import children, is_sqlite

DATABASE = "data.sqlite3"
MESSAGES, SESSION = "messages.jsonl", "session.json"
_EXTENSION, _SESSIONS, _PROGRAMS = "kiro.kiroagent", "sessions", ("kiro-cli", "amazon-q")
_STUBS = "workspace-sessions"  # lists of what the executions hold
_CLI_KINDS = ("Prompt", "AssistantMessage", "ToolResults", "Clear")
_decode = msgspec.json.Decoder().decode


class Kiro(Harness):
    """No store has tokens: turns count, with the credits that they cost."""

    id = "kiro"
    about = About(
        name="Kiro",
        sources="JSONL and JSON; SQLite of older builds and Amazon Q",
        counters={},
        undercounts=(
            "tokens: only credits",
            "credits of some turns, before 2026",
        ),
        verified=False,
        variables=("KIRO_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        kiro = Path(environ["KIRO_HOME"]).expanduser() if environ.get("KIRO_HOME") else home / ".kiro"
        if platform == "darwin":
            data = homes.application_support(home)
        else:
            data = (homes.local_app_data if platform == "win32" else homes.xdg_data)(home, environ)
        users = [*editors.user_folders(home, environ, platform, ["Kiro"]), home / ".kiro-server" / "data" / "User"]
        extensions = [user / "globalStorage" / _EXTENSION for user in users]
        return [kiro / _SESSIONS, *(data / program for program in _PROGRAMS), *extensions]

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        if not found and (root / _SESSIONS / "cli").is_dir():
            found = [root / _SESSIONS]
        return found or ([root] if root.name in (*_PROGRAMS, _EXTENSION) or (root / "cli").is_dir() else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if (folder / DATABASE).is_file():
            yield self.source_at(folder / DATABASE, ROWS)
        elif folder.name == _EXTENSION:
            yield from self._executions(folder, errors)
        else:
            for child in children(folder, errors.append):
                if child.name == "cli":
                    yield from self._cli_sessions(child, errors)
                elif child.is_dir():
                    sessions = [session for session in children(child, errors.append) if (session / MESSAGES).is_file()]
                    yield from (self._ide_session(session / MESSAGES) for session in sessions)

    def _cli_sessions(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """A session is a log and a document beside it; either may be missing."""
        paths = [path for path in children(folder, errors.append) if path.suffix in (".json", ".jsonl")]
        stems = dict.fromkeys(path.with_suffix("") for path in paths)
        yield from (self._cli_session(stem.with_name(stem.name + ".json")) for stem in stems)

    def _cli_session(self, document: Path) -> SourceFile:
        log = document.with_suffix(".jsonl")
        first, other = (document, log) if document.is_file() else (log, document)
        return SourceFile(harness=self.id, path=first, identity=str(document), kind=WHOLE, companions=(other,))

    def _ide_session(self, path: Path) -> SourceFile:
        return SourceFile(
            harness=self.id, path=path, identity=str(path), kind=LINES, companions=(path.with_name(SESSION),)
        )

    def _executions(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """`<workspace>/<chat>.chat` and `<workspace>/<session>/<execution>`, which has no suffix."""
        for workspace in children(folder, errors.append):
            if workspace.name == _STUBS or not workspace.is_dir():
                continue
            for path in children(workspace, errors.append):
                if path.suffix == ".chat":
                    yield self.source_at(path, WHOLE)
                elif not path.suffix and path.is_dir():
                    executions = [file for file in children(path, errors.append) if not file.suffix]
                    yield from (self.source_at(file, WHOLE) for file in executions)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            return self.source_at(path, ROWS) if b"conversations_v2" in head or path.name == DATABASE else None
        if path.suffix == ".jsonl":
            shape = _shape(head)
            if shape == "cli":
                return self._cli_session(path.with_suffix(".json"))
            return self._ide_session(path) if shape == "ide" else None
        if path.suffix == ".json" and b'"session_state"' in head and b'"session_id"' in head:
            return self._cli_session(path)
        is_payload = path.suffix == ".json" and b'"conversation_id"' in head and b'"history"' in head
        is_execution = path.suffix in ("", ".chat") and b'"executionId"' in head and b'"executions"' not in head[:64]
        return self.source_at(path, WHOLE) if is_payload or is_execution else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        if source.kind == ROWS:
            from trueup_agent.harnesses.kiro.conversations import DatabaseParser

            return DatabaseParser(source.path, state, files)
        if source.kind == LINES:
            from trueup_agent.harnesses.kiro.ide import IdeParser

            return IdeParser(source, state, files)
        if source.companions:
            from trueup_agent.harnesses.kiro.cli import CliParser

            return CliParser(source, files)
        from trueup_agent.harnesses.kiro.documents import DocumentParser

        return DocumentParser(source.path, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        return Usage()  # whatever counters stand there are placeholders


HARNESS = Kiro()


def _shape(head: bytes) -> str | None:
    """Of the first record: `cli` {version, kind, data}, `ide` {id, timestamp, payload: {type}}."""
    for line in head.split(b"\n")[:5]:
        try:
            record = _decode(line)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or "type" in record:
            continue
        if record.get("kind") in _CLI_KINDS and isinstance(record.get("data"), dict):
            return "cli"
        payload = record.get("payload")
        if "id" in record and "timestamp" in record and isinstance(payload, dict) and "type" in payload:
            return "ide"
    return None
