"""What a hub may ask of a push: smaller batches, patience, another order; and rows that it does not take."""

import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from hub_process import Hub
from ledger_rows import event, update
from pushing import Machine, events_at
from trueup_agent import errors
from trueup_agent.cli.status import gather
from trueup_agent.ledger import LedgerReader
from trueup_agent.push.batches import BatchSize, prepare
from trueup_agent.push.forever import LONGEST_DELAY_SECONDS, Backoff
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import Push
from trueup_agent.push.rejections import still_rejected
from trueup_agent.settings import load
from trueup_shared import wire

pytestmark = pytest.mark.usefixtures("no_long_waits")


class Demanding(HubClient):
    """A client of a real hub that answers some requests itself."""

    body_limit = 1 << 30
    position_limit = 1 << 30
    busy = 0
    seen: tuple[int, ...] = ()

    async def position(self, ledger_id: str) -> wire.Position:
        position = await super().position(ledger_id)
        return msgspec.structs.replace(position, max_body_bytes=self.position_limit)

    async def send_batch(self, ledger_id: str, body: bytes) -> wire.Receipt:
        if len(body) > self.body_limit:
            raise errors.TooLarge("too large")
        if self.busy:
            self.busy -= 1
            raise errors.Busy("busy", 0.01)
        self.seen += (len(body),)
        return await super().send_batch(ledger_id, body)


@pytest.fixture
async def demanding(ana: Machine) -> AsyncIterator[Demanding]:
    async with Demanding(ana.host.hub_url, ana.host.credential) as client:
        yield client


async def test_batches_get_smaller_until_the_hub_takes_them(ana: Machine, demanding: Demanding) -> None:
    await ana.write(1, 300)
    demanding.body_limit = 3_000
    result = await Push(ana.ledger, demanding, BatchSize()).run(patience=0)
    assert result.verdict == "converged"
    assert result.batches > 3
    assert max(demanding.seen) <= 3_000


async def test_batches_fit_the_limit_that_the_hub_states_before_compression(ana: Machine, demanding: Demanding) -> None:
    await ana.write(1, 100)
    demanding.position_limit = 5_000
    result = await Push(ana.ledger, demanding, BatchSize()).run(patience=0)
    assert result.verdict == "converged"
    assert result.batches > 3


async def test_a_limit_below_one_row_is_an_error_and_not_a_loop(ana: Machine, demanding: Demanding) -> None:
    await ana.write(1, 3)
    demanding.position_limit = 100
    with pytest.raises(errors.TooLarge, match="single row"):
        await Push(ana.ledger, demanding, BatchSize()).run(patience=0)


async def test_a_busy_hub_is_waited_for_as_long_as_patience_lasts(ana: Machine, demanding: Demanding) -> None:
    await ana.write(1, 30)
    demanding.busy = 2
    with pytest.raises(errors.Busy):
        await Push(ana.ledger, demanding, BatchSize()).run(patience=0)
    assert (await Push(ana.ledger, demanding, BatchSize()).run(patience=1)).verdict == "converged"


async def test_batches_sent_twice_or_out_of_order_change_nothing(hub: Hub, ana: Machine, demanding: Demanding) -> None:
    await ana.write(1, 40)
    at = wire.MAX_BODY_BYTES
    size = BatchSize(50)
    first = await prepare(ana.ledger, size, at, from_seq=0, batch_no=1, previous=None)
    second = await prepare(ana.ledger, size, at, from_seq=first.to_seq, batch_no=2, previous=first.batch_id)
    assert first.body is not None
    assert second.body is not None
    await ana.ledger.record_batch(1, first.batch_id, first.from_seq, first.to_seq, "ordinary")
    with pytest.raises(errors.PositionMismatch):
        await demanding.send_batch(ana.ledger.ledger_id, second.body)
    receipt = await demanding.send_batch(ana.ledger.ledger_id, first.body)
    assert await demanding.send_batch(ana.ledger.ledger_id, first.body) == receipt
    result = await ana.push()
    assert result.verdict == "converged"
    with pytest.raises(errors.PositionMismatch):
        await demanding.send_batch(ana.ledger.ledger_id, second.body)
    assert await demanding.send_batch(ana.ledger.ledger_id, first.body) == receipt
    assert await events_at(hub) == 40
    assert (await ana.push()).verdict == "converged"


async def test_a_row_that_the_hub_does_not_take_is_named_until_it_changes(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 5)
    await ana.ledger.write([update(event("bad", model="a\0b", output_tokens=1))])
    result = await ana.push()
    assert (result.verdict, result.rejected) == ("converged", 1)
    bad = event("bad").key.hex()
    assert [(row.table, row.key) for row in result.rejections] == [("events", bad)]
    with LedgerReader(ana.data_dir) as reader:
        [row] = still_rejected(reader, ana.host.host_id)
        assert row.key == bad
    status = await gather(load(ana.data_dir, None, {}))
    assert [row.key for row in status.rejected] == [bad]
    await ana.ledger.write([update(event("bad", model="ab", output_tokens=2))])
    assert (await ana.push()).rejected == 0
    with LedgerReader(ana.data_dir) as reader:
        assert still_rejected(reader, ana.host.host_id) == []
    assert await events_at(hub) == 6


def test_back_off_doubles_with_jitter_up_to_five_minutes_and_starts_over_after_a_success() -> None:
    random.seed(1)
    backoff = Backoff()
    delays = [backoff.next() for _ in range(14)]
    for n, delay in enumerate(delays):
        whole = min(LONGEST_DELAY_SECONDS, 0.5 * 2**n)
        assert whole / 2 <= delay <= whole
    assert backoff.next(at_least=1000) == 1000
    backoff.reset()
    assert backoff.next() <= 0.5
