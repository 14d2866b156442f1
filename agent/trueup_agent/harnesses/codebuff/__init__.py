"""Codebuff, and Freebuff, its free edition (formats/codebuff.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children

MESSAGES, RUN_STATE, META = "chat-messages.json", "run-state.json", "chat-meta.json"
_CHANNELS = ("manicode", "manicode-dev", "manicode-staging")


class Codebuff(Harness):
    """A folder per chat, with what was said, and the state of the agent, which counts credits over the whole chat."""

    id = "codebuff"
    about = About(
        name="Codebuff",
        sources="JSON, rewritten; a folder per chat",
        counters={
            "input_tokens": "exact, where a message has usage at all",
            "cache_read_tokens": "exact like input",
            "cache_write_tokens": "exact like input",
            "input_undivided_tokens": "exact, where usage does not tell the cache apart",
            "output_tokens": "exact like input",
            "reasoning_tokens": "exact like input",
        },
        undercounts=(
            "tokens, normally: only credits",
            "credits, in the free edition",
        ),
        verified=False,
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        return [home / ".config" / channel / "projects" for channel in _CHANNELS]

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        if not found and (root / "projects").is_dir() and root.name in _CHANNELS:
            found = [root / "projects"]
        return found or ([root] if root.name == "projects" and root.parent.name in _CHANNELS else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for project in children(folder, errors.append):
            for chat in children(project / "chats", errors.append):
                if (chat / MESSAGES).is_file():
                    yield self._source(chat / MESSAGES)

    def _source(self, path: Path) -> SourceFile:
        beside = (path.with_name(RUN_STATE), path.with_name(META))
        return self.source_at(path, WHOLE, beside)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        fits = path.name == MESSAGES and head.lstrip().startswith(b"[") and (b'"variant"' in head or len(head) < 8)
        return self._source(path) if fits else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.codebuff.parser import ChatParser

        return ChatParser(source, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.codebuff.usage import of_raw

        return of_raw(raw)


HARNESS = Codebuff()
