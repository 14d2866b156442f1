"""What every request passes: an id, one shape of error, Host and Origin checks, who may do what, turns, time limits."""

import asyncio
import re
import secrets
import time
from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.typedefs import Handler, Middleware

from trueup_hub.auth import Caller
from trueup_hub.errors import DatabaseUnavailable, Problem
from trueup_hub.keys import AUTH, BEGUN, CALLER, QUERY, REQUEST_ID, ROUTE, SETTINGS, TELEMETRY, TURNS
from trueup_hub.params import Query
from trueup_hub.responses import problem
from trueup_hub.route import Need, Route
from trueup_shared import logs

log = structlog.get_logger()

_SLOW = 10  # times as long: an upload over a thin line
_SLOW_SECONDS = 1.0  # from here on a request is worth a line of the log
_LOOK_SECONDS = 0.5  # between looks whether the client of a question is still there
_CLIENT_GONE = 499  # as proxies log it; nobody receives it
LONGEST_ADDRESS = 16_384  # characters: 400 hosts by their ids
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SAFE = ("GET", "HEAD", "OPTIONS")
_UNCHECKED_HOST = ("/healthz", "/readyz")  # probes call by address; nothing is told there
_SECURITY_HEADERS = {
    "Server": "trueup",  # not which Python and aiohttp
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
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
    request[BEGUN] = True


@web.middleware
async def requests_have_an_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The id is in the response and in every log line of the request. No query in the log: it may hold a login code.

    A client's own id is never ours: it could be that of another request. It is logged beside ours where it is one.
    """
    request_id = request[REQUEST_ID] = secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**{logs.REQUEST: request_id})
    if _ID.fullmatch(theirs := request.headers.get("X-Request-Id", "")):
        structlog.contextvars.bind_contextvars(**{logs.THEIR_REQUEST: theirs})
    began = time.perf_counter()
    response = await handler(request)
    seconds, route = time.perf_counter() - began, request.get(ROUTE)
    facts = {"method": request.method, "status": response.status, "ms": round(seconds * 1000, 1)}
    if route is not None and not route.stream and seconds > _SLOW_SECONDS * _times(route):
        log.info("slow request", route=route.path, **facts)
    else:
        log.debug("request", path=request.path, **facts)
    request.app[TELEMETRY].request(route, response.status, seconds)
    return response


@web.middleware
async def errors_have_one_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Domain errors know their status; what nobody expected says no more than "Internal error." and is logged whole.

    An answer that was begun cannot become an error any more: the connection is cut, so that nobody takes it for whole.
    """
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response(status=_CLIENT_GONE)  # nobody reads it
    except Exception as error:
        answer = _answer_to(error, request)
        if request.get(BEGUN, False):
            log.warning("an answer was cut off", path=request.path, **{logs.ERROR: f"{type(error).__name__}: {error}"})
            if request.transport is not None:
                request.transport.abort()
        return answer


def _answer_to(error: Exception, request: web.Request) -> web.Response:
    def told(
        status: int,
        code: str,
        detail: str,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        ours = {"request_id": request[REQUEST_ID]}  # what a person sends us of an error is its document
        return problem(status, code, detail, members={**(members or {}), **ours}, headers=headers)

    again = {"Retry-After": "5"}
    match error:
        case Problem():
            return told(error.status, error.code, error.detail, error.members, error.headers)
        case web.HTTPException():
            if error.status < 400:
                raise error
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            detail = f"{error.reason}: {request.method} {request.path}"
            return told(error.status, _CODES.get(error.status, "bad_request"), detail, headers=allow)
        case ContentEncodingError() | web.RequestPayloadError():
            answer = told(400, "malformed", "The body does not match its Content-Encoding or ended early.")
            answer.force_close()  # nobody knows where the next request begins
            return answer
        case TimeoutError():
            log.warning("gave up on a request", path=request.path)
            return told(503, "timeout", "The hub could not answer in time.", headers=again)
        case DatabaseUnavailable():
            log.warning("database unavailable", **{logs.ERROR: str(error)})
            return told(503, "database_unavailable", "The hub cannot reach its database.", headers=again)
    log.error("request failed", method=request.method, path=request.path, exc_info=error)
    return told(500, "internal", "Internal error.")


@web.middleware
async def addresses_are_short(request: web.Request, handler: Handler) -> web.StreamResponse:
    """That also bounds how many values a filter has."""
    if len(request.raw_path) > LONGEST_ADDRESS:
        detail = f"An address has at most {LONGEST_ADDRESS} characters, its query included: filter by fewer values."
        raise Problem(414, "uri_too_long", detail, members={"limit": LONGEST_ADDRESS})
    return await handler(request)


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
        request[ROUTE] = route
        if route.stream:
            await _let_in(request, route)
            return await route.handler(request)
        async with asyncio.timeout(request.app[SETTINGS].request_seconds * _times(route)):
            caller = await _let_in(request, route)
            if caller is None or request.method not in _SAFE:
                return await route.handler(request)
            return await _while_heard(request, _in_turn(request, route, caller))

    return check


async def expected(request: web.Request) -> None:
    """`Expect: 100-continue` is answered; what else is expected we may pass over (RFC 9110, 10.1.1)."""
    if request.version >= HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _let_in(request: web.Request, route: Route) -> Caller | None:
    caller = None if route.need == "nobody" else await caller_of(request)
    _check_origin(request, caller)
    if route.need != "nobody":
        caller = request[CALLER] = _check_scope(route.need, caller)
    if route.takes is not None:
        request[QUERY] = Query(request.query.items(), route.takes, route.in_path, request.match_info)
    return caller


async def _in_turn(request: web.Request, route: Route, caller: Caller) -> web.StreamResponse:
    """Questions of viewers take turns, so that batches of agents find a database that has time for them."""
    if route.need == "host":
        return await route.handler(request)
    async with request.app[TURNS].turn(f"{caller.by} {caller.name}"):
        return await route.handler(request)


async def _while_heard(request: web.Request, answer: Coroutine[Any, Any, web.StreamResponse]) -> web.StreamResponse:
    """A question ends when its client goes away, in the database too: nobody waits for the answer any more."""
    task = asyncio.create_task(answer, name=f"{request.method} {request.path}")
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _times(route: Route) -> int:
    return _SLOW if route.slow else 1


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


MIDDLEWARES: tuple[Middleware, ...] = (requests_have_an_id, errors_have_one_shape, host_is_ours, addresses_are_short)
