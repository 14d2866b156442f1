"""A hub that lost some or all of what it had, or is another one now: its machines fill it again without being told."""

import contextlib
from pathlib import Path

import pytest

from hub_process import running_hub
from identities import database, host_of, moved_to, push, tells
from pushing import machine
from trueup_agent.credential import save_host
from trueup_agent.errors import Unauthorized
from trueup_agent.push.uplink import enroll
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.enrolment import make_enroll_code


async def test_a_hub_restored_from_a_backup_is_caught_up_and_nobody_takes_it_for_a_fork(
    pg: EmbeddedPg, tmp_path: Path
) -> None:
    async with database(pg) as name, contextlib.AsyncExitStack() as stack:
        async with running_hub(pg.url(name), tmp_path / "hub") as hub:
            ana = await stack.enter_async_context(machine(hub, tmp_path / "ana"))
            await ana.write(1, 20)
            await push(ana)
        async with database(pg, template=name) as backup:
            async with running_hub(pg.url(name), tmp_path / "hub") as hub:
                moved_to(ana, hub)
                await ana.write(10, 15, input_tokens=3)
                await ana.write(21, 40)
                await push(ana)
            async with running_hub(pg.url(backup), tmp_path / "hub") as hub:
                moved_to(ana, hub)
                await tells(hub, range(1, 21))
                result = await push(ana)
                assert (result.identity, result.inserted, result.updated) == ([], 42, 6)
                await tells(hub, range(1, 41))
                assert (await host_of(hub, ana))["state"] == "converged"


async def test_a_hub_that_lost_its_database_but_has_its_key_has_the_same_hosts_and_totals_again(
    pg: EmbeddedPg, tmp_path: Path
) -> None:
    async with database(pg) as name, database(pg) as empty, contextlib.AsyncExitStack() as stack:
        async with running_hub(pg.url(name), tmp_path / "hub") as hub:
            machines = [
                await stack.enter_async_context(machine(hub, tmp_path / label, label)) for label in ("ana", "bea")
            ]
            for n, one in enumerate(machines):
                await one.write(1 + 10 * n, 20 + 10 * n)  # 11 to 20 are on both
                await push(one)
            await tells(hub, range(1, 31))
            before = [await host_of(hub, one) for one in machines]
        async with running_hub(pg.url(empty), tmp_path / "hub") as hub:
            for one in reversed(machines):
                moved_to(one, hub)
                assert (await push(one)).identity == []
            await tells(hub, range(1, 31))
            after = [await host_of(hub, one) for one in machines]
            for was, now in zip(before, after, strict=True):
                assert (now["host_id"], now["enrolled_at"], now["state"]) == (
                    was["host_id"],
                    was["enrolled_at"],
                    "converged",
                )
                assert "readmitted" in [flag["flag"] for flag in now["flags"]]
            # Who has what is decided by enrolment, as before, whoever came first this time.
            rows = (await hub.get("analytics/breakdown", by="host"))["rows"]
            assert sorted(row["events"] for row in rows) == [10, 20]


async def test_another_hub_is_filled_by_enrolling_there_and_the_first_keeps_what_it_has(
    pg: EmbeddedPg, tmp_path: Path
) -> None:
    async with database(pg) as one, database(pg) as two, contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_hub(pg.url(one), tmp_path / "first"))
        second = await stack.enter_async_context(running_hub(pg.url(two), tmp_path / "second"))
        ana = await stack.enter_async_context(machine(first, tmp_path / "ana"))
        await ana.write(1, 20)
        await push(ana)
        code = await make_enroll_code(second.auth.db)
        await enroll(ana.data_dir, second.url, code, ana.ledger.ledger_id, "ana", None)
        await ana.write(21, 25)
        result = await push(ana)
        assert (result.identity, result.inserted) == ([], 25 + 25 + 3)
        await tells(second, range(1, 26))
        await tells(first, range(1, 21))
        # And back again: the first one goes on from where it was.
        save_host(ana.data_dir, ana.host)
        assert (await push(ana)).inserted == 10
        await tells(first, range(1, 26))


async def test_another_address_in_the_settings_is_enough_to_fill_the_hub_there(pg: EmbeddedPg, tmp_path: Path) -> None:
    async with database(pg) as one, database(pg) as two, contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_hub(pg.url(one), tmp_path / "first"))
        second = await stack.enter_async_context(running_hub(pg.url(two), tmp_path / "second"))
        ana = await stack.enter_async_context(machine(first, tmp_path / "ana"))
        await ana.write(1, 20)
        await push(ana)
        code = await make_enroll_code(second.auth.db)
        result = await push(ana, hub_url=second.url, enroll_code=code)
        assert (result.identity, result.inserted) == ([], 20 + 20 + 3)
        await tells(second, range(1, 21))
        await tells(first, range(1, 21))


async def test_a_new_name_changes_nothing_and_a_retired_host_keeps_what_it_sent(
    database_url: str, tmp_path: Path
) -> None:
    async with running_hub(database_url, tmp_path / "hub") as hub, machine(hub, tmp_path / "ana") as ana:
        await ana.write(1, 20)
        await push(ana)
        admin = {"Authorization": f"Bearer {await hub.auth.make_token('admin', 'test', None, 'test')}"}
        address = f"{hub.url}/api/v1/hosts/{ana.host.host_id}"
        async with hub.http.patch(address, json={"label": "ana's new name"}, headers=admin) as reply:
            assert reply.status == 200, await reply.text()
        await ana.write(21, 25)
        assert (await push(ana)).inserted == 10
        renamed = await host_of(hub, ana)
        assert (renamed["label"], renamed["state"]) == ("ana's new name", "converged")
        await tells(hub, range(1, 26))
        async with hub.http.patch(address, json={"retired": True}, headers=admin) as reply:
            assert reply.status == 200, await reply.text()
        await ana.write(26, 30)
        with pytest.raises(Unauthorized, match="revoked"):
            await push(ana)
        await tells(hub, range(1, 26))
        retired = await host_of(hub, ana)
        assert (retired["state"], retired["reason"]) == ("retired", "It was retired; what it sent stays and counts.")
        # The machine comes back as another host: what both have counts once, at the one that enrolled first.
        code = await make_enroll_code(hub.auth.db)
        await enroll(ana.data_dir, hub.url, code, ana.ledger.ledger_id, "ana", None)
        await push(ana)
        await tells(hub, range(1, 31))
