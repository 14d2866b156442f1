"""Qwen Code, a fork of Gemini CLI with a recording of its own (formats/qwen.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses import json_text
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
from trueup_agent.harnesses.folders import children, is_dir, read_small, walk
from trueup_agent.harnesses.gemini.places import chats_below, holds_chats, is_chat, source_of
from trueup_agent.harnesses.homes import expanded
from trueup_agent.harnesses.values import MAX_PATH, text

_PROJECTS, _TMP = "projects", "tmp"
_TRANSCRIPTS = ("chats", "subagents")  # below a project's folder
_RECORD = re.compile(rb'^\{[^{]{0,2000}"(?:parentUuid|sessionId)"\s*:')
_OURS = re.compile(
    rb'"usageMetadata"\s*:|"parts"\s*:\s*\[|"subtype"\s*:\s*"(?:ui_telemetry|attribution_snapshot|chat_compression)"'
)
_DOCUMENT = re.compile(rb'"type"\s*:\s*"qwen"')


class Qwen(Harness):
    """A session is one transcript, its subagents have theirs; first releases wrote Gemini's documents."""

    id = "qwen"
    about = About(
        name="Qwen Code",
        sources="JSONL, appended; a file per session and per subagent; JSON, rewritten, in first releases",
        counters={
            "input_tokens": "exact; derived where the backend reports a total alone (70 % of it is called prompt)",
            "cache_read_tokens": "exact, where the backend reports it",
            "output_tokens": "exact; derived like input",
            "reasoning_tokens": "exact; estimated by Qwen Code for some backends",
            "context_tokens": "exact",
        },
        undercounts=(
            "requests for compression, titles and the like, which only its telemetry has",
            "usage of a subagent's rounds that only called tools",
        ),
        verified=True,
        variables=("QWEN_RUNTIME_DIR", "QWEN_HOME"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if runtime := expanded(environ.get("QWEN_RUNTIME_DIR"), home):
            return _folders_of(runtime)
        base = expanded(environ.get("QWEN_HOME"), home) or home / ".qwen"
        return [*_moved(base, home), *_folders_of(base)]

    def folders_of_root(self, root: Path) -> list[Path]:
        for base in (root / ".qwen", root):
            found = [base / _PROJECTS] if _holds_transcripts(base / _PROJECTS) else []
            found += [base / _TMP] if holds_chats(base / _TMP) else []
            if found:
                return found
        return [root] if _holds_transcripts(root) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if folder.name == _TMP:
            yield from (source_of(self.id, path) for path in chats_below(folder, errors))
            return
        for project in children(folder, errors.append):
            for kind in _TRANSCRIPTS:
                if is_dir(project / kind, errors.append):
                    for directory, _, names in walk(project / kind, errors.append):
                        yield from (self.source_at(directory / name) for name in names if name.endswith(".jsonl"))

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.suffix == ".jsonl" and _RECORD.match(head.lstrip()) and b'"uuid"' in head and _OURS.search(head):
            return self.source_at(path)
        if path.suffix == ".json" and is_chat(path.name):
            ours = _DOCUMENT.search(head) or (".qwen" in path.parts and b'"projectHash"' in head)
            return source_of(self.id, path) if ours else None
        return None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        if source.kind == WHOLE:
            from trueup_agent.harnesses.gemini.parser import Document

            return Document(self.id, None, source, files)
        from trueup_agent.harnesses.qwen.parser import QwenParser

        return QwenParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.qwen.usage import of_raw

        return of_raw(raw)


HARNESS = Qwen()


def _folders_of(base: Path) -> list[Path]:
    return [base / _PROJECTS, base / _TMP]


def _moved(base: Path, home: Path) -> list[Path]:
    """A setting can move what is written from then on. Relative, it is another folder in each project."""
    settings = json_text.object_of(read_small(base / "settings.json"))
    named = json_text.object_at(settings, "advanced").get("runtimeOutputDir")
    path = expanded(text(named, MAX_PATH), home)
    return _folders_of(path) if path is not None and path.is_absolute() else []


def _holds_transcripts(projects: Path) -> bool:
    """Claude Code has a folder `projects` too, but its transcripts lie directly in a project's folder."""
    folders = [project / kind for project in children(projects) for kind in _TRANSCRIPTS]
    return any(is_dir(folder) for folder in folders)
