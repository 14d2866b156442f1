"""Whatever answers at the hub's address, the agent gets one of its own errors, in one line."""

import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer, TestServer

from trueup_agent import errors
from trueup_agent.push import hub_client
from trueup_agent.push.hub_client import HubClient, hub_address
from trueup_shared import wire

LEDGER = "2d5f2a3e-0000-4000-8000-000000000001"
TLS = Path(__file__).parents[1] / "golden" / "tls"  # an authority of our own and a certificate for 127.0.0.1
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, code: str, detail: str, **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        body = {"type": "about:blank", "title": "x", "status": status, "detail": detail, "code": code}
        return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")

    return handler


def plain(status: int, text: str = "<html>", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)

    return handler


async def ask(handler: Handler, path: str = "") -> wire.Position:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    async with TestServer(app) as server, HubClient(f"http://127.0.0.1:{server.port}{path}", "credential") as hub:
        return await hub.position(LEDGER)


async def test_the_position_comes_with_the_credential_below_a_path_prefix() -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.extend([request.path, request.headers["Authorization"], request.headers["Accept"]])
        position = wire.Position(host_id="h", ledger_id=LEDGER, acked_seq=7)
        return web.Response(body=msgspec.msgpack.encode(position), content_type=wire.CONTENT_TYPE)

    position = await ask(handler, "/team/hub")
    assert position.acked_seq == 7
    assert seen == [f"/team/hub/api/v1/ledgers/{LEDGER}", "Bearer credential", wire.CONTENT_TYPE]


@pytest.mark.parametrize(
    ("handler", "kind", "says"),
    [
        (problem(401, "unauthorized", "Revoked."), errors.Unauthorized, "credential: Revoked; .+ gets another"),
        (problem(403, "forbidden", "Not yours."), errors.Unauthorized, "Not yours."),
        (problem(409, "position_mismatch", "At 9."), errors.PositionMismatch, "At 9."),
        (problem(409, "code_used", "Used."), errors.Refused, "Used."),
        (problem(413, "too_large", "64 MB."), errors.TooLarge, "64 MB."),
        (problem(400, "malformed", "No."), errors.Refused, "No."),
        (problem(400, "unsupported_protocol", "No."), errors.ProtocolMismatch, "upgrade the older"),
        (problem(500, "internal", "Internal error."), errors.HubFailed, "Internal error."),
        (plain(502), errors.HubUnreachable, "behind"),
        (plain(404), errors.NotAHub, "not as a trueup hub"),
        (plain(200), errors.NotAHub, "not as a trueup hub"),
        (plain(301, Location="https://elsewhere.example/"), errors.NotAHub, "redirects to https://elsewhere.example/"),
    ],
)
async def test_an_answer_that_is_none_becomes_an_error_of_ours(
    handler: Handler, kind: type[errors.PushError], says: str
) -> None:
    with pytest.raises(kind, match=says.replace("(", r"\(")) as caught:
        await ask(handler)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("17", 17, 17), ("0", 0, 0), ("Sun, 06 Nov 2095 08:49:37 GMT", 3600, 3600), ("inf", 3600, 3600), ("nan", 0, 5)],
)
async def test_a_busy_hub_says_when_to_come_back(header: str, low: float, high: float) -> None:
    for status in (429, 503):
        with pytest.raises(errors.Busy) as caught:
            await ask(problem(status, "busy", "Later.", **{"Retry-After": header}))
        assert low <= caught.value.retry_after <= high


async def test_a_hub_of_another_protocol_is_named() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        position = wire.Position(host_id="h", ledger_id=LEDGER, protocols=(2, 3))
        return web.Response(body=msgspec.msgpack.encode(position), content_type=wire.CONTENT_TYPE)

    with pytest.raises(errors.ProtocolMismatch, match="upgrade this agent"):
        await ask(handler)


async def test_nobody_at_home_is_unreachable() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    async with HubClient(f"http://127.0.0.1:{port}", None) as hub:
        with pytest.raises(errors.HubUnreachable, match="refused"):
            await hub.position(LEDGER)


async def test_a_hub_that_never_answers_is_unreachable() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with HubClient(f"http://127.0.0.1:{listener.getsockname()[1]}", None, answer_seconds=0.1) as hub:
            with pytest.raises(errors.HubUnreachable, match="too long"):
                await hub.position(LEDGER)


async def test_a_private_authority_is_trusted_when_it_is_set_and_named_when_it_is_not() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"host_id": "h", "ledger_id": LEDGER})

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "hub.pem", TLS / "hub.key")
    app = web.Application()
    app.router.add_get("/{rest:.*}", handler)
    server = TestServer(app)
    await server.start_server(ssl=tls)
    try:
        address = f"https://127.0.0.1:{server.port}"
        async with HubClient(address, None, TLS / "ca.pem") as hub:
            assert (await hub.position(LEDGER)).host_id == "h"
        async with HubClient(address, None) as hub:
            with pytest.raises(errors.HubUnreachable, match="its certificate is not trusted"):
                await hub.position(LEDGER)
        async with HubClient(f"http://127.0.0.1:{server.port}", None) as hub:
            with pytest.raises(errors.HubUnreachable):
                await hub.position(LEDGER)
    finally:
        await server.close()
    with pytest.raises(errors.WrongHubAddress, match="hub_ca"):
        async with HubClient(address, None, TLS / "none.pem"):
            pass


async def test_the_way_out_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(str(request.url))
        return web.json_response({"host_id": "h", "ledger_id": LEDGER})

    async with RawTestServer(proxy) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        async with HubClient("http://hub.example/trueup", None) as hub:
            assert (await hub.position(LEDGER)).host_id == "h"
        assert seen == [f"http://hub.example/trueup/api/v1/ledgers/{LEDGER}"]


def test_an_address_has_one_spelling() -> None:
    assert hub_address(" https://hub.example/ ") == "https://hub.example"
    assert hub_address("https://hub.example:8443/trueup/") == "https://hub.example:8443/trueup"
    assert hub_address("http://[::1]:8787") == "http://[::1]:8787"
    for wrong in ("hub.example", "ftp://hub.example", "https://", "http://hub:nope", "https://hub.example/?a=b", ""):
        with pytest.raises(errors.WrongHubAddress, match="write it as"):
            hub_address(wrong)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end_is_not_read_to_its_end(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "MOST_ANSWER_BYTES", 3 * 1024 * 1024)
    written = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=status)
        response.enable_compression()  # what counts is what it becomes here
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(1024 * 1024))
                written += 1
        return response

    with pytest.raises(errors.NotAHub, match="with more than 3 MiB: not read"):
        await ask(handler)
    assert written < 100
