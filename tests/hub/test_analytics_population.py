"""One population: every panel counts the same rows, in every zone, under every filter."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueup_hub.analytics.activity import activity
from trueup_hub.analytics.breakdown import breakdown
from trueup_hub.analytics.buckets import GRANULARITIES
from trueup_hub.analytics.heatmap import heatmap
from trueup_hub.analytics.sessions import SORTS, SessionItem, list_sessions, read_cursor
from trueup_hub.analytics.summary import summary
from trueup_hub.analytics.totals import Totals
from trueup_hub.db import Database
from trueup_hub.ingest.zones import add_zone
from trueup_hub.params import DIMENSIONS, Common, Query
from trueup_shared.metrics import ADDITIVE_COUNTERS, METRICS, TOTAL_PARTS
from trueup_shared.money import micro
from usage_data import machine, micros, random_rows

ZONES = ["UTC", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]  # the first two have days of their own
PERIODS = [("2026-03-06T00:00Z", "2026-03-10T00:00Z"), ("2026-04-03T00:00Z", "2026-04-07T00:00Z")]  # clocks change
MONEY = ("cost_microusd", "reported_cost_microusd", "reported_credits")


class Facts(NamedTuple):
    db: Database
    events: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    starts: list[dict[str, Any]]

    def __repr__(self) -> str:
        return f"<{len(self.events)} events>"  # hypothesis prints it with every failure


@pytest.fixture(params=[1, 2])
async def facts(db: Database, request: pytest.FixtureRequest) -> Facts:
    rng = random.Random(request.param)
    for number in range(3):
        sender = await machine(db, f"host {number}")
        for begin, end in PERIODS:
            rows = random_rows(rng, micros(begin) // 10**6, micros(end) // 10**6)
            assert (await sender.send(*rows)).rejected == []
        if number == 1:
            await add_zone(db, ZONES[1])
    return Facts(db, *[[dict(row) for row in await db.fetch(sql)] for sql in (EVENTS, MESSAGES, STARTS)])


# Straight from the facts: rollups are not asked.
_NAMES = """h.label AS host, (SELECT term FROM terms WHERE term_no = f.harness) AS harness,
 (SELECT term FROM terms WHERE term_no = f.project) AS project"""
_MODEL = "(SELECT term FROM terms WHERE term_no = f.model) AS model"
EVENTS = f"""SELECT f.*, {_NAMES}, {_MODEL}, (SELECT term FROM terms WHERE term_no = f.provider) AS provider
 FROM events f JOIN hosts h USING (host_no) WHERE f.counted AND NOT f.stale"""
MESSAGES = f"""SELECT f.at, f.tool_names, {_NAMES}, {_MODEL}, '' AS provider
 FROM messages f JOIN hosts h USING (host_no) JOIN sessions s USING (host_no, ledger_no, session_key)
 WHERE s.chosen AND NOT f.stale AND f.at IS NOT NULL"""
STARTS = f"""SELECT f.started_at AS at, {_NAMES}, '' AS model, '' AS provider
 FROM sessions f JOIN hosts h USING (host_no) WHERE f.chosen AND f.started_at IS NOT NULL"""


def chosen(rows: list[dict[str, Any]], common: Common, first: date, last: date) -> list[dict[str, Any]]:
    return [
        row
        for row in rows
        if first <= row["at"].astimezone(common.zone).date() <= last
        and all(row[name] in values for name, values in common.filters.items())
    ]


def total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def truth(facts: Facts, common: Common, first: date, last: date) -> dict[str, int | None]:
    events = chosen(facts.events, common, first, last)
    messages = chosen(facts.messages, common, first, last)
    found = {name: total([row[name] for row in events]) for name in ADDITIVE_COUNTERS}
    cost = total([row["cost_nanousd"] for row in events])
    return found | {
        "total_tokens": total([row[name] for row in events for name in TOTAL_PARTS]),
        "cost_microusd": None if cost is None else micro(cost),
        "unpriced_tokens": sum(row[name] or 0 for row in events if row["cost_nanousd"] is None for name in TOTAL_PARTS),
        "messages": len(messages),
        "tool_calls": sum(len(row["tool_names"] or []) for row in messages),
        "sessions": len(chosen(facts.starts, common, first, last)),
    }


def add_up(parts: list[Totals]) -> dict[str, int | None]:
    return {name: total([getattr(part, name) for part in parts]) for name in Totals.__struct_fields__}


def assert_same(parts: list[Totals], expected: dict[str, int | None], what: str) -> None:
    found = add_up(parts)
    for name, value in expected.items():
        if name in MONEY and value is not None:
            # each part is rounded to the microdollar once
            assert found[name] == pytest.approx(value, abs=len(parts) / 2), (what, name)
        elif value or parts:
            assert found[name] == value, (what, name)


queries = st.fixed_dictionaries(
    {"timezone": st.sampled_from(ZONES)},
    optional={
        "from": st.dates(date(2026, 3, 4), date(2026, 3, 9)).map(str),
        "to": st.dates(date(2026, 3, 9), date(2026, 4, 8)).map(str),
        "host": st.sampled_from(["host 0", "host 1,host 2"]),
        "project": st.sampled_from(["alpha", "", '"a,b",beta,=1+1']),
        "model": st.sampled_from(["claude-opus-4-1", "nobody-knows-1,"]),
        "provider": st.sampled_from(["anthropic", ""]),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries, st.sampled_from(GRANULARITIES), st.sampled_from([None, *DIMENSIONS]), st.sampled_from(METRICS))
async def test_every_panel_adds_up_to_the_counted_rows(facts: Facts, query, granularity, group_by, metric) -> None:
    common = Query(query.items()).common("UTC")
    whole = await summary(facts.db, common)
    expected = truth(facts, common, whole.first, whole.last)
    assert_same([whole.totals], expected, "summary")
    if "from" not in query and "to" not in query:
        everything = truth(facts, common, date(2015, 1, 1), date(2100, 1, 1))
        assert everything == expected
    for by in DIMENSIONS:
        parts = await breakdown(facts.db, common, by)
        assert_same([row.totals for row in parts.rows], expected, by)
        assert sum(row.events for row in parts.rows) == whole.coverage["total_tokens"].events
    series = (await activity(facts.db, common, granularity, group_by)).series
    assert_same([point.totals for one in series for point in one.points], expected, "activity")
    calendar = await heatmap(facts.db, common, metric.name)
    assert [entry.date for entry in calendar.entries] == [
        whole.first + timedelta(n) for n in range((whole.last - whole.first).days + 1)
    ]
    if metric.additive and metric.kind != "money":
        days = [entry.value for entry in calendar.entries]
        assert total(days) == getattr(whole.totals, metric.name)
        for entry in calendar.entries:
            assert entry.value == truth(facts, common, entry.date, entry.date)[metric.name]


def sort_value(item: SessionItem, sort: str) -> int | None:
    if sort == "peak_context_tokens":
        return item.peak_context_tokens
    value: int | None = getattr(item.totals, "cost_microusd" if sort == "cost" else sort)
    return value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries, st.sampled_from(SORTS), st.sampled_from(["asc", "desc"]))
async def test_the_sessions_of_all_pages_are_in_order_and_add_up(facts: Facts, query, sort, order) -> None:
    common = Query(query.items()).common("UTC")
    whole = await summary(facts.db, common)
    items, cursor = [], None
    while True:
        page = await list_sessions(facts.db, common, sort, order, 7, read_cursor(cursor, sort, order))
        items += page.sessions
        assert len(page.sessions) <= 7
        if (cursor := page.next_cursor) is None:
            break
    assert len({item.id for item in items}) == len(items)
    if sort not in ("messages", "started_at", "last_active_at"):  # these are of the whole life
        values = [sort_value(item, sort) for item in items]
        known = [value for value in values if value is not None]
        assert values == sorted(known, reverse=order == "desc") + [None] * (len(values) - len(known))
    expected = truth(facts, common, whole.first, whole.last)
    usage_only = {name: value for name, value in expected.items() if name not in ("messages", "tool_calls")}
    assert_same([item.totals for item in items], usage_only, "sessions")


def test_the_periods_hold_days_on_which_clocks_change() -> None:
    changed = set()
    for zone in ZONES[1:]:
        for begin, end in PERIODS:
            ends = [datetime.fromtimestamp(micros(at) / 10**6, UTC).astimezone(ZoneInfo(zone)) for at in (begin, end)]
            if ends[0].utcoffset() != ends[1].utcoffset():
                changed.add(zone)
    assert changed == {"America/St_Johns", "Australia/Lord_Howe"}
