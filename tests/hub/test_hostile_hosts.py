"""What a machine with a credential may claim: nothing that spoils the page for the others or fells the hub."""

import gzip
from typing import Any

import pytest
from aiohttp import ClientResponse
from msgspec import json, msgpack, to_builtins

from hub_client import API, HubClient, bearer, problem
from ledgers import Ledger, event, event_key, session
from trueup_hub.ingest.verify import verify
from trueup_shared import keys, wire
from usage_data import event as used
from usage_data import machine

MOST = 2**53 - 1
PACKED = {"Content-Type": wire.CONTENT_TYPE}
SOURCE = {"key": bytes(16), "harness": "claude", "state": "present"} | dict.fromkeys(
    ("bytes_read", "lines", "skipped_lines", "unknown_records"), 1
)


@pytest.fixture
async def enrolled(hub: HubClient) -> wire.EnrollReply:
    return await hub.host()


@pytest.fixture
async def ledger(hub: HubClient, enrolled: wire.EnrollReply) -> Ledger:
    return Ledger(hub.db, (await hub.db.fetchval("SELECT max(host_no) FROM hosts"), enrolled.host_id))


def batch(ledger: Ledger, **changes: Any) -> dict[str, Any]:
    """The next batch as a document, with values of any kind put in."""
    ledger.put(event_key(0), event())
    document: dict[str, Any] = msgpack.decode(msgpack.encode(ledger.batch()))
    return document | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_id": b"short"},
        {"previous_batch_id": bytes(17)},
        {"batch_no": 2**31},
        {"batch_no": -1},
        {"to_seq": 2**63},
        {"from_seq": -1},
        {"head_digest": b""},
        {"digest_set": 2**40},
        {"agent": {"version": "a\0"}},
        {"agent": {"version": "a" * 1_000_000}},
        {"agent": {"version": "1", "features": [""] * 101}},
        {"policy": {"a": "\0"}},
        {"policy": {str(n): "" for n in range(101)}},
        {"parsers": {"claude": {"version": 2**31, "floor": 1}}},
        {"parsers": {"cl\0": {"version": 1, "floor": 1}}},
        {"events": [None] * 200_001},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_batch_of_nonsense_is_refused_and_the_next_one_counts(
    hub: HubClient, ledger: Ledger, enrolled: wire.EnrollReply, changes: dict[str, Any]
) -> None:
    headers = bearer(enrolled.credential) | PACKED
    url = f"{API}/ledgers/{ledger.ledger_id}/batches"
    await problem(
        await hub.http.post(url, data=msgpack.encode(batch(ledger, **changes)), headers=headers), 400, "malformed"
    )
    assert (await ledger.push()).verdict == "converged"


async def test_a_json_body_of_many_tiny_rows_is_not_built(
    hub: HubClient, ledger: Ledger, enrolled: wire.EnrollReply
) -> None:
    document = to_builtins(msgpack.decode(msgpack.encode(ledger.batch()), type=wire.Batch)) | {
        "events": [1] * 2_000_001
    }
    headers = bearer(enrolled.credential) | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    url = f"{API}/ledgers/{ledger.ledger_id}/batches"
    await problem(
        await hub.http.post(url, data=gzip.compress(json.encode(document)), headers=headers), 413, "too_large"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"sent_at": 2**62},
        {"sent_at": -1},
        {"head_seq": 2**63},
        {"rows": 2**64 - 1},
        {"drift_suspected": ["a\0"]},
        {"drift_suspected": ["x"] * 101},
        {"agent": {"version": "\0"}},
        {"platform": "\0"},
        {"label": "x" * 513},
        {"sources": [SOURCE | {"harness": "h" * 5000}]},
        {"sources": [SOURCE | {"harness": "\0"}]},
        {"sources": [SOURCE | {"key": b"k"}]},
        {"sources": [SOURCE | {"lines": 2**63}]},
        {"sources": [SOURCE | {"path": "\0"}]},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_heartbeat_of_nonsense_is_refused(
    hub: HubClient, ledger: Ledger, enrolled: wire.EnrollReply, changes: dict[str, Any]
) -> None:
    await problem(await beat(hub, ledger, enrolled, **changes), 400, "malformed")


async def test_a_heartbeat_that_names_a_source_twice_or_an_error_with_nul_is_taken(
    hub: HubClient, ledger: Ledger, enrolled: wire.EnrollReply
) -> None:
    response = await beat(hub, ledger, enrolled, sources=[SOURCE, SOURCE | {"lines": 2}], last_error="a\0b")
    assert response.status == 200
    assert await hub.db.fetchval("SELECT lines FROM sources") == 2


async def beat(hub: HubClient, ledger: Ledger, enrolled: wire.EnrollReply, **changes: Any) -> ClientResponse:
    sane = {"ledger_id": ledger.ledger_id, "head_seq": 1, "rows": 1, "pending": 0, "sent_at": 1_700_000_000_000_000}
    document = sane | {"agent": {"version": "1"}} | changes
    headers = bearer(enrolled.credential) | PACKED
    return await hub.http.post(f"{API}/heartbeat", data=msgpack.encode(document), headers=headers)


async def test_a_host_that_claims_more_than_sums_can_hold_leaves_the_page_readable(
    hub: HubClient, ledger: Ledger
) -> None:
    for n in range(600):  # in as many slots: each sum fits, their sum does not
        counters: dict[str, Any] = dict.fromkeys(("input_tokens", "cache_read_tokens", "output_tokens"), MOST)
        ledger.put(event_key(n), event(n * 60, **counters))
    ledger.put(keys.session_key("claude", "s1"), session())
    await ledger.push()
    viewer = await hub.token()
    for route in (
        *("analytics/summary", "analytics/heatmap", "analytics/activity?granularity=month", "analytics/top-sessions"),
        *("analytics/breakdown?by=model", "sessions", "sessions?sort=total_tokens&order=asc", "trust", "capabilities"),
        f"sessions/{keys.session_key('claude', 's1').hex()}",
    ):
        response = await hub.http.get(f"{API}/{route}", headers=viewer)
        assert response.status == 200, (route, await response.text())


@pytest.mark.parametrize(
    "claim", [{"output_tokens": MOST}, {"reported_cost": "999999999", "reported_cost_unit": "usd"}]
)
async def test_rows_that_no_sum_can_hold_are_refused_by_themselves(ledger: Ledger, claim: dict[str, Any]) -> None:
    """One by one each is storable; in one slot their sum is not, and the ledger must not be stuck for ever."""
    ledger.put(event_key("sane"), event())
    for n in range(1100):
        ledger.put(event_key(n), event(**claim))
    receipt = await ledger.push()
    assert (receipt.inserted, len(receipt.rejected), receipt.verdict) == (1, 1100, "converged")


async def test_a_host_that_fills_a_session_keeps_off_nothing_that_others_send_of_it(hub: HubClient) -> None:
    boast, honest = await machine(hub.db, "boast"), await machine(hub.db, "honest")
    most = [used(f"b{n}", "shared", f"2026-11-03T10:{n % 60:02}Z", output_tokens=MOST) for n in range(1024)]
    assert (await boast.send(*most)).rejected == []
    receipt = await honest.send(used("h", "shared", "2026-11-04T10:00Z", output_tokens=5000))
    assert (receipt.rejected, receipt.verdict) == ([], "converged")
    assert await verify(hub.db) == {}
