"""Who asks for much waits longer than who asks for little; who cannot be answered soon is told to come back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from trueup_hub.admission import Turns
from trueup_hub.errors import Busy


class Asking:
    """Callers in front of `turns`; `answered` names whose turn came, in that order."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.answered: list[str] = []
        self._ends: dict[str, list[asyncio.Event]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, who: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._ask(who))
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task

    async def _ask(self, who: str) -> None:
        async with self.turns.turn(who):
            self.answered.append(who)
            end = asyncio.Event()
            self._ends.setdefault(who, []).append(end)
            await end.wait()

    async def end(self, who: str) -> None:
        self._ends[who].pop(0).set()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    made = Asking(Turns(2))
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_next_is_who_has_the_fewest_under_way_and_of_equals_who_waited_longest(asking: Asking) -> None:
    for who in ("ana", "ana", "ana", "ana", "bob", "eva"):
        await asking.ask(who)
    assert asking.answered == ["ana", "ana"]
    assert (asking.turns.running, asking.turns.waiting) == (2, 4)
    await asking.end("ana")
    assert asking.answered[2:] == ["bob"]
    await asking.end("ana")
    assert asking.answered[3:] == ["ana"]
    await asking.end("bob")
    assert asking.answered[4:] == ["eva"]
    await asking.end("eva")
    assert asking.answered[5:] == ["ana"]
    for who in ("ana", "ana"):
        await asking.end(who)
    assert (asking.turns.running, asking.turns.waiting) == (0, 0)


async def test_who_stops_waiting_leaves_the_turn_to_the_next_even_when_it_just_came(asking: Asking) -> None:
    await asking.ask("ana")
    await asking.ask("ana")
    gone, left, last = await asking.ask("bob"), await asking.ask("bob"), await asking.ask("eva")
    gone.cancel()
    await asyncio.sleep(0)
    asking._ends["ana"].pop(0).set()
    await asyncio.sleep(0)  # ana ends, and bob is given the turn …
    left.cancel()  # … at the moment at which he gives up
    for _ in range(5):
        await asyncio.sleep(0)
    assert gone.cancelled() and left.cancelled() and not last.done()
    assert asking.answered == ["ana", "ana", "eva"]
    assert asking.turns.running == 2


async def test_who_waits_too_long_or_asks_for_too_much_is_told_to_come_back(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turns, "PATIENCE", 0.05)
    monkeypatch.setattr(Turns, "MOST_WAITING", 3)
    for _ in range(5):
        await asking.ask("ana")
    with pytest.raises(Busy) as refused:
        async with asking.turns.turn("ana"):
            raise AssertionError
    assert "3 questions of yours" in refused.value.detail
    with pytest.raises(Busy) as late:
        async with asking.turns.turn("bob"):
            raise AssertionError
    assert int(late.value.headers["Retry-After"]) > 0
    assert (asking.turns.running, asking.turns.waiting) == (2, 0)
