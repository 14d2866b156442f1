"""A person asks a host's agent for something over the API; heartbeats bring it there and tell how far it is."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from hub_client import API, HubClient, bearer, problem
from ledgers import Ledger, event, event_key, put_events
from trueup_hub.handlers import hosts as handler
from trueup_hub.ingest.forgetting import forget_pending
from trueup_hub.keys import LIVE
from trueup_hub.live import Update
from trueup_shared.wire import AgentInfo, DirectiveReport, EnrollReply, Heartbeat, HeartbeatReply

ABLE = AgentInfo(version="0.2.0", features=["directives"])


async def pushed(hub: HubClient, label: str = "ana") -> tuple[EnrollReply, Ledger]:
    """A host whose ledger has one event at the hub."""
    enrolled = await hub.host(label)
    host_no = await hub.db.fetchval("SELECT host_no FROM hosts WHERE host_id = $1", enrolled.host_id)
    ledger = Ledger(hub.db, (host_no, enrolled.host_id))
    ledger.put(event_key(1), event())
    await ledger.push()
    return enrolled, ledger


async def beat(
    hub: HubClient, enrolled: EnrollReply, ledger: Ledger, *reports: DirectiveReport, agent: AgentInfo = ABLE
) -> list[str]:
    """A heartbeat with these reports; the ids of what the reply asks for."""
    heartbeat = Heartbeat(
        ledger_id=ledger.ledger_id,
        head_seq=ledger.seq,
        rows=1,
        pending=0,
        sent_at=1_790_000_000_000_000,
        agent=agent,
        directives=list(reports),
    )
    headers = bearer(enrolled.credential)
    response = await hub.http.post(f"{API}/heartbeat", json=msgspec.to_builtins(heartbeat), headers=headers)
    assert response.status == 200, await response.text()
    reply = msgspec.json.decode(await response.read(), type=HeartbeatReply)
    return [directive.id for directive in reply.directives]


async def resync(hub: HubClient, host_id: str, **body: Any) -> Any:
    return await hub.http.post(f"{API}/hosts/{host_id}/resync", json=body, headers=await hub.token("admin"))


async def shown(hub: HubClient, host_id: str) -> Any:
    response = await hub.http.get(f"{API}/hosts/{host_id}", headers=await hub.token())
    return await response.json()


async def test_what_an_administrator_asks_for_reaches_the_agent_and_its_progress_is_shown(hub: HubClient) -> None:
    ana, ledger = await pushed(hub)
    response = await resync(hub, ana.host_id)
    assert response.status == 202
    [made] = (await response.json())["directives"]
    assert (made["kind"], made["state"], made["asked_by"]) == ("full_push", "open", "test admin")

    id_ = made["directive_id"]
    assert await beat(hub, ana, ledger) == await beat(hub, ana, ledger) == [id_]
    running = DirectiveReport(id=id_, state="running", done=2, of=8, note="sending")
    assert await beat(hub, ana, ledger, running) == [id_]
    document = await shown(hub, ana.host_id)
    [status] = document["directives"]
    assert (status["state"], status["done"], status["of"], status["note"]) == ("running", 2, 8, "sending")
    [flag] = [flag for flag in document["flags"] if flag["flag"] == "needs_resync"]
    assert "sending, 2 of 8." in flag["reason"]

    assert await beat(hub, ana, ledger, DirectiveReport(id=id_, state="done", note="converged")) == []
    document = await shown(hub, ana.host_id)
    assert document["directives"][0]["state"] == "done"
    assert "full push" not in str(document["flags"])


async def test_a_body_may_be_left_out_and_one_that_is_open_is_given_back(hub: HubClient) -> None:
    ana, _ = await pushed(hub)
    admin, path = await hub.token("admin"), f"{API}/hosts/{ana.host_id}/resync"
    ids = [(await (await hub.http.post(path, headers=admin)).json())["directives"][0]["directive_id"] for _ in "ab"]
    assert ids[0] == ids[1]
    notes = await hub.db.fetch("SELECT actor, subject, detail FROM audit WHERE action = 'host.resync'")
    assert [tuple(note) for note in notes] == [
        ("test admin", ana.host_id, {"kind": "full_push", "directives": ids[:1]})
    ] * 2


async def test_an_agent_of_an_earlier_release_is_not_asked_and_people_are_told(hub: HubClient) -> None:
    ana, ledger = await pushed(hub)
    assert (await resync(hub, ana.host_id, kind="push")).status == 202  # its agent said nothing yet
    old = AgentInfo(version="0.1.0")
    assert await beat(hub, ana, ledger, agent=old) == []
    document = await shown(hub, ana.host_id)
    assert document["directives"][0]["state"] == "given_up"
    assert "too old" in document["directives"][0]["note"]
    detail = (await problem(await resync(hub, ana.host_id), 409, "agent_too_old"))["detail"]
    assert "trueup pg push --full" in detail


async def test_who_may_not_ask_and_what_cannot_be_asked(hub: HubClient) -> None:
    ana, _ = await pushed(hub)
    path = f"{API}/hosts/{ana.host_id}/resync"
    await problem(await hub.http.post(path, json={}, headers=await hub.token()), 403, "forbidden")
    await problem(await hub.http.post(path, json={}, headers=bearer(ana.credential)), 403, "forbidden")
    await problem(await hub.http.post(path, json={}), 401, "unauthorized")
    wrong = await problem(await resync(hub, ana.host_id, kind="reboot"), 400, "unknown_value")
    assert "'reboot'" in wrong["detail"]
    assert wrong["supported"] == ["full_push", "push", "repair", "rescan"]
    await problem(await resync(hub, ana.host_id, knd="push"), 400, "malformed")
    await problem(await resync(hub, ana.host_id, reason="two\x00lines"), 400, "bad_label")
    await problem(await resync(hub, str(uuid4())), 404, "not_found")
    await problem(await resync(hub, "nonsense"), 404, "not_found")
    nothing_yet = await hub.host("bob")
    await problem(await resync(hub, nothing_yet.host_id), 409, "no_ledger")


async def test_a_host_is_retired_by_its_own_field_and_asked_no_more(hub: HubClient) -> None:
    ana, ledger = await pushed(hub)
    await resync(hub, ana.host_id)
    admin, path = await hub.token("admin"), f"{API}/hosts/{ana.host_id}"
    await problem(await hub.http.patch(path, json={"retired": True}, headers=await hub.token()), 403, "forbidden")
    await problem(await hub.http.patch(path, json={"retired": False}, headers=admin), 400, "bad_parameter")
    document = await (await hub.http.patch(path, json={"retired": True}, headers=admin)).json()
    assert (document["state"], document["retired_at"] is None) == ("retired", False)
    assert [(d["state"], d["note"]) for d in document["directives"]] == [("given_up", "The host was retired.")]
    await problem(await resync(hub, ana.host_id), 409, "retired")
    refused = await hub.http.get(f"{API}/ledgers/{ledger.ledger_id}", headers=bearer(ana.credential))
    await problem(refused, 401, "revoked")
    actions = await hub.db.fetch("SELECT action FROM audit WHERE subject = $1 AND action <> 'host.enroll'", ana.host_id)
    assert [row["action"] for row in actions] == ["host.resync", "host.retire"]


async def test_a_forgotten_host_goes_with_all_its_rows_and_its_access(hub: HubClient) -> None:
    ana, ledger = await pushed(hub)
    _, others = await pushed(hub, "bob")
    admin, path = await hub.token("admin"), f"{API}/hosts/{ana.host_id}"
    await problem(await hub.http.delete(path, headers=await hub.token()), 403, "forbidden")
    await problem(await hub.http.delete(f"{API}/hosts/{uuid4()}", headers=admin), 404, "not_found")
    response = await hub.http.delete(path, headers=admin)
    assert (response.status, await response.json()) == (200, {"removed": 1, "left": 0})
    await problem(await hub.http.delete(path, headers=admin), 404, "not_found")
    asked = await hub.http.get(f"{API}/ledgers/{ledger.ledger_id}", headers=bearer(ana.credential))
    await problem(asked, 401, "revoked")
    assert await hub.db.fetchval("SELECT host_no FROM events WHERE counted") == others.host_no


async def test_a_large_host_is_forgotten_piece_by_piece_and_says_so_meanwhile(hub: HubClient, monkeypatch: Any) -> None:
    ana, ledger = await pushed(hub)
    put_events(ledger, range(2, 10))
    await ledger.push()
    monkeypatch.setattr(handler, "_FORGETTING_SECONDS", 0)
    monkeypatch.setattr(handler.forgetting.forget_host, "__defaults__", (4,))
    path = f"{API}/hosts/{ana.host_id}"
    response = await hub.http.delete(path, headers=await hub.token("admin"))
    assert (response.status, await response.json()) == (202, {"removed": 4, "left": 5})
    document = await shown(hub, ana.host_id)
    assert document["state"] == "retired"
    assert document["reason"].startswith("It is being forgotten")
    assert {flag["flag"]: flag["reason"] for flag in document["flags"]} == {
        "forgotten": "It is being forgotten: 5 rows left to remove."
    }
    await problem(await resync(hub, ana.host_id), 409, "forgotten")
    assert await forget_pending(hub.db) == 5


@pytest.mark.parametrize("ended", ["done", "failed"])
async def test_an_open_page_hears_how_far_a_directive_is_with_each_heartbeat(hub: HubClient, ended: Any) -> None:
    ana, ledger = await pushed(hub)
    await beat(hub, ana, ledger)
    assert hub.http.app is not None
    with hub.http.app[LIVE].subscribed() as page:
        [made] = (await (await resync(hub, ana.host_id)).json())["directives"]
        assert page.take() == Update(changed=["hosts"], hosts=[ana.host_id])
        far = ({"state": "running"}, {"state": "running", "done": 5, "of": 9}, {"state": "running", "done": 6, "of": 9})
        for report in (*far, {"state": ended, "done": 9, "of": 9}):
            told = DirectiveReport(id=made["directive_id"], **report)
            await beat(hub, ana, ledger, told)
            assert page.take() == Update(changed=["hosts"], hosts=[ana.host_id]), report
            [now] = (await shown(hub, ana.host_id))["directives"]
            assert {name: now[name] for name in report} == report
            await beat(hub, ana, ledger, told)
            assert page.take() == Update(changed=[], hosts=[]), report  # nothing new


async def test_an_open_page_hears_that_a_host_is_retired_or_forgotten(hub: HubClient) -> None:
    ana, _ = await pushed(hub)
    assert hub.http.app is not None
    path, headers = f"{API}/hosts/{ana.host_id}", await hub.token("admin")
    with hub.http.app[LIVE].subscribed() as page:
        assert (await hub.http.patch(path, json={"retired": True}, headers=headers)).status == 200
        assert page.take() == Update(changed=["hosts"], hosts=[ana.host_id])
        assert (await hub.http.delete(path, headers=headers)).status == 200
        assert page.take() == Update(changed=["hosts", "usage"], hosts=[ana.host_id])


async def test_a_withheld_field_and_an_update_of_the_agent_show_at_once(hub: HubClient) -> None:
    ana, ledger = await pushed(hub)
    await beat(hub, ana, ledger, agent=AgentInfo(version="0.1.0"))
    await beat(hub, ana, ledger)  # within 30 seconds
    document = await shown(hub, ana.host_id)
    assert document["ledgers"][0]["agent"]["features"] == ["directives"]
