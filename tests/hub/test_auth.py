"""Who may do what: every door, tried with the wrong key."""

import re
from datetime import timedelta

import pytest

from hub_client import API, HubClient, bearer, problem
from trueup_hub.routes import ROUTES

WRITES = [route for route in ROUTES if route.method != "GET" and route.need != "nobody"]
READS = [route for route in ROUTES if route.method == "GET" and route.need == "viewer"]


def url(path: str) -> str:
    return re.sub(r"\{\w+\}", "0", path)


async def session_cookie(hub: HubClient, role: str = "admin") -> dict[str, str]:
    """Log in by a one-time code as a browser does; the cookie header that it would send."""
    code = await hub.auth.make_login_code("admin" if role == "admin" else "viewer")
    response = await hub.http.get(f"/login?code={code}", allow_redirects=False)
    assert response.status == 303
    [morsel] = response.cookies.values()
    hub.http.session.cookie_jar.clear()
    return {"Cookie": f"{morsel.key}={morsel.value}"}


async def test_a_viewer_token_reads(hub: HubClient) -> None:
    response = await hub.http.get(f"{API}/hosts", headers=await hub.token("viewer"))
    assert response.status == 200
    assert (await response.json())["hosts"] == []


async def test_every_route_that_is_not_public_refuses_a_stranger(hub: HubClient) -> None:
    for route in ROUTES:
        if route.need != "nobody":
            response = await hub.http.request(route.method, url(route.path))
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            await problem(response, 401, "unauthorized")


async def test_only_logging_in_enrolling_probes_the_api_s_document_and_the_page_are_public() -> None:
    public = {f"{route.method} {route.path}" for route in ROUTES if route.need == "nobody"}
    api = {f"POST {API}/enroll", f"POST {API}/login", f"POST {API}/logout"}
    about = {f"GET /api/{name}" for name in ("openapi.json", "docs", "docs.css")}
    assert public == api | about | {"GET /login", "GET /healthz", "GET /readyz", "GET /{path:.*}"}


@pytest.mark.parametrize("text", ["", "x", "tut_v_wrong", "trueup1.x.y.z", "trueup1." + "." * 3, "\u00e9"])
async def test_a_wrong_token_is_nobody(hub: HubClient, text: str) -> None:
    await problem(await hub.http.get(f"{API}/me", headers=bearer(text)), 401, "unauthorized")


async def test_a_viewer_writes_nothing(hub: HubClient) -> None:
    viewer = await hub.token("viewer")
    for route in WRITES:
        await problem(await hub.http.request(route.method, url(route.path), headers=viewer), 403, "forbidden")


async def test_a_host_credential_reads_nothing_and_administers_nothing(hub: HubClient) -> None:
    host = bearer((await hub.host()).credential)
    for route in READS:
        await problem(await hub.http.get(url(route.path), headers=host), 403, "forbidden")
    await problem(await hub.http.patch(f"{API}/hosts/0", headers=host), 403, "forbidden")


async def test_an_administrator_is_no_host(hub: HubClient) -> None:
    await problem(await hub.http.get(f"{API}/ledgers/0", headers=await hub.token("admin")), 403, "forbidden")


async def test_a_token_ends_when_it_expires_or_is_revoked(hub: HubClient) -> None:
    short = await hub.auth.make_token("viewer", "short", timedelta(0), "test")
    await problem(await hub.http.get(f"{API}/me", headers=bearer(short)), 401, "unauthorized")
    kept = await hub.auth.make_token("viewer", "kept", None, "test")
    assert (await hub.http.get(f"{API}/me", headers=bearer(kept))).status == 200
    number = (await hub.auth.tokens())[-1].token_no
    assert await hub.auth.revoke_token(number, "test")
    await problem(await hub.http.get(f"{API}/me", headers=bearer(kept)), 401, "unauthorized")
    assert not await hub.auth.revoke_token(number, "test")


async def test_of_a_token_the_database_has_no_more_than_a_hash(hub: HubClient) -> None:
    token = await hub.auth.make_token("viewer", "x", None, "test")
    stored = await hub.db.fetchval("SELECT string_agg(t::text, '') FROM tokens t")
    assert token[6:] not in stored
    assert token.encode().hex() not in stored


async def test_a_login_link_works_once_and_its_cookie_is_hidden_from_scripts_and_other_sites(hub: HubClient) -> None:
    code = await hub.auth.make_login_code("admin")
    response = await hub.http.get(f"/login?code={code}", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "./")
    [cookie] = response.cookies.values()
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert not cookie["secure"]  # plain HTTP on the loopback address
    hub.http.session.cookie_jar.clear()
    again = await hub.http.get(f"/login?code={code}", allow_redirects=False)
    assert again.status == 401
    assert not again.cookies
    assert "used already" in await again.text()


async def test_a_browser_that_is_logged_in_may_follow_an_old_link(hub: HubClient) -> None:
    cookie = await session_cookie(hub)
    response = await hub.http.get("/login?code=old", headers=cookie, allow_redirects=False)
    assert response.status == 303


async def test_a_session_reads_and_says_who_it_is(hub: HubClient) -> None:
    response = await hub.http.get(f"{API}/me", headers=await session_cookie(hub, "viewer"))
    assert await response.json() == {"scope": "viewer", "by": "session", "name": "login link"}


async def test_a_token_opens_a_session_that_ends_with_the_token_or_by_logout(hub: HubClient) -> None:
    token = await hub.auth.make_token("viewer", "mine", None, "test")
    for end in ("logout", "revoke"):
        response = await hub.http.post(f"{API}/login", json={"token": token})
        assert await response.json() == {"scope": "viewer", "name": "mine"}
        assert (await hub.http.get(f"{API}/me")).status == 200
        if end == "logout":
            [cookie] = response.cookies.values()
            origin = {"Origin": str(hub.http.make_url("/")).rstrip("/")}
            assert (await hub.http.post(f"{API}/logout", headers=origin)).status == 204
            hub.http.session.cookie_jar.update_cookies({cookie.key: cookie.value})
        else:
            await hub.auth.revoke_token((await hub.auth.tokens())[-1].token_no, "test")
        await problem(await hub.http.get(f"{API}/me"), 401, "unauthorized")


@pytest.mark.parametrize("body", [{"token": "tut_a_guess"}, {"code": "guess"}])
async def test_a_wrong_login_gets_no_cookie(hub: HubClient, body: dict[str, str]) -> None:
    response = await hub.http.post(f"{API}/login", json=body)
    await problem(response, 401, "unauthorized")
    assert not response.cookies


async def test_a_session_that_writes_must_say_that_it_comes_from_our_page(hub: HubClient) -> None:
    host = await hub.host()
    cookie = await session_cookie(hub)
    path, change = f"{API}/hosts/{host.host_id}", {"label": "bea"}
    ours = str(hub.http.make_url("/")).rstrip("/")
    await problem(await hub.http.patch(path, json=change, headers=cookie), 403, "wrong_origin")
    for foreign in ("https://evil.example", "null", ours + "0", "http://127.0.0.1"):
        headers = {**cookie, "Origin": foreign}
        await problem(await hub.http.patch(path, json=change, headers=headers), 403, "wrong_origin")
    response = await hub.http.patch(path, json=change, headers={**cookie, "Origin": ours})
    assert (await response.json())["label"] == "bea"


async def test_a_foreign_page_cannot_log_a_browser_in(hub: HubClient) -> None:
    token = await hub.auth.make_token("viewer", "mine", None, "test")
    response = await hub.http.post(f"{API}/login", json={"token": token}, headers={"Origin": "https://evil.example"})
    await problem(response, 403, "wrong_origin")


@pytest.mark.parametrize("name", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]"])
async def test_a_foreign_host_name_gets_nothing(hub: HubClient, name: str) -> None:
    headers = {**await hub.token("admin"), "Host": name}
    await problem(await hub.http.get(f"{API}/hosts", headers=headers), 421, "wrong_host")
    await problem(await hub.http.get("/", headers=headers), 421, "wrong_host")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:5"])
async def test_every_loopback_name_is_ours(hub: HubClient, name: str) -> None:
    headers = {**await hub.token("viewer"), "Host": name}
    assert (await hub.http.get(f"{API}/hosts", headers=headers)).status == 200
