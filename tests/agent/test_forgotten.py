"""What was forgotten stays so, whatever is read again and whatever its family has to say."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from family_rows import observations, parts_of_sessions
from forgetting import DAY, HISTORY, consistent, names
from ledger_rows import NOON, POLICY, event, session, update
from trueup_agent.ledger import Ledger, SourceUpdate, forget
from trueup_agent.ledger.forget import Selection
from trueup_agent.records import LEGS, SERIES, EventRecord
from trueup_shared import keys


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(tmp_path / "data", POLICY)
    await ledger.write([update(*HISTORY)])
    yield ledger
    await ledger.close()


def test_what_is_not_forgotten_counts_as_if_nothing_were_and_what_is_never_comes_back() -> None:
    """The reference knows the same records and forgets nothing: take from it what was forgotten, and both are equal."""
    record = observations() | parts_of_sessions()

    @given(
        st.lists(record, min_size=1, max_size=8),
        st.lists(record, max_size=6),
        st.integers(NOON, NOON + 6),
        st.randoms(use_true_random=False),
    )
    @settings(deadline=None, max_examples=(settings.default or settings()).max_examples // 3)
    def check(known: list[EventRecord], later: list[EventRecord], before: int, chance: Any) -> None:
        again = [*known, *later]
        chance.shuffle(again)
        asyncio.run(compare(known, again, before))

    async def compare(known: list[EventRecord], again: list[EventRecord], before: int) -> None:
        with TemporaryDirectory() as folder:
            whole = await Ledger.open(Path(folder, "whole"), POLICY)
            await whole.write([update(*known)])
            selected = (
                f"SELECT key FROM events WHERE at < {before} UNION SELECT key FROM set_aside_events WHERE at < {before}"
            )
            expected = {key for (key,) in await whole.query(selected)}
            await whole.write([update(*again)])
            ledger = await Ledger.open(Path(folder, "forgetful"), POLICY)
            await ledger.write([update(*known)])
            await forget.forget(ledger, Selection(before=before))
            await consistent(ledger)
            await ledger.write([update(*again[: len(again) // 2])])
            await ledger.write([update(*again[len(again) // 2 :], source="a copy")])
            await consistent(ledger)
            gone = {key for (key,) in await ledger.query("SELECT key FROM tombstones WHERE forgotten = 1")}
            assert gone == expected
            for table in ("events", "set_aside_events"):
                left = dict(await whole.query(f"SELECT key, digest FROM {table}"))
                assert dict(await ledger.query(f"SELECT key, digest FROM {table}")) == {
                    key: digest for key, digest in left.items() if key not in expected
                }, table
            await whole.close()
            await ledger.close()

    check()


async def test_a_copy_of_a_forgotten_request_does_not_take_its_place(ledger: Ledger) -> None:
    """The replay of a request in another session was set aside for it; neither is a new record."""
    family = keys.key("family", "fake", "one request")
    own = event("own", "s", family=family, output_tokens=5)
    replay = event("replay", "fork", family=family, rank=1, output_tokens=5)
    await ledger.write([update(own, replay)])
    await forget.forget(ledger, Selection(session="s"))
    await ledger.write([update(replay), update(own, source="b")])
    late = event("late replay", "notes", family=family, rank=2, output_tokens=5)
    await ledger.write([update(late)])
    _, events, _ = await names(ledger)
    assert events == {"other", "note"}
    await consistent(ledger)


async def test_a_running_total_goes_on_from_where_it_stood(ledger: Ledger) -> None:
    family = keys.series_key("fake", "total")

    def seen(total: int, day: int, **fields: Any) -> EventRecord:
        return event(
            f"total {total}", "t", family=family, rule=SERIES, at=NOON + day * DAY, output_tokens=total, **fields
        )

    start = session("t", started_at=NOON)
    await ledger.write([update(start, seen(100, 0, project_path="/secret"), seen(250, 1), seen(400, 2))])
    totals = (
        "SELECT output_tokens FROM events JOIN sessions s ON s.key = session_key WHERE session_id = 't' ORDER BY at"
    )
    await forget.forget(ledger, Selection(before=NOON + 2 * DAY))
    assert await ledger.query(totals) == [(150,)]
    await forget.forget(ledger, Selection(session="t"))
    await ledger.write([update(start, seen(100, 0), seen(250, 1), seen(400, 2), seen(500, 3))])
    assert await ledger.query(totals) == [(100,)]
    await consistent(ledger)


async def test_a_session_goes_on_from_the_forgotten_total_that_its_parent_handed_over(ledger: Ledger) -> None:
    parent, child = keys.series_key("fake", "parent"), keys.series_key("fake", "child")
    handed = event("handed", "p", family=parent, rule=SERIES, output_tokens=100)
    await ledger.write([update(session("p", started_at=NOON), handed)])
    await forget.forget(ledger, Selection(session="p"))
    took = event("took", "c", family=child, rule=SERIES, after=parent, at=NOON + 1, output_tokens=150)
    await ledger.write([update(took)])
    counted = "SELECT output_tokens FROM events WHERE identity = '[\"took\"]'"
    assert await ledger.query(counted) == [(50,)]
    # Read again by a newer parser, the forgotten total is another one; so is what came after it.
    await ledger.write([update(handed, took, version=2), _but(handed, output_tokens=110)])
    assert await ledger.query(counted) == [(40,)]
    await consistent(ledger)


def _but(record: EventRecord, **fields: int) -> SourceUpdate:
    return update(structs.replace(record, **fields), version=3)


async def test_a_sum_counts_without_the_forgotten_requests_that_are_in_it(ledger: Ledger) -> None:
    family = keys.key("family", "fake", "legs")
    await ledger.write([update(event("request", "s", family=family, rule=LEGS, model="m", output_tokens=70))])
    await forget.forget(ledger, Selection(session="s"))
    total = event("leg", "notes", family=family, rule=LEGS, rank=1, model="m", at=NOON + DAY, output_tokens=100)
    await ledger.write([update(total)])
    assert await ledger.query("SELECT output_tokens FROM events WHERE identity = '[\"leg\"]'") == [(30,)]
    await consistent(ledger)


async def test_a_newer_parser_does_not_bring_it_back(ledger: Ledger) -> None:
    await forget.forget(ledger, Selection(before=NOON + 2 * DAY))
    left = await names(ledger)
    again = update(*HISTORY, version=2)
    for row in again.events:
        row.output_tokens = 99
    await ledger.write([again])
    assert await names(ledger) == left
    assert await ledger.query("SELECT DISTINCT data_version, output_tokens FROM events") == [(2, 99)]
    await consistent(ledger)
