"""The ledger's file: where it lies, how it is opened, and numbered migrations, forward only."""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

from trueup_agent.errors import LedgerTooNew, LedgerUnusable
from trueup_agent.ledger.lock import WriterLock

if TYPE_CHECKING:
    import aiosqlite

LEDGER_FILE = "ledger.db"
LOCK_FILE = "ledger.lock"

_MIGRATIONS = Path(__file__).parent / "migrations"

# Keys are random: an index that does not fit in the cache turns every insert into a read.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -16000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA busy_timeout = 5000",
)

# sqlite3 looks for an adapter of every bytes and None that it binds, and raises and swallows an exception when there is
# none: longer than the binding takes. These two hand the value back at once.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(NoneType, lambda none: none)


@asynccontextmanager
async def durable(db: "aiosqlite.Connection") -> AsyncIterator[None]:
    """A transaction that is on the disk at its end, with everything committed before it."""
    await db.execute("PRAGMA synchronous = FULL")
    try:
        await db.execute("BEGIN IMMEDIATE")
        yield
        await db.commit()
    except BaseException:
        await db.rollback()
        raise
    finally:
        await db.execute("PRAGMA synchronous = NORMAL")


def ledger_path(data_dir: Path) -> Path:
    return data_dir / LEDGER_FILE


def make_data_dir(data_dir: Path) -> None:
    """A directory that only its owner can enter."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The one boundary where SQLite's and the system's errors become a line for the user."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LedgerUnusable(f"ledger {path}: {_in_words(error)}") from error
    except OSError as error:
        raise LedgerUnusable(f"ledger {path}: {error.strerror or error}") from error


def _in_words(error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "full" in text:
        return "the disk is full: free some space and try again; nothing that was written is lost"
    if "readonly" in text or "read-only" in text:
        return "cannot be written: check the permissions and whether the disk is mounted read-only"
    if "unable to open" in text:
        return "cannot be opened: check that the directory exists and the permissions"
    if "not a database" in text or "malformed" in text:
        return f"is damaged ({text}): move it away and scan again; the logs that still exist are read anew"
    return text


def make_file(path: Path) -> None:
    """Readable by its owner only, before SQLite would make it by the umask; its side files follow its mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


async def migrate(db: "aiosqlite.Connection", path: Path) -> None:
    """Bring the file to the newest schema. Each script is one transaction that ends with its number."""
    for pragma in _PRAGMAS:
        await db.execute(pragma)
    [[version]] = await db.execute_fetchall("PRAGMA user_version")
    newest = newest_version()
    if version > newest:
        raise LedgerTooNew(
            f"ledger {path} has schema {version}, written by a later release; this one knows {newest}: upgrade trueup"
        )
    for script in _scripts_after(version):
        await db.executescript(script)


def upgrade(path: Path) -> None:
    """Bring the ledger that an earlier release made to the newest schema, for a command that only reads.

    Raises LedgerBusy while another process writes it, LedgerUnusable.
    """
    lock = WriterLock(path.with_name(LOCK_FILE))
    with translated(path):
        lock.take()
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                [[version]] = db.execute("PRAGMA user_version")
                for script in _scripts_after(version):
                    db.executescript(script)
        finally:
            lock.release()


def _scripts_after(version: int) -> list[str]:
    scripts = sorted(_MIGRATIONS.glob("*.sql"))
    return [script.read_text(encoding="utf-8") for script in scripts if _number(script) > version]


def newest_version() -> int:
    return max(_number(script) for script in _MIGRATIONS.glob("*.sql"))


def _number(script: Path) -> int:
    return int(script.name[:4])
