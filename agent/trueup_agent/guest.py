"""Other programs' SQLite databases, read as a guest: no file left behind, no lock held, live content seen.

Rules and why (formats/README.md, rule 9): a database without a write-ahead log is opened as immutable, which takes no
lock, and looked at again after each query; with a live log it is opened read-only beside its `-shm`, which is not
written to; where that cannot be used, or a transaction was left half done, a private copy is read.

Its schema is not trusted either: it may have been made to hurt. Only tables are read; a view could run anything.
"""

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from trueup_agent.files import open_regular
from trueup_agent.harnesses.base import TooLarge, Unfinished

# A copy is made only where the database cannot be read where it is.
MAX_COPY_BYTES = 1 << 30
# Of one query: parsers page through large tables.
MAX_RESULT_BYTES = 512 << 20
MAX_QUERY_SECONDS = 120.0  # a view can stand where a table should be, and never end
ATTEMPTS = 5
_BUSY_MS = 250
# A program that closes its database while we are connected cannot tidy its log away.
_CONNECTED_SECONDS = 0.1
_ROWS_AT_ONCE = 64
_STEPS = 100_000
_CELL_BYTES = 48  # what a value takes in memory beside its text
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")  # zeroed where the transaction ended
_WAL_HEADER = 32  # holds a salt that changes whenever the log is begun anew
_DB_HEADER = 100  # holds a counter of transactions

_COPIES = "trueup-copy-"  # and the process that made it
_PRAGMAS = (f"busy_timeout = {_BUSY_MS}", "query_only = 1", "trusted_schema = 0", "cell_size_check = 1")
# No view, and no virtual table, which brings code of its own. SQLite stores the statement in this form.
_IS_TABLE = "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE AND sql LIKE 'CREATE TABLE%'"

_Look = tuple[int, int, int, bytes]


class _Moved(Unfinished):
    """It changed while it was read: another attempt may do better."""

    def __init__(self) -> None:
        super().__init__("it changed while it was read")


class GuestDatabase:
    """`harnesses.base.Database`. Raises Unfinished for whatever another pass may find mended, OSError if it is missing.

    Each query sees one state of the database; the next one may see a later state.
    """

    def __init__(self, path: Path) -> None:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unfinished("no regular file")
        open_regular(path).close()  # SQLite says of whatever is in the way that it is "unable to open database file"
        self._path = path
        self._wal, self._journal, self._shm = (path.with_name(path.name + end) for end in ("-wal", "-journal", "-shm"))
        self._db: sqlite3.Connection | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._look: list[_Look] | None = None  # of a database that is opened as immutable, or was copied
        self._opened = 0.0

    def columns(self, table: str) -> frozenset[str]:
        if not self.rows(_IS_TABLE, (table,)):
            return frozenset()
        return frozenset(row[0] for row in self.rows("SELECT name FROM pragma_table_info(?)", (table,)))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        for _ in range(ATTEMPTS):
            try:
                found = self._query(self._connected(), sql, parameters)
            except _Moved:
                continue
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter tells of a damaged schema
                if self._changed():
                    continue
                self._disconnect()
                raise Unfinished(_in_words(error)) from None
            if not self._changed():
                return found
        raise _Moved

    def close(self) -> None:
        self._disconnect()

    def _query(self, db: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        until = monotonic() + MAX_QUERY_SECONDS
        db.set_progress_handler(lambda: monotonic() > until, _STEPS)
        found: list[tuple[Any, ...]] = []
        size = 0
        cursor = db.execute(sql, parameters)
        try:
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                found += rows
                size += sum(len(value) for row in rows for value in row if isinstance(value, str | bytes))
                size += _CELL_BYTES * len(rows) * (len(rows[0]) + 1)
                if size > MAX_RESULT_BYTES:
                    raise TooLarge(f"more than {MAX_RESULT_BYTES >> 20} MB in one answer")
        finally:
            cursor.close()
        return found

    def _connected(self) -> sqlite3.Connection:
        """The connection; another one where it would hold a lock for long, or where the file changed."""
        if self._db is not None and self._look is None and monotonic() - self._opened > _CONNECTED_SECONDS:
            self._disconnect()
        if self._db is None:
            self._opened = monotonic()
            self._db = self._open()
        return self._db

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _changed(self) -> bool:
        """Did what is read without a lock change since it was opened? Then it is opened anew."""
        if self._copy is not None or self._look is None or self._looks() == self._look:
            return False
        self._disconnect()
        return True

    def _open(self) -> sqlite3.Connection:
        self._look = self._looks()
        if _head(self._journal, len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC:
            return self._open_copy(self._journal)
        if not _size(self._wal):
            return _connect(self._path, "mode=ro&immutable=1")
        if os.access(self._shm, os.R_OK):
            try:
                db = _connect(self._path, "mode=ro&readonly_shm=1")
                db.execute("SELECT 1 FROM sqlite_master LIMIT 1").close()
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise
            else:
                self._look = None  # SQLite sees to it that a query sees one state
                return db
        return self._open_copy(self._wal)

    def _open_copy(self, beside: Path) -> sqlite3.Connection:
        """With the log that completes it, or with the journal that takes back what was begun."""
        if self._path.stat().st_size + _size(beside) > MAX_COPY_BYTES:
            raise TooLarge("it cannot be read where it is, and it is too large to be copied")
        _remove_left_copies()
        copy = tempfile.TemporaryDirectory(prefix=f"{_COPIES}{os.getpid()}-", ignore_cleanup_errors=True)
        try:
            target = Path(copy.name, "copy.db")
            _copy(self._path, target)
            _copy(beside, target.with_name(target.name + beside.name.removeprefix(self._path.name)))
            if self._looks() != self._look:
                raise _Moved
            db = _connect(target, "mode=rw")
            try:
                db.execute("SELECT 1 FROM sqlite_master LIMIT 1").close()  # opens all of its files
            except BaseException:
                db.close()
                raise
        except FileNotFoundError:
            copy.cleanup()
            raise _Moved from None
        except BaseException:
            copy.cleanup()
            raise
        copy.cleanup()  # read without a name, it is gone however we end; Windows removes no open file
        self._copy = copy
        return db

    def _looks(self) -> list[_Look]:
        """Never while a connection that holds locks is open: closing a file lets go of all locks of a process."""
        return [_looked(self._path, _DB_HEADER), _looked(self._wal, _WAL_HEADER), _looked(self._journal, 8)]


def _connect(path: Path, options: str) -> sqlite3.Connection:
    # Read by one thread at a time, not always the same.
    db = sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}").close()
        db.set_authorizer(_authorize)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_RESULT_BYTES)
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    except BaseException:
        db.close()
        raise
    return db


def _authorize(action: int, _name: str | None, _column: str | None, _schema: str | None, within: str | None) -> int:
    """Whatever a view says is refused; parsers name none of their subqueries."""
    return sqlite3.SQLITE_OK if within is None else sqlite3.SQLITE_DENY


def _copy(path: Path, target: Path) -> None:
    with open_regular(path) as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)


def _remove_left_copies() -> None:
    """Of processes that were killed while they made one."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_COPIES}*-*"):
        process = folder.name.removeprefix(_COPIES).split("-")[0]
        if os.name == "posix" and process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(folder, ignore_errors=True)  # only what is ours can be, and links are not followed


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def _looked(path: Path, length: int) -> _Look:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0, b"")
    return status.st_ino, status.st_size, status.st_mtime_ns, _head(path, length)


def _head(path: Path, length: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(length)
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _in_words(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "its schema is damaged"
    return "it takes too long" if "interrupted" in str(error) else str(error)
