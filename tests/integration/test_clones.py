"""Machines that were copied: each of them goes on by itself, and what they have in common counts once."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from hub_process import Hub
from identities import booted, copy_data, host_of, push, remove_ledger, tells
from pushing import Machine
from trueup_agent.credential import HOST_FILE
from trueup_agent.errors import Forked
from trueup_agent.push.forever import Pusher
from trueup_agent.push.uplink import Uplink, enroll
from trueup_agent.settings import AgentSettings
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.superseding import supersede_pending

pytestmark = pytest.mark.usefixtures("no_long_waits")


async def test_a_clone_that_comes_second_goes_on_under_an_id_of_its_own(hub: Hub, ana: Machine, tmp_path: Path) -> None:
    await ana.write(1, 20)
    await push(ana)
    async with booted(copy_data(ana.data_dir, tmp_path / "clone")) as clone:
        await ana.write(21, 30)
        assert (await push(ana)).identity == []
        await clone.write(31, 40)
        result = await push(clone)
        [line] = result.identity
        assert clone.ledger.replaces == [ana.ledger.ledger_id] != [clone.ledger.ledger_id]
        assert f"new id {clone.ledger.ledger_id} in place of {ana.ledger.ledger_id}: the hub's last batch" in line
        assert "a copy of it" in line
        await tells(hub, range(1, 41))
        # The first one goes on as it was: nobody is locked out of their own rows.
        await ana.write(41, 45)
        assert (await push(ana)).identity == []
        assert ana.ledger.replaces == []
        await clone.write(46, 50)
        assert (await push(clone)).identity == []
        await tells(hub, range(1, 51))
        host = await host_of(hub, ana)
        assert host["state"] == "forked"
        assert "two machines" in host["reason"].lower()
        assert "rekey" in host["action"]


async def test_a_new_id_waits_for_a_heartbeat_under_the_old_one_that_is_on_its_way(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    """One that came after the new id was heard of would look like a second machine."""
    await ana.write(1, 20)
    await push(ana)
    async with booted(copy_data(ana.data_dir, tmp_path / "clone")) as clone:
        await ana.write(21, 30)
        await push(ana)
        uplink = Uplink(clone.data_dir, AgentSettings(), clone.ledger)
        pusher = Pusher(clone.ledger, uplink)
        async with pusher.naming:  # as while a heartbeat is on its way
            pushing = asyncio.create_task(pusher.push())
            await asyncio.wait([pushing], timeout=0.3)
            assert clone.ledger.ledger_id == ana.ledger.ledger_id
        await pushing
        assert clone.ledger.replaces == [ana.ledger.ledger_id]
        await uplink.close()


async def test_a_machine_that_slept_while_its_clone_took_its_place_comes_back_as_it_was(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 20)
    await push(ana)
    async with booted(copy_data(ana.data_dir, tmp_path / "clone")) as clone:
        await ana.write(21, 30)
        await push(ana)
        await clone.write(31, 40)
        await push(clone)
        assert await supersede_pending(hub.auth.db) > 0
        await tells(hub, range(1, 41))
        await ana.write(41, 45)
        result = await push(ana)
        assert (result.identity, ana.ledger.replaces) == ([], [])
        await tells(hub, range(1, 46))
        assert await supersede_pending(hub.auth.db) == 0
        await tells(hub, range(1, 46))
        assert (await host_of(hub, ana))["state"] == "forked"


async def test_two_clones_at_the_same_change_that_push_at_once_both_arrive(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 20)
    await push(ana)
    async with booted(copy_data(ana.data_dir, tmp_path / "clone")) as clone:
        await ana.write(21, 40)
        await clone.write(31, 50)  # some that the other has too
        results = await asyncio.gather(push(ana), push(clone))
        assert len([line for result in results for line in result.identity]) == 1
        assert ana.ledger.ledger_id != clone.ledger.ledger_id
        await tells(hub, range(1, 51))


async def test_clones_that_have_not_pushed_yet_are_told_apart_by_the_first_batch(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 10)
    async with booted(copy_data(ana.data_dir, tmp_path / "clone")) as clone:
        await clone.write(11, 20)
        assert (await push(clone)).identity == []
        [line] = (await push(ana)).identity
        assert "was not sent by this ledger" in line
        await tells(hub, range(1, 21))


async def test_a_clone_with_nothing_of_its_own_costs_no_second_id_while_it_has_what_the_hub_has(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 10)
    await push(ana)
    async with booted(copy_data(ana.data_dir, tmp_path / "clone")) as clone:
        result = await push(clone)
        assert (result.identity, result.batches) == ([], 0)


async def test_a_golden_image_that_is_booted_many_times_becomes_as_many_ledgers(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 10)
    await push(ana)
    async with contextlib.AsyncExitStack() as stack:
        boots = [
            await stack.enter_async_context(booted(copy_data(ana.data_dir, tmp_path / f"boot{n}"))) for n in range(6)
        ]
        for first in (100, 200):
            for n, one in enumerate(boots):
                await one.write(first + n, first + n)
            await asyncio.gather(*(push(one) for one in boots))
        assert len({one.ledger.ledger_id for one in boots}) == 6
        assert sorted(len(one.ledger.replaces) for one in boots) == [0, 1, 1, 1, 1, 1]
    await supersede_pending(hub.auth.db)
    await tells(hub, [*range(1, 11), *range(100, 106), *range(200, 206)])
    assert (await host_of(hub, ana))["state"] == "forked"


async def test_an_image_without_an_enrolment_makes_a_host_of_every_boot(hub: Hub, ana: Machine, tmp_path: Path) -> None:
    await ana.write(1, 10)
    (ana.data_dir / HOST_FILE).unlink()
    code = await make_enroll_code(hub.auth.db, uses=3)

    async def boot(n: int) -> str:
        data_dir = copy_data(ana.data_dir, tmp_path / f"boot{n}")
        await enroll(data_dir, hub.url, code, ana.ledger.ledger_id, f"boot {n}", None)
        async with booted(data_dir) as one:
            await one.write(100 + n, 100 + n)
            assert (await push(one)).identity == []
            assert (await host_of(hub, one))["state"] == "converged"
            return one.host.host_id

    hosts = await asyncio.gather(*(boot(n) for n in range(3)))
    assert len(set(hosts)) == 3
    await tells(hub, [*range(1, 11), *range(100, 103)])


async def test_forks_that_go_on_and_on_are_an_error_that_says_what_to_do_and_nothing_is_sent(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    """A file that is put back again and again: another id for each time would be without end."""
    await ana.write(1, 10)
    await push(ana)
    backup = copy_data(ana.data_dir, tmp_path / "backup")
    await ana.write(11, 12)
    await push(ana)
    async with booted(copy_data(backup, tmp_path / "again")) as again:
        for n in range(3):
            [_] = (await push(again)).identity
            # Another copy of the file, as it is now, pushes under the id that this one just took.
            async with booted(copy_data(again.data_dir, tmp_path / f"other{n}")) as other:
                await other.write(20 + n, 20 + n)
                assert (await push(other)).identity == []
        before = again.ledger.ledger_id
        with pytest.raises(Forked, match=r"3 times in 24 hours .*trueup agent rekey --code CODE.* Nothing was sent"):
            await push(again)
        assert again.ledger.ledger_id == before
    await tells(hub, [*range(1, 13), *range(20, 23)])


async def test_a_credential_that_was_copied_to_a_machine_with_a_ledger_of_its_own_makes_no_mix(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 10)
    await push(ana)
    data_dir = copy_data(ana.data_dir, tmp_path / "bea")
    remove_ledger(data_dir)
    async with booted(data_dir) as bea:
        await bea.write(11, 20)
        [line] = (await push(bea)).identity
        assert "made anew" in line
        await ana.write(21, 25)
        assert (await push(ana)).identity == []
        await tells(hub, range(1, 26))
        assert (await host_of(hub, ana))["state"] == "forked"
