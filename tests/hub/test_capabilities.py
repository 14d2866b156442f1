from typing import Any

import pytest

from hub_client import API, HubClient, bearer, problem
from trueup_hub.capabilities import METRICS_BY_ENDPOINT
from trueup_shared.metrics import COUNTERS, METRICS
from trueup_shared.wire import PROTOCOL
from usage_data import event, machine


@pytest.fixture
async def headers(hub: HubClient) -> dict[str, str]:
    return await hub.token()


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
    enrolled = await hub.host()
    assert (await capabilities(hub, bearer(enrolled.credential)))["protocols"] == [PROTOCOL, PROTOCOL]
    await problem(await hub.http.get(f"{API}/capabilities"), 401, "unauthorized")


async def test_every_metric_that_is_named_is_answered_and_every_other_is_refused(hub: HubClient, headers) -> None:
    for endpoint in ("heatmap", "top-sessions"):
        for metric in METRICS:
            url = f"{API}/analytics/{endpoint}?metric={metric.name}"
            response = await hub.http.get(url, headers=headers)
            if metric.name in METRICS_BY_ENDPOINT[endpoint]:
                assert response.status == 200, url
            else:
                document = await problem(response, 400, "unsupported_metric")
                assert document["supported"] == list(METRICS_BY_ENDPOINT[endpoint])


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


async def test_a_client_that_has_the_answer_is_told_so_without_it(hub: HubClient, headers: dict[str, str]) -> None:
    ana = await machine(hub.db, "ana")
    await ana.send(event("e1", "s", "2026-11-03T10:00Z", output_tokens=5))
    first = await hub.http.get(f"{API}/capabilities", headers=headers)
    tag = first.headers["ETag"]
    assert tag == f'"{(await first.json())["hash"]}"'
    await ana.send(event("e2", "s", "2026-11-03T11:00Z", output_tokens=5))
    again = await hub.http.get(f"{API}/capabilities", headers=headers | {"If-None-Match": tag})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    await ana.send(event("e3", "s", "2026-11-03T11:00Z", input_tokens=5))
    changed = await hub.http.get(f"{API}/capabilities", headers=headers | {"If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["ETag"] != tag
