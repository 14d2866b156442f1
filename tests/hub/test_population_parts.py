"""Parts of what is asked add up to the whole: a filter and its complement, any ranges, any zones, once and all."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import population_fleet as fleet
from population import BY, Facts, assert_adds_up, dimension
from population_fleet import ZONES, asked, listed
from trueup_hub.analytics.activity import activity
from trueup_hub.analytics.breakdown import breakdown
from trueup_hub.analytics.heatmap import heatmap
from trueup_hub.analytics.sessions import list_sessions
from trueup_hub.analytics.summary import Summary, summary
from trueup_hub.analytics.top_sessions import top_sessions
from trueup_hub.analytics.totals import Coverage, Totals
from trueup_hub.db import Database
from trueup_hub.params import Common
from trueup_shared.metrics import METRICS

read_only = settings(max_examples=fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)
SAME_ZONE = "Canada/Newfoundland"  # the days of fleet.IN_USE under another name, which is not in use


def whole_of(totals: Totals) -> dict[str, Any]:
    return {name: getattr(totals, name) for name in totals.__struct_fields__}


def assert_coverage_adds_up(parts: Sequence[dict[str, Coverage]], whole: dict[str, Coverage]) -> None:
    for name, expected in whole.items():
        for field in Coverage.__struct_fields__:
            assert sum(getattr(part[name], field) for part in parts) == getattr(expected, field), (name, field)


def assert_parts(parts: Sequence[Summary], whole: Summary, what: object) -> None:
    assert_adds_up([part.totals for part in parts], whole_of(whole.totals), what)
    assert_coverage_adds_up([part.coverage for part in parts], whole.coverage)
    for name in ("set_aside_duplicates", "old_data"):  # facts of requests; a conflict is counted at each of its hosts
        assert sum(getattr(part.trust, name) for part in parts) == getattr(whole.trust, name), (what, name)
    assert sum(part.trust.unpriced_tokens for part in parts) == whole.trust.unpriced_tokens


@read_only
@given(st.data(), st.sampled_from(BY), fleet.queries)
async def test_a_filter_and_its_complement_are_the_whole(
    facts: Facts, data: st.DataObject, by: str, query: dict[str, str]
) -> None:
    name = by.partition(":")[0]
    query.pop(name, None)
    days = {"from": "2026-03-05", "to": "2026-04-07"}
    values = sorted({dimension(row, by) for kind in facts.rows for row in kind} | {""})
    some = data.draw(st.sets(st.sampled_from(values), min_size=1, max_size=len(values) - 1))
    parts = []
    for chosen in (some, {*values} - some):
        if by == "host":
            chosen -= {""}  # every row is of a host
        given_values = [f"{by.removeprefix('label:')}:{value}" for value in chosen] if name == "label" else [*chosen]
        if given_values:
            parts.append(await summary(facts.db, asked(query | days, **{name: listed(*sorted(given_values))})))
    assert_parts(parts, await summary(facts.db, asked(query | days)), (by, some))


@read_only
@given(fleet.queries, st.sets(st.dates(date(2026, 3, 1), date(2026, 4, 10)), max_size=5))
async def test_ranges_that_meet_are_the_whole(facts: Facts, query: dict[str, str], cuts: set[date]) -> None:
    query = {name: value for name, value in query.items() if name not in ("from", "to")}
    bounds = [date(2026, 2, 27), *sorted(cuts), date(2026, 4, 12)]
    parts = [
        await summary(facts.db, asked(query, **{"from": str(first), "to": str(after - timedelta(1))}))
        for first, after in pairwise(bounds)
    ]
    assert_parts(parts, await summary(facts.db, asked(query)), bounds)
    assert sum(part.active_days for part in parts) == (await summary(facts.db, asked(query))).active_days


@read_only
@given(fleet.queries, st.sampled_from(ZONES), st.sampled_from(["hour", "day", "week", "month"]))
async def test_every_zone_has_the_same_grand_total(
    facts: Facts, query: dict[str, str], zone: str, granularity: Any
) -> None:
    query = {name: value for name, value in query.items() if name not in ("from", "to")}
    here, there = asked(query), asked(query | {"timezone": zone})
    one, other = await summary(facts.db, here), await summary(facts.db, there)
    assert one.totals == other.totals
    assert one.coverage == other.coverage
    assert one.active_sessions == other.active_sessions
    series = (await activity(facts.db, there, granularity, None)).series
    assert_adds_up([point.totals for found in series for point in found.points], whole_of(one.totals), zone)


@read_only
@given(fleet.queries)
async def test_once_is_never_more_than_all(facts: Facts, query: dict[str, str]) -> None:
    days = {"from": "2026-03-05", "to": "2026-04-07"}
    once, every = [await summary(facts.db, asked(query | days, counted=counted)) for counted in ("once", "all")]
    for name, value in whole_of(once.totals).items():
        more = getattr(every.totals, name)
        if name == "cache_savings_microusd":
            continue  # what a copy saved may be negative
        assert value is None or value <= more, name
    for name, covered in once.coverage.items():
        for field in Coverage.__struct_fields__:
            assert getattr(covered, field) <= getattr(every.coverage[name], field), (name, field)
    assert every.coverage["total_tokens"].events - once.coverage["total_tokens"].events == (
        once.trust.set_aside_duplicates
    )
    assert once.trust.set_aside_duplicates == every.trust.set_aside_duplicates


PANELS: dict[str, Callable[[Database, Common, str, str], Awaitable[Any]]] = {
    "summary": lambda db, common, by, metric: summary(db, common),
    "breakdown": lambda db, common, by, metric: breakdown(db, common, by),
    "days": lambda db, common, by, metric: activity(db, common, "day", by),
    "hours": lambda db, common, by, metric: activity(db, common, "hour", None),
    "months": lambda db, common, by, metric: activity(db, common, "month", by),
    "heatmap": lambda db, common, by, metric: heatmap(db, common, metric),
    "top sessions": lambda db, common, by, metric: top_sessions(db, common, "total_tokens", 5),
    "sessions": lambda db, common, by, metric: list_sessions(db, common, "cost", "desc", 5, None),
}


@settings(read_only, max_examples=2 * fleet.EXAMPLES)
@given(fleet.queries, st.sampled_from(sorted(PANELS)), st.sampled_from(BY), st.sampled_from(METRICS))
async def test_a_zone_in_use_and_one_that_is_not_give_the_same_answers(
    facts: Facts, query: dict[str, str], panel: str, by: str, metric: Any
) -> None:
    answers = []
    for zone in (fleet.IN_USE, SAME_ZONE):
        found = await PANELS[panel](facts.db, asked(query | {"timezone": zone}), by, metric.name)
        beside = {"timezone": "", "trust": None, "next_cursor": None}  # a cursor is bound to its zone
        answers.append(msgspec.to_builtins(found) | beside)
    assert answers[0] == answers[1]


async def test_zones_in_use_are_answered_from_their_days_and_others_are_not(facts: Facts) -> None:
    zones = [row[0] for row in await facts.db.fetch("SELECT zone FROM zones")]
    assert fleet.IN_USE in zones
    assert SAME_ZONE not in zones


@read_only
@given(fleet.queries, st.sampled_from(ZONES))
async def test_ends_that_are_absent_are_the_first_and_last_day_of_what_is_asked(
    facts: Facts, query: dict[str, str], zone: str
) -> None:
    query = {name: value for name, value in query.items() if name not in ("from", "to")} | {"timezone": zone}
    absent = await summary(facts.db, asked(query))
    named = {"from": str(absent.first), "to": str(absent.last)}
    ever = {"from": "2025-12-30", "to": "2026-12-31"}
    found = [await summary(facts.db, asked(query | days)) for days in (named, {"from": named["from"]}, named | ever)]
    for one in found:
        assert (one.totals, one.coverage, one.active_days) == (absent.totals, absent.coverage, absent.active_days)


async def test_the_fleet_has_what_makes_numbers_hard_to_add_up(facts: Facts) -> None:
    """Or these properties would hold of nothing."""
    rows = facts.rows
    assert {row["host"] for row in rows.events} == {"ana", "bob", "=cmd", "-5,0", "retired"}
    assert len({row["ledger_no"] for row in rows.events}) == 6
    assert not all(row["once"] for row in rows.messages)
    assert sum(not row["once"] for row in rows.events) > 100
    assert any(row["owner_key"] and row["once"] for row in rows.events)
    assert any(row["owner_key"] and not row["once"] for row in rows.events)
    assert any(row["cost_nanousd"] is None for row in rows.events)
    assert any((row["cache_savings_nanousd"] or 0) < 0 for row in rows.events)
    for name in ("input_tokens", "output_tokens", "reasoning_tokens"):
        assert {None, 0} < {row[name] for row in rows.events}
    for sql in (
        "SELECT count(*) FROM event_claims WHERE conflict",
        "SELECT count(*) FROM events WHERE stale",
        "SELECT count(*) FROM messages WHERE at IS NULL",
        "SELECT count(*) FROM sessions WHERE started_at IS NULL AND row_digest IS NOT NULL",
        "SELECT count(*) FROM sessions WHERE parent_key IS NOT NULL",
        "SELECT count(*) FROM hosts WHERE retired_at IS NOT NULL",
        "SELECT count(*) FROM events WHERE greatest(input_tokens, output_tokens) = 9007199254740991",
        "SELECT count(*) FROM events WHERE flags & 2 <> 0 AND counted",
        "SELECT count(*) FROM (SELECT FROM events GROUP BY session_key HAVING count(DISTINCT host_no) > 2) shared",
    ):
        assert await facts.db.fetchval(sql) > 0, sql
    assert await facts.db.fetchval("SELECT count(*) FROM hosts WHERE label = 'forgotten'") == 0
