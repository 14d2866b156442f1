"""What a harness module provides. Modules are pure: they look at paths and bytes that are handed to them.

Adding one = one module, one folder of golden tests, one line in `harnesses.HARNESSES`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from trueup_agent.harnesses.values import text
from trueup_agent.records import Parsed

MAX_UNKNOWN = 64  # distinct types of records that a piece of a log can name


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


def skip(parsed: Parsed, reason: str) -> None:
    """A line that could not be read, or whose usage could not be taken."""
    parsed.skipped[reason] = parsed.skipped.get(reason, 0) + 1


def count_unknown(parsed: Parsed, record_type: object) -> None:
    """A record of a type that this release does not know: so a change of the format becomes visible."""
    name = text(record_type, 64) or "(none)"
    if name not in parsed.unknown and len(parsed.unknown) >= MAX_UNKNOWN:
        name = "(others)"
    parsed.unknown[name] = parsed.unknown.get(name, 0) + 1
