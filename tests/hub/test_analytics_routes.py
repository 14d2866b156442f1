import asyncio
from typing import Any

import pytest
from yarl import URL

from hub_client import API, HubClient, problem
from trueup_hub.analytics.heatmap import heatmap
from trueup_hub.analytics.summary import summary
from trueup_hub.analytics.top_sessions import top_sessions
from trueup_hub.db import Database
from trueup_hub.params import Query
from trueup_hub.trust import trust_report
from usage_data import event, machine, message, session

OPUS, UNPRICED = "claude-opus-4-1", "nobody-knows-1"


class Asker:
    """Asks analytics routes as a viewer."""

    def __init__(self, hub: HubClient, headers: dict[str, str]) -> None:
        self.hub, self.headers = hub, headers

    async def raw(self, path: str, **query: Any) -> Any:
        return await self.hub.http.get(f"{API}/{path}", params=query, headers=self.headers)

    async def __call__(self, path: str, **query: Any) -> Any:
        response = await self.raw(path, **query)
        assert response.status == 200, await response.text()
        return await response.json()


@pytest.fixture
async def ask(hub: HubClient) -> Asker:
    return Asker(hub, await hub.token())


@pytest.fixture
async def used(hub: HubClient) -> None:
    """Two hosts; on the 3rd something was reported, on the 4th something happened that was not, on the 5th nothing."""
    ana, bob = await machine(hub.db, "ana"), await machine(hub.db, "bob", "laptop")
    one = {"provider": "anthropic", "model": OPUS, "project": "alpha"}
    copied = event("e1", "s1", "2026-11-03T10:00Z", input_tokens=100, output_tokens=10, lower_bounds=16, **one)
    await ana.send(
        session("s1", "2026-11-03T09:00Z", project="alpha"),
        session("s2", "2026-11-04T09:00Z"),
        message("m1", "s1", "2026-11-03T09:00Z", project="alpha"),
        message("m2", "s1", "2026-11-03T10:00Z", project="alpha", role="assistant", kind="answer", tool_names=["Bash"]),
        copied,
        event("e2", "s1", "2026-11-03T11:00Z", input_tokens=0, output_tokens=0, context_tokens=9000, **one),
        event("e3", "s2", "2026-11-04T09:30Z", model=UNPRICED),
        event("e4", "s1", "2026-11-06T01:00Z", undivided_tokens=50, model=UNPRICED, project="alpha"),
    )
    await bob.send(copied)


async def test_a_summary_says_what_was_used_and_how_well_that_is_known(ask: Asker, used: None) -> None:
    found = await ask("analytics/summary")
    assert (found["from"], found["to"], found["timezone"]) == ("2026-11-03", "2026-11-06", "UTC")
    totals, coverage = found["totals"], found["coverage"]
    assert found["events"] == 4
    assert (totals["input_tokens"], totals["output_tokens"], totals["undivided_tokens"]) == (100, 10, 50)
    assert (totals["total_tokens"], totals["unpriced_tokens"]) == (160, 50)
    assert totals["cache_read_tokens"] is None
    assert totals["reported_cost_microusd"] is None
    assert totals["cost_microusd"] == 2250  # 100 × 15 $ + 10 × 75 $ for a million
    assert (totals["messages"], totals["user_messages"], totals["tool_calls"], totals["sessions"]) == (2, 1, 1, 2)
    assert coverage["output_tokens"] == {"events": 4, "reported": 2, "lower_bound": 1, "derived": 0}
    assert coverage["total_tokens"] == {"events": 4, "reported": 3, "lower_bound": 1, "derived": 0}
    assert coverage["cost_microusd"]["reported"] == 2
    assert found["peak_context_tokens"] == 9000
    assert (found["total_sessions"], found["active_sessions"], found["token_reporting_sessions"]) == (2, 2, 1)
    assert (found["total_messages"], found["total_output_tokens"], found["active_days"]) == (2, 10, 3)
    assert found["averages"]["total_tokens"] == found["medians"]["total_tokens"] == 160
    assert found["averages"]["messages"] == 1
    assert found["most_active"]["day"]["key"] == "2026-11-03"
    assert (found["most_active"]["host"]["label"], found["most_active"]["model"]["key"]) == ("ana", OPUS)
    assert (found["models"], found["active_projects"]) == ([OPUS, UNPRICED], 1)
    assert found["harnesses"] == [{"key": "claude", "label": "claude", "sessions": 2, "messages": 2}]
    assert (found["concentration"], found["unknown_project"]) == (1.0, 0.0)


async def test_concentration_is_of_known_projects_and_says_how_much_is_unknown(hub: HubClient, ask: Asker) -> None:
    ana, at = await machine(hub.db, "ana"), "2026-11-03T10:00Z"
    for project, messages in (("a", 4), ("b", 3), ("c", 1), ("d", 2), (None, 30)):
        name = f"in {project}"
        rows = [message(f"{name} {n}", name, at, harness="codex", project=project) for n in range(messages)]
        await ana.send(session(name, at, harness="codex", project=project), *rows)
    await ana.send(event("e", "s", at, input_tokens=1, project="only usage"))
    found = await ask("analytics/summary")
    assert (found["active_projects"], found["concentration"], found["unknown_project"]) == (5, 0.9, 0.75)
    assert found["harnesses"] == [{"key": "codex", "label": "codex", "sessions": 5, "messages": 40}]
    nothing = await ask("analytics/summary", host="ana", model="", provider="", to="2026-11-02")
    assert (nothing["active_projects"], nothing["concentration"], nothing["unknown_project"]) == (0, None, None)


async def test_a_heatmap_tells_zero_from_not_reported_from_nothing(ask: Asker, used: None) -> None:
    found = await ask("analytics/heatmap", metric="output_tokens")
    assert [(e["date"], e["value"], e["level"], e["coverage"]["events"]) for e in found["entries"]] == [
        ("2026-11-03", 10, 4, 2),
        ("2026-11-04", None, 0, 1),
        ("2026-11-05", None, 0, 0),
        ("2026-11-06", None, 0, 1),
    ]
    assert found["levels"] == {"l1": 10, "l2": 10, "l3": 10, "l4": 10}
    assert [e["value"] for e in (await ask("analytics/heatmap", metric="messages"))["entries"]] == [2, 0, 0, 0]
    assert [e["value"] for e in (await ask("analytics/heatmap", metric="active_sessions"))["entries"]] == [1, 1, 0, 1]
    peaks = await ask("analytics/heatmap", metric="peak_context_tokens")
    assert [e["value"] for e in peaks["entries"]] == [9000, None, None, None]
    only_zero = await ask(
        "analytics/heatmap", metric="output_tokens", model=OPUS, to="2026-11-03", **{"from": "2026-11-03"}
    )
    assert [(e["value"], e["level"]) for e in only_zero["entries"]] == [(10, 4)]


async def test_activity_has_every_bucket_in_every_series(ask: Asker, used: None) -> None:
    found = await ask("analytics/activity", group_by="model", timezone="Asia/Kathmandu")
    assert [one["key"] for one in found["series"]] == [OPUS, UNPRICED, None]
    for one in found["series"]:
        assert [point["start"] for point in one["points"]] == [f"2026-11-0{day}" for day in (3, 4, 5, 6)]
    assert [point["totals"]["total_tokens"] for point in found["series"][0]["points"]] == [110, None, None, None]
    assert [point["totals"]["messages"] for point in found["series"][2]["points"]] == [2, 0, 0, 0]
    hours = await ask("analytics/activity", granularity="hour", to="2026-11-03")
    [series] = hours["series"]
    assert (series["key"], len(series["points"])) == (None, 24)
    assert series["points"][10]["start"] == "2026-11-03T10:00:00+00:00"
    assert series["points"][11]["totals"]["output_tokens"] == 0


async def test_the_least_series_are_one_where_fewer_are_asked_for(ask: Asker, used: None) -> None:
    whole = await ask("analytics/activity", group_by="model")
    few = await ask("analytics/activity", group_by="model", series="2")
    assert [(one["key"], one["others"]) for one in whole["series"]] == [(OPUS, 0), (UNPRICED, 0), (None, 0)]
    assert [(one["key"], one["others"]) for one in few["series"]] == [(OPUS, 0), (None, 2)]
    assert few["series"][0] == whole["series"][0]
    for name in ("total_tokens", "messages"):
        rest = [[point["totals"][name] for point in one["points"]] for one in whole["series"][1:]]
        together = [
            sum(known) if (known := [v for v in both if v is not None]) else None for both in zip(*rest, strict=True)
        ]
        assert [point["totals"][name] for point in few["series"][1]["points"]] == together
    assert (await ask("analytics/activity", group_by="model", series="3"))["series"] == whole["series"]


async def test_a_breakdown_shares_out_the_whole(ask: Asker, used: None) -> None:
    found = await ask("analytics/breakdown", by="project")
    assert [(row["key"], row["events"], row["share"]) for row in found["rows"]] == [("alpha", 3, 1.0), (None, 1, None)]
    hosts = await ask("analytics/breakdown", by="host")
    assert [(row["label"], row["totals"]["total_tokens"]) for row in hosts["rows"]] == [("ana", 160)]
    again = await ask("analytics/summary", host=hosts["rows"][0]["key"])
    assert again["totals"]["total_tokens"] == 160
    assert again["trust"]["hosts"]["total"] == 1
    assert (await ask("analytics/breakdown", by="model", project=""))["rows"][0]["key"] == UNPRICED


async def test_top_sessions_rank_what_was_used_inside_the_range(ask: Asker, used: None) -> None:
    found = await ask("analytics/top-sessions", metric="output_tokens")
    [top] = found["sessions"]
    assert (top["value"], top["session_id"], top["project"], top["host"]["label"]) == (10, "s1", "alpha", "ana")
    assert top["coverage"] == {"events": 3, "reported": 2, "lower_bound": 1, "derived": 0}
    assert (top["models"], top["totals"]["messages"]) == ([OPUS, UNPRICED], 2)
    assert found["not_reported"] == 1
    later = await ask("analytics/top-sessions", **{"from": "2026-11-04"})
    assert [(one["session_id"], one["value"]) for one in later["sessions"]] == [("s1", 50)]
    nobody = await ask("analytics/top-sessions", metric="reasoning_tokens")
    assert (nobody["sessions"], nobody["not_reported"]) == ([], 2)
    cost = await ask("analytics/top-sessions", metric="cost")
    assert [one["value"] for one in cost["sessions"]] == [2250]


async def test_sessions_come_page_by_page_and_one_by_one(ask: Asker, used: None) -> None:
    first = await ask("sessions", limit=1)
    assert [one["session_id"] for one in first["sessions"]] == ["s2"]
    second = await ask("sessions", limit=1, cursor=first["next_cursor"])
    assert [one["session_id"] for one in second["sessions"]] == ["s1"]
    assert second["next_cursor"] is None
    one = await ask(f"sessions/{second['sessions'][0]['id']}")
    assert (one["events"], one["totals"]["total_tokens"], one["totals"]["messages"]) == (3, 160, 2)
    assert [model["key"] for model in one["by_model"]] == [OPUS, UNPRICED]
    assert [(copy["host"]["label"], copy["chosen"]) for copy in one["copies"]] == [("ana", True), ("bob", False)]
    assert [(copy["events_counted"], copy["events_set_aside"]) for copy in one["copies"]] == [(3, 0), (0, 1)]


async def test_an_empty_hub_answers_with_nothing_rather_than_an_error(ask: Asker) -> None:
    found = await ask("analytics/summary")
    assert found["totals"]["total_tokens"] is None
    assert (found["total_sessions"], found["averages"]["total_tokens"], found["most_active"]["day"]) == (0, None, None)
    [today] = (await ask("analytics/heatmap"))["entries"]
    assert (today["value"], today["level"], today["coverage"]["events"]) == (None, 0, 0)
    assert (await ask("analytics/activity", group_by="host"))["series"] == []
    assert (await ask("analytics/breakdown", by="model"))["rows"] == []
    assert (await ask("analytics/top-sessions"))["not_reported"] == 0
    assert (await ask("sessions"))["sessions"] == []


NONSENSE: list[tuple[str, dict[str, str], str, str]] = [
    ("analytics/summary", {"metric": "x"}, "unknown_parameter", "'metric' is not a parameter"),
    ("analytics/summary", {"timezone": "Nowhere"}, "bad_parameter", "'timezone' is 'Nowhere'"),
    ("analytics/summary", {"from": "yesterday"}, "bad_parameter", "'from' is 'yesterday'"),
    ("analytics/summary", {"from": "2026-11-02", "to": "2026-11-01"}, "bad_parameter", "is after 'to'"),
    ("analytics/summary", {"model": "gpt-99"}, "unknown_value", "knows no model 'gpt-99'"),
    ("analytics/summary", {"host": "ana,eve"}, "unknown_value", "knows no host 'eve'"),
    ("analytics/summary", {"counted": "twice"}, "bad_parameter", "use one of once, all"),
    ("analytics/summary", {"format": "xml"}, "bad_parameter", "'format' cannot be 'xml'"),
    ("analytics/heatmap", {"metric": "tokens"}, "unsupported_metric", "use one of messages"),
    ("analytics/heatmap", {"metric": ""}, "unsupported_metric", "'metric' cannot be ''"),
    ("analytics/top-sessions", {"metric": "messages"}, "unsupported_metric", "use one of input_tokens"),
    ("analytics/top-sessions", {"limit": "0"}, "bad_parameter", "from 1 to 100"),
    ("analytics/top-sessions", {"limit": "101"}, "bad_parameter", "from 1 to 100"),
    ("analytics/breakdown", {}, "bad_parameter", "'by' is needed"),
    ("analytics/breakdown", {"by": "session"}, "bad_parameter", "'by' cannot be 'session'"),
    ("analytics/activity", {"granularity": "minute"}, "bad_parameter", "use one of hour, day, week, month"),
    (
        "analytics/activity",
        {"granularity": "hour", "from": "2020-01-01", "to": "2030-01-01"},
        "too_many_points",
        "20000",
    ),
    ("sessions", {"cursor": "!"}, "bad_parameter", "is not a cursor"),
    ("sessions", {"sort": "name"}, "bad_parameter", "use one of started_at"),
    ("capabilities", {"from": "2026-01-01"}, "unknown_parameter", "it takes none"),
]


async def test_what_makes_no_sense_is_a_problem_that_names_it(ask: Asker, used: None) -> None:
    for path, query, code, said in NONSENSE:
        document = await problem(await ask.raw(path, **query), 400, code)
        assert said in document["detail"], (path, query)


async def test_bytes_that_are_no_text_are_an_unknown_value(ask: Asker) -> None:
    for raw in ("%FF", "%ED%A0%80", "%00", "%F0%9F%98%80"):
        url = URL(f"{API}/analytics/summary?model={raw}", encoded=True)
        response = await ask.hub.http.get(url, headers=ask.headers)
        assert response.status == 400, raw
        assert (await response.json())["code"] in ("unknown_value", "bad_parameter")


async def test_a_cursor_of_another_list_is_refused(ask: Asker, used: None) -> None:
    cursor = (await ask("sessions", limit=1))["next_cursor"]
    for other in ({"order": "asc"}, {"sort": "cost"}, {"counted": "all"}, {"host": "ana"}, {"to": "2026-11-05"}):
        await problem(await ask.raw("sessions", limit=1, cursor=cursor, **other), 400, "bad_parameter")


async def test_a_session_that_nobody_has_is_not_found(ask: Asker) -> None:
    for name in ("0" * 32, "zz", "00", "0" * 31 + "g"):
        await problem(await ask.raw(f"sessions/{name}"), 404, "not_found")


async def test_a_question_needs_one_connection_so_that_many_at_once_cannot_starve_each_other(
    database_url: str, db: Database, used: None
) -> None:
    narrow = await Database.open(database_url, reading_connections=1)
    common = Query([]).common("UTC")
    asked = [summary(narrow, common), heatmap(narrow, common, "cost"), top_sessions(narrow, common, "cost", 5)]
    assert len(await asyncio.wait_for(asyncio.gather(*asked, trust_report(narrow, common)), 20)) == 4
    await narrow.close()


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_session_that_reported_zero_ranks_before_those_that_reported_nothing(
    hub: HubClient, ask: Asker, order: str
) -> None:
    ana = await machine(hub.db, "ana")
    quiet = [event(f"q{n}", f"quiet{n}", "2026-11-03T10:00Z") for n in range(5)]
    await ana.send(event("z", "zero", "2026-11-03T10:00Z", input_tokens=0), *quiet)
    found = await ask("sessions", sort="total_tokens", order=order)
    assert [one["totals"]["total_tokens"] for one in found["sessions"]] == [0, None, None, None, None, None]
