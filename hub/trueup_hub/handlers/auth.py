"""Logging in and out of the dashboard. A session is a cookie that scripts of a page cannot read."""

from typing import Literal

from aiohttp import web
from msgspec import Struct

from trueup_hub.auth import Role
from trueup_hub.errors import BadRequest, Problem
from trueup_hub.handlers import bodies
from trueup_hub.handlers.pages import plain_page
from trueup_hub.keys import AUTH, CALLER, SETTINGS
from trueup_hub.middleware import cookie_name
from trueup_hub.responses import reply


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    """Either an access token or a one-time login code."""

    token: str | None = None
    code: str | None = None


class LoggedIn(Struct, frozen=True):
    scope: Role
    name: str  # of the token


class Me(Struct, frozen=True):
    """Who the hub takes the caller for, and by what."""

    scope: Role
    by: Literal["token", "session"]
    name: str


async def get_login(request: web.Request) -> web.StreamResponse:
    """The one-time login URL: its code becomes a session, and the address bar loses it by the redirect."""
    auth = request.app[AUTH]
    session = await auth.login_by_code(request.query.get("code", ""))
    if session is not None:
        response = web.Response(status=303, headers={"Location": "./"})
        _set_cookie(request, response, session)
        return response
    cookie = request.cookies.get(cookie_name(request))
    if cookie is not None and await auth.caller_of_session(cookie) is not None:
        return web.Response(status=303, headers={"Location": "./"})
    text = (
        "This login link was used already or is too old; each works once, for ten minutes. Make another with "
        "`trueup hub login-url` on the hub's machine, or log in with an access token."
    )
    return plain_page("Log in again", text, status=401)


async def post_login(request: web.Request) -> web.StreamResponse:
    """Exchange a token or a login code for a session: a cookie, which the answer sets."""
    login = await bodies.read(request, Login)
    auth = request.app[AUTH]
    if (login.token is None) == (login.code is None):
        raise BadRequest("malformed", "Give either 'token' or 'code'.")
    session = await (auth.login_by_token(login.token) if login.token else auth.login_by_code(login.code or ""))
    refused = Problem(401, "unauthorized", "The token or code is not good (any more).")
    if session is None:
        raise refused
    caller = await auth.caller_of_session(session)
    if caller is None:  # revoked just now
        raise refused
    response = reply({"scope": caller.scope, "name": caller.name})
    _set_cookie(request, response, session)
    return response


async def post_logout(request: web.Request) -> web.StreamResponse:
    """End the session of the cookie, if there is one."""
    name = cookie_name(request)
    await request.app[AUTH].logout(request.cookies.get(name, ""))
    response = web.Response(status=204)
    response.del_cookie(name, path="/")
    return response


async def get_me(request: web.Request) -> web.Response:
    """Whom the hub takes the caller for."""
    caller = request[CALLER]
    return reply({"scope": caller.scope, "by": caller.by, "name": caller.name})


def _set_cookie(request: web.Request, response: web.StreamResponse, session: str) -> None:
    """Secure wherever the browser comes over TLS, here or at a proxy. SameSite=Strict: no other site can use it."""
    settings = request.app[SETTINGS]
    over_tls = settings.tls_cert is not None or (settings.public_url or "").startswith("https:")
    response.set_cookie(
        cookie_name(request),
        session,
        max_age=settings.session_days * 86_400,
        path="/",
        httponly=True,
        secure=over_tls,
        samesite="Strict",
    )
