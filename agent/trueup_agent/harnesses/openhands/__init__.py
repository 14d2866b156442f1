"""OpenHands CLI and SDK: a folder per conversation, with a state document and a file per event (formats/openhands.md).

The server product keeps a store of its own, of which no description can be relied on: it is not read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import WHOLE, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children
from trueup_agent.harnesses.homes import expanded

STATE = "base_state.json"
_METRICS = (b'"usage_to_metrics"', b'"service_to_metrics"')


class OpenHands(Harness):
    id = "openhands"
    about = About(
        name="OpenHands",
        sources="JSON document per conversation, rewritten; a file per event beside it",
        counters={
            "input_tokens": "exact; derived where only the running total is logged",
            "cache_read_tokens": "exact; derived like input",
            "cache_write_tokens": "exact; derived like input",
            "output_tokens": "exact; derived like input",
            "reasoning_tokens": "exact; derived like input",
            "context_tokens": "exact, where requests are logged one by one",
        },
        undercounts=(
            "conversations of the server product",
            "costs, where there are not as many of them as requests",
        ),
        verified=False,
        variables=("OPENHANDS_CONVERSATIONS_DIR", "OPENHANDS_PERSISTENCE_DIR"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if named := expanded(environ.get("OPENHANDS_CONVERSATIONS_DIR"), home):
            return [named]
        return [(expanded(environ.get("OPENHANDS_PERSISTENCE_DIR"), home) or home / ".openhands") / "conversations"]

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        if not found and (root / "conversations").is_dir():
            found = [root / "conversations"]
        return found or ([root] if root.name == "conversations" or next(root.glob(f"*/{STATE}"), None) else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        for conversation in children(folder, errors.append):
            if (conversation / STATE).is_file():
                yield self._source(conversation / STATE)
            if (conversation / "subagents").is_dir():
                yield from self.sources(conversation / "subagents", errors)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        if path.suffix != ".json" or head.lstrip()[:1] != b"{" or b'"agent"' not in head:
            return None
        if path.name != STATE and not any(name in head for name in _METRICS):
            return None
        return self._source(path)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.openhands.parser import OpenHandsParser

        return OpenHandsParser(source, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.openhands.usage import of_raw

        return of_raw(raw)

    def _source(self, path: Path) -> SourceFile:
        beside = (path.parent / "events",) if path.name == STATE else ()
        return self.source_at(path, WHOLE, beside)


HARNESS = OpenHands()
