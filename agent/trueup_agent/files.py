"""`harnesses.base.Files`: what a parser may read of its source, from the disk."""

import os
import stat
from pathlib import Path

from trueup_agent.guest import GuestDatabase
from trueup_agent.harnesses.base import SourceFile, Unfinished

# A conversation with images has tens of megabytes; a parser holds the file and what it decodes of it.
MAX_FILE_BYTES = 512 << 20


class DiskFiles:
    """Reads the files of one source. What lies outside of it is refused: a parser that asks for it has a bug."""

    def __init__(self, source: SourceFile) -> None:
        self._roots = (source.path, *source.companions)
        self._databases: dict[Path, GuestDatabase] = {}

    def read(self, path: Path) -> bytes | None:
        self._check(path)
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return None
                if status.st_size > MAX_FILE_BYTES:
                    raise Unfinished(f"larger than {MAX_FILE_BYTES >> 20} MB")
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

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

    def database(self, path: Path) -> GuestDatabase:
        self._check(path)
        if path not in self._databases:
            self._databases[path] = GuestDatabase(path)
        return self._databases[path]

    def close(self) -> None:
        for database in self._databases.values():
            database.close()

    def _check(self, path: Path) -> None:
        assert any(path.is_relative_to(root) for root in self._roots), path
