"""Mistral Vibe (formats/vibe.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children, is_file, walk

META, MESSAGES, AGENTS = "meta.json", "messages.jsonl", "agents"
_MARKS = (b'"session_id"', b'"environment"')  # in the first records of both generations


class Vibe(Harness):
    """A folder per session with its totals and its messages; in 1.x one file with both."""

    id = "vibe"
    about = About(
        name="Mistral Vibe",
        sources="JSON, rewritten; JSONL of messages beside it",
        counters={
            "input_tokens": "derived from a session's running total; undivided before cached tokens were counted",
            "cache_read_tokens": "derived like input, in newer releases",
            "output_tokens": "derived like input",
            "context_tokens": "exact, of the last request when it was read",
        },
        undercounts=(
            "the last request of a session, until its next message",
            "what was used before a resumed session began its total anew, where nobody looked in between",
        ),
        verified=False,
        variables=("VIBE_HOME",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        named = environ.get("VIBE_HOME")
        return [(Path(named).expanduser() if named else home / ".vibe") / "logs" / "session"]

    def folders_of_root(self, root: Path) -> list[Path]:
        places = [*self.data_folders(root, {}, "linux"), root / "logs" / "session"]
        return [place for place in places if place.is_dir()][:1] or ([root] if _holds_sessions(root) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for directory, _, names in walk(folder, errors.append):
            if META in names:
                yield self._source(directory / META)
            elif directory == folder:
                yield from (self._source(directory / name) for name in names if name.endswith(".json"))

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        is_named = path.name == META or (path.suffix == ".json" and b'"metadata"' in head and b'"messages"' in head)
        is_ours = head.lstrip()[:1] == b"{" and all(mark in head for mark in _MARKS)
        return self._source(path) if is_named and is_ours else None

    def _source(self, path: Path) -> SourceFile:
        if path.name != META:
            # A migration makes a folder of that name out of it.
            return SourceFile(harness=self.id, path=path, identity=str(path.with_suffix("")), kind=WHOLE)
        companions = [path.with_name(MESSAGES)]
        if (parent := parent_meta(path)) is not None:
            companions.append(parent)
        return SourceFile(
            harness=self.id, path=path, identity=str(path.parent), kind=WHOLE, companions=tuple(companions)
        )

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.vibe.parser import VibeParser

        return VibeParser(source.path, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.vibe.parser import of_raw

        return of_raw(raw)


HARNESS = Vibe()


def parent_meta(path: Path) -> Path | None:
    """Of a subagent, whose folder lies in its session's."""
    agents = path.parent.parent
    return agents.parent / META if agents.name == AGENTS else None


def _holds_sessions(root: Path) -> bool:
    return any(is_file(child / META) for child in children(root))
