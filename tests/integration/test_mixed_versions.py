"""Agents and hubs of several releases side by side: everybody's numbers count, nobody is blocked, and it is said.

Other releases are stood in for by what they send: release 0.1.0 as it was recorded, a later one as it may be.
"""

import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_process import trueup
from hub_process import Hub
from ledgers import event, event_key
from machine import Machine as Sender
from other_hubs import hub_before, hub_to_come, recorded, unpacked
from processes import environment
from pushing import events_at, machine, port_of
from trueup_agent.errors import HubTooOld
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.forever import Pusher
from trueup_agent.push.full import FullPush
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all
from trueup_shared import wire

BEFORE, LATER = recorded("release-0.1.0"), recorded("later")


class Other:
    """An agent of another release: sends recorded documents as a host of its own."""

    def __init__(self, hub: Hub, sender: Sender) -> None:
        self._hub, self._sender = hub, sender
        self.ledger_id = str(uuid.uuid4())

    @classmethod
    async def of(cls, hub: Hub, label: str) -> "Other":
        return cls(hub, await hub.machine(label))

    async def batch(self, text: str, status: int = 200) -> dict[str, Any]:
        return await self._post(f"ledgers/{self.ledger_id}/batches", bytes.fromhex(text), status)

    async def heartbeat(self, text: str) -> dict[str, Any]:
        heartbeat = unpacked(text) | {"ledger_id": self.ledger_id, "sent_at": time.time_ns() // 1000}
        return await self._post("heartbeat", msgspec.msgpack.encode(heartbeat), 200)

    async def _post(self, route: str, body: bytes, status: int) -> dict[str, Any]:
        packed = self._sender._headers | {"Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}
        async with self._hub.http.post(f"{self._hub.url}/api/v1/{route}", data=body, headers=packed) as reply:
            content = await reply.read()
            assert reply.status == status, content
            decode = msgspec.msgpack.decode if status == 200 else msgspec.json.decode
            document: dict[str, Any] = decode(content)
            return document


async def flags(hub: Hub) -> dict[str, dict[str, str]]:
    """By host: flag -> why and what to do."""
    hosts = (await hub.get("trust"))["hosts"]
    return {h["label"]: {f["flag"]: f"{f['reason']} {f['action']}" for f in h["flags"]} for h in hosts}


async def test_an_agent_of_the_release_before_gets_what_it_understands_and_is_asked_nothing(hub: Hub) -> None:
    ana = await Other.of(hub, "ana")
    receipt = await ana.batch(BEFORE["batch"])
    reply = await ana.heartbeat(BEFORE["heartbeat"])
    position = reply["position"]
    for said, name in ((receipt, "receipt"), (reply, "heartbeat reply"), (position, "position")):
        assert unpacked(BEFORE[name]).keys() <= said.keys()
    same = ("batch_id", "batch_no", "acked_seq", "digest", "verdict", "inserted", "rejected", "directives")
    assert {n: receipt[n] for n in same} == {n: unpacked(BEFORE["receipt"])[n] for n in same}
    assert (position["digest"], position["state"]) == (receipt["digest"], "converged")
    assert reply["directives"] == []
    assert "older_agent" in (await flags(hub))["ana"]
    assert "needs_resync" not in (await flags(hub))["ana"]


async def test_agents_of_three_releases_push_to_one_hub_and_every_number_counts_once(hub: Hub, tmp_path: Path) -> None:
    before, later = await Other.of(hub, "before"), await Other.of(hub, "later")
    behind, fixed = await hub.machine("behind"), await hub.machine("fixed")
    assert (await before.batch(BEFORE["batch"]))["verdict"] == "converged"
    await before.heartbeat(BEFORE["heartbeat"])
    of_before = await hub.get("analytics/summary", host="before")
    async with machine(hub, tmp_path / "today", "today") as today:
        await today.write(1, 20)
        assert (await today.push()).verdict == "converged"
        # A parser of Codex that counted too much, at a host that was enrolled first; and the one that was mended.
        for sender, version, output in ((behind, 1, 500), (fixed, 2, 300)):
            sender.rows.versions = {"codex": wire.ParserVersion(version, version)}
            await sender.push([(event_key("shared"), event(0, harness="codex", output_tokens=output))])
        receipt = await later.batch(LATER["batch"])
        assert receipt["acked_seq"] == 7
        assert [(row["table"], row["seq"], row["code"]) for row in receipt["rejected"]] == [
            (3, 3, "bad_value"),
            (3, 5, "bad_value"),
            (0, None, "bad_row"),
        ]
        await later.heartbeat(LATER["heartbeat"])

        assert (await hub.get("analytics/summary", host="before"))["totals"] == of_before["totals"], "taken over"
        assert (await hub.get("analytics/summary", host="fixed"))["totals"]["output_tokens"] == 300
        assert (await hub.get("analytics/summary", host="behind"))["coverage"]["output_tokens"]["events"] == 0
        assert await events_at(hub) == 24 + 20 + 1 + 2
        assert await verify(hub.auth.db) == {}

        said = await flags(hub)
        assert {label: sorted(found) for label, found in said.items()} == {
            "before": ["old_data", "older_agent"],
            "behind": ["needs_resync"],
            "fixed": [],
            "later": ["needs_resync", "newer_agent", "rejected", "unknown_versions", "withheld"],
            "today": ["unknown_versions"],  # a made-up harness
        }
        assert "codex by data version 1 (this hub knows 2)" in said["behind"]["needs_resync"]
        assert "Update trueup on this host" in said["behind"]["needs_resync"]
        assert "telepathy" in said["later"]["newer_agent"]
        assert "aider2" in said["later"]["unknown_versions"]
        assert "data version 9 of claude" in said["later"]["unknown_versions"]
        assert "events.27" in said["later"]["withheld"]
        # Everybody goes on.
        await today.write(21, 25)
        assert (await today.push()).verdict == "converged"
    for sender in (behind, fixed):
        await sender.push([(event_key("more"), event(1, output_tokens=1))])


@pytest.mark.parametrize(
    "name, code",
    [
        ("batch of a kind that is not known here", "malformed"),
        ("batch of a digest set that is not known here", "unsupported_digest_set"),
        ("batch of a protocol that is not spoken here", "unsupported_protocol"),
    ],
)
async def test_what_the_hub_cannot_take_at_all_is_refused_in_words_and_blocks_nobody(
    hub: Hub, name: str, code: str
) -> None:
    later, before = await Other.of(hub, "later"), await Other.of(hub, "before")
    problem = await later.batch(LATER[name], 400)
    assert problem["code"] == code
    assert problem["detail"]
    assert (await before.batch(BEFORE["batch"]))["verdict"] == "converged"
    assert (await later.batch(LATER["batch"]))["acked_seq"] == 7


async def test_todays_agent_pushes_to_the_hub_of_the_release_before_as_that_was_pushed_to(
    hub: Hub, tmp_path: Path
) -> None:
    async with hub_before(hub.url) as old, machine(hub, tmp_path / "ana") as ana:
        ana.through(int(old.url.rpartition(":")[2]))
        await ana.write(1, 40)
        result = await ana.push(rows=30)
        assert (result.verdict, result.batches > 2) == ("converged", True)
        await ana.write(41, 45)
        assert (await ana.push()).verdict == "converged"
        assert {batch["kind"] for batch in old.batches()} == {"ordinary"}
        assert {batch["digest_set"] for batch in old.batches()} == {1}

        await hub.auth.db.execute("UPDATE ledgers SET digest = digest + 1")
        result = await ana.push()
        assert result.verdict == "diverged"
        assert result.note is not None
        assert "too old to be repaired: upgrade it" in result.note
        async with HubClient(ana.host.hub_url, ana.host.credential) as client:
            with pytest.raises(HubTooOld, match="too old for a full push: upgrade it"):
                await FullPush(ana.ledger, client, BatchSize()).run(0.0)
        assert {kind for kind, _ in old.heard} == {"receipt"}, "it was asked what it does not know"


async def test_commands_at_a_hub_of_the_release_before_say_in_one_line_what_to_upgrade(
    hub: Hub, tmp_path: Path
) -> None:
    env = environment(tmp_path / "home", tmp_path / "data")
    async with hub_before(hub.url) as old:
        code = await make_enroll_code(hub.auth.db)
        assert (await trueup("agent", "enroll", old.url, "--code", code, env=env)).status == 0
        assert (await trueup("pg", "push", env=env)).status == 0
        for command in (("pg", "push", "--full"), ("pg", "verify"), ("pg", "verify", "--deep")):
            told = await trueup(*command, env=env)
            [line] = told.err.splitlines()
            assert "of an earlier release" in line
            assert "upgrade it" in line
            assert told.status in (1, 3), command


async def test_todays_agent_pushes_repairs_and_confirms_at_a_hub_of_a_release_to_come(hub: Hub, tmp_path: Path) -> None:
    async with hub_to_come(hub.url) as new, machine(hub, tmp_path / "ana") as ana:
        ana.through(int(new.url.rpartition(":")[2]))
        await ana.write(1, 40)
        assert (await ana.push(rows=30)).verdict == "converged"
        await hub.auth.db.execute("UPDATE ledgers SET digest = digest + 1")
        async with HubClient(ana.host.hub_url, ana.host.credential) as client:
            full = await FullPush(ana.ledger, client, BatchSize()).run(0.0)
        assert (full.verdict, full.removed) == ("converged", 0)
        uplink = Uplink(ana.data_dir, AgentSettings(), ana.ledger)
        pushed = await Pusher(ana.ledger, uplink).push()
        await uplink.close()
        assert pushed is not None
        assert pushed.verdict == "converged"
        assert {batch["digest_set"] for batch in new.batches()} == {1}, "the highest that both know"


async def test_a_hub_that_is_upgraded_under_its_agents_gets_everything_without_being_told(
    hub: Hub, tmp_path: Path
) -> None:
    async with machine(hub, tmp_path / "ana") as ana:
        async with hub_before(hub.url) as old:
            ana.through(int(old.url.rpartition(":")[2]))
            await ana.write(1, 40)
            assert (await ana.push()).verdict == "converged"
            await hub.auth.db.execute("DELETE FROM events WHERE output_tokens % 8 = 1")
            await hub.auth.db.execute("UPDATE ledgers SET digest = digest + 1")
            assert (await ana.push()).verdict == "diverged"
        ana.through(port_of(hub))
        async with HubClient(ana.host.hub_url, ana.host.credential) as client:
            assert (await FullPush(ana.ledger, client, BatchSize()).run(0.0)).verdict == "converged"
        await scrub_all(hub.auth.db)  # by itself in a while: rollups know of rows that were deleted by hand
        assert await events_at(hub) == 40
        assert await verify(hub.auth.db) == {}
