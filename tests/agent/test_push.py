"""A push against a real hub: what arrives is what the ledger has, however often and however badly it goes."""

import asyncio
from pathlib import Path

import pytest

from faults.proxy import fault_proxy
from hub_process import Hub
from pushing import Machine, events_at, port_of
from trueup_agent import errors
from trueup_agent.ledger import Ledger
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import PushResult

pytestmark = pytest.mark.usefixtures("no_long_waits")


async def converged(ana: Machine, result: PushResult) -> None:
    head = await ana.ledger.head()
    assert result.verdict == "converged"
    assert result.acked_seq == head.seq
    assert result.ledger_digest == result.hub_digest == head.digest.hex()
    assert result.rejected == 0


async def test_what_is_pending_is_pushed_in_chained_batches_until_hub_and_ledger_agree(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 100)
    first = await ana.push(rows=30)
    await converged(ana, first)
    assert first.inserted == first.rows_sent == 211  # 100 events, 100 messages, 11 sessions
    assert first.batches == 8
    assert first.bytes_sent > 0
    assert await events_at(hub) == 100

    again = await ana.push()
    await converged(ana, again)
    assert (again.batches, again.bytes_sent) == (0, 0)

    await ana.write(100, 100, input_tokens=7)
    await ana.write(101, 101)
    third = await ana.push()
    await converged(ana, third)
    assert (third.updated, third.inserted) == (1, 2)


async def test_an_empty_ledger_is_converged_with_an_empty_hub(hub: Hub, ana: Machine) -> None:
    result = await ana.push()
    await converged(ana, result)
    assert (result.acked_seq, result.batches) == (0, 0)


async def test_a_lost_receipt_is_fetched_again_and_nothing_is_sent_twice(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 50)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        ana.through(proxy.port)
        proxy.cut_batch_replies = 1
        result = await ana.push(rows=30)
        assert proxy.replies_cut == 1
    await converged(ana, result)
    assert result.inserted == 106
    assert await events_at(hub) == 50


async def test_a_batch_cut_in_mid_body_is_sent_again(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 400)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        ana.through(proxy.port)
        proxy.cut_request_after = 4_000
        result = await ana.push()
        assert proxy.cut_request_after is None
    await converged(ana, result)
    assert await events_at(hub) == 400


async def test_a_hub_that_goes_away_in_the_middle_gets_the_rest_when_it_is_back(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 300)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        ana.through(proxy.port)
        proxy.cut_batch_replies = 99
        with pytest.raises(errors.HubUnreachable):
            await ana.push(rows=100)
        proxy.refuse = True
        with pytest.raises(errors.HubUnreachable):
            await ana.push(rows=100)
        proxy.refuse, proxy.cut_batch_replies = False, 0
        await converged(ana, await ana.push(rows=100))
    assert await events_at(hub) == 300


async def test_a_request_that_arrives_after_it_was_given_up_changes_nothing(hub: Hub, ana: Machine) -> None:
    """The hub works on the batch while the agent has already asked again: 429 or 409, and in the end the same."""
    await ana.write(1, 200)
    async with fault_proxy("127.0.0.1", port_of(hub)) as proxy:
        ana.through(proxy.port)
        proxy.delay_batches_seconds = 0.6
        with pytest.raises(errors.HubUnreachable, match="too long"):
            await ana.push(answer_seconds=0.3)
        proxy.delay_batches_seconds = 0.0
        await converged(ana, await ana.push(patience=5))
        assert await events_at(hub) == 200
        await converged(ana, await ana.push())


async def test_two_pushes_at_once_end_in_one_history(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 300)
    results = await asyncio.gather(ana.push(rows=50, patience=5), ana.push(rows=50, patience=5))
    assert {result.verdict for result in results} == {"converged"}
    await converged(ana, await ana.push())
    assert await events_at(hub) == 300


async def test_a_wrong_credential_is_one_clear_line(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 5)
    async with HubClient(hub.url, "trueup1.nonsense") as client:
        with pytest.raises(errors.Unauthorized, match=r"machine's credential: .+; `trueup agent enroll") as caught:
            await client.position(ana.ledger.ledger_id)
    assert "\n" not in str(caught.value)


async def test_a_copy_of_the_ledger_that_pushed_first_is_a_fork_and_nothing_is_sent(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 10)
    await ana.push()
    clone = tmp_path / "clone"
    clone.mkdir()
    await ana.ledger.close()
    (clone / "ledger.db").write_bytes((ana.data_dir / "ledger.db").read_bytes())
    ana.ledger = await Ledger.open(ana.data_dir, ana.ledger.policy)
    await ana.write(11, 20)
    await converged(ana, await ana.push())

    copy = Machine(clone, await Ledger.open(clone, ana.ledger.policy), ana.host)
    try:
        with pytest.raises(errors.Forked, match="a copy of it"):
            await copy.push()
        await copy.write(30, 60)
        with pytest.raises(errors.Forked, match="not sent by this ledger"):
            await copy.push()
    finally:
        await copy.ledger.close()
    assert await events_at(hub) == 20


async def test_a_hub_restored_from_before_the_kept_history_is_caught_up(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 10)
    await ana.push()
    await ana.write(11, 20)
    # The history that we keep begins after the hub's last batch.
    async with ana.ledger.writer() as writer:
        await writer.execute("UPDATE batches SET batch_no = 7, batch_id = ?", [(b"n" * 16,)])
    await converged(ana, await ana.push())
    assert await events_at(hub) == 20
