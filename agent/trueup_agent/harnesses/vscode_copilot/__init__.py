"""GitHub Copilot Chat in VS Code and its forks, and Copilot in Visual Studio (formats/vscode-copilot.md).

What is not read, and why: transcripts of the chat extension repeat the conversations of `chatSessions` without usage;
the stores of JetBrains have none; the cloud and the command line have logs of their own (copilot).
"""

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

SPANS = "agent-traces.db"
_WORKSPACES, _EXTENSION, _CHATS = "workspaceStorage", "github.copilot-chat", "chatSessions"
# Of windows without a folder, and of chats that wait to be opened in another window.
_GLOBAL_CHATS = ("emptyWindowChatSessions", "transferredChatSessions")
_TRACES, _TRACES_END = "VSGitHubCopilotLogs", "_VSGitHubCopilot_traces.jsonl"
_decode = msgspec.json.Decoder().decode


class VsCodeCopilot(Harness):
    """Chats, and spans of the model calls where the user had them recorded. Spans of a session stand for its chat."""

    id = "vscode-copilot"
    about = About(
        name="GitHub Copilot Chat",
        sources="JSON and JSONL journals, rewritten; SQLite and JSONL of OpenTelemetry spans",
        counters={
            "input_tokens": "exact, with spans",
            "cache_read_tokens": "exact, with spans",
            "cache_write_tokens": "exact, with spans of recent builds",
            "input_undivided_tokens": "exact, without spans, for a turn of one call; lower bound for a turn of several",
            "output_tokens": "exact",
            "reasoning_tokens": "exact, with spans",
            "context_tokens": "exact",
        },
        undercounts=(
            "without spans: all prompts but one of a turn with tool calls",
            "usage, in older builds and in Visual Studio",
            "completions in the editor",
        ),
        verified=False,
        variables=("VSCODE_PORTABLE", "VSCODE_APPDATA", "VSCODE_AGENT_FOLDER", "APPDATA", "XDG_CONFIG_HOME"),
    )
    is_watched = False  # the folders of workspaces are busy with what other extensions store

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        found = [folder for user in editors.user_folders(home, environ, platform) for folder in _of_user(user)]
        if platform == "win32":
            found.append(homes.local_app_data(home, environ) / "Temp" / _TRACES / "traces")
        return found

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        users = [user for user in (root, root / "User") if any(folder.is_dir() for folder in _of_user(user))]
        found = found or [folder for user in users for folder in _of_user(user) if folder.is_dir()]
        is_data = root.name in (_WORKSPACES, _EXTENSION, _CHATS, *_GLOBAL_CHATS) or root.parent.name == _TRACES
        return found or ([root] if is_data else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if folder.name == _WORKSPACES:
            for workspace in children(folder, errors.append):
                yield from self._chats(workspace / _CHATS, errors)
        elif folder.name == _EXTENSION:
            if (folder / SPANS).is_file():
                yield self.source_at(folder / SPANS, ROWS)
        elif folder.name in (_CHATS, *_GLOBAL_CHATS):
            yield from self._chats(folder, errors)
        else:
            names = [path for path in children(folder, errors.append) if path.name.endswith(_TRACES_END)]
            yield from (self.source_at(path) for path in names)

    def _chats(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        yield from (self._chat(path) for path in children(folder, errors.append) if path.suffix in (".json", ".jsonl"))

    def _chat(self, path: Path) -> SourceFile:
        beside = (path.parent.parent / "workspace.json",) if path.parent.name == _CHATS else ()
        return self.source_at(path, WHOLE, beside)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if is_sqlite(head):
            fits = path.name == SPANS or (b"span_attributes" in head and b"conversation_id" in head)
            return self.source_at(path, ROWS) if fits else None
        if path.suffix == ".jsonl" and _is_traces(head):
            return self.source_at(path, LINES)
        is_journal = path.suffix == ".jsonl" and head.startswith(b'{"kind":0,"v":{') and b'"requests"' in head
        is_document = path.suffix == ".json" and b'"requests"' in head and _names_a_chat(head)
        return self._chat(path) if is_journal or is_document else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        if source.kind == ROWS:
            from trueup_agent.harnesses.vscode_copilot.spans import SpansParser

            return SpansParser(source.path, state, files)
        if source.kind == WHOLE:
            from trueup_agent.harnesses.vscode_copilot.chats import ChatParser

            return ChatParser(source, files)
        from trueup_agent.harnesses.vscode_copilot.traces import TracesParser

        return TracesParser()

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.vscode_copilot.usage import of_raw

        return of_raw(raw)


HARNESS = VsCodeCopilot()


def _of_user(user: Path) -> list[Path]:
    stored = [user / "globalStorage" / name for name in (*_GLOBAL_CHATS, _EXTENSION)]
    return [user / _WORKSPACES, *stored]


def _names_a_chat(head: bytes) -> bool:
    """What stands before the requests, which may be longer than the head: the session's id stands behind them."""
    return any(name in head for name in (b'"responderUsername"', b'"initialLocation"', b'"requesterUsername"')) or (
        b'"sessionId"' in head and b'"creationDate"' in head
    )


def _is_traces(head: bytes) -> bool:
    return head.startswith(b'{"resourceSpans":') and b"vs-copilot" in head
