"""Backup and restore of the hub's database, by PostgreSQL's own tools: pg_dump, pg_restore, psql.

A backup is one file, consistent while the hub runs. A restore is one transaction: it is done whole or not at all. The
hub key and revocations lie beside the database, not in it.
"""

import asyncio
import contextlib
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.embedded_pg import binary_dirs
from trueup_hub.errors import HubError
from trueup_hub.migrate import migrate, migrations
from trueup_hub.scrubbing import scrub_again
from trueup_hub.sqlfiles import load

_SQL = load("backup")
_TOOLS = ("pg_dump", "pg_restore", "psql")
_SILENT = "it said nothing"


async def back_up(db: Database, url: str, file: Path, environ: Mapping[str, str]) -> int:
    """Write the database at `url` to `file`, which must not be there; its size in bytes. HubError says why not."""
    if not await db.fetchval("SELECT to_regclass('hosts') IS NOT NULL"):
        raise HubError("there is no hub in this database yet: nothing to back up")
    major = await _server_major(db)
    return await asyncio.to_thread(lambda: _Tools(major, url, environ).dump(file))


async def restore(db: Database, url: str, file: Path, environ: Mapping[str, str], *, replace: bool) -> None:
    """Make the database at `url` what it was when `file` was written, brought to this release's schema.

    HubError when a hub uses it, when it has hosts already and not `replace`, or when `file` is no backup of a hub.
    """
    if not await asyncio.to_thread(file.is_file):
        raise HubError(f"{file}: no such file")
    if await db.fetchval(_SQL["other_hubs"]):
        raise HubError("a hub is running on this database: stop it first")
    if not replace and await _has_hosts(db):
        raise HubError("this database has hosts already: --replace puts the backup in the place of everything in it")
    major = await _server_major(db)
    await asyncio.to_thread(lambda: _Tools(major, url, environ).restore(file))
    db.caches.clear()
    await migrate(db)
    await scrub_again(db)


async def _has_hosts(db: Database) -> bool:
    there: bool = await db.fetchval("SELECT to_regclass('hosts') IS NOT NULL")
    return there and bool(await db.fetchval("SELECT EXISTS (SELECT FROM hosts)"))


async def _server_major(db: Database) -> int:
    return int(await db.fetchval("SELECT current_setting('server_version_num')")) // 10_000


def _tables() -> list[str]:
    """Every table that some release of the schema has made."""
    made = {name for _, _, text in migrations() for name in re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE)}
    return ["migrations", *sorted(made)]


class _Tools:
    """The oldest tools that speak to a server of version `major`: newer ones may write what it refuses."""

    def __init__(self, major: int, url: str, environ: Mapping[str, str]) -> None:
        self._place, secret = without_password(url)
        self._environ = {**environ, **secret}
        found: list[tuple[int, Path]] = []
        for folder in binary_dirs():
            if all((folder / name).is_file() for name in _TOOLS):
                version = re.search(r"\) (\d+)", self._run([folder / "pg_dump", "--version"]))
                if version is not None and int(version[1]) >= major:
                    found.append((int(version[1]), folder))
        if not found:
            raise HubError(f"pg_dump and psql of PostgreSQL {major} or newer are needed: install its client tools")
        self._bin = min(found, key=lambda pair: pair[0])[1]

    def dump(self, file: Path) -> int:
        if file.exists():
            raise HubError(f"{file} exists: choose another name, or remove it first")
        new = file.with_name(f"{file.name}.part")
        try:
            new.unlink(missing_ok=True)  # one that is there keeps its mode, and may be a link
            new.touch(mode=0o600, exist_ok=False)  # it holds hashes of credentials
            options = ("--format=custom", "--no-owner", "--no-privileges")
            self._run([self._bin / "pg_dump", *options, f"--file={new}", f"--dbname={self._place}"])
            new.rename(file)
            return file.stat().st_size
        except OSError as error:
            raise HubError(f"cannot write {file}: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                new.unlink()

    def restore(self, file: Path) -> None:
        self._check(file)
        read: list[str | Path] = [self._bin / "pg_restore", "--no-owner", "--no-privileges", "--file=-", file]
        write: list[str | Path] = [
            self._bin / "psql",
            *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"),
            *("--output=/dev/null", f"--dbname={self._place}"),
            *("--command", _SQL["drop_tables"].format(tables=", ".join(_tables()))),
            "--file=-",
            *("--command", _SQL["refuse_newer"].format(highest=migrations()[-1][0])),
        ]
        try:
            self._run(write, source=read)
        except HubError as error:
            raise HubError(f"{file} was not restored, the database is as it was: {error}") from error

    def _check(self, file: Path) -> None:
        try:
            listed = self._run([self._bin / "pg_restore", "--list", file])
        except HubError as error:
            raise HubError(f"{file} is no backup of a hub: {error}") from error
        if not all(f" TABLE DATA public {name} " in listed for name in ("hosts", "ledgers", "events", "migrations")):
            raise HubError(f"{file} is a backup of something else: it has no hosts, ledgers and events")

    def _run(self, command: Sequence[str | Path], source: Sequence[str | Path] | None = None) -> str:
        """Output of `command`, which reads that of `source`. HubError with what the first that failed said."""
        with contextlib.ExitStack() as stack:
            runs = [_start(stack, source, self._environ, None)] if source is not None else []
            runs.append(_start(stack, command, self._environ, runs[0].process if runs else None))
            output: bytes = runs[-1].process.communicate()[0]
            failed = [f"{run.name} failed: {why}" for run in runs if (why := _why_failed(run)) is not None]
            if failed:
                # A reader that fails ends the other by a closed pipe: what the reader said counts. A file that is torn
                # makes both fail: what the writer of the pipe said counts.
                closed = len(failed) > 1 and ("Broken pipe" in failed[0] or failed[0].endswith(_SILENT))
                raise HubError(failed[-1] if closed else failed[0])
        return output.decode("utf-8", "replace")


def _why_failed(run: "_Running") -> str | None:
    run.process.wait()
    run.said.seek(0)
    lines = run.said.read().decode("utf-8", "replace").strip().splitlines()
    if not run.process.returncode:
        return None
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else _SILENT)


class _Running(Struct):
    name: str
    process: "subprocess.Popen[bytes]"
    said: Any


def _start(
    stack: contextlib.ExitStack,
    command: Sequence[str | Path],
    environ: Mapping[str, str],
    source: "subprocess.Popen[bytes] | None",
) -> _Running:
    said = stack.enter_context(contextlib.closing(tempfile.TemporaryFile()))  # noqa: SIM115
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=dict(environ),
            stdin=subprocess.DEVNULL if source is None else source.stdout,
            stdout=subprocess.PIPE,
            stderr=said,
        )
    except OSError as error:
        raise HubError(f"cannot run {command[0]}: {error.strerror}") from error
    if source is not None and source.stdout is not None:
        source.stdout.close()  # the reader has it: when that ends, the writer is told
    return _Running(Path(command[0]).name, stack.enter_context(process), said)


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """The URL as anybody may see it in a list of processes, and the password as the tools read it."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = dict(parse_qsl(parts.query))
    password = query.pop("password", unquote(password))
    place = urlunsplit((parts.scheme, f"{name}{at}{host}", parts.path, urlencode(query), ""))
    return place, {"PGPASSWORD": password} if password else {}
