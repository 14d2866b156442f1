"""Rules over families in a real ledger: what counts is a function of the set of rows, however they came."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from family_rows import PARENT, observations, parts_of_sessions
from ledger_rows import NOON, POLICY, event, recomputed, update
from trueup_agent.ledger import Ledger
from trueup_agent.ledger.tables import EVENTS, SET_ASIDE
from trueup_agent.records import SERIES, EventRecord
from trueup_shared import keys
from trueup_shared.metrics import COUNTERS


async def ledger_of(groups: Sequence[Sequence[EventRecord]], folder: Path) -> dict[str, Any]:
    """Everything that is a function of the rows, after each group was written in a transaction of its own."""
    ledger = await Ledger.open(folder, POLICY)
    for group in groups:
        await ledger.write([update(*group, source="log")])
    head = await ledger.head()
    assert (head.digest, head.rows) == recomputed(ledger.path)
    found: dict[str, Any] = {"digest": head.digest, "rows": head.rows}
    for name in (EVENTS.name, SET_ASIDE):
        rows = [EVENTS.kind(*columns) for columns in await ledger.query(f"SELECT {EVENTS.columns} FROM {name}")]
        for row in rows:
            row.seq = 0
        found[name] = {row.key: row for row in rows}
    tombstones = {row[0] for row in await ledger.query("SELECT key FROM tombstones")}
    assert tombstones.isdisjoint(found[EVENTS.name])
    await ledger.close()
    return found


def in_ledgers(*histories: Sequence[Sequence[EventRecord]]) -> list[dict[str, Any]]:
    async def all_of_them() -> list[dict[str, Any]]:
        with TemporaryDirectory() as folder:
            return [await ledger_of(groups, Path(folder, str(n))) for n, groups in enumerate(histories)]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("records", [observations(), parts_of_sessions()], ids=["series", "others"])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_order_grouping_and_repetition_gives_the_same_ledger(
    data: st.DataObject, records: st.SearchStrategy[EventRecord]
) -> None:
    rows = data.draw(st.lists(records, min_size=1, max_size=7))
    shuffled = data.draw(st.permutations(rows))
    again = data.draw(st.lists(st.sampled_from(rows), max_size=4))
    cut = data.draw(st.integers(0, len(rows)))
    at_once, one_by_one, in_two, re_read = in_ledgers(
        [rows], [[row] for row in shuffled], [shuffled[:cut], shuffled[cut:]], [rows, again, rows]
    )
    assert at_once == one_by_one == in_two == re_read


@settings(deadline=None, max_examples=60)
@given(st.lists(observations(), min_size=1, max_size=8))
def test_every_row_is_kept_and_no_counter_is_negative(rows: list[EventRecord]) -> None:
    (found,) = in_ledgers([rows])
    counted, aside = found[EVENTS.name], found[SET_ASIDE]
    assert counted.keys() | aside.keys() == {row.key for row in rows}
    assert all((getattr(row, name) or 0) >= 0 for row in counted.values() for name in COUNTERS)
    for name in ("input_tokens", "output_tokens"):
        counts = sum(getattr(row, name) or 0 for row in counted.values())
        assert counts <= sum(getattr(row, name) or 0 for row in {row.key: row for row in rows}.values())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_what_counts_of_a_running_total_is_the_last_of_each_epoch(seen: list[tuple[int, int]]) -> None:
    rows = [
        event(f"{n}", at=NOON + n, family=PARENT, rule=SERIES, input_tokens=input_, output_tokens=output)
        for n, (input_, output) in enumerate(seen)
    ]
    (found,) = in_ledgers([rows])
    counted = found[EVENTS.name]
    pairs = zip(seen, [*seen[1:], (-1, -1)], strict=True)
    ends = [now for now, then in pairs if then[0] < now[0] or then[1] < now[1]]
    assert sum(row.input_tokens for row in counted.values()) == sum(input_ for input_, _ in ends)
    assert sum(row.output_tokens for row in counted.values()) == sum(output for _, output in ends)
    assert sum(row.lower_bounds != 0 for row in counted.values()) <= len(ends) - 1


async def outputs(ledger: Ledger) -> list[int | None]:
    return [row[0] for row in await ledger.query("SELECT output_tokens FROM events ORDER BY at, key")]


def running(name: str, minute: int, output: int, **fields: object) -> EventRecord:
    """A running total of a session called `name`."""
    family = keys.series_key("fake", name)
    values = {"family": family, "owner_key": family, "rule": SERIES, "at": NOON + minute, "output_tokens": output}
    return event(f"{name} {output}", name, **values | fields)


async def test_an_observation_between_two_others_restates_the_later_one(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    await ledger.write([update(running("s", 0, 100), running("s", 2, 300))])
    assert await outputs(ledger) == [100, 200]
    counts = await ledger.write([update(running("s", 1, 250))])
    assert await outputs(ledger) == [100, 150, 50]
    assert (counts.inserted, counts.restated) == (1, 1)
    head = await ledger.head()
    assert (head.digest, head.rows) == recomputed(ledger.path)
    await ledger.close()


async def test_an_observation_that_adds_nothing_leaves_a_tombstone_if_it_had_counted(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    late = running("s", 5, 100, identity="late")
    late.key = keys.event_key("fake", "late")
    await ledger.write([update(late)])
    await ledger.write([update(running("s", 1, 100))])
    assert [row.key for row in (await ledger.read_batch(0, 9)).tombstones] == [late.key]
    assert await ledger.query("SELECT count(*), sum(output_tokens) FROM events") == [(1, 100)]
    await ledger.close()


async def test_a_parent_that_is_seen_after_its_child_takes_its_part_from_it(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    child = running("child", 5, 130, after=PARENT), running("child", 6, 140, after=PARENT)
    await ledger.write([update(*child)])
    assert await outputs(ledger) == [130, 10]
    await ledger.write([update(running("parent", 1, 100))])
    assert await outputs(ledger) == [100, 30, 10]
    await ledger.write([update(running("parent", 2, 120))])
    assert await outputs(ledger) == [100, 20, 10, 10]
    await ledger.close()


async def test_reading_a_series_again_changes_nothing(tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path, POLICY)
    rows = [running("s", n, 100 * n) for n in range(1, 5)]
    await ledger.write([update(*rows)])
    before = await ledger.head()
    counts = await ledger.write([update(*rows)])
    assert (counts.unchanged, counts.restated, counts.inserted) == (4, 0, 0)
    assert await ledger.head() == before
    await ledger.close()
