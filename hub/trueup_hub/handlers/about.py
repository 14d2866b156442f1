"""`GET /capabilities`, for everybody with credentials."""

from aiohttp import web

from trueup_hub.capabilities import capabilities
from trueup_hub.keys import CALLER, DATABASE, ROUTES, SETTINGS
from trueup_hub.responses import reply


async def get_capabilities(request: web.Request) -> web.Response:
    """What this hub can be asked, before anything is. 304 without a body where the client has this very answer."""
    app, routes, of_all = request.app, request.app[ROUTES], request[CALLER].scope != "host"
    found = await capabilities(app[DATABASE], app[SETTINGS].timezone, routes, of_all=of_all)
    known = request.if_none_match or ()
    # no-cache: keep it, but ask each time whether it still holds
    headers = {"ETag": f'"{found.hash}"', "Cache-Control": "private, no-cache"}
    if any(tag.value in (found.hash, "*") for tag in known):
        return web.Response(status=304, headers=headers)
    return reply(found, headers=headers)
