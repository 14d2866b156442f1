"""Requests that no browser or agent of ours would send: an answer, never an "Internal error." with a traceback."""

import asyncio
from base64 import urlsafe_b64encode

import pytest
from msgspec import msgpack

from hub_client import API, HubClient, problem


async def sent(hub: HubClient, *lines: bytes) -> bytes:
    """The whole answer to a request that no client library would write."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.http.port)
    port = str(hub.http.port).encode()
    writer.write(b"\r\n".join(line.replace(b"PORT", port) for line in lines) + b"\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


ME = b"GET /api/v1/me HTTP/1.1"


@pytest.mark.parametrize(
    "status, lines",
    [
        (401, [ME, b"Host: localhost", b"Authorization: Bearer \xff\xfe"]),
        (401, [ME, b"Host: localhost:PORT", b"Cookie: trueup_PORT=\xff\xfe"]),
        (421, [ME, b"Host: localhost:99999"]),
        (421, [ME, b"Host: localhost:abc"]),
        (421, [b"GET /login?code=x HTTP/1.1", b"Host: localhost:abc"]),
        (421, [ME, b"Host: ["]),
        (421, [ME, b"Host: localhost.evil.example"]),
        (421, [ME, b"Host:"]),
        (403, [b"POST /api/v1/logout HTTP/1.1", b"Host: localhost", b"Origin: http://[", b"Content-Length: 0"]),
        (403, [b"POST /api/v1/logout HTTP/1.1", b"Host: localhost", b"Origin: null", b"Content-Length: 0"]),
        (404, [b"GET /a%00b.js HTTP/1.1", b"Host: localhost"]),
        (404, [b"GET /" + b"a" * 300 + b".js HTTP/1.1", b"Host: localhost"]),
        (404, [b"GET /" + b"a/" * 2500 + b"x.js HTTP/1.1", b"Host: localhost"]),
    ],
    ids=range(13),
)
async def test_nonsense_in_a_request_is_answered(hub: HubClient, status: int, lines: list[bytes]) -> None:
    answer = await sent(hub, *lines)
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer


@pytest.mark.parametrize("value", [2**63, -(2**63), 2**64 - 1])
async def test_a_cursor_of_a_number_that_no_row_can_have_is_refused_or_empty(hub: HubClient, value: int) -> None:
    cursor = urlsafe_b64encode(msgpack.encode(["started_at", "desc", value, bytes(16)])).decode()
    response = await hub.http.get(f"{API}/sessions", params={"cursor": cursor}, headers=await hub.token())
    if response.status != 200:
        await problem(response, 400, "bad_parameter")
