"""The child side of workers.py: jobs from stdin, updates to stdout. It loads the parsers and nothing else.

Each message is its length (4 bytes, big-endian) and msgpack; an empty one ends a job.
"""

import gc
import os
import signal
import sys
from typing import BinaryIO

import msgspec

from trueup_agent.reading import Job, Reading

LENGTH_BYTES = 4

_encode = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.msgpack.Decoder(Job).decode


def main() -> None:
    """A worker's life: until its stdin ends. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Records by the thousand and hardly a cycle: the collector would look at them over and over.
    gc.set_threshold(100_000, 20, 20)
    try:
        _work(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(1)  # the parent is gone; leave without a second error on closing stdout


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def _work(jobs: BinaryIO, results: BinaryIO) -> None:
    while length := jobs.read(LENGTH_BYTES):
        for update in Reading(_decode_job(jobs.read(int.from_bytes(length, "big")))).updates():
            results.write(framed(_encode(update)))
        results.write(framed(b""))
        results.flush()


if __name__ == "__main__":
    main()
