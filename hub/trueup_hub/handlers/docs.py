"""The API's own description. It tells nothing about usage, so nobody needs a credential to read it."""

import asyncio
from hashlib import blake2b
from importlib.resources import files

from aiohttp import web

from trueup_hub.keys import ROUTES
from trueup_hub.openapi import document, page


async def get_openapi(request: web.Request) -> web.Response:
    """This API as an OpenAPI 3.1 document."""
    body = await asyncio.to_thread(document.encoded, request.app[ROUTES])  # made once, in half a second
    return _kept(request, body, "application/json")


async def get_docs(request: web.Request) -> web.Response:
    """This API as a page to read."""
    text = await asyncio.to_thread(page.page, request.app[ROUTES])
    return _kept(request, text.encode(), "text/html")


async def get_docs_style(request: web.Request) -> web.Response:
    """What that page looks like."""
    return _kept(request, (files("trueup_hub") / "openapi" / "docs.css").read_bytes(), "text/css")


def _kept(request: web.Request, body: bytes, media_type: str) -> web.Response:
    """304 without a body where the client has this very answer."""
    tag = blake2b(body, digest_size=12).hexdigest()
    headers = {"ETag": f'W/"{tag}"', "Cache-Control": "no-cache"}
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, content_type=media_type, charset="utf-8", headers=headers)
    response.enable_compression()
    return response
