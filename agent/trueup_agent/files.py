"""`harnesses.base.Files`: what a parser may read of its source, from the disk."""

import errno
import os
import stat
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from trueup_agent.harnesses.base import SourceFile, TooLarge
from trueup_agent.harnesses.folders import walk

if TYPE_CHECKING:
    from trueup_agent.guest import GuestDatabase

# A conversation with images has tens of megabytes; a parser holds the file and what it decodes of it.
MAX_FILE_BYTES = 512 << 20


class DiskFiles:
    """Reads the files of one source. What lies outside of it is refused: a parser that asks for it has a bug."""

    bytes_read = 0

    def __init__(self, source: SourceFile) -> None:
        self._roots = (source.path, *source.companions)
        self._databases: dict[Path, GuestDatabase] = {}

    def read(self, path: Path) -> bytes | None:
        self._check(path)
        try:
            content = read_regular(path, MAX_FILE_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        self.bytes_read += len(content or b"")
        return content

    def list(self, folder: Path) -> list[Path]:
        self._check(folder)
        return [
            directory / name
            for directory, _, names in walk(folder, _unless_gone, follow_links=False)
            for name in names
            if _is_regular(directory / name)
        ]

    def modified_at(self, path: Path) -> int | None:
        self._check(path)
        try:
            return path.stat().st_mtime_ns // 1000
        except OSError:
            return None

    def database(self, path: Path) -> "GuestDatabase":
        from trueup_agent.guest import GuestDatabase

        self._check(path)
        if path not in self._databases:
            self._databases[path] = GuestDatabase(path)
        return self._databases[path]

    def close(self) -> None:
        for database in self._databases.values():
            database.close()

    def _check(self, path: Path) -> None:
        assert any(path.is_relative_to(root) for root in self._roots), path


def _unless_gone(error: OSError) -> None:
    """What is closed to us is still there: without it a reading would say too little."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False  # it vanished


def read_regular(path: Path, limit: int) -> bytes | None:
    """The content of a file; None of anything else (a pipe that nobody writes to would be waited for).

    Raises OSError, and TooLarge above `limit` bytes.
    """
    try:
        file = open_regular(path)
    except NotRegular:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise TooLarge(f"larger than {limit >> 20} MB")
        return file.read(size)  # what is appended in the meantime is read the next time


class NotRegular(OSError):
    """A pipe, a device, a directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "no regular file", str(path))


def open_regular(path: Path) -> FileIO:
    """Opened without waiting for the other end of a pipe. Raises OSError, NotRegular among them."""
    if not stat.S_ISREG(path.stat().st_mode):  # merely opening a device can have an effect: a tape, a watchdog
        raise NotRegular(path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    file = FileIO(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # put there in the meantime
        file.close()
        raise NotRegular(path)
    return file
