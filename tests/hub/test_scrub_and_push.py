"""Whatever is done to the hub's tables by hand: after a scrub and an ordinary push of each machine all is as before."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub_process import Hub, running_hub
from pushing import Machine, machine
from trueup_hub.db import Database, UniqueViolation
from trueup_hub.ingest.cells import KEYS
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all

SHOWN = (
    *(
        f"SELECT to_jsonb(t) - 'model', term FROM {table} t JOIN terms ON term_no = model"
        for table in KEYS
        if table != "session_totals"
    ),
    "SELECT * FROM session_totals",
    "SELECT event_key, ledger_no, counted, row_digest FROM events",
    "SELECT message_key, ledger_no, row_digest FROM messages",
    "SELECT session_key, ledger_no, chosen, rows, digest FROM sessions",
    "SELECT ledger_no, verdict, digest, sessions, messages, events, rejected FROM ledgers",
)
ROW = "ctid = (SELECT ctid FROM {table} ORDER BY {key} OFFSET {n} LIMIT 1)"
EVENT, MESSAGE, SESSION, OWNER = (
    ROW.replace("{table}", table).replace("{key}", key)
    for table, key in (
        ("events", "event_key, ledger_no"),
        ("messages", "message_key, ledger_no"),
        ("sessions", "session_key, ledger_no"),
        ("event_owners", "owner_key"),
    )
)
DAMAGES = {
    "an event altered": f"UPDATE events SET output_tokens = 999, model = 0 WHERE {EVENT}",
    "an event dated otherwise": f"UPDATE events SET at = at + interval '1 day' WHERE {EVENT}",
    "an event in another session": f"UPDATE events SET session_key = gen_random_uuid() WHERE {EVENT}",
    "an event under another key": f"UPDATE events SET event_key = gen_random_uuid() WHERE {EVENT}",
    "an event in a series": f"UPDATE events SET owner_key = gen_random_uuid() WHERE {EVENT}",
    "an event at the end of time": f"UPDATE events SET at = 'infinity' WHERE {EVENT}",
    "an event before Christ": f"UPDATE events SET at = '0044-03-15 BC' WHERE {EVENT}",
    "a cost that is no number": f"UPDATE events SET reported_cost = 'much', reported_cost_unit = 1 WHERE {EVENT}",
    "less than nothing": f"UPDATE events SET output_tokens = -7 WHERE {EVENT}",
    "a message before Christ": f"UPDATE messages SET at = '0044-03-15 BC' WHERE {MESSAGE}",
    "a session before Christ": f"UPDATE sessions SET started_at = '0044-03-15 BC' WHERE {SESSION}",
    "rows of no ledger": "INSERT INTO sessions (host_no, ledger_no, session_key, chosen, rows)"
    " SELECT host_no, ledger_no + 90, session_key, true, 5 FROM sessions ON CONFLICT DO NOTHING",
    "events of no ledger": f"UPDATE events SET (host_no, ledger_no) = (77, 99) WHERE {EVENT}",
    "an event lost": f"DELETE FROM events WHERE {EVENT}",
    "an event that became stale": f"UPDATE events SET stale = true WHERE {EVENT}",
    "an event with another seq": f"UPDATE events SET seq = seq + 1, data_version = 7 WHERE {EVENT}",
    "a cost altered": f"UPDATE events SET cost_nanousd = 5 WHERE {EVENT}",
    "a flag turned": f"UPDATE events SET counted = NOT counted WHERE {EVENT}",
    "a message altered": f"UPDATE messages SET size_chars = 1, role = 0, at = NULL WHERE {MESSAGE}",
    "a message lost": f"DELETE FROM messages WHERE {MESSAGE}",
    "a message that became stale": f"UPDATE messages SET stale = true WHERE {MESSAGE}",
    "a session altered": f"UPDATE sessions SET started_at = '2020-02-02', git_branch = 'x' WHERE {SESSION}",
    "a session lost": f"DELETE FROM sessions WHERE {SESSION}",
    "a session that became stale": f"UPDATE sessions SET stale = true WHERE {SESSION}",
    "sums of a session altered": f"UPDATE sessions SET rows = 0, digest = 7, messages = 3 WHERE {SESSION}",
    "a choice turned": f"UPDATE sessions SET chosen = NOT chosen WHERE {SESSION}",
    "an owner lost": f"DELETE FROM event_owners WHERE {OWNER}",
    "an owner vacant": f"UPDATE event_owners SET (host_no, ledger_no) = (NULL, NULL) WHERE {OWNER}",
    "claims lost": "DELETE FROM event_claims",
    "owners of sessions lost": "DELETE FROM session_owners",
    "slots altered": "UPDATE usage_slots SET n = n + {n}, s_output_tokens = 1, max_context_tokens = {n}",
    "cells lost": "TRUNCATE session_slots, session_totals, activity_slots",
    "the ledgers' sums altered": "UPDATE ledgers SET digest = {n}, events = {n}",
    "a term altered": "UPDATE terms SET term = gen_random_uuid()::text WHERE term = 'm'",
    "all events lost": "DELETE FROM events",
}
FOREIGN = (
    "INSERT INTO {table} ({columns}) SELECT {values} FROM {table} ORDER BY {key} OFFSET {n} LIMIT 1",
    {"events": "event_key", "messages": "message_key", "sessions": "session_key"},
)


async def invent(db: Database, table: str, n: int) -> None:
    """A row of somebody, like one that is there, under a new key."""
    sql, keys = FOREIGN
    names = [
        row[0]
        for row in await db.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0", table
        )
    ]
    values = ["gen_random_uuid()" if name == keys[table] else name for name in names]
    await db.execute(sql.format(table=table, columns=", ".join(names), values=", ".join(values), key=keys[table], n=n))


async def damage(db: Database, what: str, n: int) -> None:
    if what in DAMAGES:
        with contextlib.suppress(UniqueViolation):  # done already
            await db.execute(DAMAGES[what].replace("{n}", str(n)))
    else:
        await invent(db, what, n)


async def shown(db: Database) -> list[list[Any]]:
    return [sorted(map(tuple, await db.fetch(sql)), key=repr) for sql in SHOWN]


class World:
    hub: Hub
    machines: list[Machine]
    before: list[list[Any]]


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Two machines that have half of their requests and sessions in common."""
    async with (
        running_hub(database_url, tmp_path / "hub") as hub,
        machine(hub, tmp_path / "ana", "ana") as ana,
        machine(hub, tmp_path / "ben", "ben") as ben,
    ):
        made = World()
        made.hub, made.machines = hub, [ana, ben]
        await ana.write(0, 24)
        await ben.write(15, 39, output_tokens=7)
        for one in made.machines:
            assert (await one.push()).verdict == "converged"
        made.before = await shown(hub.auth.db)
        yield made


EXAMPLES = 500 if settings().max_examples > 1_000 else 6  # `make soak`: many more
KINDS = st.sampled_from([*DAMAGES, "events", "messages", "sessions"])


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KINDS, st.integers(0, 20)), min_size=2, max_size=5))
async def test_several_damages_at_once_are_mended(world: World, damages: list[tuple[str, int]]) -> None:
    db = world.hub.auth.db
    for what, n in damages:
        await damage(db, what, n)
    await scrub_all(db)
    assert {name for name in await verify(db) if name != "owner_differences"} == set()
    for one in world.machines:
        assert (await one.push()).verdict == "converged"
    assert await verify(db) == {}
    assert await shown(db) == world.before


for kind in (*DAMAGES, "events", "messages", "sessions"):
    test_several_damages_at_once_are_mended = example([(kind, 16)])(test_several_damages_at_once_are_mended)
