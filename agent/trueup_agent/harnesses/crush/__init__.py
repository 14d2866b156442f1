"""Crush (formats/crush.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.crush.registry import REGISTRY, entries
from trueup_agent.harnesses.folders import is_sqlite, read_small
from trueup_agent.harnesses.homes import local_app_data, xdg_data

DATABASE, DATA_FOLDER = "crush.db", ".crush"


class Crush(Harness):
    """One database per project, below the project; a registry names the projects that were used lately."""

    id = "crush"
    about = About(
        name="Crush",
        sources="SQLite per project, found by a registry",
        counters={"context_tokens": "exact, of the last request when it was read"},
        undercounts=(
            "sums of tokens: a session has those of its last request",
            "what a subagent cost that was cancelled or failed",
        ),
        verified=True,
        variables=("CRUSH_GLOBAL_DATA", "XDG_DATA_HOME", "LOCALAPPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        base = local_app_data(home, environ) if platform == "win32" else xdg_data(home, environ)
        named = environ.get("CRUSH_GLOBAL_DATA")
        return [Path(named).expanduser() if named else base / "crush", home / DATA_FOLDER]

    def folders_of_root(self, root: Path) -> list[Path]:
        if (root / REGISTRY).is_file() or (root / DATABASE).is_file():
            return [root]
        return super().folders_of_root(root)

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if (folder / DATABASE).is_file():
            yield self._source(folder / DATABASE)
        registry = folder / REGISTRY
        for _, database in entries(read_small(registry)):
            try:
                if database.is_file():
                    yield self._source(database, registry)
            except OSError as error:
                errors.append(error)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        fits = is_sqlite(head) and path.name == DATABASE
        return self._source(path) if fits else None

    def _source(self, path: Path, *companions: Path) -> SourceFile:
        return self.source_at(path, ROWS, companions)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.crush.parser import CrushParser

        return CrushParser(source, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.crush.parser import of_raw

        return of_raw(raw)


HARNESS = Crush()
