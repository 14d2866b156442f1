"""The states and flags of a host, with a real ledger at a real hub: each from what really happened."""

import asyncio
from pathlib import Path
from typing import Any

from agent_process import Home, daemon, until
from hub_process import Hub
from pushing import Machine
from trueup_agent.push.directives import Directives
from trueup_agent.push.forever import Pusher
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.scrub import correct_ledger


async def host(hub: Hub) -> dict[str, Any]:
    """The one host, with its flags by name but for the one that its made-up harness raises."""
    [found] = (await hub.get("hosts"))["hosts"]
    flags = {flag["flag"]: flag["reason"] for flag in found["flags"]}
    assert "fake" in flags.pop("unknown_versions", "fake")
    return found | {"flags": flags}


async def beat(hub: Hub, ana: Machine) -> None:
    """One heartbeat as the daemon sends it."""
    uplink, stop, before = Uplink(ana.data_dir, AgentSettings(), ana.ledger), asyncio.Event(), await _seen(hub)
    beats = Heartbeats(
        ana.ledger, Pusher(ana.ledger, uplink), Directives(ana.ledger, {}), AgentSettings().policy, lambda: None
    )
    beating = asyncio.create_task(beats.heartbeat_forever(3600, stop))

    async def arrived() -> bool:
        return await _seen(hub) != before

    await until(arrived, "the hub hears it")
    stop.set()
    await beating
    await uplink.close()


async def _seen(hub: Hub) -> list[str | None]:
    return [ledger["seen_at"] for ledger in (await host(hub))["ledgers"]]


async def test_a_host_says_what_is_with_its_ledger_from_its_first_day_on(hub: Hub, ana: Machine) -> None:
    assert (await host(hub))["state"] == "never"
    await ana.write(1, 20)
    await ana.push()
    found = await host(hub)
    assert (found["state"], found["flags"]) == ("converged", {})
    await ana.write(21, 22)
    await beat(hub, ana)
    found = await host(hub)
    assert (found["state"], found["flags"]) == ("behind", {})
    assert found["ledgers"][0]["pending"] == (await ana.ledger.head()).seq - found["ledgers"][0]["acked_seq"] > 0
    await ana.push()
    assert (await host(hub))["state"] == "converged"
    await hub.auth.db.execute("UPDATE ledgers SET last_batch_at = last_batch_at - interval '1 h', heard_at = NULL")
    await hub.auth.db.execute("UPDATE host_status SET seen_at = seen_at - interval '1 h'")
    assert (await host(hub))["state"] == "silent"


async def test_rows_altered_at_the_hub_make_it_diverged_until_its_agent_has_mended_them(hub: Hub, ana: Machine) -> None:
    db = hub.auth.db
    await ana.write(1, 20)
    await ana.push()
    await db.execute("UPDATE events SET output_tokens = output_tokens + 1 WHERE output_tokens IN (3, 4)")
    assert (await host(hub))["state"] == "converged"  # nobody has looked yet
    row = await db.fetchrow("SELECT host_no, ledger_no FROM ledgers")
    assert row is not None
    await correct_ledger(db, *row)

    found = await host(hub)
    assert found["state"] == "diverged"
    assert "2 rows altered or lost" in found["flags"]["corrected"]
    assert "not mended yet" in found["flags"]["corrected"]
    assert "still to be sent" in found["flags"]["needs_resync"]
    trust = (await hub.get("trust"))["trust"]
    assert (trust["needs_resync"], trust["complete_up_to"]) == (1, None)

    assert (await ana.push()).verdict == "converged"
    found = await host(hub)
    assert (found["state"], found["flags"].keys()) == ("converged", {"corrected"})
    assert "they were mended by" in found["flags"]["corrected"]
    trust = (await hub.get("trust"))["trust"]
    assert (trust["needs_resync"], trust["complete_up_to"] is None) == (0, False)


async def test_a_resync_that_was_asked_for_over_the_api_is_done_once_by_the_running_agent(
    hub: Hub, tmp_path: Path
) -> None:
    home = Home(tmp_path / "ana")
    home.append(3)
    env = {"TRUEUP_HUB_URL": hub.url, "TRUEUP_ENROLL_CODE": await make_enroll_code(hub.auth.db)}
    admin = {"Authorization": f"Bearer {await hub.auth.make_token('admin', 'ana', None, 'test')}"}

    async def shown() -> dict[str, Any]:
        hosts = (await hub.get("hosts"))["hosts"]
        return await hub.get(f"hosts/{hosts[0]['host_id']}") if hosts else {"state": "none"}

    async def converged() -> bool:
        return (await shown())["state"] == "converged"

    async def done() -> bool:
        [directive] = (await shown())["directives"]
        assert directive["state"] not in ("failed", "given_up"), directive
        return bool(directive["state"] == "done")

    async with daemon(home, TRUEUP_HEARTBEAT_SECONDS="1", **env):
        await until(converged, "everything is there")
        path = f"{hub.url}/api/v1/hosts/{(await shown())['host_id']}/resync"
        for _ in range(2):  # pressed twice
            async with hub.http.post(path, headers=admin) as response:
                assert response.status == 202
        await until(done, "it is done")
        # The hub forgets that, as if restored from a backup: it asks again, and the agent says again how it ended.
        await hub.auth.db.execute("UPDATE directives SET state = 'open'")
        await until(done, "the agent says so again")
    [ledger] = (await shown())["ledgers"]
    assert (ledger["generation"], ledger["open_generation"], ledger["state"]) == (1, 0, "converged")
