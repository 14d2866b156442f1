"""What a harness module provides. Modules are pure: they look at paths and bytes that are handed to them.

Adding one = one module, one folder of golden tests, one line in `harnesses.HARNESSES`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from trueup_agent.records import Parsed


class SourceFile(Struct, frozen=True, kw_only=True):
    """One log that a harness writes. `identity` names it across runs and feeds its source key."""

    harness: str
    path: Path
    identity: str
    compressed: bool = False  # a .zst: read as a whole whenever its identity changed


class Parser(Protocol):
    """Reads one source from where `state` left it."""

    def feed(self, chunk: bytes) -> None:
        """Whole lines, each ended by a newline, in order. Never raises for what a line contains."""

    def take(self) -> Parsed:
        """What was parsed since the last call. Cutting the input elsewhere gives records that join to the same rows."""

    def state(self) -> bytes:
        """What `Harness.parser` needs to go on after the last line fed, in another process if need be."""


class Harness(Protocol):
    id: str
    data_version: int

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        """Where this harness keeps its logs for that user, whether or not the folders exist."""

    def folders_of_root(self, root: Path) -> list[Path]:
        """Data folders that `--root` may mean: below a home, below the harness's home, or itself. First hit wins."""

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """Sources below a data folder, chosen by name alone. Directories that cannot be listed go into `errors`."""

    def recognises(self, path: Path, head: bytes) -> bool:
        """Does a file found elsewhere fit, by its name and its first records (up to 64 KiB)?"""

    def parser(self, source: SourceFile, state: bytes | None) -> Parser: ...
