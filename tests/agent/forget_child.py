"""Forks a process that forgets for each line on stdin, and says its pid. What it is doing stands in a one-byte file.

s: about to begin, t: inside a transaction, c: committed, d: done
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ledger_rows import NOON, POLICY
from trueup_agent.ledger import Ledger, forget, store
from trueup_agent.ledger.forget import Selection
from trueup_agent.ledger.writing import Writer

forget.CHUNK_ROWS = 40
data, state = Path(sys.argv[1]), os.open(sys.argv[2], os.O_RDWR)


def say(what: bytes) -> None:
    os.pwrite(state, what, 0)


class Told(Writer):
    async def begin(self) -> None:
        await super().begin()
        say(b"t")

    async def close(self) -> None:
        await super().close()
        say(b"c")


async def work() -> None:
    told: Any = Told
    store.Writer = told
    ledger = await Ledger.open(data, POLICY)
    say(b"s")
    await forget.forget(ledger, Selection(before=NOON + 900_000_000))
    say(b"d")
    signal.pause()  # every one ends by being killed


for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            asyncio.run(work())
        finally:
            os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
