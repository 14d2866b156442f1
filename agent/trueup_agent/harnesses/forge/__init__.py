"""Forge, the coding agent of the command line (formats/forge.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import is_file, is_sqlite

DATABASE = ".forge.db"


class Forge(Harness):
    id = "forge"
    about = About(
        name="Forge",
        sources="SQLite; a conversation is one JSON document",
        counters={
            "input_tokens": "exact; holds what was written to the cache",
            "cache_read_tokens": "exact",
            "output_tokens": "exact",
            "context_tokens": "exact",
        },
        undercounts=(
            "messages that a compaction replaced before they were read",
            "usage of requests for which there are only the client's estimates",
        ),
        verified=False,
        variables=("FORGE_CONFIG",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        """Its makers moved from `forge` to `.forge` and still use the old folder where there is one."""
        if named := environ.get("FORGE_CONFIG"):
            return [home / named[1:].lstrip("/\\") if named[0] == "~" else Path(named)]
        return [home / ".forge", home / "forge"]

    def folders_of_root(self, root: Path) -> list[Path]:
        found = [folder for folder in (root / ".forge", root / "forge", root) if (folder / DATABASE).is_file()]
        return [folder for folder in found if folder != root] or found

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if is_file(folder / DATABASE, errors.append):
            yield self.source_at(folder / DATABASE, ROWS)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        ours = path.name == DATABASE or (b"conversation_id" in head and b"workspace_id" in head and b"metrics" in head)
        return self.source_at(path, ROWS) if ours and is_sqlite(head) else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.forge.parser import ForgeParser

        return ForgeParser(source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.forge.usage import of_raw

        return of_raw(raw)


HARNESS = Forge()
