"""A newer data version: every row is derived again from its log, else from raw usage, else left and flagged."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from claude_home import loaded, make_logs, scan_home, write_logs
from ledger_rows import NOON, POLICY, event, message, recomputed, session, update
from trueup_agent import collect
from trueup_agent.collect import scan
from trueup_agent.glance import nothing_new
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Harness, Usage
from trueup_agent.harnesses.claude import events, usage
from trueup_agent.ledger import Ledger, LedgerReader, rederive
from trueup_agent.ledger.sources import GONE, SourceInfo
from trueup_agent.policy import Policy
from trueup_agent.records import SERIES
from trueup_shared import keys

LOGS = make_logs()
FIRST, SECOND = sorted(LOGS)[:2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A ledger made by the older parser from the logs below `tmp_path / "h"`."""
    write_logs(tmp_path / "h", LOGS)
    asyncio.run(scan_home(tmp_path / "h", tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A release whose parser counts one output token more in requests with an odd number of them."""

    def read_counters(of: Any, is_final: bool) -> usage.Counters:
        found = usage_read(of, is_final)
        odd = found.output_tokens is not None and found.output_tokens % 2
        return msgspec.structs.replace(found, output_tokens=found.output_tokens + 1) if odd else found

    usage_read = usage.read_counters

    def install() -> None:
        monkeypatch.setattr(HARNESSES["claude"], "data_version", 2)
        monkeypatch.setattr(events, "read_counters", read_counters)
        monkeypatch.setattr(usage, "read_counters", read_counters)

    return install


def rows(data: Path, columns: str = "output_tokens, data_version, old_data, gone") -> dict[bytes, tuple[Any, ...]]:
    with sqlite3.connect(data / "ledger.db") as db:
        found = {row[0]: row[1:] for row in db.execute(f"SELECT key, {columns} FROM events")}
    db.close()
    return found


async def test_rows_whose_log_is_there_are_read_again_and_only_changed_ones_get_a_new_seq(
    tmp_path: Path, data: Path, upgrade: Callable[[], None]
) -> None:
    before = rows(data, "output_tokens, seq, digest")
    upgrade()
    result, head = await scan_home(tmp_path / "h", data)
    after = rows(data, "output_tokens, seq, digest, data_version, old_data")
    odd = {key for key, (output, *_) in before.items() if output % 2}
    assert 0 < len(odd) < len(before) == len(after)
    for key, (output, seq, digest) in before.items():
        assert after[key][0] == output + (key in odd)
        assert ((seq, digest) != after[key][1:3]) == (key in odd)
        assert after[key][3:] == (2, 0)
    assert (result.restated, result.inserted, result.removed) == (len(odd), 0, 0)
    assert (head.digest, head.rows) == recomputed(data / "ledger.db")
    assert nothing_new(loaded(tmp_path / "h", data)) is not None


async def test_rows_whose_log_is_gone_or_lost_them_are_derived_from_their_raw_usage(
    tmp_path: Path, data: Path, upgrade: Callable[[], None]
) -> None:
    home = tmp_path / "h"
    (home / FIRST).unlink()
    lines = (home / SECOND).read_bytes().splitlines(keepends=True)
    (home / SECOND).write_bytes(b"".join(lines[: len(lines) // 2]))
    await scan_home(home, data)
    before = rows(data)
    gone = {key for key, (*_, is_gone) in before.items() if is_gone}
    assert 12 < len(gone) < len(before)
    upgrade()
    result, _ = await scan_home(home, data)
    assert result.removed == 0
    assert rows(data) == {key: (output + output % 2, 2, 0, is_gone) for key, (output, _, _, is_gone) in before.items()}


async def test_what_the_log_lost_at_the_same_time_as_the_upgrade_came_is_not_taken_for_a_mistake(
    tmp_path: Path, data: Path, upgrade: Callable[[], None]
) -> None:
    before = rows(data)
    (tmp_path / "h" / FIRST).write_bytes(b"")
    upgrade()
    result, _ = await scan_home(tmp_path / "h", data)
    assert result.removed == 0
    assert {key: row[:3] for key, row in rows(data).items()} == {
        key: (output + output % 2, 2, 0) for key, (output, *_) in before.items()
    }


async def test_what_can_be_derived_from_neither_is_left_and_flagged(
    tmp_path: Path, data: Path, upgrade: Callable[[], None]
) -> None:
    (tmp_path / "h" / FIRST).unlink()
    with sqlite3.connect(data / "ledger.db") as db:
        db.execute("UPDATE events SET raw_usage = NULL")
    db.close()
    before = rows(data, "output_tokens, seq")
    last = max(seq for _, seq in before.values())
    upgrade()
    _, head = await scan_home(tmp_path / "h", data)
    flagged = {key: row for key, row in rows(data, "output_tokens, seq, data_version, old_data").items() if row[3]}
    assert flagged
    for key, (output, seq, version, _) in flagged.items():
        assert (output, version) == (before[key][0], 1)
        assert seq > last, "the hub is not told of the flag"
    assert (head.digest, head.rows) == recomputed(data / "ledger.db")
    with LedgerReader(data) as reader:
        assert reader.old_data_events() == len(flagged)
        assert reader.floors() == {"claude": 2}


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", range(1, 14, 2))
async def test_a_pass_that_is_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, data: Path, upgrade: Callable[[], None], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    home = tmp_path / "h"
    (home / FIRST).unlink()
    await give(data, event("mistake", at=NOON))
    upgrade()
    monkeypatch.setattr(rederive, "CHUNK_ROWS", 7)
    monkeypatch.setattr(collect, "GROUP_ROWS", 20)
    commits, writer = 0, Ledger.writer

    def counted(self: Ledger) -> Any:
        nonlocal commits
        commits += 1
        if commits > after:
            raise Killed
        with LedgerReader(data) as reader:  # readable all the while
            assert (reader.head()[1], reader.head()[2]) == recomputed(data / "ledger.db")
        return writer(self)

    monkeypatch.setattr(Ledger, "writer", counted)
    with pytest.raises(Killed):
        await scan_home(home, data)
    monkeypatch.setattr(Ledger, "writer", writer)
    await scan_home(home, data)
    found = rows(data, "output_tokens, data_version, old_data")
    monkeypatch.undo()
    clean = tmp_path / "clean"
    write_logs(tmp_path / "again", LOGS)
    await scan_home(tmp_path / "again", clean)
    assert found == {key: (output + output % 2, 2, 0) for key, (output, *_) in rows(clean).items()}


async def give(data: Path, record: Any) -> None:
    """An event that the older parser read from the second log, by mistake."""
    ledger = await Ledger.open(data, Policy())
    [source] = [source for source in await ledger.sources() if source.path.endswith(SECOND)]
    source.parser_state = (await ledger.sources_of([source.source_key]))[0].parser_state
    made = update(msgspec.structs.replace(record, harness="claude"), version=1)
    made.events[0].source_key = source.source_key
    await ledger.write([msgspec.structs.replace(made, source=source)])
    await ledger.close()


async def test_batches_say_that_the_newer_parser_is_at_work_and_then_that_it_is_done(
    tmp_path: Path, data: Path, upgrade: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade()
    said: list[tuple[int, int]] = []
    finish = Ledger.rederive

    async def noting(self: Ledger, harness: Harness) -> Any:
        said.append(msgspec.structs.astuple((await self.read_batch(0, 1)).parsers["claude"]))
        return await finish(self, harness)

    monkeypatch.setattr(Ledger, "rederive", noting)
    ledger = await Ledger.open(data, Policy())
    await scan(ledger, loaded(tmp_path / "h", data))
    said.append(msgspec.structs.astuple((await ledger.read_batch(0, 1)).parsers["claude"]))
    await ledger.close()
    assert said == [(2, 1), (2, 2)]


class Twice(Harness):
    """A made-up harness, whose second parser counts everything twice."""

    id = "fake"

    def __init__(self) -> None:
        self.data_version = 2

    def usage(self, raw: bytes, facts: Facts) -> Usage | None:
        return Usage(output_tokens=int(raw) * 2)


def running(name: str, minute: int, output: int) -> Any:
    fields = {"family": keys.series_key("fake", name), "rule": SERIES, "at": NOON + minute, "raw_usage": b"%d" % output}
    return event(f"{name} {output}", output_tokens=output, **fields)


async def test_a_running_total_is_derived_from_raw_usage_and_its_past_is_never_withdrawn(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    past = running("s", 0, 100), running("s", 1, 130), running("s", 2, 200)
    await ledger.write([update(*past, event("mistake"), session("s"), message("m"))])
    now = msgspec.structs.replace(past[-1], output_tokens=400)
    await ledger.write([update(now, version=2, reread=True)])
    counts = await ledger.rederive(Twice())
    found = await ledger.query("SELECT output_tokens, data_version, old_data FROM events ORDER BY at")
    assert found == [(200, 2, 0), (60, 2, 0), (140, 2, 0)]
    assert counts.removed == 3  # the mistake, and a session and a message that were not read again
    head = await ledger.head()
    assert (head.digest, head.rows) == recomputed(ledger.path)
    assert not any(source.reread for source in await ledger.sources())
    await ledger.close()


async def test_sessions_and_messages_of_a_log_that_is_gone_stay_and_are_flagged(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    await ledger.write([update(session("s"), message("m"), event("e"), state=GONE)])
    before = await ledger.query("SELECT seq, digest FROM sessions UNION ALL SELECT seq, digest FROM messages")
    await ledger.rederive(Twice())
    for table in ("sessions", "messages", "events"):
        assert await ledger.query(f"SELECT data_version, old_data FROM {table}") == [(1, 1)]
    # Only events travel with the flag.
    assert await ledger.query("SELECT seq, digest FROM sessions UNION ALL SELECT seq, digest FROM messages") == before
    head = await ledger.head()
    assert await ledger.query("SELECT seq FROM events") == [(head.seq,)]
    assert (head.digest, head.rows) == recomputed(ledger.path)
    await ledger.close()


async def test_rows_of_a_log_that_cannot_be_read_now_wait_for_it(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    await ledger.write([update(running("s", 0, 100), event("mistake"), error="Permission denied")])
    await ledger.rederive(Twice())
    assert await ledger.query("SELECT output_tokens, old_data FROM events ORDER BY output_tokens") == [
        (None, 1),
        (100, 1),
    ]
    await ledger.write([update(running("s", 0, 100), version=2, reread=True)])
    await ledger.rederive(Twice())
    assert await ledger.query("SELECT output_tokens, data_version, old_data FROM events") == [(100, 2, 0)]
    await ledger.close()


def test_a_plan_withdraws_only_from_logs_of_which_no_line_was_ever_lost() -> None:
    def source(name: str, **fields: Any) -> SourceInfo:
        return SourceInfo(source_key=name.encode(), harness="fake", identity=name, path=name, **fields)

    plan = rederive.Plan.of(
        2,
        [
            source("a", data_version=2, reread=True),
            source("b", data_version=2, reread=True, state="rewritten"),
            source("c", data_version=2, reread=True, kind="whole"),
            source("d", data_version=1, error="locked"),
            source("e", data_version=1, state=GONE),
        ],
    )
    assert (plan.reread, plan.intact, plan.waiting) == ({b"a", b"b", b"c"}, {b"a"}, {b"d"})
