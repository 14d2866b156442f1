"""A request that several ledgers have counts once, from the copy that the rule names, whatever came first."""

import itertools

import pytest

from ledgers import Ledger, add_host, empty, event, event_key, message, message_key, session
from trueup_hub.db import Database
from trueup_hub.ingest import jobs
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSION = keys.session_key("claude", "s1")
SERIES = keys.series_key("claude", "s1")
OUTPUT_BIT = 16


@pytest.fixture
async def hosts(db: Database) -> list[tuple[int, str]]:
    return [await add_host(db, name, enrolled) for enrolled, name in enumerate(("first", "second", "third"))]


async def counted(db: Database) -> list[tuple[str, int]]:
    """(label of the host, output tokens) of what counts."""
    rows = await db.fetch(
        "SELECT label, output_tokens FROM events JOIN hosts USING (host_no) WHERE counted ORDER BY event_key"
    )
    return [(row[0], row[1]) for row in rows]


async def test_the_same_request_on_two_hosts_counts_once_from_the_first_enrolled(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    for host in reversed(hosts):
        ledger = Ledger(db, host)
        ledger.put(event_key(1), event(1))
        assert (await ledger.push()).verdict == "converged"
    assert await counted(db) == [("first", 101)]
    assert await db.fetchval("SELECT count(*) FROM event_claims WHERE NOT conflict") == 2
    assert await verify(db) == {}


BETTER_FIRST = [
    ("an exact output beats a lower bound", {}, {"lower_bounds": OUTPUT_BIT, "output_tokens": 9999}),
    ("an exact output beats a derived one", {}, {"derived": OUTPUT_BIT, "output_tokens": 9999}),
    ("a lower bound beats unknown", {"lower_bounds": OUTPUT_BIT}, {"output_tokens": None, "input_tokens": 9999}),
    (
        "of two lower bounds the greater billed total",
        {"lower_bounds": OUTPUT_BIT, "output_tokens": 50},
        {"lower_bounds": OUTPUT_BIT, "output_tokens": 40},
    ),
]


@pytest.mark.parametrize("better, worse", [case[1:] for case in BETTER_FIRST], ids=[case[0] for case in BETTER_FIRST])
@pytest.mark.parametrize("better_comes_first", [True, False])
async def test_the_better_copy_counts_whatever_comes_first(
    db: Database,
    hosts: list[tuple[int, str]],
    better: dict[str, int],
    worse: dict[str, int],
    better_comes_first: bool,
) -> None:
    good, bad = Ledger(db, hosts[1]), Ledger(db, hosts[0])
    good.put(event_key(1), event(1, **better))
    bad.put(event_key(1), event(1, **worse))
    for ledger in (good, bad) if better_comes_first else (bad, good):
        await ledger.push()
        assert await verify(db) == {}
    assert [label for label, _ in await counted(db)] == ["second"]


async def test_a_higher_data_version_wins_but_only_up_to_what_the_hub_knows(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    old, new, boast = (Ledger(db, host) for host in hosts)
    old.versions = {"claude": wire.ParserVersion(0, 0)}
    boast.versions = {"claude": wire.ParserVersion(99, 99)}
    for ledger in (old, new, boast):
        ledger.put(event_key(1), event(1))
        await ledger.push()
    assert [label for label, _ in await counted(db)] == ["second"]
    assert await verify(db) == {}


async def test_two_exact_copies_with_different_numbers_are_a_conflict_that_ends_when_they_agree(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    first, second = Ledger(db, hosts[0]), Ledger(db, hosts[1])
    first.put(event_key(1), event(1, output_tokens=10))
    second.put(event_key(1), event(1, output_tokens=5000))
    await second.push()
    await first.push()
    assert await counted(db) == [("first", 10)]
    assert await db.fetchval("SELECT count(*) FROM event_claims WHERE conflict") == 1
    second.put(event_key(1), event(1, output_tokens=10))
    await second.push()
    assert await db.fetchval("SELECT count(*) FROM event_claims WHERE conflict") == 0
    first.put(event_key(1), event(1, output_tokens=11))
    await first.push()
    assert await db.fetchval("SELECT count(*) FROM event_claims WHERE conflict") == 1
    assert await verify(db) == {}


async def test_the_next_best_takes_over_when_a_copy_goes_or_gets_worse(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    first, second, third = (Ledger(db, host) for host in hosts)
    for n, ledger in enumerate((first, second, third)):
        ledger.put(event_key(1), event(1, context_tokens=1000 + n))
        await ledger.push()
    first.remove(keys.EVENTS, event_key(1))
    await first.push()
    assert [label for label, _ in await counted(db)] == ["second"]
    second.put(event_key(1), event(1, output_tokens=None))
    await second.push()
    assert [label for label, _ in await counted(db)] == ["third"]
    third.remove(keys.EVENTS, event_key(1))
    await third.push()
    assert await counted(db) == [("second", None)]
    second.remove(keys.EVENTS, event_key(1))
    await second.push()
    assert await counted(db) == []
    assert await db.fetchval("SELECT count(*) FROM usage_slots") == 0
    first.put(event_key(1), event(1))
    await first.push()
    assert [label for label, _ in await counted(db)] == ["first"]
    assert await verify(db) == {}


async def test_two_ledgers_of_one_host_count_once(db: Database, hosts: list[tuple[int, str]]) -> None:
    ledgers = [Ledger(db, hosts[0], name) for name in "ab"]
    for ledger in ledgers:
        ledger.put(event_key(1), event(1))
        ledger.put(message_key(1), message(1))
        ledger.put(SESSION, session())
        assert (await ledger.push()).verdict == "converged"
    assert len(await counted(db)) == 1
    assert await db.fetchval("SELECT sum(messages) FROM activity_slots") == 1
    assert await verify(db) == {}


async def test_a_series_counts_whole_from_the_ledger_with_the_greatest_sum(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    small, great = Ledger(db, hosts[0]), Ledger(db, hosts[1])
    for n in range(3):
        small.put(event_key(f"small{n}"), event(n, owner_key=SERIES))
    for n in range(2):
        great.put(event_key(f"great{n}"), event(n, owner_key=SERIES))
    await small.push()
    await great.push()
    assert {label for label, _ in await counted(db)} == {"first"}
    great.put(event_key("great2"), event(2, owner_key=SERIES, output_tokens=10_000))
    await great.push()
    assert [label for label, _ in await counted(db)] == ["second"] * 3
    assert await verify(db) == {}
    great.remove(keys.EVENTS, event_key("great2"))
    await great.push()
    assert [label for label, _ in await counted(db)] == ["first"] * 3
    for n in range(3):
        small.remove(keys.EVENTS, event_key(f"small{n}"))
    await small.push()
    assert [label for label, _ in await counted(db)] == ["second"] * 2
    assert await verify(db) == {}


async def test_an_event_that_moves_between_its_own_key_and_a_series_is_stored_once(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    ledger, other = Ledger(db, hosts[0]), Ledger(db, hosts[1])
    for owner in (SERIES, None, SERIES):
        ledger.put(event_key(1), event(1, owner_key=owner))
        other.put(event_key(1), event(1))
        assert (await ledger.push()).verdict == "converged"
        await other.push()
        assert await verify(db) == {}
    assert await db.fetchval("SELECT count(*) FROM events") == 2


async def test_a_series_under_the_key_of_a_request_takes_nothing_and_doubles_nothing(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    """No agent of ours sends one; the second host does, to spoil what the first one has."""
    first, second, third = (Ledger(db, host) for host in hosts)
    for ledger in (first, third):
        ledger.put(event_key(1), event(1))
    second.put(event_key("spoils"), event(2, owner_key=event_key(1), output_tokens=7))
    for ledger in (first, second, third):
        await ledger.push()
        assert await verify(db) == {}
    assert sorted(await counted(db)) == [("first", 101), ("second", 7)]
    first.remove(keys.EVENTS, event_key(1))
    await first.push()
    assert sorted(await counted(db)) == [("second", 7), ("third", 101)]
    third.remove(keys.EVENTS, event_key(1))
    await third.push()
    assert await counted(db) == [("second", 7)]
    assert await verify(db) == {}
    second.remove(keys.EVENTS, event_key("spoils"))
    await second.push()
    assert await counted(db) == []
    assert await verify(db) == {}


async def test_a_request_under_the_key_of_a_series_takes_nothing_and_doubles_nothing(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    first, second, third = (Ledger(db, host) for host in hosts)
    first.put(event_key("total"), event(3, owner_key=SERIES))
    third.put(event_key("total"), event(2, owner_key=SERIES))
    second.put(SERIES, event(1, output_tokens=5000))
    for ledger in (first, second, third):
        await ledger.push()
        assert await verify(db) == {}
    assert sorted(await counted(db)) == [("first", 103), ("second", 5000)]
    second.remove(keys.EVENTS, SERIES)
    await second.push()
    assert await counted(db) == [("first", 103)]
    await jobs.decide_again(db, [SERIES], search=True)
    assert await verify(db) == {}
    first.remove(keys.EVENTS, event_key("total"))
    await first.push()
    assert await counted(db) == [("third", 102)]
    assert await verify(db) == {}


async def test_messages_and_starts_count_from_the_copy_with_the_most_messages_by_log2(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    first, second = Ledger(db, hosts[0]), Ledger(db, hosts[1])

    async def active() -> list[tuple[str, int, int]]:
        rows = await db.fetch(
            "SELECT label, sum(messages)::int, sum(sessions)::int"
            " FROM activity_slots JOIN hosts USING (host_no) GROUP BY 1"
        )
        return [tuple(row) for row in rows]

    for ledger, count in ((first, 2), (second, 3)):
        ledger.put(SESSION, session())
        for n in range(count):
            ledger.put(message_key(n), message(n))
        await ledger.push()
    assert await active() == [("first", 2, 1)]
    second.put(message_key(3), message(3))
    await second.push()
    assert await active() == [("second", 4, 1)]
    assert await verify(db) == {}
    second.put(SESSION, session(started_at=None))
    second.remove(keys.MESSAGES, message_key(0))
    await second.push()
    assert await active() == [("first", 2, 1)]
    for table, key in list(first.rows):
        first.remove(table, key)
    await first.push()
    assert await active() == [("second", 3, 0)]
    assert await verify(db) == {}


async def test_any_order_of_arrival_ends_in_the_same_counted_rows_and_rollups(
    db: Database, hosts: list[tuple[int, str]]
) -> None:
    columns = "host_no, slot, n, s_output_tokens, r_output_tokens, l_output_tokens, s_cost, max_context_tokens"
    ends = []
    for order in itertools.permutations(range(3)):
        ledgers = [Ledger(db, host) for host in hosts]
        for n, ledger in enumerate(ledgers):
            ledger.put(event_key(1), event(1, context_tokens=n))
            ledger.put(event_key(2), event(2, output_tokens=n, lower_bounds=OUTPUT_BIT))
            ledger.put(event_key(3 + n), event(3))
        for index in order:
            await ledgers[index].push()
        assert await verify(db) == {}
        ends.append(await db.fetch(f"SELECT {columns} FROM usage_slots ORDER BY 1, 2"))
        await empty(db)
    assert all(end == ends[0] for end in ends)
