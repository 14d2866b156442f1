"""What an agent compares with its ledger, over HTTP: buckets, sessions, rows; and the routes of full pushes."""

import asyncio
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import pytest
from msgspec import msgpack

from hub_client import API, HubClient, bearer, problem
from ledgers import AGENT, Rows, event, event_key, message, message_key, session
from trueup_hub.ingest import compare
from trueup_shared import __version__, keys, wire

T = TypeVar("T")


class Agent(Rows):
    """A ledger of an enrolled host; msgpack both ways."""

    def __init__(self, hub: HubClient, credential: str, ledger_id: str | None = None) -> None:
        super().__init__(ledger_id or str(uuid4()))
        self._http = hub.http
        self._headers = bearer(credential) | {"Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else msgpack.encode(body)
        url = f"{API}/ledgers/{self.ledger_id}{path}"
        return await self._http.request(method, url, data=data, headers=self._headers)

    async def get(self, path: str, kind: type[T]) -> T:
        reply = await self.ask("GET", path)
        assert reply.status == 200, await reply.text()
        return msgspec.msgpack.decode(await reply.read(), type=kind)

    async def post(self, path: str, body: Any, kind: type[T]) -> T:
        reply = await self.ask("POST", path, body)
        assert reply.status == 200, await reply.text()
        return msgspec.msgpack.decode(await reply.read(), type=kind)

    async def push(self) -> wire.Receipt:
        receipt = await self.post("/batches", self.batch(), wire.Receipt)
        self.applied(receipt)
        return receipt

    def row_digests(self, session_key: bytes) -> set[tuple[int, bytes, int, bytes]]:
        return {
            (*place, self.seqs[place], keys.digest_bytes(keys.row_digest(*place, wire.encode_body(body))))
            for place, body in self.rows.items()
            if (place[1] if place[0] == keys.SESSIONS else body.session_key) == session_key  # type: ignore[union-attr]
        }


@pytest.fixture
async def agent(hub: HubClient) -> Agent:
    """Three sessions of a ledger: their own rows, messages and events; pushed."""
    made = Agent(hub, (await hub.host()).credential)
    for name in ("s1", "s2", "s3"):
        key = keys.session_key("claude", name)
        made.put(key, session(name))
        for n in range(3):
            made.put(event_key(f"{name} {n}"), event(n, session_key=key))
            made.put(message_key(f"{name} {n}"), message(n, session_key=key))
    assert (await made.push()).verdict == "converged"
    return made


SESSION_KEYS = [keys.session_key("claude", name) for name in ("s1", "s2", "s3")]


@pytest.mark.parametrize("deep", ["", "?deep=0", "?deep=1"])
async def test_the_three_answers_agree_with_the_ledger(agent: Agent, deep: str) -> None:
    buckets = await agent.get(f"/buckets{deep}", wire.Buckets)
    assert (buckets.last_batch_id, buckets.acked_seq, buckets.rejected) == (agent.last_batch, agent.seq, [])
    sums = [int.from_bytes(buckets.sums[i : i + 16], "big") for i in range(0, len(buckets.sums), 16)]
    assert len(sums) == 256
    assert keys.digest_bytes(sum(sums)) == agent.digest
    assert {i for i, total in enumerate(sums) if total} == {key[0] for key in SESSION_KEYS}
    for key in SESSION_KEYS:
        inside = await agent.get(f"/buckets/{key[0]}{deep}", wire.BucketSessions)
        assert (inside.last_batch_id, inside.acked_seq) == (agent.last_batch, agent.seq)
        assert sum(int.from_bytes(one.digest, "big") for one in inside.sessions) % keys.DIGEST_MODULUS == sums[key[0]]
        (found,) = [one for one in inside.sessions if one.key == key]
        rows = await agent.get(f"/sessions/{key.hex()}/rows{deep}", wire.SessionRows)
        assert (rows.last_batch_id, rows.acked_seq) == (agent.last_batch, agent.seq)
        assert {(r.table, r.key, r.seq, r.digest) for r in rows.rows} == agent.row_digests(key)
        assert found.rows == len(rows.rows) == 7
        assert keys.digest_bytes(sum(int.from_bytes(r.digest, "big") for r in rows.rows)) == found.digest


async def test_an_empty_bucket_and_an_unknown_session_are_empty_lists(agent: Agent) -> None:
    empty = next(i for i in range(256) if i not in {key[0] for key in SESSION_KEYS})
    assert (await agent.get(f"/buckets/{empty}", wire.BucketSessions)).sessions == []
    assert (await agent.get(f"/sessions/{bytes(16).hex()}/rows", wire.SessionRows)).rows == []


async def test_rejected_rows_are_in_no_bucket_but_beside_them_and_stale_ones_nowhere(
    hub: HubClient, agent: Agent
) -> None:
    bad = msgpack.decode(wire.encode_body(event(1, session_key=SESSION_KEYS[0]))) | {"11": -1}
    agent.put_raw(keys.EVENTS, event_key("s1 1"), bad)
    batch = agent.batch()
    batch.events.append(msgspec.Raw(b"\xc0"))
    receipt = await agent.post("/batches", batch, wire.Receipt)
    agent.applied(receipt)
    buckets = await agent.get("/buckets", wire.Buckets)
    found = {(one.table, one.key, one.seq) for one in buckets.rejected}
    assert found == {(keys.EVENTS, event_key("s1 1"), agent.seq), (keys.EVENTS, None, None)}
    sums = [buckets.sums[i : i + 16] for i in range(0, len(buckets.sums), 16)]
    parts = [*sums, *(one.digest for one in buckets.rejected)]
    assert keys.digest_bytes(sum(int.from_bytes(part, "big") for part in parts)) == receipt.digest
    where = await agent.get("", wire.Position)
    assert (where.rejected, where.digest) == (2, receipt.digest)
    rows = await agent.get(f"/sessions/{SESSION_KEYS[0].hex()}/rows", wire.SessionRows)
    assert event_key("s1 1") not in {row.key for row in rows.rows}
    assert len(rows.rows) == 6


async def test_deep_answers_are_about_the_columns_where_the_running_sums_say_what_was_received(
    hub: HubClient, agent: Agent
) -> None:
    key, place = SESSION_KEYS[1], event_key("s2 1")
    await hub.db.execute("UPDATE events SET output_tokens = output_tokens + 1 WHERE event_key = $1", place)
    await hub.db.execute("DELETE FROM messages WHERE message_key = $1", message_key("s2 2"))
    plain, deep = [await agent.get(f"/buckets{ask}", wire.Buckets) for ask in ("", "?deep=1")]
    differing = [i for i in range(256) if plain.sums[i * 16 : i * 16 + 16] != deep.sums[i * 16 : i * 16 + 16]]
    assert differing == [key[0]]
    for ask, rows_of_session in (("", 7), ("?deep=1", 6)):
        inside = await agent.get(f"/buckets/{key[0]}{ask}", wire.BucketSessions)
        assert [one.rows for one in inside.sessions if one.key == key] == [rows_of_session]
    rows = await agent.get(f"/sessions/{key.hex()}/rows?deep=1", wire.SessionRows)
    found = {(r.table, r.key, r.seq, r.digest) for r in rows.rows}
    lacking = {row[1] for row in agent.row_digests(key) - found}
    assert lacking == {place, message_key("s2 2")}
    assert {row[1] for row in found - agent.row_digests(key)} == {place}


async def test_a_ledger_that_the_hub_does_not_know_or_that_is_another_hosts_is_all_zeros(
    hub: HubClient, agent: Agent
) -> None:
    stranger = Agent(hub, (await hub.host("bob")).credential, agent.ledger_id)
    unknown = Agent(hub, (await hub.host("cem")).credential)
    for one in (stranger, unknown):
        for deep in ("", "?deep=1"):
            buckets = await one.get(f"/buckets{deep}", wire.Buckets)
            assert buckets == wire.Buckets(last_batch_id=None, acked_seq=0, sums=bytes(256 * 16))
            inside = await one.get(f"/buckets/{SESSION_KEYS[0][0]}{deep}", wire.BucketSessions)
            assert inside == wire.BucketSessions(last_batch_id=None, acked_seq=0)
            rows = await one.get(f"/sessions/{SESSION_KEYS[0].hex()}/rows{deep}", wire.SessionRows)
            assert rows == wire.SessionRows(last_batch_id=None, acked_seq=0)
    commit = wire.CommitGeneration(
        last_batch_id=agent.last_batch, at_seq=agent.seq, head_digest=agent.digest, agent=AGENT
    )
    document = await problem(await stranger.ask("POST", "/generations/1/commit", commit), 409, "position_mismatch")
    assert document["position"]["acked_seq"] == 0
    opened = await stranger.post("/generations", wire.OpenGeneration(last_batch_id=None, agent=AGENT), wire.Position)
    assert (opened.host_id, opened.full_target) == (document["position"]["host_id"], 0)
    assert (await agent.get("", wire.Position)).open_generation == 0


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/buckets/256", 404, "not_found"),
        ("/buckets/-1", 404, "not_found"),
        ("/buckets/x", 404, "not_found"),
        ("/buckets/²", 404, "not_found"),
        ("/sessions/xyz/rows", 404, "not_found"),
        ("/sessions/00/rows", 404, "not_found"),
        ("/buckets?deep=yes", 400, "bad_parameter"),
        ("/buckets?dep=1", 400, "unknown_parameter"),
    ],
)
async def test_what_is_asked_wrongly_is_refused_in_words(agent: Agent, path: str, status: int, code: str) -> None:
    await problem(await agent.ask("GET", path), status, code)


async def test_a_full_push_over_http_ends_with_the_kept_answer(hub: HubClient, agent: Agent) -> None:
    lost = (keys.EVENTS, event_key("s3 0"))
    del agent.rows[lost], agent.seqs[lost]
    asked = wire.OpenGeneration(last_batch_id=agent.last_batch, agent=AGENT)
    where = await agent.post("/generations", asked, wire.Position)
    assert (where.hub_version, where.features) == (__version__, list(wire.FEATURES))
    agent.generation, agent.full_seq, agent.full_target = where.open_generation, where.full_seq, where.full_target
    agent.applied(await agent.post("/batches", agent.full_batch(), wire.Receipt))
    commit = wire.CommitGeneration(
        last_batch_id=agent.last_batch, at_seq=agent.seq, head_digest=agent.digest, agent=AGENT
    )
    done = await agent.post("/generations/1/commit", commit, wire.Committed)
    assert (done.removed, done.verdict, done.digest) == (1, "converged", agent.digest)
    assert await agent.post("/generations/1/commit", commit, wire.Committed) == done
    await problem(await agent.ask("POST", "/generations/2/commit", commit), 409, "position_mismatch")
    await problem(await agent.ask("POST", "/generations/x/commit", commit), 404, "not_found")
    await problem(await agent.ask("POST", "/generations/1/commit", {"at_seq": -1}), 400, "malformed")
    stale = wire.OpenGeneration(last_batch_id=None, agent=AGENT)
    await problem(await agent.ask("POST", "/generations", stale), 409, "position_mismatch")
    other = wire.AgentInfo(version="9", protocols=(7, 9))
    for path, body in (
        ("/generations", wire.OpenGeneration(last_batch_id=agent.last_batch, agent=other)),
        ("/generations/1/commit", msgspec.structs.replace(commit, agent=other)),
    ):
        await problem(await agent.ask("POST", path, body), 400, "unsupported_protocol")


async def test_deep_comparing_and_commits_are_admitted_like_batches(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One piece of heavy work of a host at a time: the second is told to wait, plain reading is not."""
    entered, leave = asyncio.Event(), asyncio.Event()
    recomputed = compare.recomputed_buckets

    async def slow(*args: Any) -> list[int]:
        entered.set()
        await leave.wait()
        return await recomputed(*args)

    monkeypatch.setattr(compare, "recomputed_buckets", slow)
    first = asyncio.create_task(agent.get("/buckets?deep=1", wire.Buckets))
    await entered.wait()
    commit = wire.CommitGeneration(last_batch_id=None, at_seq=0, head_digest=bytes(16), agent=AGENT)
    for method, path, body in (
        ("GET", "/buckets/0?deep=1", None),
        ("POST", "/generations/1/commit", commit),
        ("POST", "/generations", wire.OpenGeneration(last_batch_id=None, agent=AGENT)),
        ("POST", "/batches", agent.batch()),
    ):
        reply = await agent.ask(method, path, body)
        await problem(reply, 429, "too_many_requests")
        assert reply.headers["Retry-After"] == "1"
    await agent.get("/buckets", wire.Buckets)
    leave.set()
    assert (await first).acked_seq == agent.seq


async def test_an_agent_without_pages_gets_all_rejected_rows_or_is_told_that_they_are_too_many(
    hub: HubClient, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PAGE", 2)
    monkeypatch.setattr(compare, "MOST_REJECTED", 5)
    for n in range(5):
        agent.put(event_key(f"bad {n}"), event(n, session_key=SESSION_KEYS[0], model="a\0b"))
    await agent.push()
    whole = await agent.get("/buckets", wire.Buckets)
    assert (len(whole.rejected), whole.more) == (5, msgspec.UNSET)
    agent._headers["Prefer"] = "respond-async, pages"
    page = await agent.get("/buckets", wire.Buckets)
    rows, sums = list(page.rejected), page.sums
    while page.more:
        page = await agent.get(f"/buckets?rejected_after={page.more}", wire.Buckets)
        assert (page.sums, page.last_batch_id) == (b"", whole.last_batch_id)
        rows += page.rejected
    assert (rows, sums) == (whole.rejected, whole.sums)
    for nonsense in ("3", "3.", "4." + "0" * 32, "3." + "x" * 32, "9" * 400):
        await problem(await agent.ask("GET", f"/buckets?rejected_after={nonsense}"), 400, "bad_parameter")
    del agent._headers["Prefer"]
    agent.put(event_key("bad 5"), event(5, session_key=SESSION_KEYS[0], model="a\0b"))
    await agent.push()
    document = await problem(await agent.ask("GET", "/buckets"), 409, "too_many_rejected")
    assert document["limit"] == 5
