"""Batches recorded from released protocols are accepted for ever, and come to the digests that they claim."""

from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from hub_client import API, HubClient, bearer
from trueup_shared import wire

FILES = sorted((Path(__file__).parents[1] / "golden" / "wire").glob("batch-*.hex"))
RECORDED = {path.name: path.read_text() for path in FILES}


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_batch_is_accepted_and_converges(hub: HubClient, name: str) -> None:
    body = bytes.fromhex(RECORDED[name])
    sent = msgspec.msgpack.decode(body, type=wire.Batch)
    host = await hub.host()
    headers = bearer(host.credential) | {"Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}
    reply = await hub.http.post(f"{API}/ledgers/{uuid4()}/batches", data=body, headers=headers)
    assert reply.status == 200, await reply.text()
    receipt = msgspec.msgpack.decode(await reply.read(), type=wire.Receipt)
    assert (receipt.verdict, receipt.digest, receipt.rejected) == ("converged", sent.head_digest, [])
    assert (receipt.acked_seq, receipt.inserted) == (sent.to_seq, 6)


def test_there_is_a_recording_of_protocol_1() -> None:
    assert [*RECORDED] == ["batch-protocol1.hex"]
