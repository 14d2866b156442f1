"""OpenClaw, formerly Clawdbot and Moltbot: an assistant on pi's agent loop (formats/openclaw.md)."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses import pi_files
from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk

_STATE_DIRS = (".openclaw", ".openclaw-dev", ".clawdbot", ".moltbot", ".moldbot", ".kimi_openclaw")
_PROFILES = ".openclaw-*"
# A session that was reset or deleted keeps its lines under a longer name.
_TRANSCRIPT = re.compile(r"(.+)\.jsonl(?:\.(?:reset|deleted)\..+)?$")


class OpenClaw(Harness):
    """`agents/<agent>/sessions` below each state folder; sessions.json beside them holds gauges only."""

    id = "openclaw"
    about = About(
        name="OpenClaw",
        sources="JSONL, appended; renamed when a session is reset or deleted",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact",
            "output_tokens": "exact",
            "context_tokens": "exact; lower bound where cache counters are missing",
        },
        undercounts=(
            "usage of requests that summarise for a compaction",
            "usage of answers of some providers",
        ),
        verified=False,
        variables=("OPENCLAW_STATE_DIR",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        named = environ.get("OPENCLAW_STATE_DIR")
        if named:
            return [(home / named[1:].lstrip("/\\") if named[0] == "~" else Path(named)) / "agents"]
        states = [home / name for name in _STATE_DIRS] + sorted(home.glob(_PROFILES))
        return list(dict.fromkeys(state / "agents" for state in states))

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        if found:
            return found
        if (root / "agents").is_dir():
            return [root / "agents"]
        return [root] if root.name == "agents" or next(root.glob("*/sessions/sessions.json"), None) else []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for directory, _, names in walk(folder, errors.append):
            if directory.name != "sessions":
                continue
            transcripts = {name: found[1] for name in names if (found := _TRANSCRIPT.match(name))}
            alike = Counter(transcripts.values())
            for name, session in transcripts.items():
                # The same source under its longer name, unless several have that session's name.
                lasting = name == f"{session}.jsonl" or alike[session] == 1
                identity = directory / session if lasting else directory / name
                yield SourceFile(harness=self.id, path=directory / name, identity=str(identity))

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if not _TRANSCRIPT.match(path.name) or not pi_files.is_openclaw(str(path), head):
            return None
        return SourceFile(harness=self.id, path=path, identity=str(path))

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        from trueup_agent.harnesses.pi_sessions import PiParser

        return PiParser(self.id, source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.pi_usage import of_raw

        return of_raw(raw)


HARNESS = OpenClaw()
