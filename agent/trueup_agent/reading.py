"""From a log to rows: tail > parser > prepared rows. Runs in the agent's own process or in a parser process."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from time import time_ns
from typing import cast

import msgspec
from msgspec import Struct

from trueup_agent.files import DiskFiles
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import LineParser, SourceFile
from trueup_agent.ledger.rows import Origin, event_row, message_row, session_row
from trueup_agent.ledger.sources import GONE, PRESENT, REWRITTEN, TRUNCATED, SourceInfo, SourceUpdate
from trueup_agent.policy import Policy
from trueup_agent.tail import CHUNK_BYTES, CONTINUED, LineSplitter, Mark, Tail, file_id

try:
    import pwd
except ImportError:  # Windows
    pwd = None  # type: ignore[assignment]

# What is parsed between two hand-overs: bounds memory, and what is parsed again after a crash.
PIECE_BYTES = 2 << 20

LINE_TOO_LONG = "line_too_long"
BAD_COMPRESSION = "bad_compression"


class Job(Struct, frozen=True):
    """One source to be read. `known` is what the ledger has of it."""

    source_key: bytes
    harness: str
    path: str
    identity: str
    compressed: bool
    known: SourceInfo | None
    policy: Policy


class Reading:
    """Reads one source to its end. `held` is its unfinished last line, as a former reading left it."""

    def __init__(self, job: Job, held: bytes = b"") -> None:
        self.held = held
        self._bytes_reported = 0
        self._job = job
        self._harness = HARNESSES[job.harness]
        self._source = SourceFile(
            harness=job.harness, path=Path(job.path), identity=job.identity, compressed=job.compressed
        )
        known = job.known
        if known is not None and known.data_version != self._harness.data_version:
            # The numbers mean something else now: everything that is still there is parsed again.
            known = msgspec.structs.replace(known, **_START)
        self._info = known or SourceInfo(source_key=job.source_key, harness=job.harness, identity="", path="")
        self._info = msgspec.structs.replace(
            self._info,
            identity=job.identity,
            path=job.path,
            compressed=job.compressed,
            state=PRESENT if self._info.state == GONE else self._info.state,
            error=None,
        )

    def updates(self) -> Iterator[SourceUpdate]:
        """Rows in pieces, each with the position that covers it. A file that cannot be read gives one without rows."""
        try:
            yield from self._compressed() if self._job.compressed else self._plain()
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            state = GONE if gone else self._info.state
            reason = None if gone else error.strerror or str(error)
            # Without the marks of this pass: it is tried again until it can be read.
            known = self._job.known or SourceInfo(
                source_key=self._job.source_key,
                harness=self._job.harness,
                identity=self._job.identity,
                path=self._job.path,
                data_version=self._harness.data_version,
            )
            yield SourceUpdate(source=msgspec.structs.replace(known, state=state, error=reason))

    def _plain(self) -> Iterator[SourceUpdate]:
        with Tail(self._source.path, self._info, self.held) as tail:
            if tail.verdict != CONTINUED:
                state = tail.verdict if tail.verdict in (TRUNCATED, REWRITTEN) else self._info.state
                self._info = msgspec.structs.replace(self._info, **_START, state=state)
            parser = self._line_parser(self._info.parser_state)
            fed = 0
            for lines in tail.chunks():
                parser.feed(lines)
                fed += len(lines)
                if fed >= PIECE_BYTES:
                    yield self._piece(parser, tail.mark(), tail.bytes_read)
                    fed = 0
            parser.close()
            self._skip(LINE_TOO_LONG, tail.too_long)
            self.held = tail.held()
            yield self._piece(parser, tail.mark(), tail.bytes_read)

    def _compressed(self) -> Iterator[SourceUpdate]:
        """Whole, from its beginning: what is compressed no longer grows."""
        from backports import zstd

        self._info = msgspec.structs.replace(self._info, **_START)
        parser = self._line_parser(None)
        splitter = LineSplitter()
        status = self._source.path.stat()
        fed = 0
        with zstd.open(self._source.path, "rb") as stream:
            try:
                while chunk := stream.read1(CHUNK_BYTES):  # not read(): what comes before the damage counts
                    lines = splitter.push(chunk)
                    parser.feed(lines)
                    fed += len(lines)
                    if fed >= PIECE_BYTES:
                        yield self._piece(parser, Mark(position=splitter.position), 0)
                        fed = 0
            except (zstd.ZstdError, EOFError) as error:
                self._skip(BAD_COMPRESSION, 1)
                self._info.error = str(error)
        if rest := splitter.held():
            parser.feed(rest + b"\n")
        parser.close()
        self._skip(LINE_TOO_LONG, splitter.too_long)
        mark = Mark(
            file_id=file_id(status),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            position=splitter.position,
        )
        yield self._piece(parser, mark, status.st_size)

    def _line_parser(self, state: bytes | None) -> LineParser:
        return cast(LineParser, self._harness.parser(self._source, state, DiskFiles(self._source)))

    def _skip(self, reason: str, lines: int) -> None:
        if lines:
            self._info.lines += lines
            self._info.skipped = self._info.skipped | {reason: self._info.skipped.get(reason, 0) + lines}

    def _piece(self, parser: LineParser, mark: Mark, bytes_read: int) -> SourceUpdate:
        """What was parsed since the last piece. `bytes_read` counts from the beginning of this reading."""
        self._bytes_reported, newly_read = bytes_read, bytes_read - self._bytes_reported
        parsed = parser.take()
        info = self._info
        origin = Origin(info.source_key, self._harness.data_version, _owner(self._source.path), mark.position)
        policy, now = self._job.policy, time_ns() // 1000
        self._info = info = msgspec.structs.replace(
            info,
            **msgspec.structs.asdict(mark),
            parser_state=parser.state(),
            data_version=self._harness.data_version,
            lines=info.lines + parsed.lines,
            skipped=_sum(info.skipped, parsed.skipped),
            unknown=_sum(info.unknown, parsed.unknown),
            events=info.events + len(parsed.events),
        )
        return SourceUpdate(
            source=info,
            sessions=[session_row(record, origin, policy) for record in parsed.sessions],
            messages=[message_row(record, origin, policy) for record in parsed.messages],
            events=[event_row(record, origin, policy, now) for record in parsed.events],
            bytes_read=newly_read,
        )


# A source that is read from its beginning: what was counted of it is counted again.
_START = {
    **msgspec.structs.asdict(Mark()),
    "parser_state": None,
    "lines": 0,
    "skipped": {},
    "unknown": {},
    "events": 0,
}


def _sum(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in (*a, *(name for name in b if name not in a))} if b else a


def _owner(path: Path) -> str | None:
    """Who owns the log: where one agent reads several homes, that tells whose use it is."""
    return None if pwd is None else _user_name(path.stat().st_uid)


@cache
def _user_name(user_id: int) -> str | None:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return None
