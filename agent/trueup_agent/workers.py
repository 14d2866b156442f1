"""Parser processes for a large backlog: one per spare core, with nothing but the parsers in memory.

A job goes to a worker's stdin, its updates come back on stdout, each as a length (4 bytes, big-endian) and msgpack; an
empty message ends a job. Pipes are small, so a worker is never far ahead of the ledger.
"""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO

import msgspec

from trueup_agent.errors import WorkerDied
from trueup_agent.ledger.sources import SourceUpdate
from trueup_agent.reading import Job, Reading

# The ledger is written by one process: more parsers than this only wait for it.
MOST_WORKERS = 4

_LENGTH_BYTES = 4
_STREAM_BYTES = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.msgpack.Decoder(Job).decode
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
        "-c",
        "from trueup_agent.workers import main; main()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_STREAM_BYTES,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while waiting:
            process.stdin.write(_framed(_encode(waiting.popleft())))
            await process.stdin.drain()
            while update := await _read_message(process.stdout):
                await deliver(_decode_update(update))
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
    return await stream.readexactly(int.from_bytes(await stream.readexactly(_LENGTH_BYTES), "big"))


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message


def main() -> None:
    """A worker's life: until its stdin ends. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _work(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone; leave without a second error on closing stdout


def _work(jobs: BinaryIO, results: BinaryIO) -> None:
    while length := jobs.read(_LENGTH_BYTES):
        for update in Reading(_decode_job(jobs.read(int.from_bytes(length, "big")))).updates():
            results.write(_framed(_encode(update)))
        results.write(_framed(b""))
        results.flush()
