"""A row that the hub cannot take stops nothing, is shown on both sides, and is tried again when either is upgraded."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from damaged import database_of
from faults.proxy import fault_proxy
from hub_process import Hub
from ledger_rows import event, message, session, update
from pushing import Machine, events_at, machine, port_of
from trueup_agent.errors import NotAHub
from trueup_agent.ledger import LedgerReader
from trueup_agent.ledger.tables import EVENTS
from trueup_agent.push import push, rejections
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.full import FullPush
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import PushResult
from trueup_agent.push.rejections import RejectedRow, still_rejected
from trueup_agent.push.verify import verify as verify_ledger
from trueup_hub.ingest import compare
from trueup_hub.ingest.verify import verify
from trueup_shared import wire

position: Any = sys.modules["trueup_hub.ingest.position"]  # the package has a function of that name

NO = {
    "events": "ALTER TABLE events ADD CONSTRAINT no CHECK (output_tokens <> 666666)",
    "messages": "ALTER TABLE messages ADD CONSTRAINT no CHECK (size_chars <> 666666)",
    "sessions": "ALTER TABLE sessions ADD CONSTRAINT no CHECK (git_branch <> 'poison')",
}
BAD = [
    session("bad", git_branch="poison"),
    message("bad", "bad", size_chars=666_666),
    event("bad", "bad", output_tokens=666_666),
]


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "STALL_SECONDS", 0.01)


@pytest.fixture
async def ana(hub: Hub, tmp_path: Path) -> AsyncIterator[Machine]:
    """90 events and messages in 10 sessions, and three rows that this hub cannot take."""
    for constraint in NO.values():
        await database_of(hub).execute(constraint)
    async with machine(hub, tmp_path / "ana") as made:
        await made.ledger.write([update(*BAD)])
        await made.write(1, 90)
        yield made


async def mend(hub: Hub) -> None:
    for table in NO:
        await database_of(hub).execute(f"ALTER TABLE {table} DROP CONSTRAINT no")


def remembered(ana: Machine) -> list[RejectedRow]:
    with LedgerReader(ana.data_dir) as reader:
        return still_rejected(reader, ana.host.host_id)


async def is_complete(hub: Hub, ana: Machine, result: PushResult) -> None:
    assert (result.verdict, result.hub_digest) == ("converged", result.ledger_digest)
    assert result.rejections == remembered(ana) == []
    assert await database_of(hub).fetchval("SELECT count(*) FROM rejections") == 0
    assert await events_at(hub) == 91
    assert await verify(database_of(hub)) == {}


async def test_both_sides_say_which_rows_and_the_others_count(hub: Hub, ana: Machine) -> None:
    result = await ana.push(rows=50)
    assert (result.verdict, result.rejected, result.inserted) == ("converged", 3, 190)
    assert {(row.table, row.code, row.key) for row in result.rejections} == {
        ("sessions", "failed", BAD[0].key.hex()),
        ("messages", "failed", BAD[1].key.hex()),
        ("events", "failed", BAD[2].key.hex()),
    }
    assert remembered(ana) == result.rejections
    assert await events_at(hub) == 90
    host = await hub.get(f"hosts/{ana.host.host_id}")
    assert "CheckViolationError" in str(host["flags"])
    digests = {row[0] for row in await database_of(hub).fetch("SELECT digest FROM rejections")}
    ours = {row[0] for name in NO for row in await ana.ledger.query(f"SELECT digest FROM {name} WHERE seq <= 3")}
    assert digests == ours
    again = await ana.push()
    assert (again.batches, again.verdict) == (0, "converged")
    assert remembered(ana) == result.rejections


@pytest.mark.parametrize("side", ["agent", "hub"])
async def test_an_upgrade_of_either_side_tries_them_again_once(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    first = await ana.push()
    monkeypatch.setattr(rejections if side == "agent" else position, "__version__", "9.9.9")
    still = await ana.push()
    assert (still.batches, still.repaired_rows, still.verdict) == (1, 3, "converged")
    assert {row.key for row in still.rejections} == {row.key for row in first.rejections}
    assert remembered(ana) == still.rejections
    assert (await ana.push()).batches == 0  # and not at every push

    await mend(hub)
    assert (await ana.push()).batches == 0
    monkeypatch.setattr(rejections if side == "agent" else position, "__version__", "10.0.0")
    await ana.write(90, 90)
    result = await ana.push()
    assert (result.inserted, result.repaired_rows, result.rejected) == (3, 3, 0)
    await is_complete(hub, ana, result)


async def test_what_left_the_ledger_meanwhile_is_no_longer_rejected(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ana.push()
    async with ana.ledger.writer() as writer:
        gone = await writer.fetch(EVENTS, EVENTS.name, [BAD[2].key])
        await writer.remove(EVENTS, list(gone.values()))
    monkeypatch.setattr(position, "__version__", "9.9.9")
    result = await ana.push()
    assert result.verdict == "converged"
    assert {row.table for row in remembered(ana)} == {"sessions", "messages"}
    assert await database_of(hub).fetchval("SELECT rejected FROM ledgers") == 2


async def test_a_row_that_changes_is_tried_again_as_it_is_then(hub: Hub, ana: Machine) -> None:
    await ana.push()
    await mend(hub)
    await ana.ledger.write([update(*(_changed(record) for record in BAD))])
    result = await ana.push()
    assert (result.inserted, result.rejected, result.repaired_rows) == (3, 0, 0)
    await ana.push()
    await is_complete(hub, ana, result)


def _changed(record: object) -> object:
    name = {"SessionRecord": "harness_version", "MessageRecord": "role", "EventRecord": "speed"}[type(record).__name__]
    return structs.replace(record, **{name: "assistant"})  # type: ignore[type-var]


async def test_a_lost_receipt_of_the_retry_changes_nothing(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ana.push()
    await mend(hub)
    monkeypatch.setattr(position, "__version__", "9.9.9")
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        ana.through(proxy.port)
        proxy.cut_batch_replies = 1
        result = await ana.push()
        assert proxy.replies_cut == 1
    await is_complete(hub, ana, result)


async def test_a_hub_that_cannot_be_repaired_is_sent_nothing_twice(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ana.push()
    monkeypatch.setattr(position.wire, "FEATURES", ("directives",))
    monkeypatch.setattr(position, "__version__", "0.0.9")
    result = await ana.push()
    assert (result.batches, result.verdict) == (0, "converged")
    assert {row.code for row in remembered(ana)} == {"failed"}
    assert {row.table for row in remembered(ana)} == set(NO)


async def test_a_full_push_tries_them_again_whatever_the_versions(hub: Hub, ana: Machine) -> None:
    first = await push_full(ana)
    assert (first.verdict, len({row.key for row in first.rejections})) == ("converged", 3)
    assert await events_at(hub) == 90
    again = await push_full(ana)
    assert (again.verdict, again.removed) == ("converged", 0)
    await mend(hub)
    result = await push_full(ana)
    assert (result.verdict, result.inserted) == ("converged", 3)
    await is_complete(hub, ana, await ana.push())


async def push_full(ana: Machine) -> PushResult:
    async with HubClient(ana.host.hub_url, ana.host.credential) as client:
        return await FullPush(ana.ledger, client, BatchSize(50)).run(0.0)


async def test_rejected_rows_come_in_pages_and_all_of_them_are_agreed_or_tried_again(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PAGE", 1)
    asked: list[str] = []

    class Told(HubClient):
        async def buckets(self, ledger_id: str, deep: bool = False, after: str = "") -> wire.Buckets:
            asked.append(after)
            return await super().buckets(ledger_id, deep, after)

    assert (await ana.push()).rejected == 3
    async with Told(ana.host.hub_url, ana.host.credential) as client:
        found = await verify_ledger(ana.data_dir, client, deep=False)
    assert (found.verdict, len(found.rejected)) == ("converged", 3)
    assert len(asked) == 3 and asked[0] == "" and len(set(asked)) == 3
    await mend(hub)
    monkeypatch.setattr(rejections, "_versions", lambda position: "another")
    result = await ana.push()
    assert (result.inserted, result.rejected, result.verdict) == (3, 0, "converged")


async def test_a_hub_that_tells_of_rejected_rows_without_end_is_not_heard_to_the_end(ana: Machine) -> None:
    class Endless(HubClient):
        pages = 0

        async def buckets(self, ledger_id: str, deep: bool = False, after: str = "") -> wire.Buckets:
            self.pages += 1
            told = await super().buckets(ledger_id, deep)
            return structs.replace(told, more=f"3.{self.pages:032x}")

    await ana.push()
    async with Endless(ana.host.hub_url, ana.host.credential) as client:
        with pytest.raises(NotAHub, match="more rejected rows than the 3"):
            await verify_ledger(ana.data_dir, client, deep=False)
    assert client.pages == 1
