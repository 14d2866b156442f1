"""A ledger of the first release opens in this one: its rows, digests and numbers are what they were."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from claude_home import make_logs, scan_home, write_logs
from ledger_rows import POLICY, event, recomputed, update
from processes import environment, trueup
from trueup_agent.errors import LedgerOutdated
from trueup_agent.ledger import Ledger, LedgerReader, schema
from trueup_agent.ledger.lock import WriterLock
from trueup_agent.policy import Policy

_FIRST = Path(schema.__file__).parent / "migrations" / "0001_ledger.sql"
_TABLES = ("ledger", "meta", "harnesses", "sources", "sessions", "messages", "events", "set_aside_events", "tombstones")


async def first_release(home: Path, data: Path) -> None:
    """The ledger that the first release made of a home: today's rows in the columns of its script."""
    await scan_home(home, data)
    ledger = await Ledger.open(data, POLICY)
    await ledger.write([update(*(event(name, rank=1, family=b"f" * 16) for name in "ab"), state="source_gone")])
    await ledger.close()
    with sqlite3.connect(data / "ledger.db") as new:
        new.execute("PRAGMA journal_mode = DELETE")
        rows = {table: new.execute(f"SELECT * FROM {table}").fetchall() for table in _TABLES}
        names = {table: [row[1] for row in new.execute(f"PRAGMA table_info({table})")] for table in _TABLES}
    new.close()
    (data / "ledger.db").unlink()
    with sqlite3.connect(data / "ledger.db") as old:
        old.executescript(_FIRST.read_text(encoding="utf-8"))
        for table in _TABLES:
            kept = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
            marks = ", ".join("?" * len(kept))
            values = [[row[names[table].index(name)] for name in kept] for row in rows[table]]
            old.executemany(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", values)
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
    old.close()


async def test_an_upgrade_changes_no_row_no_digest_and_no_number(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, make_logs())
    await first_release(home, data)
    with sqlite3.connect(data / "ledger.db") as db:
        before = {t: db.execute(f"SELECT seq, key, digest FROM {t} ORDER BY seq").fetchall() for t in _TABLES[4:8]}
        head = db.execute("SELECT ledger_id, seq, digest, rows FROM ledger").fetchone()
    db.close()
    assert len(before["events"]) > 60
    assert len(before["set_aside_events"]) > 0
    ledger = await Ledger.open(data, POLICY)
    after = {t: await ledger.query(f"SELECT seq, key, digest FROM {t} ORDER BY seq") for t in before}
    assert after == before
    assert await ledger.query("SELECT ledger_id, seq, digest, rows FROM ledger") == [head]
    assert (head[2], head[3]) == recomputed(ledger.path)
    assert await ledger.query("SELECT DISTINCT rule, since, after, observed, gone FROM events") == [(None,) * 4 + (0,)]
    await ledger.close()


async def test_after_an_upgrade_nothing_is_read_again_but_what_had_lost_lines(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    logs = make_logs()
    write_logs(home, logs)
    name = sorted(logs)[1]
    await scan_home(home, data)
    (home / name).write_bytes(logs[name][: len(logs[name]) // 2])
    await first_release(home, data)
    with sqlite3.connect(data / "ledger.db") as db:
        assert db.execute("SELECT count(*) FROM sources WHERE state = 'truncated'").fetchone() == (1,)
    db.close()
    result, head = await scan_home(home, data, policy=Policy())
    assert 0 < result.bytes_read <= len(logs[name])
    assert (result.inserted, result.restated, result.removed) == (0, 0, 0)
    with LedgerReader(data) as reader:
        assert reader.source_gone_events() > 0
        assert reader.head() == (head.seq, head.digest, head.rows)


_READERS = (("agent", "status"), ("agent", "doctor"), ("usage", "totals"), ("usage", "daily"))


async def test_commands_that_only_read_bring_the_ledger_of_an_earlier_release_up_to_date(tmp_path: Path) -> None:
    home = tmp_path / "h"
    write_logs(home, make_logs())
    await first_release(home, tmp_path / "first")
    for number, command in enumerate(_READERS):
        data = tmp_path / str(number)
        shutil.copytree(tmp_path / "first", data)
        done = trueup(*command, env=environment(home, data))
        assert (done.status, done.err) == (0, ""), command
        assert "claude" in done.out or "requests" in done.out or "at list price" in done.out
        with LedgerReader(data) as reader:
            assert reader.query("PRAGMA user_version") == [(schema.newest_version(),)]


async def test_beside_a_process_of_an_earlier_release_they_read_what_they_can_or_say_what_to_do(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, make_logs())
    await first_release(home, data)
    lock = WriterLock(data / schema.LOCK_FILE)
    lock.take()
    line = (
        f"trueup: ledger {data}/ledger.db is as an earlier release made it, and process {os.getpid()} is using it: "
        "restart that if it is the agent, else wait for it\n"
    )
    try:
        assert trueup("usage", "totals", env=environment(home, data)).status == 0
        for command in ("status", "doctor", "scan"):
            done = trueup("agent", command, env=environment(home, data))
            assert (done.status, done.out, done.err) == (1, "", line)
        with LedgerReader(data) as reader:
            assert reader.harness_rows()["claude"][2] > 60
            with pytest.raises(LedgerOutdated):
                reader.sources()
    finally:
        lock.release()
