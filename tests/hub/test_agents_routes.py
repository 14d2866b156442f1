"""Batches over HTTP: every encoding, every limit, every way to send nonsense."""

import asyncio
import contextlib
import gzip
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse
from backports import zstd

from hub_client import API, HubClient, bearer, problem
from ledgers import Ledger, event
from trueup_hub.handlers import agents
from trueup_hub.keys import ADMISSION
from trueup_shared import keys, wire

PACKED = {"Content-Type": wire.CONTENT_TYPE}
JSON = {"Content-Type": "application/json"}


class Agent:
    """An enrolled host with a ledger whose batches go over HTTP."""

    def __init__(self, hub: HubClient, enrolled: wire.EnrollReply, host_no: int) -> None:
        self.hub, self.headers = hub, bearer(enrolled.credential)
        self.ledger = Ledger(hub.db, (host_no, enrolled.host_id))
        self.path = f"{API}/ledgers/{self.ledger.ledger_id}"

    async def post(self, body: bytes, **headers: str) -> ClientResponse:
        sent = {**self.headers, **PACKED, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.hub.http.post(f"{self.path}/batches", data=body, headers=sent)

    def batch(self, rows: int = 3, **changes: Any) -> bytes:
        for n in range(rows):
            self.ledger.put(keys.event_key("test", self.ledger.seq, n), event(n))
        return msgspec.msgpack.encode(self.ledger.batch(**changes))

    async def position(self) -> wire.Position:
        response = await self.hub.http.get(self.path, headers=self.headers | {"Accept": wire.CONTENT_TYPE})
        assert response.content_type == wire.CONTENT_TYPE
        return msgspec.msgpack.decode(await response.read(), type=wire.Position)


@pytest.fixture
async def agent(hub: HubClient) -> Agent:
    enrolled = await hub.host()
    return Agent(hub, enrolled, await hub.db.fetchval("SELECT max(host_no) FROM hosts"))


async def converged(response: ClientResponse) -> wire.Receipt:
    content = await response.read()
    assert response.status == 200, content
    decode = msgspec.msgpack.decode if response.content_type == wire.CONTENT_TYPE else msgspec.json.decode
    receipt = decode(content, type=wire.Receipt)
    assert receipt.verdict == "converged"
    return receipt


async def test_a_batch_is_acknowledged_and_moves_the_position(agent: Agent) -> None:
    assert (await agent.position()).acked_seq == 0
    receipt = await converged(await agent.post(agent.batch(), Accept=wire.CONTENT_TYPE))
    assert (receipt.acked_seq, receipt.inserted) == (3, 3)
    assert (await agent.position()).digest == receipt.digest == agent.ledger.digest


async def test_what_came_as_json_has_the_same_digest_as_what_came_packed(agent: Agent) -> None:
    batch = msgspec.msgpack.decode(agent.batch(), type=wire.Batch)
    document = msgspec.to_builtins(msgspec.structs.replace(batch, events=[]))  # bytes become base64
    document["events"] = [msgspec.to_builtins(msgspec.msgpack.decode(row, type=wire.EventRow)) for row in batch.events]
    receipt = await converged(await agent.post(msgspec.json.encode(document), **{"Content-Type": "application/json"}))
    assert receipt.digest == agent.ledger.digest


async def test_a_row_in_json_that_is_none_is_rejected_by_itself(agent: Agent) -> None:
    document = msgspec.to_builtins(msgspec.msgpack.decode(agent.batch(0), type=wire.Batch))
    document |= {"events": [["AAAAAAAAAAAAAAAAAAAAAA==", 1, None, {"11": "many"}], 7, 10**40], "to_seq": 1}
    response = await agent.post(msgspec.json.encode(document), **{"Content-Type": "application/json"})
    receipt = msgspec.json.decode(await response.read(), type=wire.Receipt)
    assert response.status == 200
    assert len(receipt.rejected) == 3  # msgpack has no such number as the last


@pytest.mark.parametrize(("encoding", "compress"), [("zstd", zstd.compress), ("gzip", gzip.compress)])
async def test_a_compressed_batch_is_unpacked(agent: Agent, encoding: str, compress: Any) -> None:
    await converged(await agent.post(compress(agent.batch()), Content_Encoding=encoding))


async def test_a_replayed_batch_gets_the_same_receipt(agent: Agent) -> None:
    body = agent.batch()
    first = await (await agent.post(body, Accept=wire.CONTENT_TYPE)).read()
    assert await (await agent.post(body, Accept=wire.CONTENT_TYPE)).read() == first


async def test_a_batch_from_elsewhere_gets_409_and_the_hubs_position(agent: Agent) -> None:
    response = await agent.post(agent.batch(from_seq=2))
    document = await problem(response, 409, "position_mismatch")
    position = msgspec.convert(document["position"], wire.Position, strict=True, builtin_types=())
    assert (position.acked_seq, position.host_id) == (0, agent.ledger.host_id)


async def test_another_host_has_a_ledger_of_its_own_under_the_same_id(agent: Agent, hub: HubClient) -> None:
    await converged(await agent.post(agent.batch()))
    other = bearer((await hub.host("bea")).credential)
    position = await (await hub.http.get(agent.path, headers=other)).json()
    assert position["acked_seq"] == 0


@pytest.mark.parametrize(("encoding", "compress"), [("zstd", zstd.compress), ("gzip", gzip.compress)])
async def test_a_bomb_is_refused_before_it_is_unpacked(
    agent: Agent, encoding: str, compress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "MAX_BODY_BYTES", 1_000_000)
    bomb = compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    document = await problem(await agent.post(bomb, Content_Encoding=encoding), 413, "too_large")
    assert document["limit"] == 1_000_000
    await converged(await agent.post(agent.batch()))


async def test_a_body_over_the_limit_is_refused(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MAX_BODY_BYTES", 1000)
    await problem(await agent.post(bytes(1001)), 413, "too_large")


async def test_a_batch_of_too_many_rows_is_refused(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MAX_BATCH_ROWS", 2)
    document = await problem(await agent.post(agent.batch(3)), 413, "too_many_rows")
    assert document["limit"] == 2


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
async def test_a_body_that_is_not_what_its_encoding_says_is_malformed(agent: Agent, encoding: str) -> None:
    await problem(await agent.post(agent.batch(), Content_Encoding=encoding), 400, "malformed")


@pytest.mark.parametrize(
    ("encoding", "compress"), [("zstd", zstd.compress), ("gzip", gzip.compress), ("identity", bytes)]
)
async def test_a_body_that_ends_early_changes_nothing(agent: Agent, encoding: str, compress: Any) -> None:
    body = compress(agent.batch())
    await problem(await agent.post(body[: len(body) // 2], Content_Encoding=encoding), 400, "malformed")
    assert (await agent.position()).acked_seq == 0


async def test_a_connection_cut_in_mid_body_changes_nothing(agent: Agent) -> None:
    body, url = agent.batch(), agent.hub.http.make_url(f"{agent.path}/batches")
    assert url.host is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {url.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {agent.headers['Authorization']}\r\n"
    head += f"Content-Type: {wire.CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:-10])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await agent.position()).acked_seq == 0
    await converged(await agent.post(body))


async def test_nonsense_is_malformed(agent: Agent) -> None:
    for kind in (wire.CONTENT_TYPE, "application/json"):
        for body in (b"", b"\x00", b"\xc1", b"{}", b"\x80", b"[" * 100_000, b'{"batch_id": 1}'):
            await problem(await agent.post(body, **{"Content-Type": kind}), 400, "malformed")


async def test_another_content_type_or_encoding_is_named(agent: Agent) -> None:
    await problem(await agent.post(b"x", **{"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    await problem(await agent.post(b"x", Content_Encoding="compress"), 415, "unsupported_encoding")


async def test_a_protocol_that_the_hub_does_not_speak_is_named(agent: Agent) -> None:
    body = agent.batch(agent=wire.AgentInfo(version="9", protocols=(7, 9)))
    document = await problem(await agent.post(body), 400, "unsupported_protocol")
    assert document["supported"] == [wire.PROTOCOL, wire.PROTOCOL]


async def test_a_host_whose_last_batch_is_still_worked_on_is_told_to_wait(agent: Agent) -> None:
    admission = agent.hub.http.app[ADMISSION]  # type: ignore[union-attr]
    with admission.admitted(agent.ledger.host_no):
        response = await agent.post(agent.batch())
        await problem(response, 429, "too_many_requests")
        assert response.headers["Retry-After"] == "1"
    await converged(await agent.post(agent.batch(0)))


async def test_a_full_hub_tells_everybody_to_wait(agent: Agent) -> None:
    admission = agent.hub.http.app[ADMISSION]  # type: ignore[union-attr]
    with contextlib.ExitStack() as others:
        for host_no in range(-32, 0):
            others.enter_context(admission.admitted(host_no))
        response = await agent.post(agent.batch())
        await problem(response, 503, "busy")
        assert response.headers["Retry-After"] == "2"


async def test_a_ledger_id_is_a_uuid(agent: Agent) -> None:
    await problem(await agent.hub.http.get(f"{API}/ledgers/x", headers=agent.headers), 404, "not_found")
