"""Each number that says how sure a sum is leads to the sessions behind it, and over these it adds up."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import population_fleet as fleet
from hub_client import API, HubClient, problem
from population import Facts, Record, chosen, coverage_of, known, usage_of
from population_fleet import asked
from trueup_hub.analytics.sessions import SORTS, TAKES, SessionItem, list_sessions, quality_of
from trueup_hub.analytics.sources import QUALITIES, Quality, Reading, sql
from trueup_hub.analytics.summary import summary
from trueup_hub.db import Database
from trueup_hub.params import COUNTED, Common
from trueup_shared import wire
from trueup_shared.metrics import BIT
from usage_data import event, machine, session_key

COUNTERS = next(parameter.choices for parameter in TAKES if parameter.name == "counter")
QUESTIONS = [quality_of(name, counter) for name in QUALITIES for counter in COUNTERS]
read_only = settings(max_examples=2 * fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)


async def all_pages(facts: Facts, common: Common, quality: Quality, sort: str, limit: int) -> list[SessionItem]:
    items, cursor = [], None
    while True:
        page = await list_sessions(facts.db, common, sort, "desc", limit, cursor, quality)
        assert (page.quality, page.counter) == tuple(quality)
        items += page.sessions
        if (cursor := page.next_cursor) is None:
            return items


def in_question(quality: Quality, events: list[Record], conflicts: set[tuple[Any, ...]]) -> int:
    """How many of a session's events, of which some may not count. Copies that are set aside are told of whether they
    count or not; what is old is told of where it counts once."""
    if quality.name == "set_aside":
        return sum(not row["once"] for row in events)
    if quality.name == "old_data":
        return sum(row["once"] and bool((row["flags"] or 0) & wire.OLD_DATA) for row in events)
    if quality.name == "conflicting":
        return len({row["event_key"] for row in events if place_of(row) in conflicts})
    if quality.name == "unpriced":
        unpriced: int = usage_of(events)["unpriced_tokens"]
        return unpriced
    assert quality.counter is not None
    number, reported, lower_bound, derived = coverage_of(events)[quality.counter]
    return {"unreported": number - reported, "lower_bound": lower_bound, "derived": derived}[quality.name]


def place_of(row: Record) -> tuple[Any, ...]:
    return row["host_no"], row["ledger_no"], row["event_key"]


@read_only
@given(
    fleet.queries, st.sampled_from(QUESTIONS), st.sampled_from([*SORTS, *SORTS[:2] * 5]), st.sampled_from([5, 40, 500])
)
async def test_every_session_behind_a_number_is_listed_and_no_other(
    facts: Facts, query: dict[str, str], quality: Quality, sort: str, limit: int
) -> None:
    common = asked(query)
    items = await all_pages(facts, common, quality, sort, limit)
    whole = await summary(facts.db, common)
    conflicts = {
        tuple(row)
        for row in await facts.db.fetch("SELECT host_no, ledger_no, owner_key FROM event_claims WHERE conflict")
    }
    of_all = quality.name in ("set_aside", "old_data", "conflicting")
    counts = msgspec.structs.replace(common, counted="all") if of_all else common
    rows = chosen(facts.rows, counts, whole.first, whole.last)
    sessions = {key.hex(): held.events for key, held in rows.split(lambda row: row["session_key"]).items()}
    expected = {key: found for key, events in sessions.items() if (found := in_question(quality, events, conflicts))}
    assert {item.id: item.of_quality for item in items} == expected
    assert len(items) == len(expected)
    adds_up(quality, [item.of_quality or 0 for item in items], whole)
    for item in items:
        if not of_all:
            assert known(item.coverage) == coverage_of(sessions[item.id])


def adds_up(quality: Quality, found: list[int], whole: Any) -> None:
    """To what stands beside the sums of the same range and filters."""
    total, trust = sum(found), whole.trust
    if quality.counter is not None:
        covered = whole.coverage[quality.counter]
        parts = {"unreported": covered.events - covered.reported}
        assert total == (parts | {"lower_bound": covered.lower_bound, "derived": covered.derived})[quality.name]
    elif quality.name == "conflicting":
        assert total >= trust.conflicting_copies  # a request that is in several sessions is told of in each
        assert bool(total) == bool(trust.conflicting_copies)
    else:
        counted = {"unpriced": whole.unpriced_tokens, "old_data": trust.old_data}
        assert total == (counted | {"set_aside": trust.set_aside_duplicates})[quality.name]


async def test_the_fleet_has_sessions_of_every_quality(facts: Facts) -> None:
    for name in QUALITIES:
        quality = quality_of(name, "total_tokens")
        assert quality is not None
        assert len(await all_pages(facts, asked({}), quality, "started_at", 500)) > 3, name


@pytest.mark.parametrize("counted", COUNTED)
async def test_every_question_is_understood_by_the_migrated_database(db: Database, counted: str) -> None:
    async with db.connection() as connection:
        for quality in dict.fromkeys(QUESTIONS):
            for measures in (None, frozenset({"n"})):
                reading = Reading(counted, True, measures, quality)
                await connection.prepare(sql("sessions", "list_sessions", reading=reading))


async def test_a_page_asks_for_them_by_name_and_a_cursor_belongs_to_its_quality(hub: HubClient) -> None:
    ana, headers = await machine(hub.db, "ana"), await hub.token()
    bound = {"output_tokens": 5, "lower_bounds": BIT["output_tokens"]}
    for n in range(3):
        await ana.send(event(f"e{n}", f"s{n}", f"2026-11-03T1{n}:00Z", **bound if n else {"input_tokens": 1}))

    async def ask(**query: str) -> Any:
        return await hub.http.get(f"{API}/sessions", params={"limit": "1", **query}, headers=headers)

    of_output = {"quality": "lower_bound", "counter": "output_tokens"}
    page = await (await ask(**of_output)).json()
    assert (page["quality"], page["counter"], page["sessions"][0]["of_quality"]) == ("lower_bound", "output_tokens", 1)
    cursor = page["next_cursor"]
    last = await (await ask(**of_output, cursor=cursor)).json()
    assert ({page["sessions"][0]["id"], last["sessions"][0]["id"]}, last["next_cursor"]) == (
        {session_key(name).hex() for name in ("s1", "s2")},
        None,
    )
    lines = (await (await ask(**of_output, format="csv")).text()).splitlines()
    assert lines[0].endswith(",of_quality")
    assert {"# quality: lower_bound", "# counter: output_tokens"} <= set(lines)
    await problem(await ask(quality="lower_bound", cursor=cursor), 400, "bad_parameter")  # of total_tokens
    await problem(await ask(cursor=cursor), 400, "bad_parameter")
    await problem(await ask(quality="sure"), 400, "bad_parameter")
    await problem(await ask(counter="joy"), 400, "bad_parameter")
    every = await (await ask(counter="output_tokens", limit="9")).json()
    assert [one["of_quality"] for one in every["sessions"]] == [None] * 3
    assert (every["quality"], every["counter"]) == (None, None)
