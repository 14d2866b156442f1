"""`trueup hub serve` on a PostgreSQL of its own and `trueup agent run`, as processes that may be killed."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from agent_process import Home, until
from processes import TRUEUP, environment, free_port
from trueup_agent import control
from trueup_agent.errors import DaemonLost, NoDaemon
from trueup_agent.ledger import LedgerReader
from trueup_hub.running import running_hub

SLOWLY = {"TRUEUP_HEARTBEAT_SECONDS": "1", "TRUEUP_RESCAN_SECONDS": "1"}


class Fleet:
    """`trueup hub serve` on a PostgreSQL of its own, and one `trueup agent run`."""

    def __init__(self, folder: Path) -> None:
        self.hub_dir = folder / "hub data"
        self.env = environment(folder, self.hub_dir)
        self.home = Home(folder / "ana")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.token = ""
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.acked = 0  # the highest change of which a receipt was seen

    async def start_hub(self) -> None:
        await self._start("hub", *TRUEUP, "hub", "serve", "--port", self.url.rpartition(":")[2], env=self.env)
        await until(self._answers, "the hub answers", 60)

    async def start_agent(self) -> None:
        await self._start("agent", *TRUEUP, "agent", "run", env=self.home.env(**SLOWLY))
        await until(self._listens, "the agent listens")

    async def _start(self, name: str, *command: str, env: dict[str, str]) -> None:
        quiet = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL}
        self.processes[name] = await asyncio.create_subprocess_exec(
            *command, env=env, stderr=asyncio.subprocess.DEVNULL, **quiet
        )

    async def _answers(self) -> bool:
        assert self.processes["hub"].returncode is None, "the hub ended by itself"
        async with aiohttp.ClientSession() as http:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{self.url}/readyz") as reply:
                    return reply.status == 200
        return False

    async def _listens(self) -> bool:
        with contextlib.suppress(NoDaemon, DaemonLost):
            await control.ask(self.home.data_dir, "wake", None, type(None))
            return True
        return False

    async def enroll(self) -> None:
        code = await trueup_of(self.env, "hub", "enroll-code")
        self.token = await trueup_of(self.env, "hub", "token", "create", "kills")
        await trueup_of(self.home.env(), "agent", "enroll", self.url, "--code", code)

    async def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{self.url}/api/v1/{path}") as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    def database(self) -> str:
        running = running_hub(self.hub_dir / "hub")
        assert running is not None
        assert running.database_url is not None
        return running.database_url

    async def kill(self, victim: str) -> None:
        """With what depends on it: a hub ends when its PostgreSQL does, and the other way round."""
        if victim == "postgres":
            os.kill(await self.postmaster(), signal.SIGKILL)
        else:
            self.processes[victim].kill()
        process = self.processes["agent" if victim == "agent" else "hub"]
        await asyncio.wait_for(process.wait(), 30)
        await (self.start_agent() if victim == "agent" else self.start_hub())

    async def postmaster(self) -> int:
        connection = await asyncpg.connect(self.database())
        folder = Path(await connection.fetchval("SHOW data_directory"))
        await connection.close()
        return int((folder / "postmaster.pid").read_text().split()[0])

    def note_receipt(self) -> None:
        with LedgerReader(self.home.data_dir) as reader:
            if receipt := reader.meta("last_receipt"):
                self.acked = max(self.acked, msgspec.json.decode(receipt)["acked_seq"])

    async def keeps_what_it_acknowledged(self) -> None:
        [host] = (await self.get("hosts"))["hosts"]
        [ledger] = host["ledgers"]
        assert ledger["acked_seq"] >= self.acked

    async def stop(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 60)


async def trueup_of(env: dict[str, str], *args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *TRUEUP, *args, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, args
    return out.decode().splitlines()[-1]
