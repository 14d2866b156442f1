"""The ledger: seq, digests, tombstones, families, policy, one writer."""

import asyncio
import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from time import time_ns

import pytest

from ledger_rows import NOON, POLICY, event, message, recomputed, session, update
from trueup_agent.errors import LedgerBusy, LedgerMissing, LedgerTooNew, LedgerUnusable
from trueup_agent.ledger import Ledger, LedgerReader, WriteCounts
from trueup_agent.policy import Policy
from trueup_shared import prices, wire


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "data", POLICY)
    yield opened
    await opened.close()


async def test_rows_take_a_seq_each_and_the_digest_is_their_sum(ledger: Ledger) -> None:
    counts = await ledger.write([update(session("s"), message("m"), event("e", output_tokens=3))])
    head = await ledger.head()
    assert counts == WriteCounts(inserted=3)
    assert (head.seq, head.rows) == (3, 3)
    assert (head.digest, head.rows) == recomputed(ledger.path)
    batch = await ledger.read_batch(0, 100)
    assert [row.seq for row in (*batch.sessions, *batch.messages, *batch.events)] == [1, 2, 3]
    assert batch.head_digest == head.digest
    assert batch.events[0].body.output_tokens == 3


async def test_what_leaves_the_wire_form_as_it_is_takes_no_new_seq(ledger: Ledger) -> None:
    await ledger.write([update(event("e", output_tokens=3))])
    before = await ledger.head()
    counts = await ledger.write(
        [update(event("e", output_tokens=3)), update(event("e", output_tokens=3, raw_usage=b"{}"))]
    )
    assert counts == WriteCounts(unchanged=1)
    assert await ledger.head() == before
    assert (await ledger.query("SELECT raw_usage FROM events"))[0][0] == b"{}"
    counts = await ledger.write([update(event("e", output_tokens=4))])
    assert counts == WriteCounts(restated=1)
    head = await ledger.head()
    assert (head.seq, head.rows) == (before.seq + 1, 1)
    assert (head.digest, head.rows) == recomputed(ledger.path)


async def test_a_batch_is_cut_at_its_size_and_has_the_digest_only_at_the_head(ledger: Ledger) -> None:
    await ledger.write([update(*(event(str(n)) for n in range(10)), *(message(str(n)) for n in range(10)))])
    seen: list[int] = []
    position = 0
    while position < 20:
        batch = await ledger.read_batch(position, 6)
        seqs = sorted(row.seq for row in (*batch.messages, *batch.events))
        assert len(seqs) <= 6
        assert (batch.head_digest is not None) == (batch.to_seq == 20)
        seen += seqs
        position = batch.to_seq
    assert seen == list(range(1, 21))
    assert (await ledger.read_batch(20, 6)).to_seq == 20


async def test_of_a_family_only_the_best_counts_until_a_sure_one_comes(ledger: Ledger) -> None:
    family = b"f" * 16
    late = event("late", at=NOON + 1, rank=2, family=family)
    early = event("early", at=NOON, rank=2, family=family)
    sure = event("sure", at=NOON + 9, rank=0, family=family)
    counted = "SELECT key FROM events"

    await ledger.write([update(late)])
    await ledger.write([update(early)])
    assert await ledger.query(counted) == [(early.key,)]
    assert [t.key for t in (await ledger.read_batch(0, 9)).tombstones] == [late.key]
    await ledger.write([update(sure)])
    assert await ledger.query(counted) == [(sure.key,)]
    assert await ledger.query("SELECT count(*) FROM set_aside_events") == [(2,)]
    head = await ledger.head()
    assert (head.digest, head.rows) == recomputed(ledger.path)


async def test_a_tombstone_goes_when_its_row_comes_back(ledger: Ledger) -> None:
    family = b"f" * 16
    a, b = (
        event("a", at=NOON + 5, rank=1, family=family, output_tokens=1),
        event("b", at=NOON + 6, rank=1, family=family),
    )
    await ledger.write([update(b)])
    await ledger.write([update(a)])
    assert await ledger.query("SELECT key FROM tombstones") == [(b.key,)]
    # The fullest snapshot of `a` is dated later than `b`: now `b` is the best of the two.
    await ledger.write([update(event("a", at=NOON + 7, rank=1, family=family, output_tokens=2))])
    assert await ledger.query("SELECT key FROM tombstones") == [(a.key,)]
    assert await ledger.query("SELECT key FROM events") == [(b.key,)]


async def test_every_rank_0_row_of_a_family_counts(ledger: Ledger) -> None:
    family = b"f" * 16
    await ledger.write([update(event("a", rank=0, family=family), event("b", rank=0, family=family))])
    assert await ledger.query("SELECT count(*) FROM events") == [(2,)]


async def test_a_change_of_policy_restates_only_the_rows_it_changes(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    await ledger.write(
        [update(session("s", project_path="/home/u/shop"), session("t"), event("e", project_path="/x/shop"))]
    )
    await ledger.close()

    hidden = Policy(project="none")
    ledger = await Ledger.open(tmp_path, hidden)
    head = await ledger.head()
    batch = await ledger.read_batch(3, 10)
    assert head.seq == 5
    assert [row.body.project for row in (*batch.sessions, *batch.events)] == [None, None]
    assert (head.digest, head.rows) == recomputed(ledger.path, hidden)
    await ledger.close()

    ledger = await Ledger.open(tmp_path, hidden)
    assert await ledger.head() == head
    await ledger.close()


async def test_another_price_table_reprices_every_event_and_takes_no_seq(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    priced = event("e", provider="anthropic", model="claude-opus-4-5-20251101", input_tokens=1_000_000, output_tokens=0)
    await ledger.write([update(priced, event("unpriced", model="nobody-knows", input_tokens=1))])
    costs = "SELECT cost_nanousd FROM events ORDER BY cost_nanousd"
    assert await ledger.query(costs) == [(None,), (5_000_000_000,)]
    head = await ledger.head()
    await ledger.close()
    monkeypatch.setattr(prices, "DIGEST", "another table")
    monkeypatch.setattr(prices, "cost_nanousd", lambda *_: 7)
    ledger = await Ledger.open(tmp_path, POLICY)
    assert await ledger.query(costs) == [(7,), (7,)]
    assert await ledger.head() == head
    await ledger.close()


async def test_what_is_dated_ahead_of_the_clock_is_kept_and_flagged(ledger: Ledger) -> None:
    ahead = time_ns() // 1000 + 3_600_000_000
    await ledger.write([update(event("ahead", at=ahead), event("now", at=ahead - 3_600_000_000))])
    batch = await ledger.read_batch(0, 9)
    assert [(row.body.at, row.body.flags) for row in batch.events] == [
        (ahead, wire.CLOCK_SKEW),
        (ahead - 3_600_000_000, None),
    ]


async def test_a_second_writer_is_told_who_holds_the_ledger(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    with pytest.raises(LedgerBusy) as refused:
        await Ledger.open(tmp_path, POLICY)
    assert refused.value.pid == os.getpid()
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from trueup_agent.ledger import Ledger; from trueup_agent.policy import Policy\n"
        "asyncio.run(Ledger.open(Path(sys.argv[1]), Policy()))"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await other.communicate()
    assert f"in use by process {os.getpid()}".encode() in stderr
    await ledger.close()
    await (await Ledger.open(tmp_path, POLICY)).close()


async def test_only_its_owner_can_read_the_ledger(ledger: Ledger) -> None:
    await ledger.write([update(event("e"))])
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in ledger.path.parent.iterdir()} == {0o600}


async def test_a_reader_sees_what_is_committed_while_the_writer_has_it_open(ledger: Ledger) -> None:
    await ledger.write([update(session("s"), event("e"))])
    with LedgerReader(ledger.path.parent) as reader:
        head = await ledger.head()
        assert reader.head() == (head.seq, head.digest, head.rows)
        assert reader.harness_rows() == {"fake": (1, 0, 1)}
        assert reader.pending(1) == 1
        async with ledger.writer() as writer:
            await writer.write([update(event("uncommitted"))])
            assert reader.head()[0] == 2


async def test_a_block_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError):
        async with ledger.writer() as writer:
            await writer.write([update(event("e"))])
            raise RuntimeError
    assert (await ledger.head()).seq == 0
    await ledger.write([update(event("e"))])
    assert (await ledger.head()).seq == 1


async def test_batches_and_the_last_receipt_are_remembered(ledger: Ledger) -> None:
    assert await ledger.oldest_batch_no() is None
    await ledger.record_batch(7, b"b" * 16, 0, 3, "ordinary")
    assert await ledger.knows_batch(b"b" * 16)
    assert not await ledger.knows_batch(b"c" * 16)
    assert await ledger.oldest_batch_no() == 7
    assert await ledger.last_receipt() is None


async def test_a_ledger_of_a_later_release_is_refused_in_words(tmp_path: Path) -> None:
    await (await Ledger.open(tmp_path, POLICY)).close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerTooNew, match="schema 99, written by a later release"):
        await Ledger.open(tmp_path, POLICY)
    with pytest.raises(LedgerTooNew):
        LedgerReader(tmp_path)


async def test_a_file_that_is_no_ledger_and_a_missing_one_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="run `trueup agent scan`"):
        LedgerReader(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(LedgerUnusable, match="is damaged"):
        await Ledger.open(tmp_path, POLICY)


async def test_a_data_directory_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnusable, match=r"Not a directory|File exists"):
        await Ledger.open(tmp_path / "file" / "data", POLICY)


def test_ctrl_c_while_the_file_is_opened_leaves_no_thread_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, failed = sqlite3.connect, list[threading.ExceptHookArgs]()
    connecting, cancelled = threading.Event(), threading.Event()

    def slow(*given: object, **options: object) -> object:
        connecting.set()
        cancelled.wait(30)
        time.sleep(0.2)
        return connect(*given, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(sqlite3, "connect", slow)
    monkeypatch.setattr(threading, "excepthook", failed.append)
    before = set(threading.enumerate())

    async def stopped() -> None:
        opening = asyncio.ensure_future(Ledger.open(tmp_path / "data", POLICY))
        while not connecting.is_set():  # noqa: ASYNC110 - another thread says so
            await asyncio.sleep(0.01)
        opening.cancel()
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(stopped())
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert not failed
    monkeypatch.undo()

    async def again() -> None:
        await (await Ledger.open(tmp_path / "data", POLICY)).close()

    asyncio.run(again())
