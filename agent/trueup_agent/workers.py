"""Parser processes for a large backlog: one per spare core, with nothing but the parsers in memory.

A job goes to a worker's stdin, its updates come back on its stdout. Pipes are small, so a worker is never far ahead of
the ledger. parser_process.py is their side.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from trueup_agent.errors import WorkerDied
from trueup_agent.ledger.updates import SourceUpdate
from trueup_agent.parser_process import LENGTH_BYTES, framed
from trueup_agent.reading import Job

# The ledger is written by one process: more parsers than this only wait for it.
MOST_WORKERS = 4
# Jobs that wait in the pipe of a worker, lest it has nothing to do while the ledger is busy with what it sent.
JOBS_AHEAD = 32

_STREAM_BYTES = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
_decode_update = msgspec.msgpack.Decoder(SourceUpdate).decode

Deliver = Callable[[SourceUpdate], Awaitable[None]]


def worker_count() -> int:
    """One core is for the process that writes; 0 where there is only one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores - 1, MOST_WORKERS)


async def parse(jobs: Sequence[Job], workers: int, deliver: Deliver) -> None:
    """Hand every update to `deliver`, those of one job in order. Raises WorkerDied."""
    waiting = deque(jobs)
    async with asyncio.TaskGroup() as tasks:
        for number in range(min(workers, len(jobs))):
            tasks.create_task(_run_worker(waiting, deliver), name=f"parser {number}")


async def _run_worker(waiting: deque[Job], deliver: Deliver) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "trueup_agent.parser_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_STREAM_BYTES,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ahead = 0
    try:
        while waiting or ahead:
            while waiting and ahead < JOBS_AHEAD:
                process.stdin.write(framed(_encode(waiting.popleft())))
                ahead += 1
            while update := await _read_message(process.stdout):
                await deliver(_decode_update(update))
            ahead -= 1
        process.stdin.close()
        await process.wait()
    except (asyncio.IncompleteReadError, ConnectionError):
        status = await process.wait()
        raise WorkerDied(f"a parser process ended with status {status}: scan again, the rest is still there") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read_message(stream: asyncio.StreamReader) -> bytes:
    return await stream.readexactly(int.from_bytes(await stream.readexactly(LENGTH_BYTES), "big"))
