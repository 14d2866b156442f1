"""A later release adds a field, and with it digest set 2: agents and hubs of both releases go on, in every order.

The made-up releases: the earlier one knew events up to field 25, in set 1; the later one adds 26, flags, in set 2.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub_process import Hub
from ledger_rows import recomputed
from pushing import Machine, machine
from trueup_agent.errors import ProtocolMismatch, PushError
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.directives import Directives
from trueup_agent.push.forever import Pusher
from trueup_agent.push.full import FullPush
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub import versions
from trueup_hub.ingest import decode, redigest
from trueup_hub.ingest.digests import recompute_digest
from trueup_hub.ingest.verify import verify
from trueup_shared import digest_sets, keys

EARLIER = {1: {keys.SESSIONS: 9, keys.MESSAGES: 10, keys.EVENTS: 25}}
BOTH = EARLIER | {2: EARLIER[1] | {keys.EVENTS: 26}}
FAR_AHEAD = 3_900_000_000_000_000  # flagged as ahead of the clock


@pytest.fixture(autouse=True)
def later_release(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(digest_sets, "FIELD_SETS", BOTH)
    versions.stated.cache_clear()  # it remembers what agents lack by the sets of its release
    yield
    versions.stated.cache_clear()


@contextmanager
def hub_of(lowest: int, highest: int) -> Iterator[None]:
    """The hub is of a release that knows these sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys.modules["trueup_hub.ingest.position"], "digest_sets", SimpleNamespace(known=lambda: (lowest, highest))
        )
        yield


@pytest.fixture
async def ana(hub: Hub, tmp_path: Path) -> AsyncIterator[Machine]:
    async with machine(hub, tmp_path / "ana") as made:
        await made.write(1, 30)
        await made.write(31, 33, at=FAR_AHEAD)
        yield made


async def flags(hub: Hub) -> int:
    """Events whose flags the hub has."""
    return int(await hub.auth.db.fetchval("SELECT count(flags) FROM events"))


async def assert_in_sync(hub: Hub, made: Machine, digest_set: int) -> None:
    db, head = hub.auth.db, await made.ledger.head()
    assert made.ledger.policy.digest_set == digest_set
    assert (head.digest, head.rows) == recomputed(made.ledger.path, made.ledger.policy)
    row = await db.fetchrow("SELECT * FROM ledgers")
    assert (row["digest_set"], row["verdict"]) == (digest_set, "converged")
    found = await recompute_digest(db, row["host_no"], row["ledger_no"])
    assert found.faithful
    assert keys.digest_bytes(found.digest) == head.digest
    assert await verify(db) == {}


async def test_a_field_that_the_hub_does_not_know_is_withheld_until_it_does(hub: Hub, ana: Machine) -> None:
    with hub_of(1, 1):
        result = await ana.push()
        assert result.verdict == "converged"
        await assert_in_sync(hub, ana, 1)
        assert await flags(hub) == 0
        assert digest_sets.withheld(ana.ledger.policy.digest_set) == ["events.26"]
        assert (await ana.push()).batches == 0
    before = (await ana.ledger.head()).seq
    with hub_of(1, 2):
        result = await ana.push()
        assert (result.verdict, result.rows_sent, result.updated) == ("converged", 3, 3)
        assert (await ana.ledger.head()).seq == before + 3
        await assert_in_sync(hub, ana, 2)
        assert await flags(hub) == 3
        assert digest_sets.withheld(ana.ledger.policy.digest_set) == []
        assert (await ana.push()).batches == 0
    with hub_of(1, 1):  # the hub's owner went back to the release before
        assert (await ana.push()).rows_sent == 3
        await assert_in_sync(hub, ana, 1)


async def test_the_host_says_what_is_withheld_and_an_idle_agent_notices_that_the_hub_was_upgraded(
    hub: Hub, ana: Machine
) -> None:
    uplink = Uplink(ana.data_dir, AgentSettings(), ana.ledger)
    pusher = Pusher(ana.ledger, uplink)
    beats = Heartbeats(ana.ledger, pusher, Directives(ana.ledger, {}), Policy(), lambda: None)
    with hub_of(1, 1):
        await pusher.push()
        await beats._beat([])
        assert not pusher._news.is_set()
        [host] = (await hub.get("trust"))["hosts"]
        [withheld] = [flag for flag in host["flags"] if flag["flag"] == "withheld"]
        assert "events.26" in withheld["reason"]
        assert "Update the hub" in withheld["action"]
    with hub_of(1, 2):
        await beats._beat([])
        assert pusher._news.is_set()
        await pusher.push()
        pusher._news.clear()
        await beats._beat([])
        assert not pusher._news.is_set()
        [host] = (await hub.get("trust"))["hosts"]
        assert "withheld" not in [flag["flag"] for flag in host["flags"]]
    await uplink.close()


async def test_where_no_row_has_the_field_one_empty_batch_tells_the_hub(hub: Hub, tmp_path: Path) -> None:
    async with machine(hub, tmp_path / "bo", "bo") as bo:
        await bo.write(1, 30)
        with hub_of(1, 1):
            await bo.push()
        seq = (await bo.ledger.head()).seq
        with hub_of(1, 2):
            result = await bo.push()
            assert (result.verdict, result.batches, result.rows_sent) == ("converged", 1, 0)
            assert (await bo.ledger.head()).seq == seq
            await assert_in_sync(hub, bo, 2)


async def test_a_full_push_over_a_change_of_set_confirms_every_row(hub: Hub, ana: Machine) -> None:
    with hub_of(1, 1):
        await ana.push()
    with hub_of(1, 2):
        async with HubClient(ana.host.hub_url, ana.host.credential) as client:
            result = await FullPush(ana.ledger, client, BatchSize(20)).run(0.0)
        assert (result.verdict, result.removed, result.inserted) == ("converged", 0, 0)
        await assert_in_sync(hub, ana, 2)


async def test_an_agent_that_begins_with_a_newer_hub_uses_the_newest_at_once(hub: Hub, ana: Machine) -> None:
    with hub_of(2, 2):
        assert (await ana.push(rows=10)).verdict == "converged"
        await assert_in_sync(hub, ana, 2)
        assert await flags(hub) == 3


@pytest.mark.parametrize(
    "sets, older", [((3, 4), "upgrade this agent"), ((0, 0), "upgrade the hub")], ids=["newer hub", "older hub"]
)
async def test_without_a_common_set_nothing_is_sent_and_one_line_says_whom_to_upgrade(
    hub: Hub, ana: Machine, sets: tuple[int, int], older: str
) -> None:
    with hub_of(*sets), pytest.raises(ProtocolMismatch, match=f"digest sets {sets[0]} to {sets[1]}.*{older}") as failed:
        await ana.push()
    assert "\n" not in str(failed.value)
    assert await hub.auth.db.fetchval("SELECT count(*) FROM batches") == 0


async def test_rows_that_were_rejected_come_again_in_the_new_set(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their digests were of the old one, and the hub does not keep their bytes."""

    def fault(body: Any) -> str | None:
        return "not this one" if body.session_id == "s1" else None

    monkeypatch.setattr(decode, "_session_fault", fault)
    with hub_of(1, 1):
        result = await ana.push()
        assert (result.verdict, result.rejected) == ("converged", 1)
    with hub_of(1, 2):
        result = await ana.push()
        assert result.verdict == "converged"
        assert await hub.auth.db.fetchval("SELECT rejected FROM ledgers") == 1


async def test_a_change_that_was_interrupted_is_made_whole_by_the_next_push(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_of(1, 1):
        await ana.push()
    write = redigest.write_digests
    with hub_of(1, 2):
        with monkeypatch.context() as patch:

            async def fail(*rows: Any) -> None:
                await write(*rows)
                raise OSError("cut")

            patch.setattr(redigest, "write_digests", fail)
            with pytest.raises(PushError):
                await ana.push()
        assert await hub.auth.db.fetchval("SELECT digest_set FROM ledgers") == 1
        assert (await ana.push()).verdict == "converged"
        await assert_in_sync(hub, ana, 2)


async def test_the_ledger_keeps_its_set_and_one_of_a_later_release_is_left_for_the_newest_known(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_of(1, 1):
        await ana.push()
    await ana.ledger.close()
    ana.ledger = await Ledger.open(ana.data_dir, Policy())
    assert ana.ledger.policy.digest_set == 1
    with hub_of(1, 2):
        await ana.push()
    await ana.ledger.close()
    monkeypatch.setattr(digest_sets, "FIELD_SETS", EARLIER)  # trueup was put back to the release before
    ana.ledger = await Ledger.open(ana.data_dir, Policy())
    head = await ana.ledger.head()
    assert (head.digest, head.rows) == recomputed(ana.ledger.path, ana.ledger.policy)
    monkeypatch.setattr(digest_sets, "FIELD_SETS", BOTH)
    with hub_of(1, 1):
        assert (await ana.push()).verdict == "converged"
        await assert_in_sync(hub, ana, 1)
