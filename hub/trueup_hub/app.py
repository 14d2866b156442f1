"""The hub's application and the life of its process: what starts in which order, and what ends it."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger
from msgspec import Struct

from trueup_hub.admission import Admission, Turns
from trueup_hub.auth import Auth
from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.errors import HubError
from trueup_hub.housekeeping import jobs, keep_house, life
from trueup_hub.hub_key import Revocations, load_or_make_key
from trueup_hub.ingest import add_zone
from trueup_hub.ingest.forgetting import begin_again
from trueup_hub.keys import ADMISSION, AUTH, DATABASE, LIVE, SETTINGS, STOPPING, TELEMETRY, TURNS
from trueup_hub.live import Live
from trueup_hub.middleware import MIDDLEWARES, set_headers
from trueup_hub.migrate import migrate
from trueup_hub.pricing import establish, own_overrides
from trueup_hub.readers import tell_administrator
from trueup_hub.routes import add_routes
from trueup_hub.settings import HubSettings
from trueup_hub.telemetry import Telemetry
from trueup_shared.settings import SettingError
from trueup_shared.wire import MAX_BODY_BYTES

log = structlog.get_logger()

_LONGEST_LINE = 65_536  # bytes: an address that is too long gets an answer of ours
_UNREAD_SECONDS = 60  # a client that takes nothing of its answer for so long is cut off: it keeps megabytes of ours
_COMPARING = 2  # connections beside those of viewers, for agents that compare and for our own checks
_RECEIVED = 4  # batches on their way for each that is applied: a thin line must not keep the others waiting


def _is_ours(record: logging.LogRecord) -> bool:
    """A request that is not HTTP, or whose body is not what it says, is answered with 400: no error of the hub."""
    theirs = HttpProcessingError, web.RequestPayloadError
    return record.exc_info is None or not isinstance(record.exc_info[1], theirs)


server_logger.addFilter(_is_ours)


class Hub(Struct, frozen=True):
    """A hub that answers. `database_url` includes the password. `wait` returns when the hub is told to stop."""

    url: str
    auth: Auth
    database_url: str
    wait: Callable[[], Awaitable[None]]


def build_app(settings: HubSettings, db: Database, key: bytes, stopping: asyncio.Event) -> web.Application:
    """Everything that answers requests. Streams end when `stopping` is set and the application shuts down."""
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=MAX_BODY_BYTES)
    app[SETTINGS] = settings
    app[DATABASE] = db
    app[AUTH] = Auth(db, key, Revocations(settings.hub_dir), timedelta(days=settings.session_days))
    app[LIVE] = Live()
    app[ADMISSION] = Admission(_RECEIVED * settings.batches_at_once)
    app[TURNS] = Turns(settings.reads_at_once)
    app[TELEMETRY] = Telemetry()
    app[STOPPING] = stopping
    app.on_response_prepare.append(set_headers)
    app.cleanup_ctx.append(_streams_end)
    add_routes(app)
    return app


async def _streams_end(app: web.Application) -> AsyncIterator[None]:
    async def end(app: web.Application) -> None:
        app[STOPPING].set()
        app[LIVE].end()

    app.on_shutdown.append(end)
    yield


@contextlib.asynccontextmanager
async def serving(settings: HubSettings, stopping: asyncio.Event) -> AsyncIterator[Hub]:
    """The life of a hub. Start order: port (so that a taken one is said at once), key, PostgreSQL, schema, application.

    Stop order: no new requests, streams end, open requests finish, the database is closed, our PostgreSQL stops. A
    background task or a PostgreSQL of ours that ends by itself ends the hub with HubError.
    """
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(_bound(settings))
        tls = _tls(settings)
        key = load_or_make_key(settings.hub_dir, settings.hub_key)
        overrides = own_overrides(settings.price_overrides)
        vital: dict[str, Callable[[], Awaitable[object]]] = {}
        url = settings.database_url
        if url is None:
            postgres = await stack.enter_async_context(_embedded(settings))
            url, vital["the embedded PostgreSQL"] = postgres.url(), postgres.wait
        db = await stack.enter_async_context(_opened(url, settings))
        for name in await migrate(db):
            log.info("migrated the database", migration=name)
        await tell_administrator(db)
        await add_zone(db, settings.timezone)  # days in the hub's own zone are asked for most
        prices = (await establish(db, overrides)).prices
        log.info("prices in force", digest=prices.digest, date=prices.date, own=prices.overrides.number)
        await stack.enter_async_context(life(db))
        app = build_app(settings, db, key, stopping)
        await begin_again(app[AUTH])
        vital["telling the replicas"] = partial(app[LIVE].notify_forever, db)
        vital["hearing the replicas"] = partial(app[LIVE].listen_forever, db)
        vital["housekeeping"] = partial(keep_house, jobs(db, settings))
        wait = await stack.enter_async_context(watched(vital, stopping))
        await stack.enter_async_context(_answering(app, listener, tls, settings))
        at = settings.url(listener.getsockname()[1])
        log.info("hub is ready", url=at)
        yield Hub(at, app[AUTH], url, wait)


@contextlib.contextmanager
def _bound(settings: HubSettings) -> Iterator[socket.socket]:
    """The socket, bound but not listening yet: clients are refused, not kept waiting, while the database starts."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingError(f"setting 'host': '{settings.host}' is not an address of this machine") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections have what their listener has
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_SECONDS * 1000)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, settings.host != "::")
        try:
            listener.bind(address)
        except OSError as error:
            raise HubError(_why_not_bound(settings, error)) from error
        yield listener


def _why_not_bound(settings: HubSettings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} is taken: stop the program that uses it, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {settings.port} needs rights that this user does not have: choose one above 1023 with --port"
    return f"cannot listen on {settings.host} port {settings.port}: {error.strerror}"


def _tls(settings: HubSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"settings 'tls_cert' and 'tls_key': {error}") from error
    return context


@contextlib.asynccontextmanager
async def _embedded(settings: HubSettings) -> AsyncIterator[EmbeddedPg]:
    postgres = EmbeddedPg(settings.hub_dir / "pg")
    await postgres.start()
    try:
        yield postgres
    finally:
        await postgres.stop()


@contextlib.asynccontextmanager
async def _opened(url: str, settings: HubSettings) -> AsyncIterator[Database]:
    db = await Database.open(
        url,
        connections=settings.database_connections,
        reading_connections=settings.reads_at_once + _COMPARING,
        ingest_connections=settings.batches_at_once,
        query_timeout=settings.request_seconds,
    )
    try:
        yield db
    finally:
        await db.close()


@contextlib.asynccontextmanager
async def _answering(
    app: web.Application, listener: socket.socket, tls: ssl.SSLContext | None, settings: HubSettings
) -> AsyncIterator[None]:
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=settings.drain_seconds,
        keepalive_timeout=30,
        max_line_size=_LONGEST_LINE,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def watched(
    vital: dict[str, Callable[[], Awaitable[object]]], stopping: asyncio.Event
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Runs what must not end. The function given returns when `stopping` is set, else raises what ended first."""

    async def run(name: str, work: Callable[[], Awaitable[object]]) -> None:
        await work()
        raise HubError(f"{name} has ended: start trueup again")

    tasks = [asyncio.create_task(run(name, work), name=name) for name, work in vital.items()]
    stop = asyncio.create_task(stopping.wait(), name="stop signal")

    async def ended() -> None:
        done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            for task in done:
                task.result()

    try:
        yield ended
    finally:
        for task in (stop, *tasks):
            task.cancel()
        await asyncio.gather(stop, *tasks, return_exceptions=True)
