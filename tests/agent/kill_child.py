"""Forks a pass over a home for each line on stdin, and says its pid. What it is doing stands in a one-byte file.

s: about to scan, t: inside a transaction, c: committed, d: done
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from claude_home import scan_home
from trueup_agent import collect, workers
from trueup_agent.ledger.writing import Writer

collect.GROUP_ROWS = 20
home, data, state = Path(sys.argv[1]), Path(sys.argv[2]), os.open(sys.argv[3], os.O_RDWR)
if len(sys.argv) > 4:  # a number of parser processes
    collect.BACKLOG_BYTES = 0
    workers.worker_count = lambda: int(sys.argv[4])


def say(what: bytes) -> None:
    os.pwrite(state, what, 0)


class Told(Writer):
    async def begin(self) -> None:
        await super().begin()
        say(b"t")

    async def close(self) -> None:
        await super().close()
        say(b"c")


def child() -> None:
    os.setsid()
    import trueup_agent.ledger.store as store

    told: Any = Told
    store.Writer = told
    say(b"s")
    asyncio.run(scan_home(home, data))
    say(b"d")
    signal.pause()  # every pass ends by being killed


for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            child()
        finally:
            os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
