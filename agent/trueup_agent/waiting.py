"""Waiting for the first of several things: `stop` is always one of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Until one of the events is set, or the time is over."""
    waiting = [asyncio.create_task(event.wait(), name="wait") for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, but give it up when `stop` is set: for what loses nothing when it is cut off."""
    task = asyncio.create_task(work, name="until stop")
    stopping = asyncio.create_task(stop.wait(), name="wait")
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for started in (task, stopping):
            started.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
