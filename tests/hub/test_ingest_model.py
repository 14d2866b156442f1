"""Whatever several ledgers push, cut and interleaved in any way, ends in what a few lines of Python say."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgers import Ledger, add_host, empty, event, event_key, message, message_key, session
from trueup_hub.db import Database
from trueup_hub.ingest import events, forgetting, jobs
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire

SESSIONS = [keys.session_key("claude", name) for name in ("s0", "s1")]
SERIES = keys.series_key("claude", "series")

variants: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "output_tokens": st.sampled_from([None, 5, 7]),
        "lower_bounds": st.sampled_from([None, 16]),
        "context_tokens": st.sampled_from([None, 10, 20]),
        "session_key": st.sampled_from(SESSIONS),
        "model": st.sampled_from([None, "claude-opus-4-1"]),
        "n": st.integers(0, 20),
    }
)
changes = st.one_of(
    st.tuples(st.just("event"), st.integers(0, 3), variants),
    st.tuples(st.just("series"), st.integers(4, 6), variants),
    st.tuples(st.just("message"), st.integers(0, 5), st.sampled_from(SESSIONS)),
    st.tuples(st.just("session"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("remove"), st.integers(0, 20), st.none()),
    st.tuples(st.just("upgrade"), st.none(), st.none()),
    st.tuples(st.just("lose"), st.integers(0, 20), st.none()),
    st.tuples(st.just("push"), st.integers(1, 4), st.none()),
    st.tuples(st.just("push in full"), st.integers(1, 9), st.none()),
    st.tuples(st.just("repair"), st.integers(0, 20), st.none()),
    st.tuples(st.just("push together"), st.integers(1, 4), st.none()),
)


def change(ledger: Ledger, what: str, n: int, value: Any) -> None:
    if what == "event":
        ledger.put(event_key(n), event(**value))
    elif what == "series":
        # Two ledgers read a running total at other points: other events of one series.
        ledger.put(event_key(f"{ledger.ledger_id} {n}"), event(**value, owner_key=SERIES))
    elif what == "message":
        ledger.put(message_key(n), message(n, session_key=value, tool_names=["Bash"] * (n % 3)))
    elif what == "session":
        ledger.put(SESSIONS[n], session(f"s{n}", git_branch="main" if value else None))
    elif what == "upgrade":
        ledger.versions = {"claude": wire.ParserVersion(1, 1)}
    elif ledger.rows and what == "remove":
        ledger.remove(*sorted(ledger.rows)[n % len(ledger.rows)])
    elif ledger.rows and what == "lose":
        lose(ledger, sorted(ledger.rows)[n % len(ledger.rows)])


def lose(ledger: Ledger, place: tuple[int, bytes]) -> None:
    """The ledger no longer has it, and no tombstone: until a repair or a full push, the hub may have it."""
    del ledger.rows[place], ledger.seqs[place]


async def push(ledger: Ledger, what: str, n: int) -> None:
    if what == "push":
        await ledger.push(n)
    elif what == "push in full":
        await ledger.push_full(n)
    elif ledger.rows:  # a repair of what was right, and a deletion of what was never there
        while ledger.acked < ledger.seq:
            await ledger.push()
        await ledger.send(ledger.repair([sorted(ledger.rows)[n % len(ledger.rows)], (keys.EVENTS, event_key("never"))]))


def quality(body: wire.EventBody) -> int:
    return 0 if body.output_tokens is None else 1 if body.lower_bounds else 3


def total(body: wire.EventBody) -> int:
    return (
        (body.input_tokens or 0)
        + (body.cache_read_tokens or 0)
        + (body.cache_write_tokens or 0)
        + (body.output_tokens or 0)
    )


def counted(ledgers: list[Ledger]) -> list[tuple[int, wire.EventBody]]:
    """(host_no, event) of what counts. `ledgers` are in the order of precedence."""
    best: dict[bytes, tuple[tuple[int, int, int], int, wire.EventBody]] = {}
    series: dict[int, tuple[int, int]] = {}
    for index, ledger in enumerate(ledgers):
        version = ledger.versions["claude"].floor
        for (table, key), body in ledger.rows.items():
            if table != keys.EVENTS or not isinstance(body, wire.EventBody):
                continue
            if body.owner_key is not None:
                series[index] = (version, series.get(index, (0, 0))[1] + total(body))
                continue
            rank = (quality(body), version, 0 if quality(body) == 3 else total(body))
            if key not in best or rank > best[key][0]:
                best[key] = (rank, ledger.host_no, body)
    result = [(host_no, body) for _, host_no, body in best.values()]
    if series:
        winner = ledgers[max(series, key=lambda index: (*series[index], -index))]
        result += [
            (winner.host_no, body)
            for body in winner.rows.values()
            if isinstance(body, wire.EventBody) and body.owner_key is not None
        ]
    return result


def rollup(ledgers: list[Ledger]) -> Counter[tuple[int, int, str | None, int, int, int]]:
    cells: dict[tuple[int, int, str | None], list[Any]] = {}
    for host_no, body in counted(ledgers):
        assert body.at is not None
        cell = cells.setdefault((host_no, body.at // 900_000_000, body.model), [0, 0, 0])
        cell[0] += 1
        cell[1] += body.output_tokens or 0
        cell[2] = max(cell[2], body.context_tokens or 0)
    return Counter((*key, *cell) for key, cell in cells.items())


async def agrees(db: Database, ledgers: list[Ledger]) -> None:
    rows = await db.fetch(
        "SELECT host_no, slot, nullif(term, ''), sum(n)::int, sum(s_output_tokens)::int,"
        " coalesce(max(max_context_tokens), 0) FROM usage_slots JOIN terms ON term_no = model GROUP BY 1, 2, 3"
    )
    assert Counter(map(tuple, rows)) == rollup(ledgers)
    assert await verify(db) == {}


@pytest.fixture(params=[1, 1000], ids=["claims by COPY", "claims one by one"], autouse=True)
def bulk_keys(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_BULK_KEYS", request.param)


@settings(
    max_examples=(settings.default or settings()).max_examples // 6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.tuples(st.integers(0, 2), changes), min_size=1, max_size=40), size=st.integers(1, 5))
async def test_counted_rows_and_rollups_are_those_of_a_simple_model(
    db: Database, steps: list[tuple[int, tuple[str, Any, Any]]], size: int
) -> None:
    await empty(db)
    await db.execute("DELETE FROM hosts")
    first, second = await add_host(db, "first", 1), await add_host(db, "second", 2)
    ledgers = [Ledger(db, first, "a"), Ledger(db, first, "b"), Ledger(db, second)]
    ledgers.sort(key=lambda ledger: (ledger.host_no, ledger.ledger_id))
    for ledger in ledgers:
        ledger.versions = {"claude": wire.ParserVersion(0, 0)}
    for index, (what, n, value) in steps:
        if what == "push together":
            await asyncio.gather(*(ledger.push(n) for ledger in ledgers))
        elif what in ("push", "push in full", "repair"):
            await push(ledgers[index], what, n)
        else:
            change(ledgers[index], what, n, value)
    await asyncio.gather(*(ledger.push_full(size) for ledger in ledgers))
    for ledger in ledgers:
        assert (await ledger.push()).verdict == "converged"
        assert (await recompute_digest(db, ledger.host_no, await ledger.number())).faithful
    await jobs.settle_pending(db, size)
    await agrees(db, ledgers)
    await db.execute("UPDATE hosts SET forgotten_at = now() WHERE host_no = $1", first[0])
    await forgetting.forget_pending(db, size)
    await agrees(db, [ledger for ledger in ledgers if ledger.host_no == second[0]])
