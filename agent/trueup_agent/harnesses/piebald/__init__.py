"""Piebald, a desktop client for coding agents (formats/piebald.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import is_file, is_sqlite
from trueup_agent.harnesses.homes import app_data, application_support, xdg_data

DATABASE = "app.db"


class Piebald(Harness):
    id = "piebald"
    about = About(
        name="Piebald",
        sources="SQLite",
        counters={
            "input_tokens": "exact",
            "cache_read_tokens": "exact",
            "cache_write_tokens": "exact, where it is logged",
            "output_tokens": "exact",
            "reasoning_tokens": "exact, where it is logged",
            "context_tokens": "exact",
        },
        undercounts=("messages that were deleted before they were read",),
        verified=False,
        variables=("XDG_DATA_HOME", "APPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if platform == "darwin":
            return [application_support(home) / "piebald"]
        return [(app_data(home, environ) if platform == "win32" else xdg_data(home, environ)) / "piebald"]

    def folders_of_root(self, root: Path) -> list[Path]:
        found = super().folders_of_root(root)
        return found or [folder for folder in (root / "piebald", root) if (folder / DATABASE).is_file()][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        if is_file(folder / DATABASE, errors.append):
            yield self.source_at(folder / DATABASE, ROWS)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        ours = b"parent_chat_id" in head or (path.name == DATABASE and path.parent.name == "piebald")
        return self.source_at(path, ROWS) if ours and is_sqlite(head) else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.piebald.parser import PiebaldParser

        return PiebaldParser(source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.piebald.usage import of_raw

        return of_raw(raw, facts.model)


HARNESS = Piebald()
