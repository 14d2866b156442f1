"""The agent as a process of its own, beside a hub that runs in the test's loop; and logs for it to read."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from claude_lines import answer, prompt
from processes import Result, environment
from trueup_agent.ledger import LedgerReader

AGENT = [sys.executable, "-m", "trueup_agent"]


async def trueup(*args: str | Path, env: dict[str, str], seconds: float = 60) -> Result:
    """Like processes.trueup, without stopping the loop that the hub runs in."""
    process = await asyncio.create_subprocess_exec(
        *AGENT,
        *map(str, args),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


class Home:
    """A user's home with Claude Code's logs, and the data directory of its agent."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.data_dir = folder / "data"
        self.log = self.home / ".claude" / "projects" / "-home-ana-shop" / "5e551000-0000-4000-8000-0000000000aa.jsonl"
        self.answers = 0

    def env(self, **more: str) -> dict[str, str]:
        return environment(self.home, self.data_dir, **more)

    def append(self, answers: int = 1) -> None:
        """Questions and answers at the end of the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            for _ in range(answers):
                self.answers += 1
                n = self.answers
                file.write(prompt(2 * n, 2 * n) + b"\n" + answer(2 * n + 1, 2 * n + 1, message=n, request=n) + b"\n")

    def head(self) -> tuple[int, str]:
        """seq and digest of the ledger."""
        with LedgerReader(self.data_dir) as reader:
            seq, digest, _ = reader.head()
            return seq, digest.hex()


class Daemon:
    """`trueup agent run`, with systemd's end of sd_notify in our hands."""

    def __init__(self, process: asyncio.subprocess.Process, states: "asyncio.Queue[str]") -> None:
        self.process = process
        self._states = states
        self.heard: list[str] = []

    async def hears(self, state: str, seconds: float = 30) -> None:
        """Wait until the daemon tells systemd `state`; or until it is dead, which is an error."""
        dead = asyncio.create_task(self.process.wait())
        while state not in self.heard:
            said = asyncio.create_task(self._states.get())
            done, _ = await asyncio.wait((said, dead), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if said not in done:
                said.cancel()
                raise AssertionError(f"never said {state}: {self.heard}, status {self.process.returncode}")
            self.heard.append(said.result())
        dead.cancel()

    async def ended(self, seconds: float = 10) -> tuple[int, str]:
        """Exit status and what it logged."""
        _, err = await asyncio.wait_for(self.process.communicate(), seconds)
        assert self.process.returncode is not None
        return self.process.returncode, err.decode()

    async def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@contextlib.asynccontextmanager
async def daemon(home: Home, **env: str) -> AsyncIterator[Daemon]:
    """A daemon that has said READY=1; killed at the end if it still lives."""
    address = f"\0trueup-test-{os.getpid()}-{id(home)}"
    states: asyncio.Queue[str] = asyncio.Queue()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        channel.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(channel, lambda: states.put_nowait(channel.recv(4096).decode()))
        process = await asyncio.create_subprocess_exec(
            *AGENT,
            "agent",
            "run",
            env=home.env(NOTIFY_SOCKET="@" + address[1:], WATCHDOG_USEC="200000", **env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        running = Daemon(process, states)
        try:
            await running.hears("READY=1")
            yield running
        finally:
            loop.remove_reader(channel)
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()


async def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Poll a condition, plain or async."""
    async with asyncio.timeout(seconds):
        try:
            while True:
                met = condition()
                if await met if asyncio.iscoroutine(met) else met:
                    return
                await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {what}") from None
