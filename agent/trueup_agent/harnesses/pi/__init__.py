"""pi and Oh My Pi: coding agents in the terminal (formats/pi.md). One JSONL file per session."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses import pi_files
from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk
from trueup_agent.harnesses.homes import expanded

_HOMES = (".pi/agent", ".omp/agent")


class Pi(Harness):
    """Folders of sessions, one per working directory; subagents in a folder named like their parent's file."""

    id = "pi"
    about = About(
        name="pi",
        sources="JSONL, appended; rewritten when an older version is migrated",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact",
            "output_tokens": "exact",
            "context_tokens": "exact; lower bound where cache counters are missing",
        },
        undercounts=(
            "usage of requests that summarise for a compaction or a branch",
            "usage of requests that failed or were aborted",
        ),
        verified=True,
        variables=("PI_CODING_AGENT_DIR", "PI_CODING_AGENT_SESSION_DIR"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        agent = expanded(environ.get("PI_CODING_AGENT_DIR"), home) or home / _HOMES[0]
        sessions = expanded(environ.get("PI_CODING_AGENT_SESSION_DIR"), home) or agent / "sessions"
        return [sessions, home / _HOMES[1] / "sessions"]

    def folders_of_root(self, root: Path) -> list[Path]:
        candidates = [root / name / "sessions" for name in _HOMES] + [root / "agent/sessions", root / "sessions"]
        found = [folder for folder in candidates if folder.is_dir()]
        return found or ([root] if root.name == "sessions" or next(root.glob("--*--"), None) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for directory, _, names in walk(folder, errors.append):
            for name in names:
                if name.endswith(".jsonl"):
                    yield self.source_at(directory / name)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.suffix != ".jsonl" or not pi_files.is_pi(str(path), head):
            return None
        return self.source_at(path)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        from trueup_agent.harnesses.pi_sessions import PiParser

        return PiParser(self.id, source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.pi_usage import of_raw

        return of_raw(raw)


HARNESS = Pi()
