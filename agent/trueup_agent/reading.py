"""From a source to rows: tail or files > parser > prepared rows. Runs in the agent's process or in a parser process."""

import os
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import time_ns
from typing import Any, cast

import msgspec
from msgspec import Struct

from trueup_agent.files import DiskFiles, open_regular
from trueup_agent.fingerprints import Fingerprints
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import (
    LINES,
    ROWS,
    WHOLE,
    Kind,
    LineParser,
    SourceFile,
    TooLarge,
    Unfinished,
    WholeParser,
)
from trueup_agent.ledger.rows import Origin, event_row, message_row, session_row
from trueup_agent.ledger.sources import GONE, OUR_MISTAKE, PRESENT, REWRITTEN, TRUNCATED, SourceInfo
from trueup_agent.ledger.updates import SourceUpdate
from trueup_agent.policy import Policy
from trueup_agent.records import Parsed
from trueup_agent.tail import CHUNK_BYTES, CONTINUED, LineSplitter, Mark, Tail, file_id

try:
    import pwd
except ImportError:  # Windows
    pwd = None  # type: ignore[assignment]

# What is parsed between two hand-overs: bounds memory, and what is parsed again after a crash.
PIECE_BYTES = 2 << 20

# Rows of a document that wait until all of it was read, lest half of a damaged one is kept. More go in pieces.
HELD_ROWS = 20_000
# A watermark does not see which rows were deleted: all of them are read this long after the first that was left unread.
FULL_READING_MICROS = 24 * 3600 * 1_000_000

# What unpacks to more than that many times its size was made to be endless; less than the least is read in any case.
MAX_UNPACKED, LEAST_UNPACKED = 200, 64 << 20

LINE_TOO_LONG = "line_too_long"
BAD_COMPRESSION = "bad_compression"


class Job(Struct, frozen=True):
    """One source to be read. `known` is what the ledger has of it."""

    source_key: bytes
    harness: str
    path: str
    identity: str
    compressed: bool
    kind: Kind
    companions: tuple[str, ...]
    known: SourceInfo | None
    policy: Policy
    reread: bool = False  # from its beginning, whatever is known of it


class Reading:
    """Reads one source to its end. `held` is its unfinished last line, as a former reading left it."""

    def __init__(self, job: Job, held: bytes = b"") -> None:
        self.held = held
        self._bytes_reported = 0
        self._job = job
        self._harness = HARNESSES[job.harness]
        self._source = SourceFile(
            harness=job.harness,
            path=Path(job.path),
            identity=job.identity,
            kind=job.kind,
            compressed=job.compressed,
            companions=tuple(Path(path) for path in job.companions),
        )
        known = job.known
        if known is not None and (
            # The numbers mean something else now, or it is back: everything that is there is parsed again.
            known.data_version != self._harness.data_version
            or known.state == GONE
            or known.kind != job.kind
            or job.reread
        ):
            known = msgspec.structs.replace(known, **_START)
        self._info = known or SourceInfo(source_key=job.source_key, harness=job.harness, identity="", path="")
        self._info = msgspec.structs.replace(
            self._info,
            identity=job.identity,
            path=job.path,
            kind=job.kind,
            compressed=job.compressed,
            companions=job.companions,
            state=PRESENT if self._info.state == GONE else self._info.state,
            error=None,
        )
        self._metered = False  # did this reading find an answer with usage?
        # Keys of the events of a reading from beginning to end; None where nothing can be missing from it.
        self._seen: set[bytes] | None = None
        # Read from its beginning again, and still what it was: it stands where it was until all of it was read.
        self._was: SourceInfo | None = None

    def updates(self) -> Iterator[SourceUpdate]:
        """Rows in pieces, each with the position that covers it. What cannot be read gives one without rows."""
        files = DiskFiles(self._source)
        try:
            if self._is_as_it_was():
                self._was = self._job.known
            if self._source.kind != LINES:
                yield from self._document(files)
            elif self._source.compressed:
                yield from self._compressed(files)
            else:
                yield from self._plain(files)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError) and not os.path.lexists(self._source.path)
            yield self._failed(None if gone else error.strerror or str(error))
        except TooLarge as error:
            yield self._failed(str(error), until_it_changes=True)
        except Unfinished as error:
            yield self._failed(str(error))
        except Exception as error:  # the other sources must be read, whatever this one was made for
            yield self._failed(_mistake(error), until_it_changes=True)
        finally:
            files.close()

    def _plain(self, files: DiskFiles) -> Iterator[SourceUpdate]:
        fingerprint = self._fingerprint()
        with Tail(self._source.path, self._info, self.held) as tail:
            if tail.verdict != CONTINUED:
                state = tail.verdict if tail.verdict in (TRUNCATED, REWRITTEN) else self._info.state
                self._start_again(state)
            parser = cast(LineParser, self._parser(files))
            fed = 0
            for lines in tail.chunks():
                parser.feed(lines)
                fed += len(lines)
                if fed >= PIECE_BYTES:
                    yield self._piece(parser, tail.mark(), tail.bytes_read)
                    fed = 0
            error = _closed(parser)
            self._skip(LINE_TOO_LONG, tail.too_long)
            self.held = tail.held()
            yield self._piece(parser, tail.mark(), tail.bytes_read, fingerprint, error)

    def _compressed(self, files: DiskFiles) -> Iterator[SourceUpdate]:
        """Whole, from its beginning: what is compressed no longer grows."""
        from backports import zstd

        self._start_again(self._info.state)
        fingerprint = self._fingerprint()
        parser = cast(LineParser, self._parser(files))
        splitter = LineSplitter()
        status = self._source.path.stat()
        fed = unpacked = 0
        error = None
        with open_regular(self._source.path) as file, zstd.open(file, "rb") as stream:
            try:
                while chunk := stream.read1(CHUNK_BYTES):  # not read(): what comes before the damage counts
                    lines = splitter.push(chunk)
                    parser.feed(lines)
                    fed += len(lines)
                    if fed >= PIECE_BYTES:
                        yield self._piece(parser, Mark(position=splitter.position), 0)
                        fed = 0
                    unpacked += len(chunk)
                    if unpacked > max(LEAST_UNPACKED, MAX_UNPACKED * status.st_size):
                        raise EOFError(f"it unpacks to more than {MAX_UNPACKED} times its size")
            except (zstd.ZstdError, EOFError) as damage:
                self._skip(BAD_COMPRESSION, 1)
                error = str(damage)
        if rest := splitter.held():
            parser.feed(rest + b"\n")
        error = _closed(parser) or error
        self._skip(LINE_TOO_LONG, splitter.too_long)
        mark = msgspec.structs.replace(_mark(status), position=splitter.position)
        yield self._piece(parser, mark, status.st_size, fingerprint, error)

    def _document(self, files: DiskFiles) -> Iterator[SourceUpdate]:
        """Files and databases that a parser reads by itself."""
        fingerprint, status, now = self._fingerprint(), self._source.path.stat(), time_ns() // 1000
        info = self._info
        # A database in the place of another, or one that was compacted: the watermark says nothing.
        replaced = info.file_id != file_id(status) or status.st_size < info.size
        everything = self._source.kind == WHOLE or replaced or 0 < info.full_due_at <= now
        if everything:
            self._start_again(info.state, None if replaced else info.parser_state)
        else:
            # Rows about the watermark come more than once: such a reading is counted by itself.
            self._info = msgspec.structs.replace(info, **dict.fromkeys(_TAIL, 0))
        parser = cast(WholeParser, self._parser(files))
        held: list[SourceUpdate] = []
        rows = 0
        for parsed in parser.read(everything):
            # It looks changed until all of it was read.
            held.append(self._update(parsed, msgspec.structs.replace(self._info, mtime_ns=0)))
            rows += held[-1].rows
            if rows > HELD_ROWS:
                yield from held
                held.clear()
        yield from held
        due = 0 if everything else info.full_due_at or now + FULL_READING_MICROS
        tail = {}
        if not everything and not self._metered:
            tail = {name: max(getattr(info, name), getattr(self._info, name)) for name in _TAIL}
        self._info = msgspec.structs.replace(
            self._info, **msgspec.structs.asdict(_mark(status)), **tail, parser_state=parser.state(), full_due_at=due
        )
        scanned = status.st_size if self._source.kind == ROWS and everything else 0
        yield self._update(Parsed(), self._info, files.bytes_read + scanned, fingerprint)

    def _is_as_it_was(self) -> bool:
        """Of a source that is read again although that was done before: is all still there that was read then?"""
        known, path = self._job.known, self._source.path
        version = self._harness.data_version
        if known is None or (known.data_version == version and known.state != GONE and not self._job.reread):
            return False
        if (known.kind, known.compressed) == (LINES, False) == (self._source.kind, self._source.compressed):
            with Tail(path, known) as tail:
                verdict = tail.verdict
            if verdict in (TRUNCATED, REWRITTEN):
                self._info.state = verdict
            beside = not self._job.reread or known.fingerprint == self._fingerprint()
            return verdict == CONTINUED and known.state != GONE and beside
        same_kind = (known.kind, known.compressed) == (self._source.kind, self._source.compressed)
        unchanged = known.looks_unchanged(path.stat()) and known.fingerprint == self._fingerprint()
        return same_kind and unchanged and known.state != GONE

    def _start_again(self, state: str, parser_state: bytes | None = None) -> None:
        self._info = msgspec.structs.replace(self._info, **_START, state=state)
        self._info.parser_state = parser_state
        if self._job.known is not None:
            self._seen = set()

    def _failed(self, reason: str | None, until_it_changes: bool = False) -> SourceUpdate:
        """Nothing of this reading; it is tried again. `reason` None: the source is gone."""
        known = self._job.known or SourceInfo(
            source_key=self._job.source_key,
            harness=self._job.harness,
            identity=self._job.identity,
            path=self._job.path,
            kind=self._job.kind,
            companions=self._job.companions,
            data_version=self._harness.data_version,
        )
        marks: dict[str, Any] = {"mtime_ns": 0}
        if until_it_changes:
            with suppress(OSError):
                marks = msgspec.structs.asdict(_mark(self._source.path.stat())) | {"fingerprint": self._fingerprint()}
        state = GONE if reason is None else known.state
        source = msgspec.structs.replace(known, **marks, state=state, error=reason)
        return SourceUpdate(source=source, seen=b"" if reason is None else None)

    def _parser(self, files: DiskFiles) -> LineParser | WholeParser:
        return self._harness.parser(self._source, self._info.parser_state, files)

    def _fingerprint(self) -> bytes:
        """Of before reading: what changes in the meantime is another change."""
        return Fingerprints().of(self._source)

    def _skip(self, reason: str, lines: int) -> None:
        if lines:
            self._info.lines += lines
            self._info.skipped = self._info.skipped | {reason: self._info.skipped.get(reason, 0) + lines}

    def _piece(
        self,
        parser: LineParser,
        mark: Mark,
        bytes_read: int,
        fingerprint: bytes | None = None,
        error: str | None = None,
    ) -> SourceUpdate:
        """What was parsed since the last piece. `bytes_read` counts from the beginning of this reading.

        `fingerprint` is given with the last piece. Before it a source that is read again has no marks: whoever is
        interrupted must not miss what is no longer there.
        """
        self._bytes_reported, newly_read = bytes_read, bytes_read - self._bytes_reported
        if fingerprint is None and self._seen is not None:
            mark = Mark(position=mark.position)
        self._info = msgspec.structs.replace(
            self._info, **msgspec.structs.asdict(mark), parser_state=parser.state(), error=error
        )
        return self._update(parser.take(), self._info, newly_read, fingerprint)

    def _update(
        self, parsed: Parsed, stands: SourceInfo, bytes_read: int = 0, fingerprint: bytes | None = None
    ) -> SourceUpdate:
        """Records as rows, and where the source stands after them."""
        info, now = self._info, time_ns() // 1000
        self._metered = self._metered or parsed.metered
        version = self._harness.data_version
        counted: dict[str, Any] = {
            "data_version": version,
            "lines": info.lines + parsed.lines,
            "skipped": _sum(info.skipped, parsed.skipped),
            "unknown": _sum(info.unknown, parsed.unknown),
            "events": info.events + len(parsed.events),
            **_canary(info, parsed, bytes_read),
        }
        self._info = msgspec.structs.replace(info, **counted)
        origin = Origin(info.source_key, version, _owner(self._source.path), stands.position)
        policy = self._job.policy
        if self._seen is not None:
            self._seen.update(record.key for record in parsed.events)
        last = fingerprint is not None
        if last:
            counted["fingerprint"] = fingerprint if stands.error is None else b""
            counted["reread"] = info.reread or (self._was is not None and self._was.data_version != version)
        stands = msgspec.structs.replace(stands, **counted)
        return SourceUpdate(
            source=stands if last or self._was is None else self._was,
            sessions=[session_row(record, origin, policy) for record in parsed.sessions],
            messages=[message_row(record, origin, policy) for record in parsed.messages],
            events=[event_row(record, origin, policy, now) for record in parsed.events],
            bytes_read=bytes_read,
            seen=b"".join(sorted(self._seen)) if last and self._seen is not None else None,
            whole=last and self._was is not None,
        )


_TAIL = ("unmetered", "unmetered_bytes", "unmetered_prompts", "unmetered_lines", "unmetered_unknown")
# A source that is read from its beginning: what was counted of it is counted again.
_START = {
    **msgspec.structs.asdict(Mark()),
    "parser_state": None,
    "lines": 0,
    "skipped": {},
    "unknown": {},
    "events": 0,
    **dict.fromkeys(_TAIL, 0),
    "metered_at": None,
}


def _canary(info: SourceInfo, parsed: Parsed, bytes_read: int) -> dict[str, Any]:
    """What was read since the last answer with usage (drift.py)."""
    since = _NOTHING if parsed.metered else info
    prompts = sum(message.kind == "prompt" for message in parsed.messages)
    metered_at = info.metered_at
    if parsed.metered:
        metered_at = max((event.at for event in parsed.events), default=metered_at or time_ns() // 1000)
    return {
        "unmetered": since.unmetered + parsed.unmetered,
        "unmetered_bytes": since.unmetered_bytes + (0 if parsed.metered else bytes_read),
        "unmetered_prompts": since.unmetered_prompts + (0 if parsed.metered else prompts),
        "unmetered_lines": since.unmetered_lines + parsed.lines - parsed.metered_lines,
        "unmetered_unknown": since.unmetered_unknown + sum(parsed.unknown.values()) - parsed.metered_unknown,
        "metered_at": metered_at,
    }


_NOTHING = SourceInfo(source_key=b"", harness="", identity="", path="")


def _closed(parser: LineParser) -> str | None:
    """Why its companions could not be read, if so: the lines that were fed count, and those are tried again."""
    try:
        parser.close()
    except (Unfinished, OSError) as error:
        return error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return None


def _mistake(error: Exception) -> str:
    """Where it happened, and not what the error says: that may quote the log."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{OUR_MISTAKE}{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"


def _mark(status: os.stat_result) -> Mark:
    return Mark(file_id=file_id(status), size=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)


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
