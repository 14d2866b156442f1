"""Identity as its owner sees it: what the commands say and do on a machine that was copied, or that lost its ledger."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from agent_process import Home, daemon, trueup, until
from claude_home import loaded
from hub_process import Hub
from identities import remove_ledger
from pushing import events_at
from trueup_agent.collect import scan
from trueup_agent.credential import load_host
from trueup_agent.ledger import Ledger, LedgerReader
from trueup_agent.push.forever import Pusher
from trueup_agent.push.uplink import Uplink
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.ingest.verify import verify


@pytest.fixture
def ana(tmp_path: Path) -> Home:
    return Home(tmp_path / "ana")


async def enrolled(hub: Hub, home: Home) -> None:
    code = await make_enroll_code(hub.auth.db)
    done = await trueup("agent", "enroll", hub.url, "--code", code, env=home.env())
    assert done.status == 0, done.err


async def quietly(home: Home) -> None:
    """Scan and push as `trueup agent run --once` does, without a process; no new id is taken."""
    given = loaded(home.home, home.data_dir)
    ledger = await Ledger.open(home.data_dir, given.agent.policy)
    uplink = Uplink(home.data_dir, given.agent, ledger)
    try:
        await scan(ledger, given)
        result = await Pusher(ledger, uplink).push()
    finally:
        await uplink.close()
        await ledger.close()
    assert result is not None
    assert (result.verdict, result.identity) == ("converged", [])


async def once(home: Home) -> str:
    """`trueup agent run --once`: what it said."""
    done = await trueup("agent", "run", "--once", env=home.env())
    assert (done.status, done.out.splitlines()[-1]) == (0, "converged"), done
    return done.out


def ledger_id(home: Home) -> str:
    with LedgerReader(home.data_dir) as reader:
        return reader.ledger_id()


async def states(hub: Hub) -> dict[str, str]:
    return {host["label"]: host["state"] for host in (await hub.get("hosts"))["hosts"]}


async def host(hub: Hub, home: Home) -> dict[str, Any]:
    known = load_host(home.data_dir)
    assert known is not None
    found: dict[str, Any] = await hub.get(f"hosts/{known.host_id}")
    return found


async def test_a_deleted_ledger_is_made_anew_and_what_only_the_old_one_knew_still_counts_once(
    hub: Hub, ana: Home
) -> None:
    await enrolled(hub, ana)
    ana.append(5)
    first = ana.log
    ana.log = first.with_name("5e551000-0000-4000-8000-0000000000bb.jsonl")
    ana.append(4)
    await quietly(ana)
    before = ledger_id(ana)
    totals = (await hub.get("analytics/summary"))["totals"]

    first.unlink()  # as harnesses do after 30 days
    remove_ledger(ana.data_dir)
    said = await once(ana)
    assert f"new id {ledger_id(ana)} in place of {before}: the ledger file was made anew since this machine" in said
    for _ in range(2):
        assert (await events_at(hub), (await hub.get("analytics/summary"))["totals"]) == (9, totals)
        await supersede_pending(hub.auth.db)
    assert await verify(hub.auth.db) == {}
    found = {one["ledger_id"]: one for one in (await host(hub, ana))["ledgers"]}
    assert (found[before]["state"], found[before]["events"]) == ("superseded", 5)
    assert (await host(hub, ana))["state"] == "converged"
    ana.append()
    await quietly(ana)
    assert await events_at(hub) == 10


async def test_a_clone_is_told_on_the_terminal_and_becomes_a_host_of_its_own_by_rekey(
    hub: Hub, ana: Home, tmp_path: Path
) -> None:
    await enrolled(hub, ana)
    ana.append(3)
    await quietly(ana)
    clone = Home(tmp_path / "clone")
    shutil.copytree(ana.home.parent, clone.home.parent, dirs_exist_ok=True)
    clone.answers = 100
    ana.append(2)
    await quietly(ana)
    clone.append(2)
    said = await once(clone)
    assert f"in place of {ledger_id(ana)}: the hub's last batch" in said
    ana.append()
    await quietly(ana)
    assert await states(hub) == {(await host(hub, ana))["label"]: "forked"}
    assert "trueup agent rekey" in (await host(hub, ana))["action"]
    taken = ledger_id(clone)

    code = await make_enroll_code(hub.auth.db)
    done = await trueup("agent", "rekey", "--code", code, "--json", env=clone.env())
    assert done.status == 0, done.err
    assert done.json["replaces"] == taken
    assert done.json["ledger_id"] == ledger_id(clone)
    assert done.json["host_id"] == (await host(hub, clone))["host_id"] != (await host(hub, ana))["host_id"]
    await quietly(clone)
    assert (await host(hub, clone))["state"] == "converged"
    # What the clone left behind at the other host falls silent, and that host is what it was.
    await hub.auth.db.execute(
        "UPDATE ledgers SET last_batch_at = last_batch_at - interval '1 day', heard_at = heard_at - interval '1 day'"
        " WHERE ledger_id = $1",
        taken,
    )
    ana.append()
    await quietly(ana)
    assert (await host(hub, ana))["state"] == "converged"
    await supersede_pending(hub.auth.db)
    assert await events_at(hub) == 3 + 2 + 2 + 1 + 1
    assert await verify(hub.auth.db) == {}
    shown = await trueup("agent", "status", env=clone.env())
    assert f"new id   {ledger_id(clone)} for {taken} at " in shown.out
    assert shown.out.count("new id ") == 2


async def test_rekey_inside_a_running_daemon_sends_everything_again_and_counts_it_once(hub: Hub, ana: Home) -> None:
    await enrolled(hub, ana)
    ana.append(4)
    async with daemon(ana) as running:
        await until(lambda: _converged(hub, ana), "everything is there")
        before = ledger_id(ana)
        done = await trueup("agent", "rekey", env=ana.env())
        assert done.status == 0, done.err
        assert f"ledger {ledger_id(ana)} (was {before})" in done.out
        assert ledger_id(ana) != before
        await until(lambda: _converged(hub, ana), "everything is there again")
        ana.append()
        await until(lambda: _counts(hub, 5), "what came after")
        status, log = await running.stop()
    assert status == 0
    assert log.count('"new_identity"') == 1
    await supersede_pending(hub.auth.db)
    assert [one["state"] for one in (await host(hub, ana))["ledgers"]] == ["superseded", "converged"]
    assert (await host(hub, ana))["state"] == "converged"
    assert await events_at(hub) == 5


async def _counts(hub: Hub, events: int) -> bool:
    return await events_at(hub) == events


async def _converged(hub: Hub, home: Home) -> bool:
    """The hub has all of the ledger, under the id that it has now."""
    found = {one["ledger_id"]: one for one in (await host(hub, home))["ledgers"]}
    return found.get(ledger_id(home), {}).get("digest") == home.head()[1] != "0" * 32


async def test_rekey_without_a_hub_and_with_a_code_that_is_no_use_changes_only_what_it_says(
    hub: Hub, ana: Home
) -> None:
    ana.append()
    await trueup("agent", "scan", env=ana.env())
    before = ledger_id(ana)
    refused = await trueup("agent", "rekey", "--code", "x", env=ana.env())
    assert (refused.status, ledger_id(ana)) == (1, before)
    assert refused.err.strip() == (
        "trueup: this machine is not enrolled at a hub: run `trueup agent enroll URL --code CODE`"
    )
    done = await trueup("agent", "rekey", "--json", env=ana.env())
    assert (done.status, done.json["replaces"], done.json["host_id"]) == (0, before, None)
    await enrolled(hub, ana)
    kept = load_host(ana.data_dir)
    refused = await trueup("agent", "rekey", "--code", "tue_wrong", env=ana.env())
    assert refused.status == 1
    assert "no such enrolment code" in refused.err
    assert refused.err.count("\n") == 1
    assert (load_host(ana.data_dir), ledger_id(ana)) == (kept, done.json["ledger_id"])
