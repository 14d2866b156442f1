"""What SIGTERM and Ctrl-C do: the first asks to stop, the second ends the process there and then."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopped_by_signals(stop: Callable[[], Any]) -> Iterator[list[int]]:
    """The first SIGTERM or SIGINT calls `stop`; the second ends the process there and then.

    Gives the signals that came, also those that came too late for the loop to call anything.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard: list[int] = []

    def leave(number: int, frame: object) -> None:
        os._exit(128 + number)

    def first() -> None:
        for number in before:
            signal.signal(number, leave)
        stop()

    def hear(number: int, frame: object) -> None:
        heard.append(number)
        loop.call_soon_threadsafe(first)

    for number in before:
        # Not loop.add_signal_handler: Windows has none, and a second signal must work while the loop is stuck.
        signal.signal(number, hear)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, before)  # see start_anew
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_anew(command: list[str]) -> None:
    """Replace this process by a new run of its own command, under the same pid.

    Signals are held back until the new run listens to them: one that came in between would kill it.
    """
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    os.execv(command[0], command)
