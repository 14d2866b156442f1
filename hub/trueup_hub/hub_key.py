"""The hub key and what it vouches for: host credentials. It lives outside the database, so that a hub that lost its
database knows its hosts again (design section 9).

Credential: `trueup1.<host_id>.<enrolled_at microseconds>.<secret>.<mac>`, the last two base64url without padding;
mac = BLAKE2b-256, keyed with the hub key, of `<host_id>.<enrolled_at>.` and the SHA-256 of the secret.
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, sha256
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from trueup_shared.settings import SettingError

_PREFIX = "trueup1"
SECRET_BYTES = 32


class Credential(Struct, frozen=True):
    """A credential whose mac was right: this hub's key gave it out."""

    host_id: UUID
    enrolled_at: int  # microseconds UTC
    hash: bytes  # SHA-256 of the whole credential: all that the database keeps of it
    secret_hash: bytes  # by which a repeated enrolment is recognised


def make_folder(folder: Path) -> None:
    """`hub/` of a data directory, for its owner alone. Root's lets others pass: its PostgreSQL runs as another user."""
    for path in (folder.parent, folder):
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # mkdir obeys the umask


def load_or_make_key(folder: Path, given: str | None) -> bytes:
    """32 bytes from the setting, else from `hub.key` in `folder`, made on first use with mode 0600."""
    if given is not None:
        return bytes.fromhex(given)
    path = folder / "hub.key"
    make_folder(folder)
    if not path.exists():
        _write_new(path, secrets.token_hex(32))
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, OSError) as error:
        raise SettingError(f"hub key {path}: {error}") from error
    if len(key) != 32:
        raise SettingError(f"hub key {path}: must be 64 hex digits")
    return key


def _write_new(path: Path, text: str) -> None:
    """Whole or not at all: a key cut short by a crash would lock every host out."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was first; its key counts
    finally:
        draft.unlink()


def _mac(key: bytes, host_id: str, enrolled_at: str, secret: bytes) -> bytes:
    message = f"{host_id}.{enrolled_at}.".encode() + sha256(secret).digest()
    return blake2b(message, key=key, digest_size=32).digest()


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make_credential(key: bytes, host_id: UUID, enrolled_at: int, secret: bytes) -> str:
    """The same for the same arguments, so that an enrolment that is repeated gets the same answer."""
    mac = _mac(key, str(host_id), str(enrolled_at), secret)
    return ".".join((_PREFIX, str(host_id), str(enrolled_at), _encode(secret), _encode(mac)))


def read_credential(key: bytes, text: str) -> Credential | None:
    """None unless `key` gave it out. Says nothing about revocation."""
    parts = text.split(".")
    if len(parts) != 5 or parts[0] != _PREFIX:
        return None
    try:
        host_id, enrolled_at = UUID(parts[1]), int(parts[2])
        secret, mac = _decode(parts[3]), _decode(parts[4])
    except ValueError:
        return None
    if not hmac.compare_digest(mac, _mac(key, parts[1], parts[2], secret)):
        return None
    return Credential(host_id, enrolled_at, sha256(text.encode()).digest(), sha256(secret).digest())


class Revocations:
    """Hosts whose credentials no longer count, one id a line in `revoked` beside the key: it outlives the database.

    Of those in `forgotten` no row may come back either, as it would with a backup from before.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "revoked"
        self._forgotten = folder / "forgotten"
        self._seen: tuple[int, int] | None = None
        self._hosts: frozenset[str] = frozenset()

    def __contains__(self, host_id: UUID) -> bool:
        """Reads the file again when it changed: another process may have revoked."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return False
        if (stat.st_mtime_ns, stat.st_size) != self._seen:
            self._hosts = frozenset(self._path.read_text(encoding="ascii").split())
            self._seen = (stat.st_mtime_ns, stat.st_size)
        return str(host_id) in self._hosts

    def add(self, host_id: UUID) -> None:
        if host_id not in self:
            _append(self._path, host_id)

    def forget(self, host_id: UUID) -> None:
        self.add(host_id)
        if host_id not in self.forgotten():
            _append(self._forgotten, host_id)

    def forgotten(self) -> list[UUID]:
        try:
            return [UUID(line) for line in self._forgotten.read_text(encoding="ascii").split()]
        except FileNotFoundError:
            return []


def _append(path: Path, host_id: UUID) -> None:
    make_folder(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
        file.write(f"{host_id}\n")
        file.flush()
        os.fsync(file.fileno())
