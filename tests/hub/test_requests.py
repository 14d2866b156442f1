"""A request's id, its time, and its end: what is logged, and that nothing goes on for which nobody waits."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import structlog
from aiohttp import web
from structlog.testing import capture_logs

from hub_client import API, KEY, bearer, problem
from hub_process import running_hub
from trueup_hub import middleware
from trueup_hub.admission import Turns
from trueup_hub.app import build_app
from trueup_hub.db import Database
from trueup_hub.keys import AUTH, DATABASE
from trueup_hub.middleware import guarded
from trueup_hub.route import Route
from trueup_hub.settings import HubSettings
from trueup_shared import logs


class Trying:
    """A hub with one route more, `/try`, for viewers, which does what the test wants."""

    def __init__(self, http: aiohttp.ClientSession, url: str, viewer: dict[str, str], db: Database) -> None:
        self._http, self._url, self._viewer, self._db = http, url, viewer, db

    async def get(self, headers: dict[str, str] | None = None, **options: Any) -> aiohttp.ClientResponse:
        return await self._http.get(self._url, headers=self._viewer | (headers or {}), **options)

    async def asleep(self, number: int) -> None:
        """Until so many queries sleep in the database."""
        sleeping = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'"
        )
        async with asyncio.timeout(5):
            while await self._db.fetchval(sleeping) != number:  # noqa: ASYNC110 - the database has no event for it
                await asyncio.sleep(0.02)


@pytest.fixture
async def trying(db: Database, tmp_path: Path) -> AsyncIterator[Any]:
    """On a server as `trueup hub serve` has it: aiohttp's own for tests cancels what a client left."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(handler: Any, **settings: Any) -> Trying:
            app = build_app(HubSettings(data_dir=tmp_path, **settings), db, KEY, asyncio.Event())
            app.router.add_get("/try", guarded(Route("GET", "/try", handler, "viewer", None)))
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            http = await stack.enter_async_context(aiohttp.ClientSession())
            token = await app[AUTH].make_token("viewer", "test", None, "test")
            return Trying(http, f"http://127.0.0.1:{runner.addresses[0][1]}/try", bearer(token), db)

        yield start


async def asks_for_long(request: web.Request) -> web.Response:
    async with request.app[DATABASE].snapshot() as connection:
        await connection.execute("SELECT pg_sleep(30)")
    raise AssertionError


async def test_a_client_that_goes_away_leaves_no_query_behind(trying: Any) -> None:
    hub = await trying(asks_for_long)
    client = asyncio.create_task(hub.get())
    await hub.asleep(1)
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    await hub.asleep(0)


async def test_a_question_that_takes_too_long_is_given_up_in_the_database_too(trying: Any) -> None:
    hub = await trying(asks_for_long, request_seconds=0.3)
    response = await hub.get()
    await problem(response, 503, "timeout")
    assert int(response.headers["Retry-After"]) > 0
    await hub.asleep(0)


async def test_who_asks_while_others_are_answered_waits_and_is_told_to_come_back(
    trying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turns, "PATIENCE", 0.1)
    hub = await trying(asks_for_long, reads_at_once=1)
    first = asyncio.create_task(hub.get())
    await hub.asleep(1)
    response = await hub.get()
    await problem(response, 503, "busy")
    assert int(response.headers["Retry-After"]) > 0
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await hub.asleep(0)


async def test_every_line_of_a_request_has_its_id_and_a_clients_own_stands_beside_it(trying: Any) -> None:
    async def handler(request: web.Request) -> web.Response:
        async with request.app[DATABASE].snapshot():
            logging.getLogger("asyncpg").warning("of a library")
        structlog.get_logger().info("of ours")
        raise RuntimeError

    hub = await trying(handler)
    logs.set_up(verbose=True)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        mine = await hub.get({"X-Request-Id": "4bf92f3577b34da6a3ce929d0e0e4736"})
        forged = await hub.get({"X-Request-Id": "a b\u0301 {}"})
    document = await problem(mine, 500, "internal")
    ours = mine.headers["X-Request-Id"]
    assert document["request_id"] == ours != forged.headers["X-Request-Id"]
    told = [line for line in lines if line["request"] == ours]
    assert {line["event"] for line in told} == {"of a library", "of ours", "request failed", "request"}
    assert {line["client_request"] for line in told} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert len(lines) == 2 * len(told)
    assert not [line for line in lines if line not in told and "client_request" in line]


async def test_a_slow_request_is_told_with_its_route_and_its_time(trying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    hub = await trying(handler)
    with capture_logs() as lines:
        await hub.get()
        monkeypatch.setattr(middleware, "_SLOW_SECONDS", 0.0)
        await hub.get(params={"secret": "1234"})
    assert [line["log_level"] for line in lines] == ["debug", "info"]
    assert lines[1]["route"] == "/try" and lines[1]["ms"] >= 0
    assert "1234" not in str(lines)


@pytest.mark.parametrize("length", [None, 100])
async def test_an_answer_that_dies_on_the_way_is_seen_to_be_broken(trying: Any, length: int | None) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/csv"})
        response.content_length = length
        await response.prepare(request)
        await response.write(b"date,value\r\n2026-11-22,1\r\n")
        await asyncio.sleep(0.05)  # so that what was written is on its way
        raise RuntimeError

    hub = await trying(handler)
    with capture_logs() as lines:
        response = await hub.get()
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["request failed"]
    assert "an answer was cut off" in [line["event"] for line in lines]


async def test_an_address_that_is_too_long_is_told_so(database_url: str, tmp_path: Path) -> None:
    async with running_hub(database_url, tmp_path) as hub:
        viewer = {"Authorization": f"Bearer {hub.token}"}
        for size in (8_000, 16_000):
            values = ",".join(["claude"] * (size // 7))
            found = await hub.http.get(f"{hub.url}{API}/trust?harness={values}", headers=viewer)
            assert found.status == 400  # nobody uses claude here
        refused = await hub.http.get(f"{hub.url}{API}/trust?harness={'a' * 20_000}", headers=viewer)
        document = await problem(refused, 414, "uri_too_long")
        assert document["limit"] == middleware.LONGEST_ADDRESS


async def test_who_takes_nothing_of_an_answer_is_cut_off(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a viewer who reads none of a hundred answers keeps gigabytes of the hub's memory for as long as they like."""
    monkeypatch.setattr("trueup_hub.app._UNREAD_SECONDS", 1)
    async with running_hub(database_url, tmp_path) as hub:
        place = urlsplit(hub.url)
        ask = f"GET {API}/analytics/activity?granularity=week&from=2015-01-02&to=2100-12-30 HTTP/1.1\r\n"
        head = f"{ask}Host: {place.netloc}\r\nAuthorization: Bearer {hub.token}\r\n\r\n"
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(head.encode())
            await asyncio.sleep(4)
            with pytest.raises(ConnectionResetError):
                while await asyncio.to_thread(client.recv, 1 << 16):
                    pass
