"""Other programs' SQLite databases, read as a guest: no file left behind, no lock held, live content seen.

Rules and why (formats/README.md, rule 9): without a write-ahead log the file is opened as immutable and looked at again
after each query; with a live one it is opened read-only beside its `-shm`, else a private copy of both is read.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trueup_agent.harnesses.base import Unfinished

# A copy is made only where the -shm cannot be used.
MAX_COPY_BYTES = 1 << 30
_BUSY_MS = 250
_Look = tuple[int, int, int, int]


class GuestDatabase:
    """`harnesses.base.Database`. Raises Unfinished for whatever another pass may find mended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._immutable = False
        self._look = self._looks()
        self._db = self._open()

    def columns(self, table: str) -> frozenset[str]:
        return frozenset(row[0] for row in self.rows("SELECT name FROM pragma_table_info(?)", (table,)))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            found = self._db.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise Unfinished(str(error)) from None
        if self._immutable and self._looks() != self._look:
            raise Unfinished("it changed while it was read")
        return found

    def close(self) -> None:
        self._db.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _open(self) -> sqlite3.Connection:
        wal, shm, journal = (self._beside(end) for end in ("-wal", "-shm", "-journal"))
        if _size(journal):
            raise Unfinished("a transaction of its program is under way")
        if not _size(wal):
            self._immutable = True
            return self._connect(self._path, "mode=ro&immutable=1")
        if os.access(shm, os.R_OK):
            return self._connect(self._path, "mode=ro")
        return self._connect(self._copied(wal), "mode=rw")

    def _connect(self, path: Path, options: str) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None)
            db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            db.execute("PRAGMA query_only = 1")
        except sqlite3.DatabaseError as error:
            raise Unfinished(str(error)) from None
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return db

    def _copied(self, wal: Path) -> Path:
        if self._path.stat().st_size + _size(wal) > MAX_COPY_BYTES:
            raise Unfinished("its -shm cannot be read, and it is too large to be copied")
        self._copy = tempfile.TemporaryDirectory(prefix="trueup-")
        target = Path(self._copy.name, "copy.db")
        shutil.copyfile(self._path, target)
        shutil.copyfile(wal, f"{target}-wal")
        if self._looks() != self._look:
            self._copy.cleanup()
            raise Unfinished("it changed while it was read")
        return target

    def _beside(self, end: str) -> Path:
        return self._path.with_name(self._path.name + end)

    def _looks(self) -> _Look:
        status = self._path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns, _size(self._beside("-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
