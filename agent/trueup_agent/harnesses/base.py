"""What a harness provides. Its modules are pure: they look at paths, and read what is handed to them.

Adding one = one package here whose `HARNESS` is a `Harness`, one folder of golden tests, one line in
`trueup_shared.harnesses`. The package's `__init__` is loaded in every run, so it finds and describes; what parses is
imported by `Harness.parser`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol

from msgspec import Struct

from trueup_agent.harnesses.values import text
from trueup_agent.records import Parsed
from trueup_shared.harnesses import DATA_VERSIONS

MAX_UNKNOWN = 64  # distinct types of records that a piece of a log can name

# Why a line or record was skipped: all reasons that a parser gives.
MALFORMED = "malformed"  # no JSON, or not of the shape that its type has
NO_TIME = "usage_without_time"
NO_IDENTITY = "usage_without_identity"
OVERSIZED = "too_large"  # beyond a limit of ours
ELSEWHERE = "counted_elsewhere"  # of another session or program, whose own log has it
IMPLAUSIBLE = "implausible_usage"  # counters beyond what a request can use
# Of these the request counts, with what of it is beyond doubt.
CONTRADICTORY = "contradictory_usage"  # counters that cannot be true together
UNCERTAIN = "uncertain_input"  # taken as logged, though it may include what came from the cache

# How a source is read.
LINES: Final = "lines"  # appended to, line by line: a LineParser, from where it stopped
WHOLE: Final = "whole"  # rewritten: a WholeParser, everything again whenever one of its files changed
ROWS: Final = "rows"  # a SQLite database, read as a guest: a WholeParser, past a watermark, and all of it once a day

Kind = Literal["lines", "whole", "rows"]


class SourceFile(Struct, frozen=True, kw_only=True):
    """One log that a harness writes. `identity` names it across runs and feeds its source key."""

    harness: str
    path: Path
    identity: str
    kind: Kind = LINES
    compressed: bool = False  # a .zst of lines: read as a whole whenever its identity changed
    # Files, and folders with everything below them, that the parser reads too, whether or not they exist: when one of
    # them changes the source is read again. The write-ahead log of a database is one without being named.
    companions: tuple[Path, ...] = ()


class Unfinished(Exception):
    """Half-written, locked or changing while it was read: nothing of this reading is kept, the next pass tries again.

    The message is shown to the user beside the path: `half-written JSON`.
    """


class TooLarge(Unfinished):
    """Beyond a limit of ours: tried again only when it changed."""


class Database(Protocol):
    """A SQLite database of another program, open as a guest. Every call raises Unfinished when it is busy."""

    def columns(self, table: str) -> frozenset[str]:
        """Names of its columns; none where there is no such table."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT: page through large tables by key with LIMIT. Text that is no UTF-8 comes repaired."""


class Files(Protocol):
    """What a parser may read of its source: its file and its companions, nothing else."""

    def read(self, path: Path) -> bytes | None:
        """The content; None where there is no such file. Raises OSError, and Unfinished where it is too large."""

    def list(self, folder: Path) -> list[Path]:
        """Regular files below a companion folder, by name; links are not followed."""

    def modified_at(self, path: Path) -> int | None:
        """Microseconds UTC. For records that bear no time (time_quality 3), and only for them."""

    def database(self, path: Path) -> Database:
        """The database at that path. Closed by whoever handed these files out."""


class LineParser(Protocol):
    """Reads a source of kind LINES from where `state` left it. `JsonLines` does what is alike."""

    def feed(self, chunk: bytes) -> None:
        """Whole lines, each ended by a newline, in order. Never raises for what a line contains."""

    def close(self) -> None:
        """All that is there was fed: the time to read companions. Not the end of the log, which may grow later."""

    def take(self) -> Parsed:
        """What was parsed since the last call. Cutting the input elsewhere gives records that join to the same rows."""

    def state(self) -> bytes:
        """What `Harness.parser` needs to go on after the last line fed, in another process if need be."""


class WholeParser(Protocol):
    """Reads a source of kind WHOLE or ROWS."""

    def read(self, everything: bool) -> Iterator[Parsed]:
        """What is there, in pieces of a few thousand records. ROWS: only what came after `state`, unless `everything`.

        Raises Unfinished. Never raises for what a record contains: that is skipped and counted.
        """

    def state(self) -> bytes:
        """What the next reading needs to know of the pieces given so far (ROWS: the watermark)."""


class Usage(Struct, kw_only=True, gc=False):
    """Canonical counters of one request (formats/README.md). None = not reported, never zero."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_undivided_tokens: int | None = None
    undivided_tokens: int | None = None
    context_tokens: int | None = None
    lower_bounds: int = 0  # bit sets over metrics.COUNTERS
    derived: int = 0

    def reported(self) -> bool:
        """Does it say anything? An event without any counter is a request whose usage nobody knows."""
        return any(getattr(self, name) is not None for name in _COUNTED)


_COUNTED = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))


class Facts(Struct, frozen=True, kw_only=True):
    """What a stored event says beside its raw usage, for `Harness.usage` when the log is gone."""

    provider: str | None
    model: str | None
    identity: str
    usage: Usage  # as the older parser read it


class About(Struct, frozen=True, kw_only=True):
    """What documents and doctor say of a harness."""

    name: str  # as its makers write it
    sources: str  # kinds of files, in a few words: "JSONL, appended"
    counters: Mapping[str, str]  # counter -> "exact" | "lower bound" | "derived" | how else, in a few words
    undercounts: tuple[str, ...] = ()  # what no log records, one noun phrase each
    verified: bool  # seen on real recordings; False: built from descriptions alone
    variables: tuple[str, ...] = ()  # environment variables of its makers that we honour


class Harness:
    """Base class: what is not overridden holds for a harness that keeps its logs below a user's home."""

    id: ClassVar[str]
    about: ClassVar[About]
    # Folders with much traffic that is not ours are looked at by rescan only: a watch for each costs the system.
    is_watched: ClassVar[bool] = True

    def __init__(self) -> None:
        self.data_version = DATA_VERSIONS[self.id]

    def data_folders(self, home: Path, environ: Mapping[str, str], platform: str) -> list[Path]:
        """Where this harness keeps its logs for that user, whether or not the folders exist.

        `environ` is empty for the homes of others. `platform` as in sys.platform: linux, darwin, win32. A log that a
        variable names as a file stands here itself, and is recognised.
        """
        raise NotImplementedError

    def folders_of_root(self, root: Path) -> list[Path]:
        """Data folders that `--root` may mean: below a home, below the harness's home, or itself. First hit wins."""
        for platform in ("linux", "darwin", "win32"):
            found = [folder for folder in self.data_folders(root, {}, platform) if folder.is_dir()]
            if found:
                return found
        return []

    def sources(self, folder: Path, errors: list[OSError]) -> Iterator[SourceFile]:
        """Sources below a data folder, chosen by name alone. Directories that cannot be listed go into `errors`."""
        raise NotImplementedError

    def recognise(self, path: Path, head: bytes) -> SourceFile | None:
        """The source that a file found elsewhere is, by its name and its first records (up to 64 KiB); or None."""
        raise NotImplementedError

    def source_at(self, path: Path, kind: Kind = LINES, companions: tuple[Path, ...] = ()) -> SourceFile:
        """A source that its path names, as most do: one that its producer never moves."""
        return SourceFile(harness=self.id, path=path, identity=str(path), kind=kind, companions=companions)

    def parser(self, source: SourceFile, state: bytes | None, files: Files) -> LineParser | WholeParser:
        """A parser that goes on from `state`, or from the beginning."""
        raise NotImplementedError

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        """The counters of a stored event from its raw usage alone, by today's rules; None where they cannot be had.

        The parser uses the same function, so that deriving again gives what reading again would give.
        """
        return None


def skip(parsed: Parsed, reason: str) -> None:
    """A line that could not be read, or whose usage could not be taken."""
    parsed.skipped[reason] = parsed.skipped.get(reason, 0) + 1


def time_of(at: int | None, started_at: int | None, files: Files, path: Path) -> tuple[int | None, int]:
    """When a request was, and `time_quality`: its own time, else its session's, else its file's."""
    if at is not None:
        return at, 1
    return (started_at, 2) if started_at is not None else (files.modified_at(path), 3)


def count_unknown(parsed: Parsed, record_type: object) -> None:
    """A record of a type that this release does not know: so a change of the format becomes visible."""
    name = text(record_type, 64) or "(none)"
    if name not in parsed.unknown and len(parsed.unknown) >= MAX_UNKNOWN:
        name = "(others)"
    parsed.unknown[name] = parsed.unknown.get(name, 0) + 1
