"""What agents call: enrol, say how they are, ask for a position, send a batch."""

import time
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Raw

from trueup_hub import enrolment
from trueup_hub.errors import BadRequest, Problem
from trueup_hub.handlers import bodies
from trueup_hub.heartbeats import record_heartbeat
from trueup_hub.hosts import expected_silence_seconds
from trueup_hub.ingest import apply_batch, contact, position
from trueup_hub.keys import ADMISSION, AUTH, CALLER, DATABASE, LIVE, QUERY, TELEMETRY
from trueup_hub.responses import agent_reply
from trueup_shared.wire import (
    MAX_BATCH_ROWS,
    MAX_BODY_BYTES,
    Batch,
    EnrollRequest,
    EventRow,
    Heartbeat,
    HeartbeatReply,
    MessageRow,
    SessionRow,
    Tombstone,
)

_HEARTBEAT_BODY = 8 * 1024 * 1024  # a machine may have many sources


async def post_enroll(request: web.Request) -> web.Response:
    """Exchange an enrolment code for the credential of a new host. The same secret gets the same answer again."""
    auth = request.app[AUTH]
    asked = await bodies.read(request, EnrollRequest)
    granted = await enrolment.enroll(request.app[DATABASE], auth.key, auth.revocations, asked)
    request.app[LIVE].host_changed(granted.host_id)
    return agent_reply(request, granted)


async def post_heartbeat(request: web.Request) -> web.Response:
    """Say how an agent and its ledger are. The answer has the hub's position and what the agent is asked for."""
    heartbeat = await bodies.read(request, Heartbeat, limit=_HEARTBEAT_BODY)
    host, db = request[CALLER], request.app[DATABASE]
    ledger_id = _uuid(heartbeat.ledger_id)
    await contact(db, host.host_no, str(ledger_id), heartbeat.replaces)
    recorded = await record_heartbeat(db, host, ledger_id, heartbeat)
    if recorded.news:
        request.app[LIVE].host_changed(str(host.host_id))
    where = await position(db, host.host_no, str(host.host_id), str(ledger_id))
    silence = await expected_silence_seconds(db, host.host_no)
    answer = HeartbeatReply(position=where, expected_silence_seconds=silence, directives=recorded.directives)
    return agent_reply(request, answer)


async def get_ledger(request: web.Request) -> web.Response:
    """Where the hub is with a ledger of the calling host. One that it has never seen is all zeros."""
    host, ledger_id = request[CALLER], str(request[QUERY]["ledger_id"])
    where = await position(request.app[DATABASE], host.host_no, str(host.host_id), ledger_id)
    return agent_reply(request, where)


async def post_batch(request: web.Request) -> web.Response:
    """Send a batch of rows. The receipt comes after the commit.

    409 has the hub's position where the batch does not continue there. The rows of a batch are in docs/wire.md.
    """
    host, ledger_id = request[CALLER], str(request[QUERY]["ledger_id"])
    with request.app[ADMISSION].admitted(host.host_no):
        batch = await _read_batch(request)
        began = time.perf_counter()
        receipt = await apply_batch(request.app[DATABASE], host.host_no, str(host.host_id), ledger_id, batch)
    request.app[TELEMETRY].batch(receipt, time.perf_counter() - began)
    request.app[LIVE].usage_changed(str(host.host_id))
    return agent_reply(request, receipt)


async def _read_batch(request: web.Request) -> Batch:
    packed = bodies.is_msgpack(request)
    batch = await bodies.read(request, Batch, limit=MAX_BODY_BYTES)
    rows = len(batch.sessions) + len(batch.messages) + len(batch.events) + len(batch.tombstones)
    if rows > MAX_BATCH_ROWS:
        detail = f"A batch has at most {MAX_BATCH_ROWS} rows."
        raise Problem(413, "too_many_rows", detail, members={"limit": MAX_BATCH_ROWS})
    bodies.check_protocol(batch.agent)
    bodies.check_digest_set(batch.digest_set)
    return batch if packed else _packed(batch)


def _packed(batch: Batch) -> Batch:
    """A batch that came as JSON, its rows as msgpack: what follows knows one form only."""
    return msgspec.structs.replace(
        batch,
        sessions=[_packed_row(row, SessionRow) for row in batch.sessions],
        messages=[_packed_row(row, MessageRow) for row in batch.messages],
        events=[_packed_row(row, EventRow) for row in batch.events],
        tombstones=[_packed_row(row, Tombstone) for row in batch.tombstones],
    )


def _packed_row(row: Raw, kind: type[msgspec.Struct]) -> Raw:
    """A row that is not of its kind goes on as it is, to be rejected by itself."""
    value: object
    try:
        value = msgspec.json.decode(row, type=kind)
    except msgspec.ValidationError:
        value = msgspec.json.decode(row)
    try:
        return Raw(msgspec.msgpack.encode(value))
    except OverflowError:  # JSON has greater numbers than msgpack
        return Raw(msgspec.msgpack.encode(bytes(row)))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("malformed", "'ledger_id' must be a UUID.") from None
