"""Reading other programs' databases as a guest: whatever state they are in, and without a trace."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trueup_agent import guest
from trueup_agent.guest import GuestDatabase
from trueup_agent.harnesses.base import TooLarge, Unfinished

ALL = "SELECT n FROM t ORDER BY n"
_PROGRAM = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    if line == "crash\\n":
        os._exit(1)
    print([list(row) for row in db.execute(line)], flush=True)
db.close()
"""


class Program:
    """The program that a database belongs to: another process, which runs statements one by one."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *statements: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        answer = ""
        for statement in statements:
            self._process.stdin.write(statement + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline().strip()
        return answer

    def crash(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("crash\n")
        self._end()

    def quit(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._process.returncode is None:
            self._process.communicate(timeout=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "its").mkdir()
    return tmp_path / "its" / "data base%#?.db"


@pytest.fixture
def program(path: Path) -> Iterator[Program]:
    program = Program(path)
    yield program
    program.quit()


def traces(path: Path) -> dict[str, Any]:
    """Everything beside the database and in it, to the nanosecond."""
    return {
        entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns, entry.read_bytes())
        for entry in path.parent.iterdir()
    }


def read(path: Path, sql: str = ALL) -> list[tuple[Any, ...]]:
    """A reading that must leave no trace."""
    before = traces(path)
    database = GuestDatabase(path)
    try:
        return database.rows(sql)
    finally:
        database.close()
        assert traces(path) == before


def columns(path: Path, table: str) -> frozenset[str]:
    database = GuestDatabase(path)
    try:
        return database.columns(table)
    finally:
        database.close()


def made(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in ("CREATE TABLE t (n)", "INSERT INTO t VALUES (1), (2)", *statements):
        db.execute(statement)
    db.close()


@pytest.mark.parametrize("mode", ["delete", "wal", "persist", "truncate"])
def test_a_database_that_nobody_has_open_is_left_as_it_was(path: Path, mode: str) -> None:
    made(path, f"PRAGMA journal_mode = {mode}", "INSERT INTO t VALUES (3)")
    assert read(path) == [(1,), (2,), (3,)]


def test_an_empty_log_beside_it_is_none(path: Path) -> None:
    made(path, "PRAGMA journal_mode = wal")
    path.with_name(path.name + "-wal").touch()
    assert read(path) == [(1,), (2,)]


def test_what_a_live_log_has_is_seen_once_it_is_committed(path: Path, program: Program) -> None:
    program.run("PRAGMA journal_mode = wal", "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)")
    assert read(path) == [(1,)]
    program.run("BEGIN", "INSERT INTO t VALUES (2)")
    assert read(path) == [(1,)]
    program.run("COMMIT")
    assert read(path) == [(1,), (2,)]
    program.run("PRAGMA wal_checkpoint(RESTART)", "INSERT INTO t VALUES (3)")
    assert read(path) == [(1,), (2,), (3,)]


def test_a_log_left_by_a_program_that_crashed_is_read_and_stays(path: Path, program: Program) -> None:
    program.run("PRAGMA journal_mode = wal", "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)")
    program.crash()
    assert read(path) == [(1,)]


def test_without_the_shared_memory_a_copy_is_read(path: Path, program: Program) -> None:
    program.run("PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = wal", "CREATE TABLE t (n)")
    program.run("INSERT INTO t VALUES (1)")
    assert not path.with_name(path.name + "-shm").exists()
    assert read(path) == [(1,)]
    program.run("BEGIN", "INSERT INTO t VALUES (2)")
    assert read(path) == [(1,)]


def test_a_copy_is_made_where_the_shared_memory_is_closed_to_us(
    path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.run("PRAGMA journal_mode = wal", "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)")
    monkeypatch.setattr(guest.os, "access", lambda *_: False)
    assert read(path) == [(1,)]
    monkeypatch.setattr(guest, "MAX_COPY_BYTES", 100)
    with pytest.raises(TooLarge, match="too large to be copied"):
        read(path)


def test_of_a_transaction_that_is_being_written_nothing_is_seen(path: Path, program: Program) -> None:
    program.run("CREATE TABLE t (n, pad)", "INSERT INTO t VALUES (1, '')", "PRAGMA cache_size = 2", "BEGIN IMMEDIATE")
    fill = "WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < 400)"
    program.run(f"INSERT INTO t {fill} SELECT n, hex(zeroblob(500)) FROM c")
    assert path.stat().st_size > 100_000  # pages of it are in the file already
    assert read(path) == [(1,)]
    program.crash()
    assert read(path) == [(1,)]


def test_a_lock_of_its_program_is_no_obstacle(path: Path, program: Program) -> None:
    made(path)
    program.run("BEGIN EXCLUSIVE", "INSERT INTO t VALUES (3)")
    assert read(path) == [(1,), (2,)]


def test_its_program_can_commit_at_once_while_we_read(path: Path, program: Program) -> None:
    made(path)
    program.run("PRAGMA busy_timeout = 0")
    database = GuestDatabase(path)
    try:
        assert database.rows(ALL) == [(1,), (2,)]
        program.run("BEGIN EXCLUSIVE", "INSERT INTO t VALUES (3)", "COMMIT")
        assert program.run("SELECT count(*) FROM t") == "[[3]]"
        # It changed under us: the next query is about what it is now, and never about some of both.
        assert database.rows(ALL) == [(1,), (2,), (3,)]
    finally:
        database.close()


def test_a_program_that_ends_while_we_read_can_tidy_up(
    path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.run("PRAGMA journal_mode = wal", "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)")
    monkeypatch.setattr(guest, "_CONNECTED_SECONDS", -1.0)  # every connection is an old one
    database = GuestDatabase(path)
    try:
        assert database.rows(ALL) == [(1,)]
        database.rows("SELECT 1")
        database._disconnect()  # what the next query begins with
        program.quit()
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
        assert database.rows(ALL) == [(1,)]
    finally:
        database.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["text", "half", "empty head"])
def test_a_file_that_is_damaged_is_told_and_tried_again(path: Path, damage: str) -> None:
    made(path, "CREATE TABLE pad AS SELECT hex(zeroblob(9000)) AS x", "INSERT INTO t SELECT x FROM pad")
    content = path.read_bytes()
    path.write_bytes(
        {"text": b"not a database", "half": content[: len(content) // 2], "empty head": b"\0" * 4096}[damage]
    )
    with pytest.raises(Unfinished, match=r"not a database|malformed"):
        read(path, "SELECT n FROM t")


def test_an_empty_file_is_a_database_without_tables(path: Path) -> None:
    path.touch()
    assert columns(path, "t") == frozenset()
    with pytest.raises(Unfinished, match="no such table"):
        read(path)


def test_what_is_no_file_is_not_opened(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(Unfinished, match="no regular file"):
        GuestDatabase(path)
    with pytest.raises(FileNotFoundError):
        GuestDatabase(path.with_name("missing"))


def test_a_database_that_never_rests_is_left_for_another_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(path)
    database = GuestDatabase(path)
    original = database._looks
    counts = iter(range(1000))
    monkeypatch.setattr(database, "_looks", lambda: [*original(), (next(counts), 0, 0, b"")])
    with pytest.raises(Unfinished, match="changed while it was read"):
        database.rows(ALL)
    database.close()


def test_values_come_as_they_are_and_text_that_is_no_utf8_repaired(path: Path) -> None:
    made(path, "CREATE TABLE v (a, b, c, d)")
    db = sqlite3.connect(path)
    with db:
        db.execute(
            "INSERT INTO v VALUES (CAST(x'ff61' AS TEXT), x'00ff', 'nul' || char(0) || 'x', 9223372036854775807)"
        )
    db.close()
    assert read(path, "SELECT * FROM v") == [("\ufffda", b"\x00\xff", "nul\x00x", 2**63 - 1)]
    assert columns(path, "v") == {"a", "b", "c", "d"}


def test_an_answer_without_end_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT c.n + 1 FROM c) SELECT"
    made(path)
    monkeypatch.setattr(guest, "_authorize", lambda *_: sqlite3.SQLITE_OK)
    monkeypatch.setattr(guest, "MAX_QUERY_SECONDS", 0.05)
    with pytest.raises(Unfinished, match="takes too long"):
        read(path, f"{endless} n FROM c WHERE n < 0")
    monkeypatch.setattr(guest, "MAX_QUERY_SECONDS", 60.0)
    monkeypatch.setattr(guest, "MAX_RESULT_BYTES", 100_000)
    with pytest.raises(TooLarge):
        read(path, f"{endless} hex(zeroblob(9)) FROM c")
    with pytest.raises(TooLarge):  # numbers take memory too
        read(path, f"{endless} n FROM c")


def test_a_database_that_is_closed_to_us_is_told_in_the_words_of_the_system(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(guest, "open_regular", refuse)
    path.touch()
    with pytest.raises(PermissionError, match="Permission denied"):
        guest.GuestDatabase(path)
