"""Every route of the table: none that viewers read can write, and whatever is asked gets an answer of the one shape."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientResponse
from yarl import URL

from hub_client import API, KEY, HubClient, bearer
from trueup_hub.app import build_app
from trueup_hub.auth import Auth
from trueup_hub.db import Database
from trueup_hub.keys import AUTH
from trueup_hub.route import Route
from trueup_hub.routes import ROUTES
from trueup_hub.settings import HubSettings
from usage_data import event, machine, message, session, session_key

DOCUMENTED = set(
    re.findall(
        r"`(\w+)`", (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text().partition("## Errors")[2]
    )
)
NOBODY = str(UUID(int=1))


def path_of(route: Route, *, host: str = NOBODY, session_id: str = "0" * 32) -> str:
    """An address of the route, with parameters that it needs."""
    values = {
        "host_id": host,
        "ledger_id": NOBODY,
        "session_id": session_id,
        "session_key": session_id,
        "bucket": "7",
        "generation": "1",
        "path": "hosts",
    }
    path = re.sub(r"{(\w+)[^}]*}", lambda name: values[name[1]], route.path)
    needed = [f"{one.name}={one.choices[0]}" for one in route.takes or () if one.needed]
    return f"{path}?{'&'.join(needed)}" if needed else path


def read_by_viewers() -> Iterator[Route]:
    for route in ROUTES:
        if route.method == "GET" and route.need in ("viewer", "anybody") and not route.stream:
            yield route


async def test_no_route_that_viewers_read_can_write(aiohttp_client: Any, db: Database, tmp_path: Path) -> None:
    """All their connections are the reader's, which are read-only and may not; logging in alone has others."""
    ana = await machine(db, "ana")
    at = "2026-11-02T10:00Z"
    await ana.send(session("s", at), message("m", "s", at), event("e", "s", at, output_tokens=1, model="m"))
    only_reads = Database(db._reading_pool, db._reading_pool, db._reading_pool, "")
    app = build_app(HubSettings(data_dir=tmp_path), only_reads, KEY, asyncio.Event())
    auth = app[AUTH] = Auth(db, KEY, app[AUTH].revocations, app[AUTH].session_life)
    client = await aiohttp_client(app)
    viewer = bearer(await auth.make_token("viewer", "test", None, "test"))
    host = str(UUID(bytes=await db.fetchval("SELECT host_id FROM hosts")))
    routes = list(read_by_viewers())
    assert len(routes) >= 15
    for route in routes:
        path = path_of(route, host=host, session_id=session_key("s").hex())
        for accept in ("application/json", "text/csv"):
            response = await client.get(URL(path, encoded=True), headers=viewer | {"Accept": accept})
            assert response.status == 200, (path, await response.text())
    with pytest.raises(Exception, match=r"read-only|permission denied"):
        await only_reads.execute("UPDATE hosts SET label = 'x'")


async def check(response: ClientResponse, asked: str) -> None:
    """What is refused is refused in the one shape, with a documented code."""
    body = await response.read()
    assert response.status < 500, (asked, body)
    assert response.headers["X-Request-Id"]
    if response.status < 400:
        return
    if response.status == 401 and response.content_type == "text/html":  # /login is for people
        return
    assert response.content_type == "application/problem+json", (asked, body)
    if response.method == "HEAD":
        return
    document = await response.json()
    assert document["status"] == response.status
    assert document["code"] in DOCUMENTED, (asked, document)
    assert document["type"] == f"urn:trueup:problem:{document['code']}"
    assert document["title"] and document["detail"].strip()
    assert document["request_id"] == response.headers["X-Request-Id"]


HUGE = "9" * 400
QUERIES = (
    *("?limit=-1", f"?limit={HUGE}", "?limit=1e3", "?limit=%C2%B2", "?format=xml", "?format=csv&format=json"),
    *(
        "?from=2026-11-22&from=2026-11-22",
        "?from=9999-99-99",
        "?from=2026-13-01&to=1",
        "?timezone=../etc",
        "?timezone=",
    ),
    *("?host=%00", "?host=%FF%FE", "?host=%ED%A0%80", "?model=" + "a," * 3000, '?project="a', "?label=x", "?label=:"),
    *(
        "?colour=red",
        "?=",
        "?&&",
        "?%00=1",
        "?cursor=%%%",
        "?cursor=AAAA",
        "?metric=joy",
        "?sort=x&order=y",
        "?by=label:",
    ),
    *("?granularity=hour&from=2015-01-02&to=2100-12-30", "?deep=2", f"?rejected_after={HUGE}", "?counted=twice"),
)
BODIES = (
    (b"", {}),
    (b"{", {"Content-Type": "application/json"}),
    (b"\xff\xfe\x00", {"Content-Type": "application/json"}),
    (b"[" * 100_000, {"Content-Type": "application/json"}),
    (b'{"label": 1e999, "kind": ["\\u0000"]}', {"Content-Type": "application/json"}),
    (b"\xc1\xc1", {"Content-Type": "application/msgpack"}),
    (b"\xdf\xff\xff\xff\xff", {"Content-Type": "application/msgpack"}),
    (b"junk", {"Content-Type": "application/msgpack", "Content-Encoding": "zstd"}),
    (b"junk", {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    (b"junk", {"Content-Type": "application/json", "Content-Encoding": "rot13"}),
    (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}),
    (b"x", {"Content-Type": 'a/b; charset="', "Expect": "a miracle"}),
)
PLACES = ("%00", "%2e%2e", HUGE, "-1", "x" * 200, "%FF", "{}", "0")


async def test_whatever_is_asked_of_a_route_is_answered_in_one_shape_with_a_documented_code(hub: HubClient) -> None:
    admin, host = await hub.token("admin"), bearer((await hub.host()).credential)
    for route in ROUTES:
        if route.stream and route.method == "GET":
            continue
        headers = host if route.need == "host" else admin
        path = path_of(route)

        async def ask(method: str, path: str, headers: dict[str, str] = headers, **options: Any) -> None:
            url = URL(path, encoded=True)
            response = await hub.http.request(method, url, headers=headers, allow_redirects=False, **options)
            await check(response, f"{method} {path} {options}"[:300])

        for method in {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - {route.method}:
            await ask(method, path)
        await ask(route.method, path, headers={})
        await ask(route.method, path, headers={"Authorization": "Bearer \u00e9" + HUGE})
        if route.method == "GET":
            for query in QUERIES if route.takes else QUERIES[::7]:
                await ask("GET", path.partition("?")[0] + query)
        else:
            for body, said in BODIES:
                # What cannot be unpacked ends a connection, also where the route does not read it
                await ask(route.method, path, headers=headers | said | {"Connection": "close"}, data=body)
        for part in re.findall(r"{\w+}", route.path):
            for place in PLACES:
                rest = re.sub(r"{\w+}", "1", route.path.replace(part, place))
                await ask(route.method, rest)


async def test_a_page_that_is_not_there_is_a_problem_too(hub: HubClient) -> None:
    for path in (f"{API}/", f"{API}//hosts", "/api", "/api/v2/hosts", "/%00", "/a.b%2f..%2f", "/.well-known/x.json"):
        await check(await hub.http.get(URL(path, encoded=True)), path)


async def test_what_administrators_do_no_viewer_can_and_no_other_page_can_have_them_do(hub: HubClient) -> None:
    """By the cookie of a session, as a page of another site or a form of it would send it."""
    ours = str(hub.http.make_url("/")).rstrip("/")
    cookies = {role: f"trueup_{hub.http.port}={await session_of(hub, role)}" for role in ("viewer", "admin")}
    host = (await hub.host()).host_id
    unsafe = [route for route in ROUTES if route.need == "admin"]
    assert {route.method for route in unsafe} == {"POST", "PATCH", "DELETE"}
    assert not [route for route in ROUTES if route.method != "GET" and route.need in ("viewer", "anybody")]
    for route in unsafe:
        url = path_of(route, host=host)
        for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/json"):
            about = {} if kind is None else {"Content-Type": kind}
            body = None if kind is None else b"{}"
            for role, origin in (
                ("viewer", ours),
                ("admin", None),
                ("admin", "null"),
                ("admin", "https://evil.example"),
            ):
                sent = about | {"Cookie": cookies[role]} | ({"Origin": origin} if origin else {})
                response = await hub.http.request(route.method, url, headers=sent, data=body)
                assert (await response.json())["code"] == ("forbidden" if role == "viewer" else "wrong_origin"), sent
    assert await hub.db.fetchval("SELECT count(*) FROM enroll_codes") == 1  # the host's own
    assert await hub.db.fetchval("SELECT count(*) FROM hosts WHERE revoked_at IS NULL") == 1


async def session_of(hub: HubClient, role: Any) -> str:
    session = await hub.auth.login_by_code(await hub.auth.make_login_code(role))
    assert session is not None
    return session
