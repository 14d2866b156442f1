"""One writer among several processes: a lock on a file, which the system lets go of however its holder ends."""

import os
import sys
from pathlib import Path

from trueup_agent.errors import LedgerBusy


class WriterLock:
    """Held from `take` to `release`. The file holds the holder's process id, for whoever is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> None:
        """Raises LedgerBusy, or OSError when the file cannot be made."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(file)
        except BlockingIOError:
            pid = os.pread(file, 32, 0).strip() if hasattr(os, "pread") else b""
            os.close(file)
            raise LedgerBusy(int(pid) if pid.isdigit() else None) from None
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


if sys.platform == "win32":
    import msvcrt

    # Windows locks are mandatory: lock a byte far past the process id, so that others can read it.
    _BYTE = 1 << 30

    def _lock(file: int) -> None:
        os.lseek(file, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        finally:
            os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
