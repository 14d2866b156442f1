"""Whatever goes wrong, a client gets one shape and a log line has the rest."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from hub_client import API, HubClient, problem, start_hub
from trueup_hub.db import Database
from trueup_hub.errors import Busy, DatabaseUnavailable
from trueup_hub.handlers import pages
from trueup_hub.keys import SETTINGS, STOPPING, TELEMETRY
from trueup_hub.middleware import MIDDLEWARES, guarded, set_headers
from trueup_hub.route import Route
from trueup_hub.settings import HubSettings
from trueup_hub.telemetry import Telemetry


async def with_route(aiohttp_client: Any, handler: Any, **settings: Any) -> Any:
    """The hub's middleware around one route, `/try`, which does what the test wants."""
    app = web.Application(middlewares=MIDDLEWARES)
    app[SETTINGS], app[TELEMETRY] = HubSettings(**settings), Telemetry()
    app.on_response_prepare.append(set_headers)
    app.router.add_get("/try", guarded(Route("GET", "/try", handler, "nobody", None)))
    return await aiohttp_client(app)


async def test_a_route_that_is_not_there_is_a_problem(hub: HubClient) -> None:
    await problem(await hub.http.get(f"{API}/nothing"), 404, "not_found")
    await problem(await hub.http.get("/missing.js"), 404, "not_found")
    await problem(await hub.http.get("/../../etc/passwd.txt"), 404, "not_found")
    await problem(await hub.http.get("/%2e%2e/%2e%2e/etc/passwd.txt"), 404, "not_found")


async def test_a_wrong_method_names_the_right_ones(hub: HubClient) -> None:
    response = await hub.http.delete(f"{API}/hosts")
    await problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]
    for path in (f"{API}/enroll", f"{API}/hosts/x/resync"):
        response = await hub.http.get(path)
        await problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == "POST"


async def test_an_unknown_parameter_is_named(hub: HubClient) -> None:
    response = await hub.http.get(f"{API}/analytics/summary?colour=red", headers=await hub.token())
    document = await problem(response, 400, "unknown_parameter")
    assert "colour" in document["detail"]


async def test_a_host_that_is_not_there_is_a_problem(hub: HubClient) -> None:
    viewer = await hub.token()
    for host in ("x", "5f9b1c1e-0000-4000-8000-000000000001"):
        await problem(await hub.http.get(f"{API}/hosts/{host}", headers=viewer), 404, "not_found")


async def test_an_unknown_error_says_nothing_and_is_logged_whole_with_the_request_id(
    aiohttp_client: Any,
) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("the password is 1234")

    client = await with_route(aiohttp_client, fail)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        response = await client.get("/try?code=secret")
    document = await problem(response, 500, "internal")
    assert document["detail"] == "Internal error."
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["exc_info"]
    assert line["request"] == response.headers["X-Request-Id"]
    assert "secret" not in json.dumps(lines, default=str)


@pytest.mark.parametrize(
    ("error", "code"), [(DatabaseUnavailable("dsn"), "database_unavailable"), (Busy("full", 7), "busy")]
)
async def test_what_passes_by_itself_says_when_to_try_again(aiohttp_client: Any, error: Exception, code: str) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise error

    client = await with_route(aiohttp_client, fail)
    response = await client.get("/try")
    document = await problem(response, 503, code)
    assert int(response.headers["Retry-After"]) > 0
    assert "dsn" not in document["detail"]


async def test_a_request_that_takes_too_long_is_given_up(aiohttp_client: Any) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = await with_route(aiohttp_client, hang, request_seconds=0.05)
    response = await client.get("/try")
    await problem(response, 503, "timeout")


async def test_a_query_that_takes_too_long_is_given_up(aiohttp_client: Any, database_url: str) -> None:
    db = await Database.open(database_url, query_timeout=0.05)

    async def slow(request: web.Request) -> web.Response:
        await db.fetch("SELECT pg_sleep(9)")
        raise AssertionError

    client = await with_route(aiohttp_client, slow)
    try:
        await problem(await client.get("/try"), 503, "timeout")
    finally:
        await db.close()


async def test_every_response_has_the_security_headers(hub: HubClient) -> None:
    for path in ("/", "/healthz", f"{API}/hosts", "/login?code=x"):
        headers = (await hub.http.get(path)).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Request-Id"]
        assert headers["Server"] == "trueup"
        assert "Strict-Transport-Security" not in headers
        assert "Access-Control-Allow-Origin" not in headers


async def test_a_hub_with_a_public_name_answers_to_that_and_to_no_other(
    aiohttp_client: Any, db: Database, tmp_path: Path
) -> None:
    settings = HubSettings(data_dir=tmp_path, host="0.0.0.0", public_url="https://Hub.example.org/trueup/")
    hub = await start_hub(aiohttp_client, db, settings)
    assert (await hub.http.get("/", headers={"Host": "hub.example.org"})).status == 200
    await problem(await hub.http.get("/", headers={"Host": "evil.example"}), 421, "wrong_host")
    code = await hub.auth.make_login_code("viewer")
    response = await hub.http.get(f"/login?code={code}", allow_redirects=False)
    [cookie] = response.cookies.values()
    assert cookie["secure"]


async def test_a_hub_without_a_dashboard_says_how_to_build_it(
    hub: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "STATIC", tmp_path / "static")
    response = await hub.http.get("/")
    assert response.content_type == "text/html"
    assert "make up" in await response.text()


async def test_built_files_are_served_and_every_view_is_the_dashboard(
    hub: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text('<base href="./" /><p>page')
    (static / "assets" / "a1.js").write_text("1")
    (tmp_path / "secret.txt").write_text("no")
    monkeypatch.setattr(pages, "STATIC", static)
    views = {"/": "./", "/hosts": "./", "/sessions/abc": "../", "/a/b/": "../../", "/a%2Fb": "./"}
    for view, root in views.items():
        response = await hub.http.get(URL(view, encoded=True))
        assert await response.text() == f'<base href="{root}" /><p>page'
        assert (response.content_type, response.headers["Cache-Control"]) == ("text/html", "no-cache")
    script = await hub.http.get("/assets/a1.js")
    assert script.content_type.endswith("javascript")
    assert "immutable" in script.headers["Cache-Control"]
    assert "Content-Encoding" not in script.headers
    (static / "assets" / "a1.js.gz").write_bytes(gzip.compress(b"1"))
    script = await hub.http.get("/assets/a1.js")
    assert (script.headers["Content-Encoding"], await script.text()) == ("gzip", "1")
    assert script.content_type.endswith("javascript")
    await problem(await hub.http.get("/assets/gone.js"), 404, "not_found")
    await problem(await hub.http.get("/%2e%2e/secret.txt"), 404, "not_found")


async def test_a_hub_that_stops_is_alive_but_not_ready(hub: HubClient) -> None:
    assert await (await hub.http.get("/readyz")).text() == "ready\n"
    assert (await hub.http.head("/readyz")).status == 200
    hub.http.app[STOPPING].set()  # type: ignore[union-attr]
    assert (await hub.http.get("/healthz")).status == 200
    await problem(await hub.http.get("/readyz"), 503, "stopping")
