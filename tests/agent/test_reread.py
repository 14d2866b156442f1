"""A pass that reads everything again: what no log gives any more is withdrawn, nothing that was ever read is lost."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from claude_home import FOLDER, loaded, make_logs, session_id, write_logs
from golden_homes import golden_home
from ledger_rows import recomputed
from scanned import scanned
from trueup_agent.collect import scan
from trueup_agent.errors import WorkerDied
from trueup_agent.glance import ScanResult
from trueup_agent.harnesses import HARNESSES
from trueup_agent.ledger import Head, Ledger, LedgerReader
from trueup_agent.ledger.tables import EVENTS, MESSAGES, SESSIONS, Table
from trueup_agent.policy import Policy

LOGS = make_logs(sessions=5, answers=6)
FIRST = f"{FOLDER}/{session_id(0)}.jsonl"


class Home:
    def __init__(self, folder: Path) -> None:
        self.path, self.data_dir = folder / "h", folder / "data"

    async def scan(self, **how: Any) -> tuple[ScanResult, Head]:
        ledger = await Ledger.open(self.data_dir, Policy())
        try:
            return await scan(ledger, loaded(self.path, self.data_dir), **how), await ledger.head()
        finally:
            await ledger.close()

    async def mistake(self, table: Table[Any], key: bytes = b"a mistake of ours"[:16]) -> bytes:
        """A row that no log gives, beside one that the first log gives."""
        source_key = self.query("SELECT source_key FROM sources WHERE path LIKE ?", f"%{session_id(0)}.jsonl")
        ledger = await Ledger.open(self.data_dir, Policy())
        async with ledger.writer() as writer:
            columns = (
                await writer.select(f"SELECT {table.columns} FROM {table.name} WHERE source_key = ?", source_key)
            )[0]
            row = table.finish(msgspec.structs.replace(table.kind(*columns), key=key), writer.policy)
            await writer.put(table, [row], {})
        await ledger.close()
        return key

    def query(self, sql: str, *parameters: Any) -> Any:
        with LedgerReader(self.data_dir) as reader:
            return reader.query(sql, parameters)[0]


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """Read once."""
    made = Home(tmp_path)
    write_logs(made.path, LOGS)
    await made.scan()
    return made


@pytest.mark.parametrize("harness", HARNESSES)
async def test_of_every_harness_reading_all_again_changes_nothing(tmp_path: Path, harness: str) -> None:
    seen = await scanned(tmp_path, harness, golden_home(harness, tmp_path / "logs"))
    before = [*seen.events(), *seen.set_aside(), *seen.messages(), *seen.sessions()]
    sources = seen.sources()
    result = await seen.scan(reread=True)
    assert (result.inserted, result.restated, result.removed) == (0, 0, 0)
    assert result.bytes_read >= sum(source.size for source in sources if source.kind != "rows")
    assert [*seen.events(), *seen.set_aside(), *seen.messages(), *seen.sessions()] == before
    assert [(s.path, s.state, s.lines, s.skipped, s.events) for s in seen.sources()] == [
        (s.path, s.state, s.lines, s.skipped, s.events) for s in sources
    ]


@pytest.mark.parametrize("table", [SESSIONS, MESSAGES, EVENTS], ids=lambda table: table.name)
async def test_a_row_that_its_log_does_not_give_is_withdrawn_and_nothing_else_changes(
    home: Home, table: Table[Any]
) -> None:
    _, before = await home.scan()
    key = await home.mistake(table)
    again, dirty = await home.scan()
    assert (again.bytes_read, dirty.rows) == (0, before.rows + 1)
    result, head = await home.scan(reread=True)
    assert (result.inserted, result.restated, result.removed) == (0, 0, 1)
    assert (head.digest, head.rows) == (before.digest, before.rows)
    assert home.query("SELECT table_no, key FROM tombstones") == (table.number, key)


async def test_a_row_that_another_log_gives_stays(home: Home) -> None:
    with sqlite3.connect(home.data_dir / "ledger.db") as db:
        one, other = (row[0] for row in db.execute("SELECT DISTINCT source_key FROM events LIMIT 2"))
        db.execute("UPDATE events SET source_key = ? WHERE source_key = ?", (one, other))
        db.execute("UPDATE messages SET source_key = ? WHERE source_key = ?", (one, other))
    db.close()
    result, _ = await home.scan(reread=True)
    assert (result.inserted, result.restated, result.removed) == (0, 0, 0)


async def test_a_log_that_shrank_loses_nothing_and_its_rows_are_known_to_be_gone_from_it(home: Home) -> None:
    _, before = await home.scan()
    await home.mistake(MESSAGES)
    (home.path / FIRST).write_bytes(LOGS[FIRST][: len(LOGS[FIRST]) // 2].rpartition(b"\n")[0] + b"\n")
    for _ in range(2):  # the second time it is what it was the last time, and is known to have lost lines
        result, head = await home.scan(reread=True)
        assert (result.inserted, result.restated, result.removed) == (0, 0, 0)
        assert head.rows == before.rows + 1
    assert home.query("SELECT state FROM sources WHERE path LIKE ?", f"%{session_id(0)}.jsonl") == ("truncated",)
    assert home.query("SELECT count(*) > 0 FROM events WHERE gone = 1") == (1,)


async def test_a_log_that_came_back_shorter_is_known_to_have_lost_lines(home: Home) -> None:
    _, before = await home.scan()
    (home.path / FIRST).unlink()
    await home.scan()
    (home.path / FIRST).write_bytes(LOGS[FIRST][: len(LOGS[FIRST]) // 2].rpartition(b"\n")[0] + b"\n")
    for reread in (False, True, True):
        _, head = await home.scan(reread=reread)
        assert (head.rows, head.digest) == (before.rows, before.digest)


async def test_logs_that_are_gone_keep_their_rows(home: Home) -> None:
    _, before = await home.scan()
    shutil.rmtree(home.path / FOLDER / session_id(3))
    (home.path / FIRST).unlink()
    result, head = await home.scan(reread=True)
    assert (result.removed, head) == (0, before)


async def test_nothing_of_a_harness_is_withdrawn_while_one_of_its_logs_cannot_be_read(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It might be the one that gives the row."""
    await home.mistake(EVENTS)
    real = HARNESSES["claude"].parser

    def broken(source: Any, *given: Any) -> Any:
        if source.path.name == f"{session_id(1)}.jsonl":
            raise ValueError("a mistake of ours")
        return real(source, *given)

    monkeypatch.setattr(HARNESSES["claude"], "parser", broken)
    result, _ = await home.scan(reread=True)
    assert (len(result.unreadable), result.removed) == (1, 0)
    monkeypatch.setattr(HARNESSES["claude"], "parser", real)
    assert (await home.scan(reread=True))[0].removed == 1


async def test_interrupted_in_the_middle_it_leaves_everything_as_it_was(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.mistake(EVENTS)
    _, before = await home.scan()
    monkeypatch.setattr("trueup_agent.collect.GROUP_ROWS", 10)
    reported = 0

    def progress(done: int, of: int) -> None:
        nonlocal reported
        reported += 1
        if reported == 3:
            raise WorkerDied("killed")

    with pytest.raises(WorkerDied):
        await home.scan(reread=True, progress=progress)
    after, head = await home.scan()
    assert (after.bytes_read, head) == (0, before)
    assert (await home.scan(reread=True))[0].removed == 1


async def test_a_new_data_version_and_a_full_reading_at_once_withdraw_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = await home.scan()
    for table in (SESSIONS, MESSAGES, EVENTS):
        await home.mistake(table, f"mistake {table.name} of ours"[:16].encode())
    monkeypatch.setattr(HARNESSES["claude"], "data_version", 99)
    result, head = await home.scan(reread=True)
    assert (result.removed, head.digest, head.rows) == (3, before.digest, before.rows)
    assert home.query("SELECT count(*) FROM sources WHERE reread") == (0,)


async def test_a_ledger_checks_its_own_digests_and_its_sum(home: Home) -> None:
    _, before = await home.scan()
    with sqlite3.connect(home.data_dir / "ledger.db") as db:
        db.execute("UPDATE events SET digest = randomblob(16) WHERE seq IN (SELECT seq FROM events LIMIT 3)")
        db.execute("UPDATE ledger SET rows = rows + 7")
    db.close()
    ledger = await Ledger.open(home.data_dir, Policy())
    checked = await ledger.recheck()
    assert (checked.restated, checked.sum_was_right) == (3, False)
    head = await ledger.head()
    assert (head.digest, head.rows) == (before.digest, before.rows) == recomputed(home.data_dir / "ledger.db")
    checked = await ledger.recheck()
    assert (checked.restated, checked.sum_was_right, await ledger.head()) == (0, True, head)
    await ledger.close()
