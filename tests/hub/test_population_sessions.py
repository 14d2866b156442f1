"""Sessions are the same population: pages of the list, the greatest, one by one with their messages and requests."""

from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

import population
import population_fleet as fleet
from population import Facts, Record, Rows, assert_adds_up, chosen, coverage_of, known
from population_fleet import asked
from trueup_hub.analytics.messages import Usage, messages
from trueup_hub.analytics.session import session
from trueup_hub.analytics.session_usage import session_usage
from trueup_hub.analytics.sessions import SORTS, SessionItem, list_sessions
from trueup_hub.analytics.summary import summary
from trueup_hub.analytics.top_sessions import SUPPORTED, top_sessions
from trueup_shared.metrics import ADDITIVE_COUNTERS, METRIC
from trueup_shared.money import micro

read_only = settings(max_examples=fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)
COUNTS = ("messages", "user_messages", "tool_calls")


async def all_pages(facts: Facts, common: Any, sort: Any, order: str, limit: int) -> list[SessionItem]:
    items, cursor = [], None
    while True:
        page = await list_sessions(facts.db, common, sort, order, limit, cursor)
        items += page.sessions
        assert len(page.sessions) <= limit
        if (cursor := page.next_cursor) is None:
            return items


def sort_value(item: SessionItem, sort: str) -> Any:
    if sort in ("messages", "started_at", "last_active_at", "peak_context_tokens"):
        return getattr(item, sort)
    return getattr(item.totals, f"{sort}_microusd" if METRIC[sort].kind == "money" else sort)


@read_only
@given(fleet.queries, st.sampled_from(SORTS), st.sampled_from(["asc", "desc"]), st.sampled_from([9, 30, 500]))
async def test_the_sessions_of_all_pages_are_in_order_and_add_up(
    facts: Facts, query: dict[str, str], sort: Any, order: str, limit: int
) -> None:
    common = asked(query)
    whole = await summary(facts.db, common)
    items = await all_pages(facts, common, sort, order, limit)
    rows = chosen(facts.rows, common, whole.first, whole.last)
    by_session = rows.split(lambda row: row["session_key"].hex())
    assert len({item.id for item in items}) == len(items)
    used = {key for key, held in by_session.items() if held.events or held.starts}
    assert used <= {item.id for item in items}
    if sort != "last_active_at":  # of the whole life in the answer, inside the range in the order
        values = [sort_value(item, sort) for item in items]
        ordered = sorted((value for value in values if value is not None), reverse=order == "desc")
        assert values == ordered + [None] * (len(values) - len(ordered))
    for item in items:
        held = by_session.get(item.id, Rows([], [], []))
        expected = population.totals_of(held)
        assert {name: getattr(item.totals, name) for name in expected} == expected
        assert known(item.coverage) == coverage_of(held.events)
    listed = [item.totals for item in items]
    expected = population.totals_of(rows)
    counts = {name: sum(getattr(totals, name) for totals in listed) for name in COUNTS}
    assert all(counts[name] <= expected[name] for name in COUNTS)  # of what started or used anything
    assert_adds_up(listed, expected | counts, "sessions")


@read_only
@given(fleet.queries, st.sampled_from(SUPPORTED), st.sampled_from([1, 3, 100]))
async def test_the_greatest_sessions_come_first_and_the_rest_is_counted(
    facts: Facts, query: dict[str, str], metric: str, limit: int
) -> None:
    common = asked(query)
    found = await top_sessions(facts.db, common, metric, limit)
    rows = chosen(facts.rows, common, found.first, found.last)
    by_session = {key.hex(): held.events for key, held in rows.split(lambda row: row["session_key"]).items()}
    values = {key: value_of(metric, events) for key, events in by_session.items() if events}
    ranked = sorted((-value, key) for key, value in values.items() if value is not None)
    shown = [(one.id, one.value) for one in found.sessions]
    exact = [(key, micro(-value) if METRIC[metric].kind == "money" else -value) for value, key in ranked]
    assert shown == exact[:limit]  # equal values by id
    assert found.not_reported == sum(value is None for value in values.values())
    if limit == 100:
        assert (
            found.not_reported + len(found.sessions) == len(values) == (await summary(facts.db, common)).active_sessions
        )
    for one in found.sessions:
        expected = population.usage_of(by_session[one.id])
        assert {name: getattr(one.totals, name) for name in expected} == expected


def value_of(metric: str, events: list[Record]) -> int | None:
    """Money in billionths: sessions are ranked before they are rounded."""
    if metric == "peak_context_tokens":
        return population.peak_of(events)
    if METRIC[metric].kind == "money":
        return population.total(row[f"{metric}_nanousd"] for row in events)
    value: int | None = population.usage_of(events)[metric]
    return value


@settings(max_examples=fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)
@given(st.data(), st.sampled_from(["once", "all"]), st.integers(1, 40))
async def test_a_session_is_the_sum_of_its_messages_requests_models_and_parts(
    facts: Facts, data: st.DataObject, counted: str, limit: int
) -> None:
    keys = sorted({row["session_key"] for kind in facts.rows for row in kind})
    key = data.draw(st.sampled_from(keys))
    of_session = [[row for row in kind if row["session_key"] == key] for kind in facts.rows]
    rows = Rows(*([row for row in kind if row["once"] or counted == "all"] for kind in of_session))
    listed: list[Usage] = []
    ids, cursor = [], None
    while True:
        page = await messages(facts.db, key, counted, limit, cursor)
        listed += [one.usage for one in page.messages if one.usage is not None]
        ids += [(one.id, one.place.ledger_id) for one in page.messages if one.id is not None]
        if (cursor := page.next_cursor) is None:
            break
    assert len(ids) == len(set(ids))
    assert sorted((one.event_id, one.place.ledger_id) for one in listed) == sorted(
        (row["event_key"].hex(), str(UUID(bytes=row["ledger_id"]))) for row in rows.events
    )
    expected = population.usage_of(rows.events)
    for name in (*ADDITIVE_COUNTERS, "total_tokens"):
        assert population.total(getattr(one, name) for one in listed) == expected[name], name
    usage = await session_usage(facts.db, key, counted)
    assert {name: getattr(usage.totals, name) for name in expected} == expected
    assert known(usage.coverage) == coverage_of(rows.events)
    parts = [part for part in usage.parts if part.counted or counted == "all"]
    counts = dict.fromkeys((*COUNTS, "sessions"), 0)  # of messages and starts
    assert_adds_up([part.totals for part in parts], expected | counts, "parts")
    aside = population.usage_of([row for row in of_session[0] if not row["once"]])
    assert {name: getattr(usage.set_aside.totals, name) for name in aside} == aside
    one = await session(facts.db, key, counted)
    expected = population.totals_of(rows)
    assert {name: getattr(one.totals, name) for name in expected} == expected
    assert_adds_up([model.totals for model in one.by_model], expected | counts, "models")
    once = sum(row["once"] for row in of_session[0])
    assert sum(copy.events_counted for copy in one.copies) == once
    assert sum(copy.events_set_aside for copy in one.copies) == len(of_session[0]) - once
