"""Ledgers that were lost, put back or cut off, and hubs likewise: the same totals afterwards, without anyone's help."""

import shutil
from pathlib import Path
from typing import Any

import msgspec

from hub_process import Hub
from identities import LEDGER, booted, copy_data, host_of, push, remove_ledger, tells
from pushing import Machine
from trueup_agent.credential import HOST_FILE, load_host, save_host
from trueup_hub.ingest.superseding import supersede_pending


async def ledgers(hub: Hub, machine: Machine) -> dict[str, dict[str, Any]]:
    return {ledger["ledger_id"]: ledger for ledger in (await host_of(hub, machine))["ledgers"]}


async def test_a_ledger_restored_from_a_backup_loses_nothing_that_the_hub_had(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 20)
    await push(ana)
    backup = copy_data(ana.data_dir, tmp_path / "backup")
    await ana.write(21, 40)
    await push(ana)
    lost = ana.ledger.ledger_id
    async with booted(backup) as restored:
        await restored.write(31, 45)  # the logs of 21 to 30 are gone by now
        [line] = (await push(restored)).identity
        assert "not sent by this ledger" in line
        await tells(hub, range(1, 46))
        assert await supersede_pending(hub.auth.db) > 0
        await tells(hub, range(1, 46))
        found = await ledgers(hub, restored)
        assert found[lost]["state"] == "superseded"
        assert found[lost]["replaced_by"] == restored.ledger.ledger_id
        assert found[lost]["events"] == 10  # 21 to 30: what only it knew
        host = await host_of(hub, restored)
        assert (host["state"], host["reason"]) == ("converged", "The hub has what its ledger has.")
        assert not {flag["flag"] for flag in host["flags"]} & {"needs_resync", "shared_credential"}


async def test_a_ledger_restored_from_before_its_first_push_is_told_from_the_one_that_pushed(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 5)
    backup = copy_data(ana.data_dir, tmp_path / "backup")
    await ana.write(6, 10)
    await push(ana)
    async with booted(backup) as restored:
        assert len((await push(restored)).identity) == 1
        await supersede_pending(hub.auth.db)
        await tells(hub, range(1, 11))


async def test_a_deleted_ledger_is_replaced_by_the_one_made_from_the_logs_that_are_left(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 40)
    await push(ana)
    lost = ana.ledger.ledger_id
    data_dir = copy_data(ana.data_dir, tmp_path / "again")
    remove_ledger(data_dir)
    async with booted(data_dir) as again:
        await again.write(16, 50)  # the logs of 1 to 15 are gone
        [line] = (await push(again)).identity
        assert f"in place of {lost}: the ledger file was made anew" in line
        await tells(hub, range(1, 51))
        await supersede_pending(hub.auth.db)
        await tells(hub, range(1, 51))
        found = await ledgers(hub, again)
        assert (found[lost]["state"], found[lost]["events"]) == ("superseded", 15)
        assert (await host_of(hub, again))["state"] == "converged"
        assert (await push(again)).identity == []
        await again.write(51, 52)
        await push(again)
        await tells(hub, range(1, 53))


async def test_a_ledger_that_was_replaced_and_is_put_back_takes_a_new_id_and_all_it_knew_counts_once(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 20)
    await push(ana)
    old = ana.ledger.ledger_id
    aside = copy_data(ana.data_dir, tmp_path / "aside")
    second = copy_data(ana.data_dir, tmp_path / "second")
    remove_ledger(second)
    async with booted(second) as again:
        await again.write(11, 30)
        await push(again)
        await supersede_pending(hub.auth.db)
        await tells(hub, range(1, 31))
        enrolment = load_host(again.data_dir)
    assert enrolment is not None
    assert enrolment.ledger_id != old
    save_host(aside, enrolment)  # the ledger file alone is put back
    async with booted(aside) as back:
        await back.write(31, 35)
        lines = (await push(back)).identity
        assert ["an older file was put back" in line for line in lines] == [True, True]
        assert back.ledger.replaces == [enrolment.ledger_id, old]
        await supersede_pending(hub.auth.db)
        await tells(hub, range(1, 36))
        host = await host_of(hub, back)
        assert host["state"] == "converged"
        assert {ledger["state"] for ledger in host["ledgers"]} == {"converged", "superseded"}


async def test_an_older_file_of_a_ledger_whose_place_was_taken_takes_nothing_away_that_only_the_hub_has(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 5)
    await push(ana)
    backup = copy_data(ana.data_dir, tmp_path / "backup")
    await ana.write(6, 20)
    await push(ana)
    again = copy_data(ana.data_dir, tmp_path / "again")
    remove_ledger(again)
    async with booted(again) as successor:
        await successor.write(11, 30)  # the logs of 1 to 10 are gone
        await push(successor)
    await supersede_pending(hub.auth.db)
    async with booted(backup) as back:  # with the enrolment of then, which names the ledger of then
        assert len((await push(back)).identity) == 1
        await tells(hub, range(1, 31))
        await supersede_pending(hub.auth.db)
        await tells(hub, range(1, 31))


async def test_a_power_cut_that_loses_the_last_transactions_is_no_fork_and_the_logs_are_read_again(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    """What was sent is on the disk, with all that was committed before it; what was written since may be lost."""
    await ana.write(1, 20)
    await push(ana)
    synced = ana.data_dir.joinpath(f"{LEDGER}-wal").stat().st_size
    await ana.write(21, 40)
    after_the_cut = tmp_path / "cut"
    after_the_cut.mkdir()
    for file in ana.data_dir.glob("*"):
        if file.suffix in (".db", ".db-wal", ".json"):
            shutil.copy(file, after_the_cut / file.name)
    wal = after_the_cut / f"{LEDGER}-wal"
    assert wal.stat().st_size > synced
    with wal.open("r+b") as file:
        file.truncate(synced)
    async with booted(after_the_cut) as cut:
        assert (await cut.ledger.query("SELECT count(*) FROM events"))[0][0] == 20
        await cut.write(21, 45)
        result = await push(cut)
        assert (result.identity, cut.ledger.ledger_id) == ([], ana.ledger.ledger_id)
        await tells(hub, range(1, 46))
        assert (await host_of(hub, cut))["state"] == "converged"


async def test_a_disk_that_lied_about_what_it_had_written_makes_a_fork_that_mends_itself(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 20)
    await push(ana)
    cut_at = copy_data(ana.data_dir, tmp_path / "cut")
    await ana.write(21, 40)
    await push(ana)  # the receipt came, the batch's own record did not survive
    async with booted(cut_at) as cut:
        await cut.write(21, 45)
        assert len((await push(cut)).identity) == 1
        await supersede_pending(hub.auth.db)
        await tells(hub, range(1, 46))
        assert (await host_of(hub, cut))["state"] == "converged"


async def test_an_enrolment_of_an_earlier_release_learns_which_ledger_it_is_used_with(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 5)
    known = load_host(ana.data_dir)
    assert known is not None
    file = ana.data_dir / HOST_FILE
    old = {name: value for name, value in msgspec.json.decode(file.read_bytes()).items() if name != "ledger_id"}
    file.write_bytes(msgspec.json.encode(old))
    assert (await push(ana)).identity == []  # which checks that host.json names the ledger now
    assert ana.ledger.replaces == []
    assert load_host(ana.data_dir) == known
