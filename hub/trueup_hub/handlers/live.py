"""Server-sent events: `hub.update` says what changed, so that an open page asks again for what it shows."""

import asyncio
import time

import msgspec
from aiohttp import web

from trueup_hub.errors import HubError
from trueup_hub.keys import LIVE, STOPPING
from trueup_hub.live import GAP_SECONDS
from trueup_hub.middleware import caller_of

KEEP_ALIVE_SECONDS = 15.0  # also how soon a page that went away is noticed


async def get_events(request: web.Request) -> web.StreamResponse:
    """Hear what changes, as server-sent events: the data of each `hub.update` is an Update.

    The stream ends when its reader goes, its access ends or the hub stops; browsers connect again by themselves.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    stopping = request.app[STOPPING]
    with request.app[LIVE].subscribed() as subscription:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        checked = time.monotonic()
        try:
            while not stopping.is_set():
                if time.monotonic() - checked >= KEEP_ALIVE_SECONDS:
                    if not await _still_let_in(request):
                        break  # logged out, or the token was revoked or has expired
                    checked = time.monotonic()
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await subscription.wait()
                except TimeoutError:
                    await response.write(b": keep-alive\n\n")
                    continue
                update = subscription.take()
                if update.changed:
                    await response.write(b"event: hub.update\ndata: " + msgspec.json.encode(update) + b"\n\n")
                    await asyncio.sleep(GAP_SECONDS)
        except ConnectionError:
            pass  # the page went away
    return response


async def _still_let_in(request: web.Request) -> bool:
    """Yes while the database is away: a browser whose stream is refused on the way back never asks again."""
    try:
        return await caller_of(request) is not None
    except HubError:
        return True
