"""Copies are ranked by the data version at which their ledger has derived them again, up to what the hub knows."""

from typing import Any

import pytest

from ledgers import Ledger, add_host, event, event_key, put_events
from trueup_hub.db import Database
from trueup_hub.ingest import jobs, transaction
from trueup_hub.ingest import verify as verify_module
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SERIES = keys.series_key("claude", "s1")


def release(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """From now on the hub is of a release that knows this version of Claude's parser."""
    known = transaction.DATA_VERSIONS | {"claude": version}
    for module in (transaction, jobs, verify_module):
        monkeypatch.setattr(module, "DATA_VERSIONS", known)


def states(ledger: Ledger, version: int, floor: int) -> None:
    ledger.versions = {"claude": wire.ParserVersion(version, floor)}


async def counted(db: Database) -> list[tuple[str, int]]:
    rows = await db.fetch(
        "SELECT label, output_tokens FROM events JOIN hosts USING (host_no) WHERE counted ORDER BY 2 DESC"
    )
    return [tuple(row) for row in rows]


async def two(db: Database, **fields: Any) -> tuple[Ledger, Ledger]:
    """The first host has higher numbers than the second, by version 1."""
    old, new = [Ledger(db, await add_host(db, name, n)) for n, name in enumerate(("old", "new"))]
    for ledger, tokens in ((old, 1000), (new, 900)):
        ledger.put(event_key(1), event(1, output_tokens=tokens, **fields))
        await ledger.push()
    assert await counted(db) == [("old", 1000)]
    return old, new


async def test_a_parser_fix_that_lowers_numbers_counts_although_an_older_host_has_the_higher_ones(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = await two(db)
    release(monkeypatch, 2)
    states(new, 2, 2)
    new.put(event_key(1), event(1, output_tokens=800))
    await new.push()
    assert await counted(db) == [("new", 800)]
    assert await verify(db) == {}
    states(old, 2, 2)
    old.put(event_key(1), event(1, output_tokens=810))
    await old.push()
    assert await counted(db) == [("old", 810)]
    assert await verify(db) == {}


async def test_a_fix_reaches_the_page_for_a_running_total_too(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, new = await two(db, owner_key=SERIES)
    release(monkeypatch, 2)
    states(new, 2, 2)
    new.put(event_key(1), event(1, output_tokens=800, owner_key=SERIES))
    await new.push()
    assert await counted(db) == [("new", 800)]
    assert await verify(db) == {}


async def test_rows_that_a_new_parser_leaves_as_they_were_count_by_it_without_being_sent_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(monkeypatch, 2)
    _, new = await two(db)
    states(new, 2, 1)  # it has begun to read again
    new.put(event_key(2), event(2))
    await new.push()
    await jobs.settle_pending(db)
    assert await counted(db) == [("old", 1000), ("new", 102)]
    states(new, 2, 2)
    new.put(event_key(3), event(3))
    await new.push()
    assert await jobs.settle_pending(db) == 1
    assert (await counted(db))[0] == ("new", 900)
    assert await verify(db) == {}
    assert await jobs.settle_pending(db) == 0


async def test_a_row_that_cannot_be_read_again_keeps_the_version_that_it_was_read_by(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(monkeypatch, 2)
    _, new = await two(db, flags=wire.OLD_DATA)
    states(new, 2, 2)
    new.put(event_key(3), event(3))
    await new.push()
    assert await jobs.settle_pending(db) == 1
    assert (await counted(db))[0] == ("old", 1000)
    assert await verify(db) == {}


async def test_versions_beyond_what_the_hub_knows_take_nothing_until_it_is_upgraded(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = [Ledger(db, await add_host(db, name, n)) for n, name in enumerate(("old", "new"))]
    put_events(old, range(50), input_tokens=7)
    put_events(new, range(50), input_tokens=10**9)
    states(new, 3, 3)
    await old.push()
    await new.push()
    await jobs.settle_pending(db)
    assert {label for label, _ in await counted(db)} == {"old"}
    assert await verify(db) == {}
    release(monkeypatch, 3)
    assert await jobs.settle_pending(db, chunk=7) == 50
    assert {label for label, _ in await counted(db)} == {"new"}
    assert await verify(db) == {}


async def test_killed_between_two_chunks_it_decides_the_rest_the_next_time(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = [Ledger(db, await add_host(db, name, n)) for n, name in enumerate(("old", "new"))]
    states(new, 2, 2)
    for ledger in (old, new):
        put_events(ledger, range(20))
        await ledger.push()
    release(monkeypatch, 2)
    decide, calls = jobs.decide_again, 0

    async def dies(*args: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        await decide(*args, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(jobs, "decide_again", dies)
        await jobs.settle_pending(db, chunk=5)
    assert len(await counted(db)) == 20
    assert {label for label, _ in await counted(db)} == {"old", "new"}
    assert await jobs.settle_pending(db, chunk=5) == 20
    assert {label for label, _ in await counted(db)} == {"new"}
    assert await verify(db) == {}
