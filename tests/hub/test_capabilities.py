from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from hub_client import API, HubClient, bearer, problem
from price_tables import apply, reprice, table
from trueup_hub import reporters
from trueup_hub.routes import ROUTES
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.metrics import COUNTERS, METRICS
from trueup_shared.selection import why_unknown
from trueup_shared.wire import FEATURES, PROTOCOL
from usage_data import event, machine, message, session

PRICED = {
    "provider": "anthropic",
    "model": "claude-opus-4-1",
    "context_tokens": 7,
    **dict.fromkeys(
        ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"), 5
    ),
}


@pytest.fixture
async def headers(hub: HubClient) -> dict[str, str]:
    return await hub.token()


@pytest.fixture(autouse=True)
def always_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporters, "AT_LEAST_TIMES", 0)


async def capabilities(hub: HubClient, headers: dict[str, str]) -> Any:
    response = await hub.http.get(f"{API}/capabilities", headers=headers)
    assert response.status == 200
    return await response.json()


async def test_everything_that_the_hub_can_do_is_named(hub: HubClient, headers: dict[str, str]) -> None:
    found = await capabilities(hub, headers)
    assert found["protocols"] == [PROTOCOL, PROTOCOL]
    assert "zstd" in found["encodings"]
    assert found["limits"]["top_sessions"] == 100
    assert found["timezone"] == "UTC"
    assert found["counters"] == list(COUNTERS)
    assert {metric["name"]: metric["additive"] for metric in found["metric_definitions"]} == {
        metric.name: metric.additive for metric in METRICS
    }
    assert {name for names in found["metrics"].values() for name in names} <= {metric.name for metric in METRICS}


async def test_agents_may_ask_too_and_nobody_else_without_credentials(hub: HubClient) -> None:
    headers = bearer((await hub.host()).credential)
    known = await tag(hub, headers)
    await hub.host("another")
    told = await capabilities(hub, headers)
    assert told["protocols"] == [PROTOCOL, PROTOCOL]
    assert (told["hosts"], told["harnesses"], told["values"]) == ([], {}, {}), "of others it is told nothing"
    again = await hub.http.get(f"{API}/capabilities", headers=headers | {"If-None-Match": known})
    assert again.status == 304
    await problem(await hub.http.get(f"{API}/capabilities"), 401, "unauthorized")


async def test_an_agent_hears_the_same_in_every_handshake(hub: HubClient, headers: dict[str, str]) -> None:
    found = await capabilities(hub, headers)
    host = bearer((await hub.host()).credential)
    position = await (await hub.http.get(f"{API}/ledgers/{uuid4()}", headers=host)).json()
    for name in ("protocols", "digest_sets"):
        assert position[name] == found[name]
    assert (position["max_batch_rows"], position["max_body_bytes"]) == (
        found["limits"]["batch_rows"],
        found["limits"]["body_bytes"],
    )
    assert position["hub_version"] == found["version"]
    assert {f"push.{name}" for name in position["features"]} <= set(found["features"])
    assert position["features"] == list(FEATURES)


# Where an answer has the metrics that it is not asked for by name.
CARRIED: dict[str, Callable[[Any], Any]] = {
    "summary": lambda answer: answer,
    "activity": lambda answer: answer["series"][0]["points"][0],
    "breakdown": lambda answer: answer["rows"][0],
    "sessions": lambda answer: answer["sessions"][0],
}


async def test_every_metric_that_is_named_is_answered_and_every_other_refused_with_the_list(
    hub: HubClient, headers: dict[str, str]
) -> None:
    ana = await machine(hub.db, "ana")
    await ana.send(session("s", "2026-11-03T10:00Z"), event("e", "s", "2026-11-03T10:00Z", **PRICED))
    named = (await capabilities(hub, headers))["metrics"]
    by_metric = [r.path.rpartition("/")[2] for r in ROUTES if any(p.name == "metric" for p in r.takes or ())]
    assert set(named) == {*by_metric, *CARRIED}
    for endpoint, supported in named.items():
        path = f"{API}/{endpoint}" if endpoint == "sessions" else f"{API}/analytics/{endpoint}"
        for metric in METRICS:
            if endpoint in by_metric:
                response = await hub.http.get(path, params={"metric": metric.name}, headers=headers)
                if metric.name not in supported:
                    assert (await problem(response, 400, "unsupported_metric"))["supported"] == supported
                    continue
                document = await response.json()
                items = next(value for value in document.values() if isinstance(value, list))
                assert any(item["value"] is not None for item in items), (endpoint, metric.name)
            else:
                query = {"by": "model"} if endpoint == "breakdown" else {}
                response = await hub.http.get(path, params=query, headers=headers)
                found = CARRIED[endpoint](await response.json())
                values = {**found, **found["totals"]}
                value = values.get(metric.name, values.get(f"{metric.name}_microusd"))
                assert (value is not None) == (metric.name in supported), (endpoint, metric.name)


async def test_routes_and_what_they_take_are_named(hub: HubClient, headers: dict[str, str]) -> None:
    found = await capabilities(hub, headers)
    readers = [r for r in ROUTES if r.method == "GET" and r.need in ("viewer", "anybody") and "/api/v1/" in r.path]
    assert set(found["routes"]) == {route.path.removeprefix(f"{API}/") for route in readers}
    assert found["routes"]["analytics/heatmap"]["metric"]["choices"] == found["metrics"]["heatmap"]
    limit = found["routes"]["analytics/top-sessions"]["limit"]
    assert (limit["lowest"], limit["highest"], limit["default"]) == (1, found["limits"]["top_sessions"], 10)
    features = {f"analytics.{route.path.rpartition('/')[2]}" for route in readers if "/analytics/" in route.path}
    assert features <= set(found["features"])
    assert found["data_versions"] == DATA_VERSIONS


async def test_who_reports_what_and_how_well(hub: HubClient, headers: dict[str, str]) -> None:
    ana, bob = await machine(hub.db, "ana"), await machine(hub.db, "bob")
    at = "2026-11-03T10:00Z"
    await ana.send(event("e1", "s", at, output_tokens=5, lower_bounds=16), event("e2", "s", at, output_tokens=6))
    await bob.send(
        event("e3", "s", at, input_tokens=1), event("e4", "c", at, harness="codex", input_tokens=0, derived=1)
    )
    found = await capabilities(hub, headers)
    claude = found["harnesses"]["claude"]
    assert claude["output_tokens"] == {"reported": "some", "lower_bound": True, "derived": False}
    assert claude["reasoning_tokens"] == {"reported": "none", "lower_bound": False, "derived": False}
    assert found["harnesses"]["codex"]["input_tokens"] == {"reported": "all", "lower_bound": False, "derived": True}
    assert [(host["label"], sorted(host["harnesses"])) for host in found["hosts"]] == [
        ("ana", ["claude"]),
        ("bob", ["claude", "codex"]),
    ]
    assert found["hosts"][0]["harnesses"]["claude"]["output_tokens"]["reported"] == "all"
    assert claude["total_tokens"]["reported"] == "none"  # none has both input and output
    assert why_unknown(found, "reasoning_tokens", ["claude"]) == "reasoning_tokens is not reported by claude"
    assert why_unknown(found, "cost") is not None
    assert why_unknown(found, "input_tokens", ["claude", "codex"]) is None


async def tag(hub: HubClient, headers: dict[str, str]) -> str:
    response = await hub.http.get(f"{API}/capabilities", headers=headers)
    assert response.headers["ETag"] == f'"{(await response.json())["hash"]}"'
    return response.headers["ETag"]


async def test_a_client_that_has_the_answer_is_told_so_without_it(hub: HubClient, headers: dict[str, str]) -> None:
    ana = await machine(hub.db, "ana")
    await ana.send(event("e1", "s", "2026-11-03T10:00Z", output_tokens=5))
    known = await tag(hub, headers)
    again = await hub.http.get(f"{API}/capabilities", headers=headers | {"If-None-Match": known})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", known)


async def test_the_hash_changes_with_what_can_be_asked_and_with_nothing_else(
    hub: HubClient, headers: dict[str, str]
) -> None:
    ana = await machine(hub.db, "ana")
    at = "2026-11-03T10:00Z"
    await ana.send(event("e1", "s", at, output_tokens=5))
    before = await tag(hub, headers)
    more = [event(f"m{n}", f"s{n}", f"2026-1{n % 2}-0{n}T11:00Z", output_tokens=n) for n in range(1, 9)]
    await ana.send(*more, message("m", "s", at))
    assert await tag(hub, headers) == before, "more of the same"
    hashes = [before]
    await ana.send(event("e2", "s", at, input_tokens=5))  # another counter
    hashes.append(await tag(hub, headers))
    await ana.send(event("e3", "s", at, output_tokens=5, lower_bounds=16))  # as a lower bound
    hashes.append(await tag(hub, headers))
    await ana.send(event("e4", "c", at, harness="codex", output_tokens=5))
    hashes.append(await tag(hub, headers))
    await machine(hub.db, "bob")
    hashes.append(await tag(hub, headers))
    await hub.db.execute("""UPDATE hosts SET labels = '{"team": "web"}' WHERE label = 'bob'""")
    hashes.append(await tag(hub, headers))
    assert len(set(hashes)) == len(hashes)
    assert (await capabilities(hub, headers))["values"]["label"] == ["team:", "team:web"]


async def test_what_cannot_be_listed_whole_is_not_passed_off_as_whole(
    hub: HubClient, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporters, "MAX_HOSTS", 2)
    monkeypatch.setattr(reporters, "MAX_LABELS", 1)
    for name in ("ana", "bob", "cid"):
        await machine(hub.db, name)
    found = await capabilities(hub, headers)
    assert ([host["label"] for host in found["hosts"]], "host" in found["values"]) == (["ana", "bob"], False)
    assert found["values"]["label"] == []
    await hub.db.execute("""UPDATE hosts SET labels = '{"team": "web", "floor": "1"}' WHERE label = 'bob'""")
    assert "label" not in (await capabilities(hub, headers))["values"]


async def test_what_a_repricing_changes_is_told_at_once(hub: HubClient, headers: dict[str, str]) -> None:
    ana = await machine(hub.db, "ana")
    await ana.send(event("e1", "s", "2026-11-03T10:00Z", output_tokens=5, model="in-house"))
    assert (await capabilities(hub, headers))["harnesses"]["claude"]["cost"]["reported"] == "none"
    await reprice(hub.db, await apply(hub.db, table(**{"in-house": 1_000_000})))
    assert (await capabilities(hub, headers))["harnesses"]["claude"]["cost"]["reported"] == "all"


async def test_what_is_known_is_not_summed_again(
    hub: HubClient, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await machine(hub.db, "ana")
    await ana.send(event("e1", "s", "2026-11-03T10:00Z", output_tokens=5))
    await tag(hub, headers)
    read: list[int] = []
    read_again = reporters._read

    async def counted(db: Any) -> Any:
        read.append(1)
        return await read_again(db)

    monkeypatch.setattr(reporters, "_read", counted)
    for _ in range(3):
        await tag(hub, headers)
    assert read == []
    await ana.send(event("e2", "s", "2026-11-03T10:00Z", output_tokens=5))
    await tag(hub, headers)
    assert read == [1]
    monkeypatch.setattr(reporters, "AT_LEAST_TIMES", 10**9)
    await ana.send(event("e3", "s", "2026-11-03T10:00Z", output_tokens=5))
    await tag(hub, headers)
    assert read == [1], "not as often as something comes, where that would take all the time"
