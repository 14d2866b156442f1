"""Server-sent events: `hub.update` says what changed, so that an open page asks again for what it shows."""

import asyncio

import msgspec
from aiohttp import web

from trueup_hub.keys import LIVE, STOPPING
from trueup_hub.live import GAP_SECONDS

KEEP_ALIVE_SECONDS = 15.0  # also how soon a page that went away is noticed


async def get_events(request: web.Request) -> web.StreamResponse:
    """Ends when the page goes or the hub stops; the browser connects again by itself."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    stopping = request.app[STOPPING]
    with request.app[LIVE].subscribed() as subscription:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        try:
            while not stopping.is_set():
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
