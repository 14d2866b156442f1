"""Events that no log shows any more stay, are marked, and are counted as such."""

from pathlib import Path

from claude_home import loaded, make_logs, scan_home, write_logs
from ledger_rows import NOON, POLICY, event, update
from trueup_agent.glance import nothing_new
from trueup_agent.ledger import Ledger, LedgerReader
from trueup_agent.records import SERIES, EventRecord
from trueup_shared import keys

LOGS = make_logs(sessions=2)
NAME = sorted(LOGS)[0]


async def marked(ledger: Ledger) -> dict[str, int]:
    rows = await ledger.query("SELECT identity, gone FROM events UNION SELECT identity, gone FROM set_aside_events")
    return dict(rows)


def seen(*records: EventRecord) -> bytes:
    return b"".join(record.key for record in records)


def gone_events(data: Path) -> int:
    with LedgerReader(data) as reader:
        return reader.source_gone_events()


async def test_what_a_whole_reading_did_not_give_is_gone_until_it_is_seen_again(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    a, b, c = (event(name) for name in "abc")
    await ledger.write([update(a, b), update(c, source="other")])
    before = await ledger.head()
    await ledger.write([update(a, seen=seen(a))])
    assert await marked(ledger) == {'["a"]': 0, '["b"]': 1, '["c"]': 0}
    assert await ledger.head() == before
    assert gone_events(tmp_path) == 1
    await ledger.write([update(b)])
    assert await marked(ledger) == {'["a"]': 0, '["b"]': 0, '["c"]': 0}
    await ledger.close()


async def test_what_is_set_aside_is_marked_too(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    a, b = (event(name, rank=rank, family=b"f" * 16) for rank, name in enumerate("ab"))
    await ledger.write([update(a, b)])
    await ledger.write([update(a, seen=seen(a))])
    assert await marked(ledger) == {'["a"]': 0, '["b"]': 1}
    await ledger.close()


async def test_former_observations_of_a_running_total_are_not_gone_while_it_is_shown(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    family = keys.series_key("fake", "s")
    rows = [event(str(n), family=family, rule=SERIES, at=NOON + n, output_tokens=n + 1) for n in range(3)]
    await ledger.write([update(*rows)])
    await ledger.write([update(rows[2], seen=seen(rows[2]))])
    assert set((await marked(ledger)).values()) == {0}
    await ledger.write([update(seen=b"")])
    assert set((await marked(ledger)).values()) == {1}
    await ledger.close()


async def test_a_copy_does_not_bring_back_what_its_owner_lost(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    own, copied = event("a"), event("a", copy=1)
    await ledger.write([update(own)])
    await ledger.write([update(seen=b"")])
    await ledger.write([update(copied, source="copy")])
    assert await marked(ledger) == {'["a"]': 1}
    await ledger.close()


async def test_deleting_and_shrinking_logs_removes_nothing(tmp_path: Path) -> None:
    home, data = tmp_path / "h", tmp_path / "data"
    write_logs(home, LOGS)
    first, head = await scan_home(home, data)
    lines = (home / NAME).read_bytes().splitlines(keepends=True)
    (home / NAME).write_bytes(b"".join(lines[:6]))
    _, shrunk = await scan_home(home, data)
    of_file = gone_events(data)
    assert 0 < of_file < first.harnesses["claude"].events
    for name in LOGS:
        (home / name).unlink()
    last, gone = await scan_home(home, data)
    assert head == shrunk == gone
    assert gone_events(data) == last.harnesses["claude"].events
    assert nothing_new(loaded(home, data)) is not None
    write_logs(home, LOGS)
    _, back = await scan_home(home, data)
    assert back == head
    assert gone_events(data) == 0
