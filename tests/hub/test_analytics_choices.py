"""Which rows are asked for: `counted`, and hosts by their labels."""

from typing import Any

import pytest

from hub_client import API, HubClient
from trueup_hub.db import Database
from trueup_hub.params import COMMON
from trueup_hub.routes import ROUTES
from usage_data import event, machine, message, session

OPUS = {"provider": "anthropic", "model": "claude-opus-4-1", "project": "alpha"}
EVERY_ROUTE = sorted(route.path.removeprefix(f"{API}/") for route in ROUTES if set(COMMON) <= set(route.takes or ()))
NOVEMBER = {"from": "2026-11-01", "to": "2026-11-30"}


async def asked(hub: HubClient, path: str, **query: Any) -> Any:
    response = await hub.http.get(f"{API}/{path}", params=query, headers=await hub.token())
    return await response.json()


@pytest.fixture
async def copied(hub: HubClient) -> HubClient:
    """ana and bob have the same session of two requests, carol one of her own; teams web, web and none."""
    rows = (
        session("s1", "2026-11-03T09:00Z", project="alpha"),
        message("m1", "s1", "2026-11-03T09:00Z", project="alpha"),
        message("m2", "s1", "2026-11-03T10:00Z", role="assistant", kind="answer", tool_names=["Bash"]),
        event("e1", "s1", "2026-11-03T10:00Z", input_tokens=100, output_tokens=10, context_tokens=900, **OPUS),
        event("e2", "s1", "2026-11-04T10:00Z", input_tokens=1, output_tokens=2, **OPUS),
    )
    for label in ("ana", "bob"):
        await (await machine(hub.db, label)).send(*rows)
    carol = await machine(hub.db, "carol")
    await carol.send(event("e3", "s2", "2026-11-04T11:00Z", harness="codex", output_tokens=5, model="gpt-5"))
    await set_labels(hub.db, ana={"team": "web", "site": "x"}, bob={"team": "web", "site": "y"})
    return hub


async def set_labels(db: Database, **labels: dict[str, str]) -> None:
    for label, pairs in labels.items():
        await db.execute("UPDATE hosts SET labels = $2 WHERE label = $1", label, pairs)


async def test_a_request_on_two_hosts_counts_once_or_with_all_copies(copied: HubClient) -> None:
    once, every = [await asked(copied, "analytics/summary", counted=counted) for counted in ("once", "all")]
    assert (once["counted"], every["counted"]) == ("once", "all")
    assert (once["totals"]["input_tokens"], every["totals"]["input_tokens"]) == (101, 202)
    assert (once["totals"]["output_tokens"], every["totals"]["output_tokens"]) == (17, 29)
    assert (once["coverage"]["input_tokens"]["events"], every["coverage"]["input_tokens"]["events"]) == (3, 5)
    assert [(one["totals"]["messages"], one["totals"]["sessions"]) for one in (once, every)] == [(2, 1), (4, 2)]
    assert [one["totals"]["tool_calls"] for one in (once, every)] == [1, 2]
    assert once["active_sessions"] == every["active_sessions"] == 2
    assert every["totals"]["cost_microusd"] > once["totals"]["cost_microusd"]
    assert once["trust"]["set_aside_duplicates"] == every["trust"]["set_aside_duplicates"] == 2


async def test_what_only_a_copy_that_is_set_aside_reports_is_in_all_copies_of_its_session(copied: HubClient) -> None:
    dan, eve = await machine(copied.db, "dan"), await machine(copied.db, "eve")
    await dan.send(event("e4", "s4", "2026-11-05T10:00Z", output_tokens=9, **OPUS))
    await eve.send(event("e4", "s4", "2026-11-05T10:00Z", output_tokens=9, reasoning_tokens=7, **OPUS))
    every = {"counted": "all", "from": "2026-11-05", "to": "2026-11-05"}
    assert (await asked(copied, "analytics/summary", **every))["totals"]["reasoning_tokens"] == 7
    for path in ("analytics/top-sessions", "sessions"):
        [found] = (await asked(copied, path, **every))["sessions"]
        assert (path, found["totals"]["reasoning_tokens"]) == (path, 7)


async def test_a_session_whose_rows_were_lost_is_still_among_the_greatest(copied: HubClient) -> None:
    """Until a scrub finds it: its sum is right, and what is read by its copies is unknown, not 0."""
    await copied.db.execute("DELETE FROM sessions")
    found = (await asked(copied, "analytics/top-sessions", metric="output_tokens"))["sessions"]
    assert [one["value"] for one in found] == [12, 5]
    assert [one["totals"]["output_tokens"] for one in found] == [None, None]


async def test_with_all_copies_each_host_shows_what_it_has(copied: HubClient) -> None:
    rows = (await asked(copied, "analytics/breakdown", by="host", counted="all"))["rows"]
    assert {row["label"]: row["totals"]["output_tokens"] for row in rows} == {"ana": 12, "bob": 12, "carol": 5}
    bob = await asked(copied, "analytics/heatmap", metric="input_tokens", host="bob", counted="all")
    assert [(entry["date"], entry["value"]) for entry in bob["entries"]] == [("2026-11-03", 100), ("2026-11-04", 1)]
    top = await asked(copied, "analytics/top-sessions", metric="output_tokens", counted="all")
    assert [session["value"] for session in top["sessions"]] == [24, 5]
    listed = await asked(copied, "sessions", sort="output_tokens", counted="all", host="bob")
    assert [(one["totals"]["output_tokens"], one["totals"]["messages"]) for one in listed["sessions"]] == [(12, 2)]


def test_every_analytics_route_is_tried() -> None:
    assert len(EVERY_ROUTE) == 8


@pytest.mark.parametrize(
    ("label", "output"),
    [("team:web", 12), ("team:", 5), ("team:web,team:", 17), ("site:y", None), ("site:x,site:y", 12)],
)
async def test_hosts_are_chosen_by_their_labels(copied: HubClient, label: str, output: int | None) -> None:
    found = await asked(copied, "analytics/summary", label=label, **NOVEMBER)
    assert found["totals"]["output_tokens"] == output


@pytest.mark.parametrize("path", EVERY_ROUTE)
async def test_every_route_takes_labels_and_counted(copied: HubClient, path: str) -> None:
    needed = {"analytics/breakdown": {"by": "harness"}}.get(path, {})

    async def found(**query: str) -> Any:
        answer = await asked(copied, path, **needed, **query)
        return answer | {"trust": answer["trust"] | {"as_of": ""}}

    everything = await found()
    for counted in ("once", "all"):
        by_label = await found(label="team:web", counted=counted)
        assert by_label == await found(host="ana,bob", counted=counted)
        assert by_label != everything
    everything_counted = await found(counted="all")
    assert everything_counted["counted"] == "all"
    if path != "trust":  # which says what is set aside either way
        assert everything_counted != everything | {"counted": "all"}


async def test_several_labels_go_together_and_with_hosts(copied: HubClient) -> None:
    found = await asked(copied, "trust", label=["team:web", "site:y"])
    assert [host["label"] for host in found["hosts"]] == ["bob"]
    assert (await asked(copied, "trust", label="team:web", host="carol"))["hosts"] == []


async def test_hosts_too_are_listed_by_label(copied: HubClient) -> None:
    for query, labels in (
        ({"label": "team:web"}, ["ana", "bob"]),
        ({"label": "team:", "host": "ana,carol"}, ["carol"]),
    ):
        assert [host["label"] for host in (await asked(copied, "hosts", **query))["hosts"]] == labels
    first = await asked(copied, "hosts", label="team:web", limit=1)
    assert [host["label"] for host in first["hosts"]] == ["ana"]
    second = await asked(copied, "hosts", label="team:web", limit=1, cursor=first["next_cursor"])
    assert [host["label"] for host in second["hosts"]] == ["bob"]
    assert (await asked(copied, "hosts", cursor=first["next_cursor"]))["code"] == "bad_parameter"
    assert (await asked(copied, "hosts", label="team:x"))["code"] == "unknown_value"


async def test_hosts_are_divided_by_a_label_and_those_without_it_are_unknown(copied: HubClient) -> None:
    rows = (await asked(copied, "analytics/breakdown", by="label:team"))["rows"]
    assert [(row["key"], row["totals"]["output_tokens"]) for row in rows] == [("web", 12), (None, 5)]
    series = (await asked(copied, "analytics/activity", group_by="label:site", counted="all"))["series"]
    assert {one["key"]: sum(point["totals"]["output_tokens"] or 0 for point in one["points"]) for one in series} == {
        "x": 12,
        "y": 12,
        None: 5,
    }


@pytest.mark.parametrize(
    ("label", "named"), [("team:nobody", "team:nobody"), ("tema:web", "tema:web"), ("tema:", "tema")]
)
async def test_a_label_that_no_host_has_is_named(copied: HubClient, label: str, named: str) -> None:
    found = await asked(copied, "analytics/summary", label=label)
    assert (found["code"], found["parameter"], found["values"]) == ("unknown_value", "label", [named])


async def test_a_division_by_a_label_that_no_host_has_is_refused(copied: HubClient) -> None:
    for path, query in (("breakdown", {"by": "label:tema"}), ("activity", {"group_by": "label:tema"})):
        found = await asked(copied, f"analytics/{path}", **query)
        assert (found["code"], found["parameter"], found["values"]) == ("unknown_value", "label", ["tema"])


async def test_an_empty_label_is_none(copied: HubClient) -> None:
    await set_labels(copied.db, carol={"team": ""})
    rows = (await asked(copied, "analytics/breakdown", by="label:team"))["rows"]
    assert [row["key"] for row in rows] == ["web", None]
    assert (await asked(copied, "analytics/summary", label="team:"))["totals"]["output_tokens"] == 5
