"""`harnesses.base.Files`: what a parser may read of its source, from the disk."""

import os
import stat
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from trueup_agent.harnesses.base import SourceFile, TooLarge

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
            Path(directory, name)
            for directory, below, names in os.walk(folder)
            if below.sort() is None
            for name in sorted(names)
            if stat.S_ISREG(Path(directory, name).lstat().st_mode)
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


def read_regular(path: Path, limit: int) -> bytes | None:
    """The content of a file; None of anything else (a pipe that nobody writes to would be waited for).

    Raises OSError, and TooLarge above `limit` bytes.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > limit:
            raise TooLarge(f"larger than {limit >> 20} MB")
        return file.readall()


def open_regular(path: Path) -> FileIO:
    """Opened without waiting for the other end of a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return FileIO(os.open(path, flags), "rb")
