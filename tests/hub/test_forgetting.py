"""A forgotten host goes in chunks: its access at once, its rows with right totals after each, in the end it itself."""

import asyncio
import random
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hub_client import HubClient
from ledgers import Ledger, add_host, event, event_key, message, message_key, put_events, session
from processes import TRUEUP, environment
from trueup_hub.auth import Auth
from trueup_hub.db import Database
from trueup_hub.errors import Problem
from trueup_hub.hub_key import Revocations, make_credential, read_credential
from trueup_hub.ingest import forgetting
from trueup_hub.ingest.verify import verify
from trueup_shared import keys

SERIES = keys.series_key("claude", "series")
SESSIONS = [keys.session_key("claude", f"s{n}") for n in range(4)]


def fill(ledger: Ledger, seed: int) -> None:
    """Requests, running totals, messages and sessions, most of which other ledgers have as well."""
    random_ = random.Random(seed)
    for n in range(30):
        key = SESSIONS[n % 4]
        if random_.random() < 0.8:
            bits = random_.choice([None, 16])
            ledger.put(event_key(n), event(n, session_key=key, lower_bounds=bits, context_tokens=random_.randrange(9)))
            ledger.put(message_key(n), message(n, session_key=key))
    for n in range(seed, 5):
        ledger.put(event_key(f"{seed} {n}"), event(n, owner_key=SERIES, session_key=SESSIONS[0]))
    for n, key in enumerate(SESSIONS):
        ledger.put(key, session(f"s{n}", git_branch=f"b{seed}"))


async def totals(db: Database) -> list[tuple[object, ...]]:
    rows = await db.fetch(
        "SELECT label, slot, harness, sum(n), sum(s_output_tokens), sum(s_cost), max(max_context_tokens)"
        " FROM usage_slots JOIN hosts USING (host_no) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]


async def mark(db: Database, host: tuple[int, str]) -> UUID:
    await db.execute("UPDATE hosts SET forgotten_at = now(), revoked_at = now() WHERE host_no = $1", host[0])
    return UUID(host[1])


async def test_totals_are_right_after_each_chunk_and_in_the_end_as_if_it_had_never_been(db: Database) -> None:
    hosts = [await add_host(db, name, n) for n, name in enumerate(("first", "second", "third"))]
    ledgers = [Ledger(db, host, name) for host, name in ((hosts[0], "a"), (hosts[1], "b"), (hosts[1], "c"))]
    for seed, ledger in enumerate(ledgers):
        fill(ledger, seed)
    for ledger in ledgers[1:]:
        await ledger.push()
    expected = await totals(db)
    await ledgers[0].push()
    host_id, left, steps = await mark(db, hosts[0]), [], 0
    async for progress in forgetting.forget_host(db, host_id, 7):
        assert await verify(db) == {}
        left.append(progress.left)
        steps += 1
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert steps > 8
    assert await totals(db) == expected
    assert [row[0] for row in await db.fetch("SELECT label FROM hosts ORDER BY 1")] == ["second", "third"]
    for table in (
        "events",
        "messages",
        "sessions",
        "ledgers",
        "batches",
        "event_claims",
        "usage_slots",
        "session_slots",
    ):
        assert await db.fetchval(f"SELECT count(*) FROM {table} WHERE host_no = $1", hosts[0][0]) == 0, table


async def test_killed_in_the_middle_it_goes_on_where_it_was(db: Database) -> None:
    host, other = await add_host(db, "first", 1), await add_host(db, "second", 2)
    ledgers = [Ledger(db, host), Ledger(db, other)]
    for ledger in ledgers:
        fill(ledger, 1)
        await ledger.push()
    host_id = await mark(db, host)
    async with aclosing(forgetting.forget_host(db, host_id, 5)) as steps:
        for _ in range(3):
            await anext(steps)
    assert await db.fetchval("SELECT count(*) FROM hosts") == 2
    assert await verify(db) == {}
    assert await forgetting.forget_pending(db, 5) > 10
    assert await db.fetchval("SELECT count(*) FROM hosts") == 1
    assert await verify(db) == {}
    assert await forgetting.forget_pending(db) == 0


async def test_a_command_killed_in_the_middle_leaves_right_totals_and_the_hub_goes_on(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    host, other = await add_host(db, "first", 1), await add_host(db, "second", 2)
    ledgers = [Ledger(db, host), Ledger(db, other)]
    for ledger in ledgers:
        put_events(ledger, range(5_000))
        await ledger.push()
    (tmp_path / "home").mkdir()
    env = environment(tmp_path / "home", tmp_path / "data", TRUEUP_DATABASE_URL=database_url)
    command = await asyncio.create_subprocess_exec(*TRUEUP, "hub", "host", "forget", "first", "--yes", env=env)
    while await db.fetchval("SELECT count(*) FROM events WHERE host_no = $1", host[0]) == 5_000:
        pass
    command.kill()
    await command.wait()
    left = await db.fetchval("SELECT count(*) FROM events WHERE host_no = $1", host[0])
    assert 0 < left < 5_000
    assert await db.fetchval("SELECT sum(n)::int FROM usage_slots") == 5_000
    assert await verify(db) == {}
    assert await forgetting.forget_pending(db) >= left - forgetting.CHUNK_ROWS  # one chunk may have been on its way
    assert await db.fetchval("SELECT sum(n)::int FROM usage_slots") == 5_000
    assert await db.fetchval("SELECT count(*) FROM hosts") == 1
    assert await verify(db) == {}


async def test_rows_that_a_batch_brought_at_the_last_moment_go_as_well(db: Database) -> None:
    host = await add_host(db, "first")
    ledger = Ledger(db, host)
    fill(ledger, 1)
    await ledger.push(20)
    host_id = await mark(db, host)
    async with aclosing(forgetting.forget_host(db, host_id, 1000)) as steps:
        await anext(steps)
        await ledger.push()  # it had been let in before
        async for _ in steps:
            pass
    assert await db.fetchval("SELECT count(*) FROM events") == 0
    assert await db.fetchval("SELECT count(*) FROM hosts") == 0
    assert await verify(db) == {}


async def test_a_batch_that_comes_when_the_host_is_gone_is_refused(db: Database) -> None:
    host = await add_host(db, "first")
    ledger = Ledger(db, host)
    fill(ledger, 1)
    await ledger.push(20)
    await mark(db, host)
    await forgetting.forget_pending(db)
    with pytest.raises(Problem) as refused:
        await ledger.push()
    assert (refused.value.status, refused.value.code) == (401, "revoked")
    assert await db.fetchval("SELECT count(*) FROM ledgers") == 0


async def test_a_forgotten_host_is_not_let_in_again_by_another_replica(db: Database, tmp_path: Path) -> None:
    """Its revocation lies beside the key of the replica that was asked; the database is the same."""
    key, host_id = bytes(32), uuid4()
    one, other = (Auth(db, key, Revocations(tmp_path / name), timedelta(1)) for name in ("one", "other"))
    credential = make_credential(key, host_id, 1_790_000_000_000_000, bytes(32))
    assert await one.caller_of_bearer(credential) is not None  # the hub key vouches for it
    assert await forgetting.begin(one, host_id, "admin")
    assert not await forgetting.begin(one, uuid4(), "admin")
    await forgetting.forget_pending(db)
    for replica in (one, other):
        with pytest.raises(Problem, match="revoked"):
            await replica.caller_of_bearer(credential)
    assert await db.fetchval("SELECT count(*) FROM hosts") == 0
    assert await db.fetchval("SELECT count(*) FROM audit WHERE action = 'host.forget' AND actor = 'admin'") == 1


async def test_two_that_forget_one_host_at_once_do_not_hinder_each_other(db: Database) -> None:
    host = await add_host(db, "first")
    ledger = Ledger(db, host)
    fill(ledger, 1)
    await ledger.push()
    host_id = await mark(db, host)
    async with (
        aclosing(forgetting.forget_host(db, host_id, 20)) as one,
        aclosing(forgetting.forget_host(db, host_id, 20)) as two,
    ):
        await anext(one)
        await anext(two)
        async for _ in one:
            assert await verify(db) == {}
        async for _ in two:
            pass
    assert await db.fetchval("SELECT count(*) FROM hosts") == 0


async def test_access_ends_at_once_for_good_and_the_audit_remembers(hub: HubClient) -> None:
    granted = await hub.host("ana")
    host_id = UUID(granted.host_id)
    assert await forgetting.begin(hub.auth, host_id, "tester")
    assert await forgetting.begin(hub.auth, host_id, "tester")  # a repeat changes nothing
    with pytest.raises(Problem, match="revoked"):
        await hub.auth.caller_of_bearer(granted.credential)
    await forgetting.forget_pending(hub.db)
    assert read_credential(hub.auth.key, granted.credential) is not None
    with pytest.raises(Problem, match="revoked"):  # the hub key vouches for it, but it is not admitted again
        await hub.auth.caller_of_bearer(granted.credential)
    assert await hub.db.fetchval("SELECT count(*) FROM hosts") == 0
    assert (
        await hub.db.fetchval("SELECT count(*) FROM audit WHERE action = 'host.forget' AND subject = $1", str(host_id))
        == 1
    )
    assert not await forgetting.begin(hub.auth, host_id, "tester")
