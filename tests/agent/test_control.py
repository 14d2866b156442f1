"""agent.sock: one command, its progress, its result or its error."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from trueup_agent import control, errors
from trueup_agent.control import Tell
from trueup_agent.errors import DaemonLost, NoDaemon


class Sum(msgspec.Struct):
    of: list[int]


async def add(body: bytes, tell: Tell) -> int:
    numbers = msgspec.json.decode(body, type=Sum).of
    for number in numbers:
        tell({"at": number})
    return sum(numbers)


async def fail(body: bytes, tell: Tell) -> None:
    raise errors.HubUnreachable("the hub at https://hub.example cannot be reached: no route")


async def stumble(body: bytes, tell: Tell) -> None:
    raise ZeroDivisionError


COMMANDS = {"add": add, "fail": fail, "stumble": stumble}


async def test_a_command_gives_its_progress_and_its_result(tmp_path: Path) -> None:
    told: list[object] = []
    async with control.serve(tmp_path, COMMANDS):
        assert (tmp_path / "agent.sock").stat().st_mode & 0o777 == 0o600
        result = await control.ask(
            tmp_path, "add", Sum([1, 2, 39]), int, lambda raw: told.append(msgspec.json.decode(raw))
        )
    assert result == 42
    assert told == [{"at": 1}, {"at": 2}, {"at": 39}]
    assert not (tmp_path / "agent.sock").exists()


async def test_an_error_arrives_as_the_command_raised_it(tmp_path: Path) -> None:
    async with control.serve(tmp_path, COMMANDS):
        with pytest.raises(errors.HubUnreachable, match="no route"):
            await control.ask(tmp_path, "fail", None, int)
        with pytest.raises(errors.AgentError, match="its log says why"):
            await control.ask(tmp_path, "stumble", None, int)
        with pytest.raises(errors.AgentError, match="of"):
            await control.ask(tmp_path, "add", {"wrong": 1}, int)
        with pytest.raises(DaemonLost, match="does not know 'dance'"):
            await control.ask(tmp_path, "dance", None, int)


async def test_without_a_daemon_or_with_a_dead_ones_socket_there_is_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        await control.ask(tmp_path, "add", Sum([]), int)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "agent.sock"))
    stale.close()
    with pytest.raises(NoDaemon):
        await control.ask(tmp_path, "add", Sum([]), int)
    async with control.serve(tmp_path, COMMANDS):
        assert await control.ask(tmp_path, "add", Sum([7]), int) == 7


async def test_a_path_too_long_for_a_socket_moves_to_a_private_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("a-data-directory-with-a-long-name-" * 3) / ("and-another-one-" * 3)
    deep.mkdir(parents=True)
    path = control.socket_path(deep)
    assert len(str(path)) < 100
    async with control.serve(deep, COMMANDS):
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert await control.ask(deep, "add", Sum([1, 1]), int) == 2
    assert not path.exists()


async def test_who_hangs_up_stops_the_command(tmp_path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def forever(body: bytes, tell: Tell) -> None:
        started.set()
        try:
            while True:
                tell({"still": "here"})
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with control.serve(tmp_path, {"forever": forever}):
        asking = asyncio.create_task(control.ask(tmp_path, "forever", None, int))
        await asyncio.wait_for(started.wait(), 5)
        asking.cancel()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_daemon_that_stops_in_the_middle_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def forever(body: bytes, tell: Tell) -> None:
        started.set()
        await asyncio.sleep(3600)

    async with control.serve(tmp_path, {"forever": forever}):
        asking = asyncio.create_task(control.ask(tmp_path, "forever", None, int))
        await asyncio.wait_for(started.wait(), 5)
    with pytest.raises(DaemonLost, match="run it again"):
        await asking
