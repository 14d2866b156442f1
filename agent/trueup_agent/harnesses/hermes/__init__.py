"""Hermes Agent (formats/hermes.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import children, is_dir, is_sqlite

DATABASE, PROFILES = "state.db", "profiles"


class Hermes(Harness):
    """One database, and one per profile. The transcripts beside them have no usage."""

    id = "hermes"
    about = About(
        name="Hermes Agent",
        sources="SQLite, one per profile",
        counters={
            "input_tokens": "derived from a session's running total",
            "cache_read_tokens": "derived like input",
            "cache_write_tokens": "derived like input",
            "output_tokens": "derived like input",
            "reasoning_tokens": "derived like input",
        },
        undercounts=(
            "requests for titles, compression and vision, in older releases",
            "what was used before a gateway put a smaller total over a greater, where nobody looked in between",
        ),
        verified=False,
        variables=("HERMES_HOME",),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        named = environ.get("HERMES_HOME")
        return [Path(named).expanduser() if named else home / ".hermes"]

    def folders_of_root(self, root: Path) -> list[Path]:
        if (root / DATABASE).is_file() or (root / PROFILES).is_dir():
            return [root]
        return super().folders_of_root(root)

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        yield self.source_at(folder / DATABASE, ROWS)
        for profile in children(folder / PROFILES, errors.append):
            if is_dir(profile, errors.append):
                yield self.source_at(profile / DATABASE, ROWS)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        is_ours = path.name == DATABASE or b"estimated_cost_usd" in head
        return self.source_at(path, ROWS) if is_sqlite(head) and is_ours else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.hermes.parser import HermesParser

        return HermesParser(source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.hermes.usage import of_raw

        return of_raw(raw)


HARNESS = Hermes()
