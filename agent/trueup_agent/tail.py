"""Reading a log from where reading stopped: whole lines only, and only if it is still the same file.

A position is valid for one file (device and inode) whose beginning, and whose bytes just before the position, are what
they were. Else it is read from 0: the ledger joins what it has with what comes again, so nothing is counted twice.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct

from trueup_agent.files import open_regular

HEAD_BYTES = 4096
END_BYTES = 1024
CHUNK_BYTES = 1 << 18
# Lines of tens of megabytes are normal (images, tool output); what is longer is skipped and counted.
MAX_LINE_BYTES = 64 << 20
_HASH_BYTES = 16

CONTINUED, FRESH, TRUNCATED, REWRITTEN = "continued", "fresh", "truncated", "rewritten"


class Mark(Struct, kw_only=True):
    """How far a file was read, and what it looked like then."""

    file_id: str = ""  # device and inode
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    head_bytes: int = 0  # how much of the beginning was there to be hashed
    head_hash: bytes = b""
    end_hash: bytes = b""  # of the bytes just before the position
    position: int = 0  # after the last whole line
    mid_line: bool = False  # the position is inside a line that is too long and being skipped

    def looks_unchanged(self, status: os.stat_result) -> bool:
        """Nothing to read, as far as `stat` can tell."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.file_id) == (
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            file_id(status),
        )


def file_id(status: os.stat_result) -> str:
    return f"{status.st_dev:x}:{status.st_ino:x}"


class LineSplitter:
    """Cuts a stream after its last newline, however it comes in, and leaves out lines that are too long.

    Chunks are shorter than the longest line, so only the first line that ends in one can be too long.
    """

    def __init__(self, position: int = 0, mid_line: bool = False) -> None:
        self.position = position
        self.mid_line = mid_line
        self.too_long = 0
        self._parts: list[bytes] = []  # of the line that has not ended yet
        self._held = 0

    def push(self, chunk: bytes) -> bytes:
        """The lines that end in `chunk`, with what was held of the first; b'' when none does."""
        if self.mid_line:
            end = chunk.find(b"\n") + 1
            self.position += end or len(chunk)
            if not end:
                return b""
            self.mid_line = False
            chunk = chunk[end:]
        first = chunk.find(b"\n")
        if self._held + (len(chunk) if first < 0 else first) > MAX_LINE_BYTES:
            self.too_long += 1
            self.position += self._held
            self._parts, self._held, self.mid_line = [], 0, True
            return self.push(chunk)
        if first < 0:
            self._parts.append(chunk)
            self._held += len(chunk)
            return b""
        end = chunk.rfind(b"\n") + 1
        lines = b"".join((*self._parts, chunk[:end])) if self._parts or end < len(chunk) else chunk
        self._parts, self._held = ([chunk[end:]], len(chunk) - end) if end < len(chunk) else ([], 0)
        self.position += len(lines)
        return lines

    def held(self) -> bytes:
        """The beginning of a line that has not ended."""
        return b"".join(self._parts)


class Tail:
    """One pass over a file. `verdict` says whether it goes on where `mark` was; if not it starts at 0.

    `held` is the unfinished line that a former pass returned as `held()`: it need not be read again.
    """

    def __init__(self, path: Path, mark: Mark, held: bytes = b"") -> None:
        self._file = open_regular(path)
        try:
            self._status = os.fstat(self._file.fileno())
            self.bytes_read = 0
            self._head = self._pread(0, HEAD_BYTES)
            self.verdict = self._compare(mark)
            going_on = self.verdict == CONTINUED
            self._splitter = LineSplitter(mark.position, mark.mid_line) if going_on else LineSplitter()
            self._offset = self._splitter.position
            if going_on and held and self._pread(self._offset, END_BYTES).startswith(held[:END_BYTES]):
                self._splitter.push(held)
                self._offset += len(held)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def too_long(self) -> int:
        """Lines left out because of their length."""
        return self._splitter.too_long

    @property
    def position(self) -> int:
        return self._splitter.position

    def held(self) -> bytes:
        return self._splitter.held()

    def chunks(self) -> Iterator[bytes]:
        """Whole lines, up to the size that the file had when it was opened."""
        while self._offset < self._status.st_size:
            chunk = self._pread(self._offset, CHUNK_BYTES)
            if not chunk:
                return
            self._offset += len(chunk)
            if lines := self._splitter.push(chunk):
                yield lines

    def mark(self) -> Mark:
        """Where the pass stands. Before its end the file looks changed, so that the rest is read another time."""
        head = self._head[: self.position]
        return Mark(
            file_id=file_id(self._status),
            size=self._status.st_size,
            mtime_ns=self._status.st_mtime_ns if self._offset == self._status.st_size else 0,
            ctime_ns=self._status.st_ctime_ns,
            head_bytes=len(head),
            head_hash=_hash(head),
            end_hash=self._end_hash(self.position),
            position=self.position,
            mid_line=self._splitter.mid_line,
        )

    def _compare(self, mark: Mark) -> str:
        if not mark.file_id:
            return FRESH
        if self._status.st_size < mark.position:
            return TRUNCATED
        if _hash(self._head[: mark.head_bytes]) != mark.head_hash or self._end_hash(mark.position) != mark.end_hash:
            return REWRITTEN
        return CONTINUED if file_id(self._status) == mark.file_id else FRESH  # a copy in its place

    def _end_hash(self, position: int) -> bytes:
        start = max(0, position - END_BYTES)
        return _hash(self._pread(start, position - start))

    def _pread(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        found = self._file.read(max(0, min(length, self._status.st_size - offset)))
        self.bytes_read += len(found)
        return found


def _hash(text: bytes) -> bytes:
    return blake2b(text, digest_size=_HASH_BYTES).digest()
