"""What was forgotten on the machine goes from the hub, and nothing stale brings it back: not an old request, not an
older hub, not a ledger from before, not another reading.
"""

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from hub_process import Hub, running_hub
from identities import booted, copy_data, database, moved_to, push, tells
from ledger_rows import NOON
from pushing import Machine, machine
from trueup_agent.errors import AgentError
from trueup_agent.ledger import forget
from trueup_agent.ledger.forget import Selection
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.full import FullPush
from trueup_agent.push.hub_client import HubClient
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest.superseding import supersede_pending


async def forget_session(ana: Machine, number: int) -> set[int]:
    """Events of a session of `Machine.write`."""
    found = await forget.forget(ana.ledger, Selection(session=f"s{number}"))
    assert found.events > 0
    return set(range(10 * number, 10 * number + 10))


class Recorded:
    """Every request that carried rows, so that it can come again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self._send = send = HubClient.send_batch

        async def send_batch(client: HubClient, ledger_id: str, body: bytes) -> Any:
            self.sent.append((ledger_id, body))
            return await send(client, ledger_id, body)

        monkeypatch.setattr(HubClient, "send_batch", send_batch)

    async def again(self, ana: Machine, chance: random.Random, most: int) -> None:
        """Some of them once more, in any order; the hub may refuse them."""
        async with HubClient(ana.host.hub_url, ana.host.credential) as client:
            for ledger_id, body in chance.sample(self.sent, min(most, len(self.sent))):
                with contextlib.suppress(AgentError):
                    await self._send(client, ledger_id, body)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_read_pushed_forgotten_and_sent_again_the_hub_has_what_is_not_forgotten(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    requests = Recorded(monkeypatch)
    known: set[int] = set()
    gone: set[int] = set()
    for _ in range(12):
        step = chance.choice(("write", "write", "forget", "before", "push", "full", "stale"))
        first = chance.randrange(1, 60)
        last = first + chance.randrange(15)
        if step == "write":
            await ana.write(first, last)
            known |= set(range(first, last + 1))
        elif step == "forget" and (live := sorted({n // 10 for n in known - gone})):
            session = chance.choice(live)
            gone |= {n for n in known if n // 10 == session}
            await forget.forget(ana.ledger, Selection(session=f"s{session}"))
        elif step == "before":
            before = chance.randrange(20)
            gone |= {n for n in known if n < before}
            await forget.forget(ana.ledger, Selection(before=NOON + before * 1_000_000))
        elif step == "push":
            await push(ana)
            await tells(hub, known - gone)
        elif step == "full":
            await _push_full(ana)
            await tells(hub, known - gone)
        else:
            await requests.again(ana, chance, 3)
    for start in range(0, 80, 20):  # all of it once more, and what is new counts
        await ana.write(start + 1, start + 20)
    known |= set(range(1, 81))
    await push(ana)
    await tells(hub, known - gone)
    await requests.again(ana, chance, 10)
    await tells(hub, known - gone)
    assert (await push(ana)).batches == 0


async def _push_full(ana: Machine) -> None:
    async with HubClient(ana.host.hub_url, ana.host.credential) as client:
        result = await FullPush(ana.ledger, client, BatchSize(25)).run(0.0)
    assert result.verdict == "converged", result


async def test_a_hub_restored_from_before_it_was_forgotten_forgets_again(pg: EmbeddedPg, tmp_path: Path) -> None:
    async with database(pg) as name, contextlib.AsyncExitStack() as stack:
        async with running_hub(pg.url(name), tmp_path / "hub") as hub:
            ana = await stack.enter_async_context(machine(hub, tmp_path / "ana"))
            await ana.write(1, 40)
            await push(ana)
        async with database(pg, template=name) as backup:
            async with running_hub(pg.url(name), tmp_path / "hub") as hub:
                moved_to(ana, hub)
                gone = await forget_session(ana, 1)
                await ana.write(1, 45)
                await push(ana)
                await tells(hub, set(range(1, 46)) - gone)
            async with running_hub(pg.url(backup), tmp_path / "hub") as hub:
                moved_to(ana, hub)
                await tells(hub, range(1, 41))
                await push(ana)
                await tells(hub, set(range(1, 46)) - gone)


@pytest.mark.parametrize("forgotten", ["before its first push", "after it", "when the old one is superseded"])
async def test_a_ledger_that_took_anothers_place_forgets_for_both(
    hub: Hub, ana: Machine, tmp_path: Path, forgotten: str
) -> None:
    await ana.write(1, 40)
    await push(ana)
    backup = copy_data(ana.data_dir, tmp_path / "backup")
    await ana.write(41, 50)
    await push(ana)
    async with booted(backup) as restored:  # an older copy: it goes on under another id
        everything = set(range(1, 51))
        if forgotten == "before its first push":
            everything -= await forget_session(restored, 1)
        await push(restored)
        if forgotten == "after it":
            everything -= await forget_session(restored, 1)
            await push(restored)
        await supersede_pending(hub.auth.db)
        if forgotten == "when the old one is superseded":
            everything -= await forget_session(restored, 1)
        await restored.write(1, 30)
        await push(restored)
        await supersede_pending(hub.auth.db)
        await tells(hub, everything)


async def test_what_one_machine_forgets_another_that_has_it_still_counts(
    hub: Hub, ana: Machine, tmp_path: Path
) -> None:
    await ana.write(1, 30)
    await push(ana)
    async with machine(hub, tmp_path / "bea", "bea") as bea:
        await bea.write(15, 40)
        await push(bea)
        gone = await forget_session(ana, 1)
        await push(ana)
        await tells(hub, set(range(1, 41)) - {n for n in gone if n < 15})
        await forget_session(bea, 1)
        await push(bea)
        await tells(hub, set(range(1, 41)) - gone)
