"""Databases that were made to hurt whoever reads them, and what must not be left behind (test_guest.py)."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trueup_agent import guest
from trueup_agent.guest import GuestDatabase
from trueup_agent.harnesses.base import Unfinished

ALL = "SELECT n FROM t ORDER BY n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "its").mkdir()
    return tmp_path / "its" / "database.db"


def made(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in ("CREATE TABLE t (n)", "INSERT INTO t VALUES (1), (2)", *statements):
        db.execute(statement)
    db.close()


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    database = GuestDatabase(path)
    try:
        return database.rows(sql)
    finally:
        database.close()


def columns(path: Path, table: str) -> frozenset[str]:
    database = GuestDatabase(path)
    try:
        return database.columns(table)
    finally:
        database.close()


def test_views_and_virtual_tables_are_no_tables_and_are_never_run(path: Path) -> None:
    made(
        path,
        "CREATE VIEW messages AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n AS id FROM c",
        "CREATE VIEW sessions AS SELECT n AS id FROM t",
        "CREATE VIRTUAL TABLE parts USING fts5(id)",
        "CREATE TABLE own (id)",
    )
    for name in ("messages", "sessions", "parts"):
        assert columns(path, name) == frozenset()
    for name in ("messages", "sessions"):
        with pytest.raises(Unfinished, match=r"prohibited|not authorized"):
            rows(path, f"SELECT id FROM {name}")
    assert columns(path, "OWN") == {"id"}


def test_a_copy_has_no_name_while_it_is_read_and_one_left_behind_is_removed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(guest.tempfile, "tempdir", str(tmp_path / "temporary"))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (tmp_path / "temporary" / f"trueup-copy-{process}-x").mkdir()
        (tmp_path / "temporary" / f"trueup-copy-{process}-x" / "copy.db").touch()
    its = sqlite3.connect(path, isolation_level=None)  # has its log open
    for statement in ("PRAGMA journal_mode = wal", "CREATE TABLE t (n)", "INSERT INTO t VALUES (1), (2)"):
        its.execute(statement)
    monkeypatch.setattr(guest.os, "access", lambda *_: False)
    database = GuestDatabase(path)
    try:
        assert database.rows(ALL) == [(1,), (2,)]
        # The other one belongs to a process that runs.
        assert [folder.name for folder in (tmp_path / "temporary").iterdir()] == [f"trueup-copy-{os.getppid()}-x"]
        assert database.rows(ALL) == [(1,), (2,)]
    finally:
        database.close()
        its.close()


@pytest.mark.parametrize("end", ["-wal", "-journal", "-shm"])
@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder"])
def test_what_is_no_file_beside_a_database_is_not_there(path: Path, end: str, what: str) -> None:
    made(path)
    beside = path.with_name(path.name + end)
    if what == "pipe":
        os.mkfifo(beside)
    elif what == "folder":
        beside.mkdir()
    else:
        beside.symlink_to(what)
    database = GuestDatabase(path)
    try:
        assert database.rows(ALL) == [(1,), (2,)]
    finally:
        database.close()
