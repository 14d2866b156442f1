"""What every request passes: an id, one shape of error, Host and Origin checks, a time limit, who may do what."""

import asyncio
import secrets
import time
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.typedefs import Handler, Middleware

from trueup_hub.auth import Caller
from trueup_hub.errors import DatabaseUnavailable, Problem
from trueup_hub.keys import AUTH, CALLER, QUERY, REQUEST_ID, SETTINGS
from trueup_hub.params import Query
from trueup_hub.responses import problem
from trueup_hub.route import Need, Route
from trueup_shared import logs

log = structlog.get_logger()

_SLOW = 10  # times as long: an upload over a thin line
_SAFE = ("GET", "HEAD", "OPTIONS")
_UNCHECKED_HOST = ("/healthz", "/readyz")  # probes call by address; nothing is told there
_SECURITY_HEADERS = {
    "Server": "trueup",  # not which Python and aiohttp
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # a login URL must not reach another site
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# aiohttp's own refusals, in our words.
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every response, streams and files included (a signal, because a stream is sent before its handler returns)."""
    response.headers.update(_SECURITY_HEADERS)
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    response.headers.setdefault("Cache-Control", "no-store")
    if request.app[SETTINGS].tls_cert is not None:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


@web.middleware
async def requests_have_an_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The id is in the response and in every log line of the request. No query in the log: it may hold a login code."""
    request_id = request[REQUEST_ID] = secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**{logs.REQUEST: request_id})
    began = time.perf_counter()
    response = await handler(request)
    log.debug(
        "request",
        method=request.method,
        path=request.path,
        status=response.status,
        ms=round((time.perf_counter() - began) * 1000, 1),
    )
    return response


@web.middleware
async def errors_have_one_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Domain errors know their status; what nobody expected says no more than "Internal error." and is logged whole."""
    try:
        return await handler(request)
    except Problem as error:
        return problem(error.status, error.code, error.detail, members=error.members, headers=error.headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        code = _CODES.get(error.status, "bad_request")
        return problem(error.status, code, f"{error.reason}: {request.method} {request.path}", headers=allow)
    except (ContentEncodingError, web.RequestPayloadError):
        return problem(400, "malformed", "The body does not match its Content-Encoding or ended early.")
    except TimeoutError:
        log.warning("gave up on a request", path=request.path)
        return problem(503, "timeout", "The hub could not answer in time.", headers={"Retry-After": "5"})
    except DatabaseUnavailable as error:
        log.warning("database unavailable", **{logs.ERROR: str(error)})
        return problem(503, "database_unavailable", "The hub cannot reach its database.", headers={"Retry-After": "5"})
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return problem(500, "internal", "Internal error.")


@web.middleware
async def host_is_ours(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page of another site that made its name point here (DNS rebinding) gets nothing."""
    names = request.app[SETTINGS].host_names()
    name, _ = _address(f"//{request.headers.get('Host', '')}")
    if names is not None and request.path not in _UNCHECKED_HOST and name not in names:
        raise Problem(421, "wrong_host", "This hub does not answer to that name. Setting: allowed_hosts.")
    return await handler(request)


def guarded(route: Route) -> Handler:
    """The route's handler for those whom it lets in, with what it takes, within its time. All go through here."""

    async def check(request: web.Request) -> web.StreamResponse:
        caller = None if route.need == "nobody" else await caller_of(request)
        _check_origin(request, caller)
        if route.need != "nobody":
            request[CALLER] = _check_scope(route.need, caller)
        if route.takes is not None:
            request[QUERY] = Query(request.query.items(), route.takes, route.in_path, request.match_info)
        if route.stream:
            return await route.handler(request)
        async with asyncio.timeout(request.app[SETTINGS].request_seconds * (_SLOW if route.slow else 1)):
            return await route.handler(request)

    return check


async def caller_of(request: web.Request) -> Caller | None:
    """A bearer token or credential, else the session cookie."""
    auth = request.app[AUTH]
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return await auth.caller_of_bearer(text.strip())
    cookie = request.cookies.get(cookie_name(request))
    return None if cookie is None else await auth.caller_of_session(cookie)


def cookie_name(request: web.Request) -> str:
    """Browsers do not tell ports apart: two hubs on one machine would log each other out under one name."""
    return f"trueup_{_address(f'//{request.host}')[1] or 'session'}"


def _address(url: str) -> tuple[str | None, int | None]:
    """Name and port of a URL or of `//` and a Host header; nothing where it is none: clients write anything."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port
    except ValueError:
        return None, None


def _check_origin(request: web.Request, caller: Caller | None) -> None:
    """An unsafe request that a browser made must come from our own page. Scripts with a token send no Origin."""
    if request.method in _SAFE:
        return
    origin = request.headers.get("Origin")
    if origin is None:
        if caller is not None and caller.by == "session":
            raise Problem(403, "wrong_origin", "A request with a session cookie needs an Origin header.")
        return
    public = request.app[SETTINGS].public_url
    ours = {request.host, urlsplit(public).netloc if public else ""} - {""}
    if origin.partition("://")[2] not in ours:  # "null" has none
        raise Problem(403, "wrong_origin", "The request comes from a page of another origin.")


def _check_scope(need: Need, caller: Caller | None) -> Caller:
    if caller is None:
        raise Problem(
            401,
            "unauthorized",
            "A valid token, session or host credential is needed.",
            headers={"WWW-Authenticate": 'Bearer realm="trueup"'},
        )
    viewers, everybody = ("viewer", "admin"), ("viewer", "admin", "host")
    allowed = {"viewer": viewers, "admin": ("admin",), "host": ("host",), "anybody": everybody}[need]
    if caller.scope not in allowed:
        raise Problem(403, "forbidden", f"This needs {need} rights; the {caller.by} given has {caller.scope} rights.")
    return caller


MIDDLEWARES: tuple[Middleware, ...] = (requests_have_an_id, errors_have_one_shape, host_is_ours)
