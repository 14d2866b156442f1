"""The embedded PostgreSQL: starts, stops, survives, and says in one line why not."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg, find_binaries
from trueup_hub.errors import EmbeddedPgError

ROOT = os.geteuid() == 0


@pytest.fixture
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="trueup pg-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A cluster that was made and stopped, to be copied: initdb takes a second."""
    path = Path(tempfile.mkdtemp(prefix="trueup-pg-"))
    path.chmod(0o711)
    server = EmbeddedPg(path / "pg", durable=False)

    async def make() -> None:
        await server.start()
        await server.stop()

    asyncio.run(make())
    yield path / "pg"
    shutil.rmtree(path, ignore_errors=True)


def copy_of(cluster: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", cluster, target], check=True)
    return target


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def exists(path: Path) -> bool:
    return path.exists()


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=True)
    return [int(line) for line in listed.stdout.split()]


def hold(root: Path) -> "subprocess.Popen[str]":
    """A process that runs the server and prints its pid."""
    return subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)


async def ask(server: EmbeddedPg, sql: str) -> object:
    db = await Database.open(server.url())
    try:
        return await db.fetchval(sql)
    finally:
        await db.close()


async def test_a_fresh_start_below_a_path_with_a_space_and_a_restart_keep_the_data(place: Path) -> None:
    server = EmbeddedPg(place / "p g", durable=False)
    old = os.umask(0o077)
    try:
        await server.start()
    finally:
        os.umask(old)
    try:
        await ask(server, "CREATE TABLE kept AS SELECT 7 AS n")
        assert await ask(server, "SHOW listen_addresses") == ""
        assert await ask(server, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
        for private in ("password", "data"):
            assert mode(server.root / private) & 0o077 == 0, private
    finally:
        await server.stop()
    assert server.pid is None
    await server.start()
    try:
        assert await ask(server, "SELECT n FROM kept") == 7
    finally:
        await server.stop()
    if ROOT:
        assert mode(place) == 0o711  # directories above it are left as they were


async def test_after_kill_9_of_everything_it_recovers(place: Path, cluster: Path) -> None:
    server = EmbeddedPg(copy_of(cluster, place / "pg"))
    await server.start()
    db = await Database.open(server.url())
    await db.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    assert server.pid is not None
    for pid in (server.pid, *children_of(server.pid)):
        os.kill(pid, signal.SIGKILL)
    await db.close()
    assert await server.wait() == -signal.SIGKILL
    await server.stop()
    again = EmbeddedPg(place / "pg")
    await again.start()
    try:
        assert await ask(again, "SELECT count(*) FROM kept") == 1000
    finally:
        await again.stop()


HOLD = """
import asyncio, sys
from pathlib import Path
from trueup_hub.embedded_pg import EmbeddedPg
async def hold():
    server = EmbeddedPg(Path(sys.argv[1]), durable=False)
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(hold())
"""


async def test_the_server_ends_with_the_process_that_started_it_and_the_next_takes_over(
    place: Path, cluster: Path
) -> None:
    root = copy_of(cluster, place / "pg")
    holder = hold(root)
    assert holder.stdout is not None
    try:
        assert int(holder.stdout.readline()) > 0
        # A second trueup on the same data is told who has it, at once, and does not adopt the server.
        with pytest.raises(EmbeddedPgError, match=f"another trueup \\(pid {holder.pid}\\)"):
            await EmbeddedPg(root, durable=False).start()
    finally:
        holder.kill()
        holder.communicate()
    server = EmbeddedPg(root, durable=False)
    await server.start()  # waits for the dying one
    try:
        assert await ask(server, "SELECT 1") == 1
    finally:
        await server.stop()


async def test_a_foreign_lock_file_that_names_a_live_process_is_respected(
    place: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup_hub.embedded_pg._LOCK_SECONDS", 0.5)
    first = EmbeddedPg(copy_of(cluster, place / "pg"), durable=False)
    await first.start()
    try:
        (first.root / "lock").unlink()  # a server that no trueup holds
        with pytest.raises(EmbeddedPgError, match="did not start"):
            await EmbeddedPg(first.root, durable=False).start()
        assert await ask(first, "SELECT 1") == 1
    finally:
        await first.stop()


async def test_data_of_another_major_is_one_line_that_names_both(place: Path, cluster: Path) -> None:
    root = copy_of(cluster, place / "pg")
    (root / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPgError, match=r"written by PostgreSQL 12, the binaries .* pg_upgrade") as refused:
        await EmbeddedPg(root).start()
    assert "\n" not in str(refused.value)


async def test_a_half_made_cluster_is_never_taken(place: Path) -> None:
    root = place / "pg"
    (root / "data.new").mkdir(parents=True)
    (root / "data.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPg(root, durable=False)
    await server.start()
    try:
        assert await ask(server, "SELECT 1") == 1
    finally:
        await server.stop()


@pytest.mark.parametrize("script", ["", "#!/bin/sh\necho no such thing; exit 3\n", "#!/bin/sh\necho hello\n"])
async def test_binaries_that_are_none_are_one_clear_line(place: Path, script: str) -> None:
    for name in ("postgres", "initdb"):
        (place / name).write_text(script)
        (place / name).chmod(0o755)
    with pytest.raises(EmbeddedPgError, match=r"cannot run|failed: no such thing|is not PostgreSQL"):
        await EmbeddedPg(place / "pg", bin_dir=place).start()


async def test_a_directory_without_binaries_is_one_clear_line(place: Path) -> None:
    with pytest.raises(EmbeddedPgError, match="no PostgreSQL in"):
        await EmbeddedPg(place / "pg", bin_dir=place).start()


async def test_a_path_too_long_for_a_socket_gets_a_short_directory_that_goes_again(place: Path, cluster: Path) -> None:
    root = place / ("x" * 90)
    server = EmbeddedPg(copy_of(cluster, root), durable=False)
    await server.start()
    try:
        assert await ask(server, "SELECT 1") == 1
        short = Path((root / "socket_dir").read_text())
        assert mode(short) == 0o700
    finally:
        await server.stop()
    assert not exists(short)


async def test_a_server_that_refuses_to_start_says_why(place: Path, cluster: Path) -> None:
    root = copy_of(cluster, place / "pg")
    with (root / "data" / "postgresql.conf").open("a") as settings:
        settings.write("\nshared_preload_libraries = 'nothing'\n")
    started = time.monotonic()
    with pytest.raises(EmbeddedPgError, match="did not start: could not access file"):
        await EmbeddedPg(root, durable=False).start()
    assert time.monotonic() - started < 30


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
async def test_root_keeps_a_cluster_elsewhere_when_the_servers_user_cannot_reach_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup_hub.embedded_pg._ROOTS_HOME", place / "elsewhere")
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPg(closed / "data" / "pg", durable=False)
    await server.start()
    try:
        assert await ask(server, "SELECT 1") == 1
        assert server.root.parent == place / "elsewhere"
        assert mode(closed) == 0o700
        assert server.root.owner() != "root"
    finally:
        await server.stop()
    where = server.root
    again = EmbeddedPg(closed / "data" / "pg", durable=False)
    await again.start()
    await again.stop()
    assert again.root == where
    shutil.rmtree(closed / "data")
    anew = EmbeddedPg(closed / "data" / "pg", durable=False)
    await anew.start()
    await anew.stop()
    assert anew.root.parent == where.parent
    assert anew.root != where


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
async def test_binaries_that_the_servers_user_cannot_reach_are_copied_once(place: Path, cluster: Path) -> None:
    closed = place / "venv"
    closed.mkdir(mode=0o700)
    shutil.copytree(find_binaries().parent, closed / "package" / "pginstall", symlinks=True)
    server = EmbeddedPg(copy_of(cluster, place / "pg"), durable=False, bin_dir=closed / "package" / "pginstall" / "bin")
    await server.start()
    await server.stop()
    (copied,) = (place / "pg").glob("binaries-*")
    assert (copied / "package" / "pginstall" / "bin" / "postgres").exists()
    assert mode(closed) == 0o700


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
async def test_an_ordinary_user_runs_it_under_a_path_with_a_space_and_umask_077(place: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = place / "a home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    code = HOLD.replace("await asyncio.Event().wait()", "await server.stop()")
    # Everything is imported before the switch: root's interpreter may lie where that user cannot go.
    become = f"""
import asyncio, concurrent.futures.thread, encodings.idna, os, trueup_hub.db, trueup_hub.embedded_pg
os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid}); os.umask(0o077)
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", become + code, str(home / "p g")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (home / "p g" / "data" / "PG_VERSION").stat().st_uid == nobody.pw_uid
