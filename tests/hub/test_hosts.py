"""Hosts as people see them."""

import csv
import io
from typing import Any

import msgspec

from hub_client import API, HubClient, bearer, problem
from ledgers import Ledger, event
from trueup_shared import keys
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.wire import FEATURES, AgentInfo, EnrollReply, Heartbeat, HeartbeatReply, ParserVersion, SourceStatus

NOW = 1_790_000_000_000_000
CURRENT = AgentInfo(version="0.0.0", features=list(FEATURES))


async def pushed(hub: HubClient, enrolled: EnrollReply) -> Ledger:
    """A ledger of that host with one event at the hub."""
    host_no = await hub.db.fetchval("SELECT host_no FROM hosts WHERE host_id = $1", enrolled.host_id)
    ledger = Ledger(hub.db, (host_no, enrolled.host_id))
    ledger.versions = {"claude": ParserVersion(DATA_VERSIONS["claude"], DATA_VERSIONS["claude"])}
    ledger.put(keys.event_key("test", 1), event())
    await ledger.push()
    return ledger


async def beat(hub: HubClient, enrolled: EnrollReply, ledger: Ledger, **fields: Any) -> HeartbeatReply:
    told = {"head_seq": ledger.seq, "rows": 1, "pending": 0, "sent_at": NOW, **fields}
    heartbeat = Heartbeat(ledger_id=ledger.ledger_id, agent=CURRENT, **told)
    response = await hub.http.post(
        f"{API}/heartbeat", json=msgspec.to_builtins(heartbeat), headers=bearer(enrolled.credential)
    )
    assert response.status == 200, await response.text()
    return msgspec.json.decode(await response.read(), type=HeartbeatReply)


async def listed(hub: HubClient) -> list[dict[str, Any]]:
    response = await hub.http.get(f"{API}/hosts", headers=await hub.token())
    hosts: list[dict[str, Any]] = (await response.json())["hosts"]
    return hosts


async def test_a_host_shows_its_state_and_what_is_known_of_its_ledger(hub: HubClient) -> None:
    ana = await hub.host("ana")
    ledger = await pushed(hub, ana)
    await beat(hub, ana, ledger, skipped_lines=2)
    [host] = await listed(hub)
    assert (host["state"], host["label"], host["host_id"]) == ("converged", "ana", ana.host_id)
    [shown] = host["ledgers"]
    assert shown["digest"] == ledger.digest.hex()
    assert (shown["events"], shown["head_seq"], shown["skipped_lines"], shown["agent_version"]) == (1, 1, 2, "0.0.0")


async def test_what_no_heartbeat_has_told_is_unknown(hub: HubClient) -> None:
    await pushed(hub, await hub.host())
    [host] = await listed(hub)
    [shown] = host["ledgers"]
    assert shown["pending"] is shown["head_seq"] is shown["skipped_lines"] is shown["seen_at"] is None
    assert host["last_seen_at"] == shown["last_batch_at"]


async def test_a_heartbeat_with_changes_to_come_makes_a_host_behind_and_says_where_the_hub_is(hub: HubClient) -> None:
    ana = await hub.host()
    ledger = await pushed(hub, ana)
    reply = await beat(hub, ana, ledger, head_seq=9, pending=8)
    assert (reply.position.acked_seq, reply.expected_silence_seconds) == (1, 900)
    [host] = await listed(hub)
    assert (host["state"], host["ledgers"][0]["pending"]) == ("behind", 8)


async def test_a_heartbeat_before_the_first_batch_leaves_a_host_never_and_nobody_is_told_to_start_its_agent(
    hub: HubClient,
) -> None:
    ana = await hub.host()
    assert "Start the agent" in (await listed(hub))[0]["action"]
    ledger = Ledger(hub.db, (1, ana.host_id))
    reply = await beat(hub, ana, ledger, head_seq=5)
    assert reply.position.acked_seq == 0
    [host] = await listed(hub)
    assert (host["state"], "Start the agent" in host["action"]) == ("never", False)
    assert "is heard of" in host["reason"] and "`trueup agent doctor`" in host["action"]


async def test_a_silent_host_is_silent(hub: HubClient) -> None:
    await pushed(hub, await hub.host())
    await hub.db.execute("UPDATE ledgers SET last_batch_at = last_batch_at - interval '16 min'")
    assert [host["state"] for host in await listed(hub)] == ["silent"]


async def test_flags_say_why_and_what_to_do(hub: HubClient) -> None:
    ana = await hub.host()
    ledger = await pushed(hub, ana)
    await beat(hub, ana, ledger, drift_suspected=["claude"], old_data=3, last_error="disk full")
    [host] = await listed(hub)
    flags = {flag["flag"]: flag["reason"] for flag in host["flags"]}
    assert flags.keys() == {"drift_suspected", "old_data", "clock_skew", "agent_error"}  # NOW is another day
    assert "claude" in flags["drift_suspected"]
    assert flags["agent_error"] == "disk full"


async def test_heartbeats_that_say_the_same_are_written_every_30_seconds_at_most(hub: HubClient) -> None:
    ana = await hub.host()
    ledger = await pushed(hub, ana)
    await beat(hub, ana, ledger)
    first = await hub.db.fetchval("SELECT seen_at FROM host_status")
    await beat(hub, ana, ledger)
    assert await hub.db.fetchval("SELECT seen_at FROM host_status") == first
    await beat(hub, ana, ledger, pending=1)
    assert await hub.db.fetchval("SELECT seen_at FROM host_status") > first


async def test_a_host_shows_its_sources_without_paths_unless_they_were_sent(hub: HubClient) -> None:
    ana = await hub.host()
    ledger = await pushed(hub, ana)
    source = SourceStatus(
        key=bytes(16), harness="claude", state="present", bytes_read=10, lines=2, skipped_lines=1, unknown_records=0
    )
    await beat(hub, ana, ledger, sources=[source])
    await beat(hub, ana, ledger, sources=[msgspec.structs.replace(source, state="source_gone")])
    response = await hub.http.get(f"{API}/hosts/{ana.host_id}", headers=await hub.token())
    [shown] = (await response.json())["sources"]
    assert shown == {
        "ledger_id": ledger.ledger_id,
        "source_key": "00" * 16,
        "harness": "claude",
        "state": "source_gone",
        "bytes_read": 10,
        "lines": 2,
        "skipped_lines": 1,
        "unknown_records": 0,
        "path": None,
    }


async def test_an_administrator_renames_and_labels_a_host_and_it_is_noted(hub: HubClient) -> None:
    ana = await hub.host()
    admin, path = await hub.token("admin"), f"{API}/hosts/{ana.host_id}"
    response = await hub.http.patch(path, json={"label": " bea ", "labels": {"team": "core"}}, headers=admin)
    assert (await response.json())["label"] == "bea"
    response = await hub.http.patch(path, json={"label": "cleo"}, headers=admin)
    document = await response.json()
    assert (document["label"], document["labels"]) == ("cleo", {"team": "core"})
    notes = await hub.db.fetch("SELECT actor, subject FROM audit WHERE action = 'host.change'")
    assert [tuple(note) for note in notes] == [("test admin", ana.host_id)] * 2


async def test_a_change_that_makes_no_sense_is_refused(hub: HubClient) -> None:
    ana = await hub.host()
    admin, path = await hub.token("admin"), f"{API}/hosts/{ana.host_id}"
    await problem(await hub.http.patch(path, json={"lable": "x"}, headers=admin), 400, "malformed")
    await problem(await hub.http.patch(path, json={"label": ""}, headers=admin), 400, "bad_label")
    await problem(await hub.http.patch(path, json={"labels": {"a": 1}}, headers=admin), 400, "malformed")
    for name in ("te:am", "", " "):  # no filter could name it
        await problem(await hub.http.patch(path, json={"labels": {name: "x"}}, headers=admin), 400, "bad_label")
    await problem(await hub.http.patch(path, json={"labels": {"a": "b\0"}}, headers=admin), 400, "malformed")


async def test_hosts_come_as_csv_and_no_cell_is_a_formula(hub: HubClient) -> None:
    await hub.host("=HYPERLINK(1)")
    response = await hub.http.get(f"{API}/hosts?format=csv", headers=await hub.token())
    assert response.content_type == "text/csv"
    [row, _] = csv.DictReader(io.StringIO(await response.text()))  # the last line says that there is no further page
    assert (row["label"], row["state"], row["last_seen_at"], row["flags"]) == ("'=HYPERLINK(1)", "never", "", "")
    await hub.db.execute("UPDATE hosts SET readmitted_at = now(), forgotten_at = now()")
    response = await hub.http.get(f"{API}/hosts?format=csv", headers=await hub.token())
    [row, _] = csv.DictReader(io.StringIO(await response.text()))
    assert (row["state"], row["flags"]) == ("retired", "forgotten")
