"""A counter of 0 is unknown until a parser with a version says that it is 0 (docs/adr/0007)."""

from typing import Any

import pytest

from ledgers import Ledger, add_host, event, event_key, message, message_key
from trueup_hub.db import Database
from trueup_hub.hosts import list_hosts
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_hub.params import Query
from trueup_hub.trust import trust_report
from trueup_shared import keys, wire
from trueup_shared.metrics import BIT, COUNTERS

STATED = {"claude": wire.ParserVersion(1, 1), "codex": wire.ParserVersion(2, 2)}
ZEROS = {"cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0}
SERIES = keys.series_key("claude", "s1")


@pytest.fixture
async def ledger(db: Database) -> Ledger:
    """Of an agent that names no parser version."""
    made = Ledger(db, await add_host(db, "laptop"))
    made.versions = {}
    return made


async def stored(db: Database) -> list[dict[str, Any]]:
    return [dict(row) for row in await db.fetch("SELECT * FROM events ORDER BY host_no, at")]


async def in_sync(db: Database, ledger: Ledger) -> None:
    """Sums, rollups and ownership are those of the columns, and the digests are the ledger's."""
    recomputed = await recompute_digest(db, ledger.host_no, await ledger.number())
    assert recomputed.faithful
    assert keys.digest_bytes(recomputed.digest) == ledger.digest
    assert await verify(db) == {}


async def reported(db: Database) -> tuple[int, int | None]:
    """How many events the slots say report cache reads, and their sum."""
    n, total = await db.fetchrow("SELECT sum(r_cache_read_tokens), sum(s_cache_read_tokens) FROM usage_slots")
    return int(n), int(total) if n else None


async def needs_resync(db: Database) -> str | None:
    [host] = (await trust_report(db, Query({}.items()).common("UTC"))).hosts
    return next((flag.reason for flag in host.flags if flag.flag == "needs_resync"), None)


async def test_zeros_of_no_named_parser_are_unknown_and_yet_what_was_sent(db: Database, ledger: Ledger) -> None:
    ledger.put(event_key(1), event(1, **ZEROS))
    ledger.put(event_key(2), event(2))
    ledger.put(message_key(1), message(1, size_chars=0))
    assert (await ledger.push()).verdict == "converged"
    zeros, whole = await stored(db)
    assert {name for name in COUNTERS if zeros[name] == 0} == set()
    assert zeros["unstated"] == BIT["cache_read_tokens"] | BIT["cache_write_tokens"] | BIT["reasoning_tokens"]
    assert zeros["output_tokens"] == 101, "what is not 0 is as it came"
    assert (whole["unstated"], whole["cache_read_tokens"]) == (None, 1000)
    assert await reported(db) == (1, 1000)
    await in_sync(db, ledger)
    reason = await needs_resync(db)
    assert reason is not None
    assert "counters of 0" in reason


async def test_it_holds_for_rows_that_arrive_later_too(db: Database, ledger: Ledger) -> None:
    for n in range(3):
        ledger.put(event_key(n), event(n, **ZEROS))
        assert (await ledger.push()).verdict == "converged"
    ledger.put(event_key(1), event(1, **ZEROS, output_tokens=7))
    assert (await ledger.push()).updated == 1
    assert [row["unstated"] is not None for row in await stored(db)] == [True] * 3
    assert await reported(db) == (0, None)
    await in_sync(db, ledger)


async def test_of_several_harnesses_only_the_one_without_a_version_is_doubted(db: Database, ledger: Ledger) -> None:
    ledger.versions = {"codex": wire.ParserVersion(2, 2)}
    ledger.put(event_key(1), event(1, **ZEROS))
    ledger.put(event_key(2), event(2, **ZEROS, harness="codex"))
    await ledger.push()
    doubted, stated = await stored(db)
    assert (doubted["cache_read_tokens"], stated["cache_read_tokens"]) == (None, 0)
    assert stated["unstated"] is None
    await in_sync(db, ledger)


@pytest.mark.parametrize("kind", ["ordinary", "full"])
@pytest.mark.parametrize("owner_key", [None, SERIES], ids=["request", "series"])
async def test_the_same_rows_with_a_version_are_as_reported(
    db: Database, ledger: Ledger, kind: str, owner_key: bytes | None
) -> None:
    """Their digest is the same: without looking at the doubt they would be taken for unchanged."""
    for n in range(4):
        ledger.put(event_key(n), event(n, **(ZEROS if n % 2 else {}), owner_key=owner_key))
    await ledger.push()
    ledger.versions = STATED
    if kind == "ordinary":
        for n in range(4):
            ledger.put(event_key(n), event(n, **(ZEROS if n % 2 else {}), owner_key=owner_key))
        receipt = await ledger.push()
    else:
        place = (ledger.host_no, await ledger.number())
        await db.execute(
            "UPDATE ledgers SET open_generation = 1, full_target = acked_seq WHERE host_no = $1 AND ledger_no = $2",
            *place,
        )
        ledger.acked, acked = 0, ledger.acked
        receipt = await ledger.send(ledger.batch(kind="full", generation=1))
        ledger.acked = acked
    assert (receipt.updated, receipt.unchanged) == (2, 2)
    assert [(row["unstated"], row["cache_read_tokens"]) for row in await stored(db)] == [(None, 1000), (None, 0)] * 2
    assert [row["seq"] for row in await stored(db)] == list(range(5, 9) if kind == "ordinary" else range(1, 5))
    assert await reported(db) == (4, 2000)
    assert await needs_resync(db) is None
    await in_sync(db, ledger)


async def test_a_copy_with_a_version_counts_before_one_without_whatever_comes_first(db: Database) -> None:
    """Also where the older host has the doubtful one: unknown is less than exact."""
    doubtful = Ledger(db, await add_host(db, "first", 1))
    doubtful.versions = {}
    stated = Ledger(db, await add_host(db, "second", 2))
    for ledger in (doubtful, stated):
        ledger.put(event_key(1), event(1, output_tokens=0))
        await ledger.push()
        await in_sync(db, ledger)
    assert [(row["counted"], row["output_tokens"]) for row in await stored(db)] == [(False, None), (True, 0)]
    # The first agent is updated: equal copies, and its host was enrolled first.
    doubtful.versions = STATED
    doubtful.put(event_key(1), event(1, output_tokens=0))
    await doubtful.push()
    assert [(row["counted"], row["output_tokens"]) for row in await stored(db)] == [(True, 0), (False, 0)]
    await in_sync(db, doubtful)


async def test_an_event_that_is_0_everywhere_has_no_cost_while_in_doubt(db: Database, ledger: Ledger) -> None:
    nothing = dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"), 0)
    ledger.put(event_key(1), event(1, **nothing, context_tokens=None))
    await ledger.push()
    assert [row["cost_nanousd"] for row in await stored(db)] == [None]
    ledger.versions = STATED
    ledger.put(event_key(1), event(1, **nothing, context_tokens=None))
    await ledger.push()
    assert [row["cost_nanousd"] for row in await stored(db)] == [0]
    await in_sync(db, ledger)


async def test_a_doubtful_row_goes_with_everything_it_added(db: Database, ledger: Ledger) -> None:
    ledger.put(event_key(1), event(1, **ZEROS))
    await ledger.push()
    ledger.remove(keys.EVENTS, event_key(1))
    assert (await ledger.push()).removed == 1
    assert await db.fetchval("SELECT count(*) FROM usage_slots") == 0
    assert await needs_resync(db) is None
    await in_sync(db, ledger)


async def test_the_host_says_which_of_its_ledgers_it_is(db: Database, ledger: Ledger) -> None:
    ledger.put(event_key(1), event(1, **ZEROS))
    await ledger.push()
    [host] = await list_hosts(db)
    assert [report.unstated for report in host.ledgers] == [True]
