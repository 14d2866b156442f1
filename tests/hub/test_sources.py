"""Logs of all hosts: what stands behind `sources` of one, to look for those that are gone."""

import csv
from collections.abc import Iterable
from typing import Any

import msgspec

from hub_client import API, HubClient, bearer, problem
from ledgers import Ledger, event, event_key
from trueup_agent.ledger import sources as of_the_agent
from trueup_hub.ingest import contact
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.sources import STATES
from trueup_shared import keys
from trueup_shared.wire import FEATURES, AgentInfo, EnrollReply, Heartbeat, SourceStatus

SOURCES = f"{API}/sources"
AGENT = AgentInfo(version="0.0.0", features=list(FEATURES))


def log(name: str, state: str = "present", harness: str = "claude", path: str | None = None) -> SourceStatus:
    counts = {"bytes_read": 10, "lines": 2, "skipped_lines": 1, "unknown_records": 0}
    return SourceStatus(key=keys.key("source", name), harness=harness, state=state, path=path, **counts)


async def told(hub: HubClient, host: EnrollReply, logs: Iterable[SourceStatus], name: str = "a", **more: Any) -> Ledger:
    """A ledger of that host, whose agent tells of these."""
    host_no = await hub.db.fetchval("SELECT host_no FROM hosts WHERE host_id = $1", host.host_id)
    ledger = Ledger(hub.db, (host_no, host.host_id), name)
    ledger.put(event_key(name), event())
    await ledger.send(ledger.batch(**more))
    beat = Heartbeat(
        ledger_id=ledger.ledger_id, agent=AGENT, head_seq=1, rows=1, pending=0, sent_at=1, sources=list(logs)
    )
    body, headers = msgspec.to_builtins(beat), bearer(host.credential)
    assert (await hub.http.post(f"{API}/heartbeat", json=body, headers=headers)).status == 200
    return ledger


async def answered(hub: HubClient, **query: str) -> dict[str, Any]:
    response = await hub.http.get(SOURCES, params=query, headers=await hub.token())
    assert response.status == 200, await response.text()
    found: dict[str, Any] = await response.json()
    return found


async def test_a_log_is_listed_with_whose_it_is_and_its_path_only_where_it_was_sent(hub: HubClient) -> None:
    ana = await hub.host("ana")
    ledger = await told(hub, ana, [log("one"), log("two", path="/home/ana/two.jsonl")])
    found = await answered(hub)
    assert (found["total"], found["next_cursor"]) == (2, None)
    of_host = (await (await hub.http.get(f"{API}/hosts/{ana.host_id}", headers=await hub.token())).json())["sources"]
    host = {"id": ana.host_id, "label": "ana"}
    assert {one["source_key"]: one for one in found["sources"]} == {
        one["source_key"]: one | {"host": host, "ledger_id": ledger.ledger_id} for one in of_host
    }
    assert {one["path"] for one in found["sources"]} == {None, "/home/ana/two.jsonl"}


async def test_filters_choose_hosts_harnesses_and_states_and_pages_have_each_log_once(hub: HubClient) -> None:
    ana, bob = await hub.host("ana"), await hub.host("bob")
    await hub.db.execute("""UPDATE hosts SET labels = '{"team": "web"}' WHERE label = 'bob'""")
    gone = [log(f"gone {n}", "source_gone", "codex") for n in range(5)]
    await told(hub, ana, [*(log(f"log {n}") for n in range(6)), *gone])
    await told(hub, bob, [log("log 0"), *gone[:2]])  # logs of the same names are others
    for query, expected in (
        ({}, 14),
        ({"state": "source_gone"}, 7),
        ({"state": "source_gone", "host": "ana"}, 5),
        ({"harness": "codex", "label": "team:web"}, 2),
        ({"harness": "claude,codex", "label": "team:"}, 11),
        ({"state": "rewritten"}, 0),
    ):
        whole = await answered(hub, **query)
        assert (len(whole["sources"]), whole["total"], whole["next_cursor"]) == (expected, expected, None), query
        listed, page = [], await answered(hub, limit="3", **query)
        while page["next_cursor"] is not None:
            listed += page["sources"]
            page = await answered(hub, limit="3", cursor=page["next_cursor"], **query)
        assert [*listed, *page["sources"]] == whole["sources"], query
        assert len({(one["host"]["id"], one["source_key"]) for one in whole["sources"]}) == expected
        if "state" in query:
            assert {one["state"] for one in whole["sources"]} <= {query["state"]}


async def test_what_cannot_be_asked_for_is_refused(hub: HubClient) -> None:
    await told(hub, await hub.host("ana"), [log("one"), log("two")])
    cursor = (await answered(hub, limit="1"))["next_cursor"]
    for query, code in (
        ({"state": "lost"}, "bad_parameter"),
        ({"harness": "nobody"}, "unknown_value"),
        ({"host": "eve"}, "unknown_value"),
        ({"cursor": cursor, "state": "present"}, "bad_parameter"),
        ({"model": "x"}, "unknown_parameter"),
    ):
        await problem(await hub.http.get(SOURCES, params=query, headers=await hub.token()), 400, code)


async def test_of_a_ledger_whose_place_another_took_no_log_is_listed(hub: HubClient) -> None:
    ana = await hub.host("ana")
    old = await told(hub, ana, [log("old")], "old")
    await contact(hub.db, old.host_no, old.ledger_id, [])
    new = await told(hub, ana, [log("new")], "new", replaces=[old.ledger_id])
    await supersede_pending(hub.db)
    assert [one["ledger_id"] for one in (await answered(hub))["sources"]] == [new.ledger_id]


async def test_logs_come_as_csv(hub: HubClient) -> None:
    await told(hub, await hub.host("ana"), [log("one", "source_gone")])
    response = await hub.http.get(SOURCES, headers=await hub.token() | {"Accept": "text/csv"})
    head, line, *beside = (await response.text()).splitlines()
    cells = dict(zip(head.split(","), next(csv.reader([line])), strict=True))
    assert (cells["host_label"], cells["state"], cells["path"]) == ("ana", "source_gone", "")
    assert beside == ["# total: 1", "# next_cursor:"]


def test_every_state_of_a_log_that_agents_have_can_be_asked_for() -> None:
    agents = (of_the_agent.PRESENT, of_the_agent.GONE, of_the_agent.TRUNCATED, of_the_agent.REWRITTEN)
    assert set(STATES) == set(agents)
