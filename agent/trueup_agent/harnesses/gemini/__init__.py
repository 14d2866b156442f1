"""Gemini CLI (formats/gemini.md)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

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
from trueup_agent.harnesses.gemini.places import chats_below, holds_chats, is_chat, source_of

_OURS = re.compile(rb'"projectHash"\s*:|"type"\s*:\s*"gemini"|^\{"\$(?:set|rewindTo)"')
_OTHERS = re.compile(rb'"(?:parentUuid|usageMetadata)"\s*:|"type"\s*:\s*"qwen"')


class Gemini(Harness):
    """A session is one file in its project's folder, and one more where an old one went on in a newer version."""

    id = "gemini"
    about = About(
        name="Gemini CLI",
        sources="JSONL, appended and upserted by id; JSON, rewritten, up to 0.38",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "output_tokens": "exact",
            "reasoning_tokens": "exact",
            "context_tokens": "exact",
        },
        undercounts=(
            "attempts that failed and were retried",
            "requests for `/compress`, titles and next-speaker checks",
            "the first of two responses without a message between them",
        ),
        verified=True,
        variables=("GEMINI_CLI_HOME",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        named = environ.get("GEMINI_CLI_HOME")
        return [(Path(named) if named else home) / ".gemini" / "tmp"]

    def folders_of_root(self, root: Path) -> list[Path]:
        return [folder for folder in (root / ".gemini" / "tmp", root / "tmp", root) if holds_chats(folder)][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        return (source_of(self.id, path) for path in chats_below(folder, errors))

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if not is_chat(path.name) or ".qwen" in path.parts or _OTHERS.search(head) or not _OURS.search(head):
            return None
        return source_of(self.id, path, head)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        from trueup_agent.harnesses.gemini.parser import Document, Journal

        if source.kind == WHOLE:
            return Document(self.id, "google", source, files)
        return Journal(self.id, "google", source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.gemini.usage import of_raw

        return of_raw(raw)


HARNESS = Gemini()
