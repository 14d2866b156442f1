"""iFlow CLI (formats/iflow.md). It writes zeros for all counters: only requests, tools and models are known."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import About, Facts, Files, Harness, LineParser, SourceFile, Usage
from trueup_agent.harnesses.folders import walk

_PREFIX, _SUFFIX = "session-", ".jsonl"
_OURS = re.compile(rb'"sessionId"\s*:\s*"session-')


class IFlow(Harness):
    id = "iflow"
    about = About(
        name="iFlow CLI",
        sources="JSONL, appended; a file per session",
        counters={},
        undercounts=("tokens: requests, models and tools are counted",),
        verified=False,
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        return [home / ".iflow" / "projects"]

    def folders_of_root(self, root: Path) -> list[Path]:
        choice = (root / ".iflow" / "projects", root / "projects", root)
        return [folder for folder in choice if next(folder.glob(f"*/{_PREFIX}*{_SUFFIX}"), None) is not None][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for directory, _, names in walk(folder, errors.append):
            for name in names:
                if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                    yield self.source_at(directory / name)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        ours = path.suffix == _SUFFIX and _OURS.search(head) and b'"parentUuid"' in head
        return self.source_at(path) if ours else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser:
        from trueup_agent.harnesses.iflow.parser import IFlowParser

        return IFlowParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.iflow.parser import of_raw

        return of_raw(raw)


HARNESS = IFlow()
