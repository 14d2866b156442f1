"""A hub whose rows were altered or lost gets back what differs, and nothing else is sent."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from backports import zstd

from damaged import alter, database_of, invent, lose, misremember, scrub, stored, unsound
from hub_process import Hub
from ledger_rows import event, update
from pushing import Machine, events_at
from trueup_agent.push import compare, repair
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.forever import Pusher
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import Push, PushResult
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_shared import keys, wire

pytestmark = pytest.mark.usefixtures("no_long_waits")


@pytest.fixture
async def ana(ana: Machine) -> Machine:
    """120 events and 120 messages in 13 sessions, at the hub."""
    await ana.write(1, 120)
    await ana.push()
    return ana


async def is_mended(hub: Hub, result: PushResult) -> None:
    assert (result.verdict, result.note, result.ledger_digest) == ("converged", None, result.hub_digest)
    assert await unsound(database_of(hub)) == {}
    assert await scrub(database_of(hub)) == 0


async def test_rows_that_the_hub_lost_come_again_and_only_their_session_is_looked_at(hub: Hub, ana: Machine) -> None:
    db = database_of(hub)
    for name in ("e31", "e35"):
        await lose(db, (keys.EVENTS, event(name).key))
    assert (await ana.push()).batches == 0  # running sums prove what was received, not what is there
    assert await scrub(db) == 2
    result = await ana.push()
    await is_mended(hub, result)
    assert (result.inserted, result.repaired_rows, result.batches, result.compare_requests) == (2, 2, 1, 3)
    assert result.compared_bytes < 6_000  # buckets 4 KB, one session of 21 rows
    assert await events_at(hub) == 120


@pytest.mark.parametrize("table", [keys.SESSIONS, keys.MESSAGES, keys.EVENTS])
async def test_altered_rows_of_every_table_are_as_they_were(hub: Hub, ana: Machine, table: int) -> None:
    db = database_of(hub)
    before = (await hub.get("analytics/summary"))["totals"]
    places = [place for place in await stored(db) if place[0] == table][:3]
    for place in places:
        await alter(db, place)
    assert await scrub(db) == 3
    result = await ana.push()
    await is_mended(hub, result)
    assert (result.updated, result.repaired_rows) == (3, 3)
    assert (await hub.get("analytics/summary"))["totals"] == before


async def test_rows_that_were_never_sent_are_deleted(hub: Hub, ana: Machine) -> None:
    db = database_of(hub)
    places = [place for place in await stored(db) if place[0] != keys.SESSIONS]
    for place in random.Random(1).sample(places, 4):
        await invent(db, place, random.Random(place[1]))
    assert await scrub(db) > 0
    result = await ana.push()
    await is_mended(hub, result)
    assert (result.removed, result.repaired_rows) == (4, 4)
    assert await events_at(hub) == 120


async def test_a_wrong_digest_of_a_right_row_is_set_right_by_the_scrub_alone(hub: Hub, ana: Machine) -> None:
    db = database_of(hub)
    await misremember(db, (keys.EVENTS, event("e7").key))
    assert await scrub(db) == 1
    result = await ana.push()
    await is_mended(hub, result)
    assert result.repaired_rows == 0


async def test_a_hub_that_lost_all_rows_of_a_ledger_gets_all_of_them(hub: Hub, ana: Machine) -> None:
    db = database_of(hub)
    for table in ("events", "messages", "sessions"):
        await db.execute(f"DELETE FROM {table}")
    await scrub(db)
    result = await ana.push(rows=50)
    await is_mended(hub, result)
    assert (result.inserted, result.repaired_rows) == (253, 253)
    assert result.batches == 6


async def test_what_is_too_much_for_one_round_comes_in_several(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of how much differs, memory depends on neither side."""
    monkeypatch.setattr(compare, "GROUP_SESSIONS", 1)
    monkeypatch.setattr(repair, "ENOUGH_ROWS", 30)
    db = database_of(hub)
    for table in ("events", "messages", "sessions"):
        await db.execute(f"DELETE FROM {table}")
    await scrub(db)
    result = await ana.push()
    await is_mended(hub, result)
    assert (result.inserted, result.repaired_rows) == (253, 253)
    assert result.batches > 5


class Watched(HubClient):
    """A client of a real hub that lets things happen while hub and ledger are compared or repaired."""

    old = loses_rows = False
    during_comparison: Callable[[], Awaitable[None]] | None = None

    async def position(self, ledger_id: str) -> wire.Position:
        position = await super().position(ledger_id)
        return msgspec.structs.replace(position, features=[]) if self.old else position

    async def bucket_sessions(self, ledger_id: str, bucket: int, deep: bool = False) -> wire.BucketSessions:
        work, self.during_comparison = self.during_comparison, None
        if work is not None:
            await work()
        return await super().bucket_sessions(ledger_id, bucket, deep)

    async def send_batch(self, ledger_id: str, body: bytes) -> wire.Receipt:
        if self.loses_rows:
            batch = msgspec.msgpack.decode(zstd.decompress(body), type=wire.Batch)
            body = zstd.compress(msgspec.msgpack.encode(msgspec.structs.replace(batch, events=[])))
        return await super().send_batch(ledger_id, body)


@pytest.fixture
async def watched(ana: Machine) -> AsyncIterator[Watched]:
    async with Watched(ana.host.hub_url, ana.host.credential) as client:
        yield client


async def test_a_position_that_moves_in_mid_comparison_begins_it_anew(hub: Hub, ana: Machine, watched: Watched) -> None:
    await lose(database_of(hub), (keys.EVENTS, event("e31").key))
    await scrub(database_of(hub))

    async def another_push() -> None:
        await ana.write(200, 200)
        assert (await ana.push()).repaired_rows == 1

    watched.during_comparison = another_push
    result = await Push(ana.ledger, watched, BatchSize()).run(patience=0)
    await is_mended(hub, result)
    assert result.repaired_rows == 0  # the other one did it
    assert await events_at(hub) == 121


async def test_rows_that_change_while_sums_are_compared_come_in_ordinary_batches(
    hub: Hub, ana: Machine, watched: Watched
) -> None:
    db = database_of(hub)
    for n in (31, 35, 40):
        await lose(db, (keys.EVENTS, event(f"e{n}").key))
    await scrub(db)

    async def go_on() -> None:
        await ana.write(35, 35, output_tokens=99)  # one of the lost ones, in the session of another
        await ana.write(121, 125)

    watched.during_comparison = go_on
    result = await Push(ana.ledger, watched, BatchSize()).run(patience=0)
    await is_mended(hub, result)
    assert (result.repaired_rows, result.inserted) == (2, 3 + 10)
    assert await events_at(hub) == 125


async def test_an_old_hub_is_not_asked_and_one_line_says_why_it_is_not_mended(
    hub: Hub, ana: Machine, watched: Watched
) -> None:
    await lose(database_of(hub), (keys.EVENTS, event("e31").key))
    await scrub(database_of(hub))
    watched.old = True
    await ana.write(200, 210)
    result = await Push(ana.ledger, watched, BatchSize()).run(patience=0)
    assert (result.verdict, result.inserted, result.compare_requests) == ("diverged", 24, 0)
    assert result.note is not None
    assert "too old to be repaired" in result.note


async def test_what_differs_again_after_two_repairs_is_left_with_a_line_that_says_so(
    hub: Hub, ana: Machine, watched: Watched
) -> None:
    await lose(database_of(hub), (keys.EVENTS, event("e31").key))
    await scrub(database_of(hub))
    watched.loses_rows = True
    result = await Push(ana.ledger, watched, BatchSize()).run(patience=0)
    assert (result.verdict, result.batches) == ("diverged", 2)
    assert "pg verify" in (result.note or "")
    await is_mended(hub, await ana.push())


async def test_sums_that_are_wrong_without_any_row_are_left_to_the_hub_and_not_compared_all_the_time(
    hub: Hub, ana: Machine
) -> None:
    db = database_of(hub)
    await db.execute("UPDATE ledgers SET digest = digest + 1")
    uplink = Uplink(ana.data_dir, AgentSettings(), ana.ledger)
    pusher = Pusher(ana.ledger, uplink)
    compared = []
    for insist in (False, False, True, False):
        result = await pusher.push(insist=insist)
        assert result is not None
        assert (result.verdict, result.batches) == ("diverged", 0)
        compared.append(result.compare_requests)
    assert compared == [1, 0, 1, 0]
    assert "no row differs" in ((await ana.push()).note or "")
    await scrub(db)
    mended = await pusher.push(insist=False)
    assert mended is not None
    assert mended.verdict == "converged"
    await uplink.close()


async def test_rejected_rows_are_no_difference_and_others_are_mended_around_them(hub: Hub, ana: Machine) -> None:
    await ana.ledger.write([update(event("bad", "s3", model="a\0b", output_tokens=1))])
    assert (await ana.push()).verdict == "converged"
    await lose(database_of(hub), (keys.EVENTS, event("e31").key))
    await scrub(database_of(hub))
    result = await ana.push()
    await is_mended(hub, result)
    assert (result.repaired_rows, result.rejected) == (1, 0)


async def test_a_rejection_that_is_not_of_the_ledgers_row_is_settled_by_sending_the_row(hub: Hub, ana: Machine) -> None:
    db = database_of(hub)
    await ana.ledger.write([update(event("bad", "s3", model="a\0b", output_tokens=1))])
    await ana.push()
    await db.execute("UPDATE rejections SET digest = gen_random_uuid()")
    await scrub(db)
    result = await ana.push()
    await is_mended(hub, result)
    assert (result.repaired_rows, result.rejected) == (1, 1)
    await db.execute("UPDATE rejections SET row_key = gen_random_uuid(), key_known = false")
    await scrub(db)
    await is_mended(hub, await ana.push())
