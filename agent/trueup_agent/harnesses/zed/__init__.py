"""The agent that is built into Zed (formats/zed.md). Agents that it runs over ACP keep logs of their own."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import is_sqlite
from trueup_agent.harnesses.homes import application_support, local_app_data, xdg_data

DATABASE = "threads.db"


class Zed(Harness):
    """One database of threads, each a compressed document."""

    id = "zed"
    about = About(
        name="Zed",
        sources="SQLite of compressed JSON",
        counters={
            "input_tokens": "derived from a thread's running total",
            "cache_read_tokens": "derived like input",
            "cache_write_tokens": "derived like input",
            "output_tokens": "derived like input",
            "context_tokens": "exact, of the last request when it was read",
        },
        undercounts=(
            "all but the last request of each prompt, in releases that did not keep the total up to date",
            "text threads, and requests for titles",
        ),
        verified=False,
        variables=("XDG_DATA_HOME", "LOCALAPPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if platform == "win32":
            return [local_app_data(home, environ) / "Zed" / "threads"]
        if platform == "darwin":
            return [application_support(home) / "Zed" / "threads"]
        flatpak = home / ".var" / "app" / "dev.zed.Zed" / "data"
        return [base / "zed" / "threads" for base in (xdg_data(home, environ), flatpak)]

    def folders_of_root(self, root: Path) -> list[Path]:
        places = (root / "threads", root)
        return super().folders_of_root(root) or [place for place in places if (place / DATABASE).is_file()][:1]

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        yield self.source_at(folder / DATABASE, ROWS)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        is_database = is_sqlite(head)
        return self.source_at(path, ROWS) if is_database and b"threads" in head and b"data_type" in head else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.zed.parser import ZedParser

        return ZedParser(source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.zed.usage import of_raw

        return of_raw(raw)


HARNESS = Zed()
