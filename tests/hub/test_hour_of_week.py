"""`GET /analytics/hour-of-week`: 168 local hours, also where clocks change and zones are off by half an hour."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from hub_client import API, HubClient, problem
from population import Facts
from population_fleet import asked
from trueup_hub.analytics.hour_of_week import hour_of_week
from trueup_hub.analytics.summary import summary
from trueup_hub.params import COUNTED
from trueup_shared.metrics import METRICS
from trueup_shared.times import first_slot, local_time
from usage_data import event, machine, message, session

ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe"]
ADDITIVE = [metric for metric in METRICS if metric.additive]


async def ask(hub: HubClient, path: str, **query: Any) -> Any:
    response = await hub.http.get(f"{API}/analytics/{path}", params=query, headers=await hub.token())
    assert response.status == 200, await response.text()
    return await response.json()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("counted", COUNTED)
async def test_cells_are_the_local_hours_of_a_week_and_add_up_to_the_summary(
    facts: Facts, zone: str, counted: str
) -> None:
    common = asked({"timezone": zone, "counted": counted})
    whole = (await summary(facts.db, common)).totals
    for metric in ADDITIVE if zone == "Asia/Kathmandu" else ADDITIVE[-3:]:
        cells = (await hour_of_week(facts.db, common, metric.name)).cells
        assert [(cell.day_of_week, cell.hour) for cell in cells] == [divmod(n, 24) for n in range(168)]
        name = f"{metric.name}_microusd" if metric.kind == "money" else metric.name
        known = [cell.value for cell in cells if cell.value is not None]
        assert sum(known) == pytest.approx(getattr(whole, name), abs=84 if metric.kind == "money" else 0)
    expected: Counter[tuple[int, int]] = Counter()
    events: Counter[tuple[int, int]] = Counter()
    for row in facts.rows.events:
        if row["once"] or counted == "all":
            local = row["at"].astimezone(common.zone)
            expected[local.weekday(), local.hour] += row["output_tokens"] or 0
            events[local.weekday(), local.hour] += 1
    for cell in (await hour_of_week(facts.db, common, "output_tokens")).cells:
        hour = cell.day_of_week, cell.hour
        assert (cell.value or 0, cell.coverage.events) == (expected[hour], events[hour]), hour


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "days", [("2026-11-03", "2026-11-03"), ("2026-03-01", "2026-04-08"), ("2025-12-30", "2026-12-31")]
)
async def test_hours_says_how_often_an_hour_came(facts: Facts, zone: str, days: tuple[str, str]) -> None:
    common = asked({"timezone": zone, "from": days[0], "to": days[1]})
    assert common.first
    assert common.last
    slots = Counter(
        (at.weekday(), at.hour)
        for slot in range(first_slot(common.first, common.zone), first_slot(common.last, common.zone) + 120)
        if (at := local_time(slot, common.zone)).date() <= common.last
    )
    cells = (await hour_of_week(facts.db, common, "messages")).cells
    assert {(cell.day_of_week, cell.hour): cell.hours for cell in cells} == {
        divmod(n, 24): slots[divmod(n, 24)] / 4 for n in range(168)
    }


async def test_an_hour_that_comes_twice_is_one_cell_and_one_that_is_skipped_has_no_hours(hub: HubClient) -> None:
    ana = await machine(hub.db, "ana")
    await ana.send(  # 02:30 in summer time, and an hour later 02:30 again
        event("e1", "s1", "2026-10-25T00:30Z", input_tokens=1), event("e2", "s1", "2026-10-25T01:30Z", input_tokens=2)
    )
    autumn = await ask(hub, "hour-of-week", timezone="Europe/Berlin")
    assert [(c["day_of_week"], c["hour"], c["value"], c["hours"]) for c in autumn["cells"] if c["value"]] == [
        (6, 2, 3, 2)
    ]
    spring = await ask(hub, "hour-of-week", timezone="Europe/Berlin", to="2026-03-29", **{"from": "2026-03-29"})
    assert [cell["hour"] for cell in spring["cells"] if cell["day_of_week"] == 6 and not cell["hours"]] == [2]


async def test_not_reported_is_null_and_counts_are_zero(hub: HubClient) -> None:
    ana = await machine(hub.db, "ana")
    at = datetime(2026, 11, 2, 9, tzinfo=UTC).isoformat()  # a Monday
    await ana.send(
        session("s1", at), message("m1", "s1", at), event("e1", "s1", at, output_tokens=0), event("e2", "s1", at)
    )
    output = (await ask(hub, "hour-of-week", metric="output_tokens"))["cells"]
    assert (output[9]["value"], output[9]["coverage"]["events"], output[9]["coverage"]["reported"]) == (0, 2, 1)
    assert (output[8]["value"], output[8]["coverage"]["events"]) == (None, 0)
    for metric in ("messages", "sessions"):
        cells = (await ask(hub, "hour-of-week", metric=metric))["cells"]
        assert [cell["value"] for cell in cells] == [0] * 9 + [1] + [0] * 158
    reasoning = (await ask(hub, "hour-of-week", metric="reasoning_tokens"))["cells"]
    assert (reasoning[9]["value"], reasoning[9]["coverage"]["events"]) == (None, 2)


async def test_what_does_not_add_up_is_refused_with_what_does(hub: HubClient) -> None:
    for metric in ("peak_context_tokens", "active_sessions", "tokens", ""):
        response = await hub.http.get(f"{API}/analytics/hour-of-week?metric={metric}", headers=await hub.token())
        document = await problem(response, 400, "unsupported_metric")
        assert document["supported"] == [metric.name for metric in ADDITIVE]
