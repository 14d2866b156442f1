"""`pg push --full` at a real hub: everything is sent and confirmed, the rest removed, wherever it is interrupted."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from damaged import alter, database_of, invent, lose, scrub, stored, unsound
from hub_process import Hub
from ledger_rows import event, update
from pushing import Machine, events_at, machine
from trueup_agent import errors
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.full import FullPush
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.sender import Progress, PushResult
from trueup_shared import keys, wire

pytestmark = pytest.mark.usefixtures("no_long_waits")


@pytest.fixture
async def ana(ana: Machine) -> Machine:
    """120 events and 120 messages in 13 sessions, at the hub."""
    await ana.write(1, 120)
    await ana.push()
    return ana


async def push_full(ana: Machine, client: HubClient | None = None, rows: int = 50, tell: Any = None) -> PushResult:
    size = BatchSize(rows)
    size.limit(rows)
    if client is not None:
        return await FullPush(ana.ledger, client, size, tell).run(0.0)
    async with HubClient(ana.host.hub_url, ana.host.credential) as made:
        return await FullPush(ana.ledger, made, size, tell).run(0.0)


async def is_whole(hub: Hub, ana: Machine, result: PushResult) -> None:
    assert (result.verdict, result.note, result.ledger_digest) == ("converged", None, result.hub_digest)
    assert result.ledger_digest == (await ana.ledger.head()).digest.hex()
    assert await unsound(database_of(hub)) == {}
    assert await scrub(database_of(hub)) == 0


def account(result: PushResult) -> tuple[int, int, int, int]:
    return result.inserted, result.updated, result.unchanged, result.removed


async def damage(hub: Hub) -> tuple[int, int, int, int]:
    """Rows lost, altered and invented; the account that a full push is to give of them."""
    db, seed = database_of(hub), random.Random(3)
    rows = [place for place in await stored(db) if place[0] != keys.SESSIONS]
    chosen = seed.sample(rows, 9)
    for place in chosen[:4]:
        await lose(db, place)
    for place in chosen[4:6]:
        await alter(db, place)
    for place in chosen[6:]:
        await invent(db, place, seed)
    return 4, 2, 253 - 4 - 2, 3


async def test_a_full_push_of_what_is_there_changes_nothing_and_says_so(hub: Hub, ana: Machine) -> None:
    told: list[Progress] = []
    result = await push_full(ana, tell=told.append)
    await is_whole(hub, ana, result)
    assert account(result) == (0, 0, 253, 0)
    assert (result.generation, result.batches, result.repaired_rows, result.corrected) == (1, 6, 0, 0)
    phases = list(dict.fromkeys(at.phase for at in told))
    assert phases == ["Sending everything", "Removing what is not in the ledger"]
    assert (await push_full(ana)).generation == 2


async def test_what_was_lost_altered_or_invented_at_the_hub_is_mended_without_a_scrub(hub: Hub, ana: Machine) -> None:
    expected = await damage(hub)
    result = await push_full(ana)
    await is_whole(hub, ana, result)
    assert account(result) == expected
    assert await events_at(hub) == 120


async def test_ordinary_batches_go_on_while_everything_is_sent(hub: Hub, ana: Machine) -> None:
    written = 200

    async def write(at: Progress) -> None:
        nonlocal written
        await ana.write(written, written)
        written += 1

    kinds: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    def tell(at: Progress) -> None:
        kinds.append(at.phase)
        if at.phase == "Sending everything":
            tasks.append(asyncio.get_running_loop().create_task(write(at)))

    result = await push_full(ana, rows=30, tell=tell)
    await asyncio.gather(*tasks)
    assert result.verdict == "converged"
    assert "Pushing" in kinds[kinds.index("Sending everything") : -1]
    assert result.unchanged >= 253
    await is_whole(hub, ana, await ana.push())
    assert await events_at(hub) == 120 + written - 200


class Stopped(BaseException):
    """The process ends here."""


class Mortal(HubClient):
    """A client that dies just before or just after its nth request has been answered."""

    dies_at = 0
    after = False
    requests = 0

    async def _call(self, *given: Any, **named: Any) -> Any:
        self.requests += 1
        if self.requests == self.dies_at and not self.after:
            raise Stopped
        answer = await super()._call(*given, **named)
        if self.requests == self.dies_at:
            raise Stopped
        return answer


async def test_killed_at_any_request_the_next_run_goes_on_and_its_account_is_of_all(hub: Hub, ana: Machine) -> None:
    """A death after the commit leaves nothing but repairs: the next run is another one."""
    step, over = 0, False
    while not over:
        step += 1
        for after in (False, True):
            expected = await damage(hub)
            async with Mortal(ana.host.hub_url, ana.host.credential) as mortal:
                before = (await mortal.position(ana.ledger.ledger_id)).generation
                mortal.dies_at, mortal.after = mortal.requests + step, after
                with contextlib.suppress(Stopped):
                    await push_full(ana, mortal, rows=150)
                    over = True
                mortal.dies_at = 0
                committed = (await mortal.position(ana.ledger.ledger_id)).generation > before
            result = await push_full(ana, rows=150)
            assert (result.verdict, result.ledger_digest) == ("converged", result.hub_digest)
            updated = account(result)[1]
            assert updated in ((0, 2) if committed else (2,))  # died before or after it repaired what was altered
            assert account(result) == ((0, updated, 253 - updated, 0) if committed else expected)
    assert step > 6  # a position, the opening, two full batches, the commit, a position, the repair
    await is_whole(hub, ana, result)
    assert await events_at(hub) == 120


async def test_a_lost_answer_to_the_commit_is_asked_for_again(hub: Hub, ana: Machine) -> None:
    class Forgetful(HubClient):
        lost = 0

        async def commit_generation(self, ledger_id: str, number: int, commit: wire.CommitGeneration) -> wire.Committed:
            answer = await super().commit_generation(ledger_id, number, commit)
            self.lost += 1
            if self.lost < 3:
                raise errors.HubUnreachable("cut off")
            return answer

    expected = await damage(hub)
    async with Forgetful(ana.host.hub_url, ana.host.credential) as client:
        result = await push_full(ana, client)
    await is_whole(hub, ana, result)
    assert (account(result), result.generation) == (expected, 1)


async def test_a_commit_that_goes_on_behind_a_cut_connection_is_waited_for(hub: Hub, ana: Machine) -> None:
    class Cut(HubClient):
        asked = 0

        async def open_generation(self, ledger_id: str, opening: wire.OpenGeneration) -> wire.Position:
            if 0 < self.asked < 9:  # as a hub answers that is still at work on the commit
                self.asked += 1
                raise errors.Busy("still at work", 0.01)
            return await super().open_generation(ledger_id, opening)

        async def commit_generation(self, ledger_id: str, number: int, commit: wire.CommitGeneration) -> wire.Committed:
            self.asked += 1
            if self.asked == 1:
                raise errors.HubUnreachable("a proxy waited long enough")
            return await super().commit_generation(ledger_id, number, commit)

    async with Cut(ana.host.hub_url, ana.host.credential) as client:
        with pytest.raises(errors.Busy):
            await push_full(ana, client)
        client.asked = 0
        result = await FullPush(ana.ledger, client, BatchSize()).run(1.0)
    assert client.asked == 10
    await is_whole(hub, ana, result)
    assert (account(result), result.generation) == ((0, 0, 253, 0), 1)


async def test_rows_written_between_two_runs_are_kept(hub: Hub, ana: Machine) -> None:
    async with Mortal(ana.host.hub_url, ana.host.credential) as mortal:
        mortal.dies_at = 4
        with pytest.raises(Stopped):
            await push_full(ana, mortal)
    await ana.write(1, 5, output_tokens=7)  # confirmed, and restated since
    await ana.write(300, 310)
    async with ana.ledger.writer() as writer:
        from trueup_agent.ledger.tables import EVENTS

        await writer.remove(EVENTS, list((await writer.fetch(EVENTS, "events", [event("e9").key])).values()))
    assert (await ana.push()).verdict == "converged"
    result = await push_full(ana)
    await is_whole(hub, ana, result)
    assert result.generation == 1
    assert await events_at(hub) == 120 + 11 - 1


async def test_an_empty_ledger_is_pushed_in_full_too(hub: Hub, tmp_path: Path) -> None:
    async with machine(hub, tmp_path / "ben", "ben") as ben:
        result = await push_full(ben)
        assert (result.verdict, account(result), result.generation) == ("converged", (0, 0, 0, 0), 1)


async def test_an_old_hub_is_told_apart_in_one_line_and_nothing_is_sent(hub: Hub, ana: Machine) -> None:
    class Old(HubClient):
        async def position(self, ledger_id: str) -> wire.Position:
            return msgspec.structs.replace(await super().position(ledger_id), features=[], hub_version="0.3.0")

    async with Old(ana.host.hub_url, ana.host.credential) as client:
        with pytest.raises(errors.HubTooOld, match=r"version 0\.3\.0.+upgrade it") as caught:
            await push_full(ana, client)
    assert "\n" not in str(caught.value)


async def test_rejected_rows_stay_rejected_and_the_rest_is_whole(hub: Hub, ana: Machine) -> None:
    await ana.ledger.write([update(event("bad", "s3", model="a\0b", output_tokens=1))])
    await ana.push()
    result = await push_full(ana)
    await is_whole(hub, ana, result)
    assert (result.rejected, account(result)) == (1, (0, 0, 253, 0))


async def test_a_hub_whose_receipts_never_come_to_the_head_ends_the_push_with_one_line(ana: Machine) -> None:
    class Stuck(HubClient):
        """Says of each batch that it is there, and that it is where it was."""

        sent = 0

        async def send_batch(self, ledger_id: str, body: bytes) -> wire.Receipt:
            receipt = await super().send_batch(ledger_id, body)
            self.sent += 1
            return msgspec.structs.replace(receipt, acked_seq=1)

    await ana.write(121, 130)
    async with Stuck(ana.host.hub_url, ana.host.credential) as client:
        with pytest.raises(errors.Refused, match="does not get on"):
            await asyncio.wait_for(push_full(ana, client, rows=1000), 20)
        assert client.sent < 20
