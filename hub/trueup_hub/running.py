"""One hub to a data directory: who holds it, and where that hub is reached.

`hub/running` is locked for as long as the hub lives, so that a killed one leaves nothing behind that must be cleared.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from trueup_hub.errors import AlreadyRunning, InUse
from trueup_hub.hub_key import make_folder


class Running(Struct, frozen=True, kw_only=True):
    """A hub that runs. Until it answers, `url` and `database_url` are None. The latter includes the password."""

    pid: int
    url: str | None = None
    database_url: str | None = None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Callable[[Running], None]]:
    """Hold `folder` (hub/ of a data directory); the function given says where the hub is reached. AlreadyRunning."""
    make_folder(folder)
    descriptor = os.open(folder / "running", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = _read(folder / "running")
            where = f"at {other.url} " if other.url else ""
            raise AlreadyRunning(f"trueup is already running {where}(pid {other.pid}) on {folder.parent}") from None

        def tell(running: Running) -> None:
            file.seek(0)
            file.truncate()
            file.write(msgspec.json.encode(running))

        tell(Running(pid=os.getpid()))
        yield tell
        file.truncate(0)


async def wait_until_free(lock: Path, seconds: float) -> None:
    """Until nobody holds `lock`, a file in which its holder writes its pid. InUse when that takes longer."""
    for _ in range(int(seconds / 0.05)):
        if not _is_held(lock):
            return
        await asyncio.sleep(0.05)
    raise InUse(f"{lock.parent} is in use by {_holder(lock)}: stop it (an agent? a scan?), then start again")


def running_hub(folder: Path) -> Running | None:
    """The hub that holds `folder` now, None when none does."""
    return _read(folder / "running") if _is_held(folder / "running") else None


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _holder(lock: Path) -> str:
    pid = lock.read_text(encoding="utf-8", errors="replace").strip()
    return f"process {pid}" if pid.isdigit() else "another process"


def _read(path: Path) -> Running:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (msgspec.DecodeError, OSError):
        return Running(pid=0)
