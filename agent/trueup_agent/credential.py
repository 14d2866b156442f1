"""Who this machine is at its hub: `host.json` in the data directory, for its owner's eyes only.

The machine makes its own 256-bit secret and writes it down (`enroll.json`) before it asks: if the answer is lost,
asking again with the same secret gets the same answer, and a second machine with the code is refused.
"""

import os
import secrets
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from trueup_agent.errors import BadHostFile

T = TypeVar("T")

HOST_FILE = "host.json"
PENDING_FILE = "enroll.json"
SECRET_BYTES = 32


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment: one host at one hub. `ledger_id`: the ledger last used with it, '' = none yet (or an old file)."""

    hub_url: str
    host_id: str
    credential: str = ""
    label: str = ""
    kind: Literal["server", "laptop", "ephemeral"] = "server"
    ledger_id: str = ""


class PendingEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that one hub has been, or is about to be, asked to take."""

    hub_url: str
    secret: bytes


def load_host(data_dir: Path) -> Host | None:
    """The enrolment, None when there is none. Raises BadHostFile: only the user can mend it."""
    return _load(data_dir / HOST_FILE, Host)


def save_host(data_dir: Path, host: Host) -> None:
    """Makes `host` the enrolment; the pending one is done."""
    _save(data_dir / HOST_FILE, msgspec.json.encode(host))
    (data_dir / PENDING_FILE).unlink(missing_ok=True)


def secret_for(data_dir: Path, hub_url: str) -> bytes:
    """The secret to enrol with: the one already tried with this hub, else a new one, on disk before it is used."""
    pending = _load(data_dir / PENDING_FILE, PendingEnrolment)
    if pending is None or pending.hub_url != hub_url:
        pending = PendingEnrolment(hub_url=hub_url, secret=secrets.token_bytes(SECRET_BYTES))
        _save(data_dir / PENDING_FILE, msgspec.json.encode(pending))
    return pending.secret


def _load(path: Path, kind: type[T]) -> T | None:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadHostFile(f"{path}: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        raise BadHostFile(f"{path} can be read by other users, and holds this machine's credential: chmod 600 it")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise BadHostFile(f"{path} is damaged ({error}): remove it and enroll again") from error


def _save(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone from the first byte on, on disk before we go on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadHostFile(f"{path}: {error.strerror}") from error
