"""The agent in the Warp terminal (formats/warp.md)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup_agent.harnesses.base import ROWS, About, Facts, Files, Harness, SourceFile, Usage, WholeParser
from trueup_agent.harnesses.folders import is_sqlite
from trueup_agent.harnesses.homes import application_support, local_app_data, xdg_state

DATABASE = "warp.sqlite"
_CONTAINER = "Library/Group Containers/2BBY89MBSN.dev.warp"


class Warp(Harness):
    """One database, which has the whole history of the terminal too: only two tables of it are read."""

    id = "warp"
    about = About(
        name="Warp",
        sources="SQLite",
        counters={"undivided_tokens": "derived from a running total per conversation and model"},
        undercounts=(
            "which of a total was input, output or cache, and of which request",
            "usage of conversations of older releases",
        ),
        verified=False,
        variables=("XDG_STATE_HOME", "LOCALAPPDATA"),
    )

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        if platform == "win32":
            return [local_app_data(home, environ) / "warp" / name / "data" for name in ("Warp", "WarpPreview")]
        if platform == "darwin":
            support = application_support(home / _CONTAINER)
            return [support / f"dev.warp.Warp-{channel}" for channel in ("Stable", "Preview")]
        state = xdg_state(home, environ)
        return [state / name for name in ("warp-terminal", "warp-terminal-preview")]

    def folders_of_root(self, root: Path) -> list[Path]:
        return super().folders_of_root(root) or ([root] if (root / DATABASE).is_file() else [])

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        yield self.source_at(folder / DATABASE, ROWS)

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        is_ours = path.name == DATABASE or b"agent_conversations" in head
        return self.source_at(path, ROWS) if is_sqlite(head) and is_ours else None

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> WholeParser:
        from trueup_agent.harnesses.warp.parser import WarpParser

        return WarpParser(source.path, state, files)

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        from trueup_agent.harnesses.warp.parser import of_raw

        return of_raw(raw)


HARNESS = Warp()
