"""Batches recorded from released protocols are accepted for ever, and come to the digests that they claim."""

from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from hub_client import API, HubClient, bearer
from trueup_hub.db import Database
from trueup_hub.ingest.changes import ledger_transaction, remove_rows
from trueup_shared import keys, wire

T = TypeVar("T")
FOLDER = Path(__file__).parents[1] / "golden" / "wire"


async def post(hub: HubClient, url: str, headers: dict[str, str], body: bytes, kind: type[T]) -> T:
    reply = await hub.http.post(url, data=body, headers=headers)
    assert reply.status == 200, await reply.text()
    return msgspec.msgpack.decode(await reply.read(), type=kind)


async def lose(db: Database, place: tuple[int, bytes]) -> None:
    host_no, ledger_no = await db.fetchrow("SELECT host_no, ledger_no FROM ledgers") or (0, 0)
    async with ledger_transaction(db, host_no, ledger_no) as (tx, _):
        await remove_rows(tx, {place[0]: [place[1]]})
        assert tx.counts.removed == 1


async def test_recorded_batches_of_each_kind_are_accepted_and_converge(hub: HubClient) -> None:
    ordinary, full, repair = ((FOLDER / f"batch-{name}.hex").read_text() for name in ("protocol1", "full", "repair"))
    sent = msgspec.msgpack.decode(bytes.fromhex(ordinary), type=wire.Batch)
    headers = bearer((await hub.host()).credential) | {"Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}
    ledger = f"{API}/ledgers/{uuid4()}"

    async def push(recorded: str) -> wire.Receipt:
        return await post(hub, f"{ledger}/batches", headers, bytes.fromhex(recorded), wire.Receipt)

    receipt = await push(ordinary)
    assert (receipt.verdict, receipt.digest, receipt.rejected) == ("converged", sent.head_digest, [])
    assert (receipt.acked_seq, receipt.inserted) == (sent.to_seq, 6)

    event = msgspec.msgpack.decode(sent.events[0])[0]
    await lose(hub.db, (keys.EVENTS, event))
    told: dict[str, Any] = {"last_batch_id": sent.batch_id, "agent": wire.AgentInfo(version="0.4.0")}
    await post(hub, f"{ledger}/generations", headers, encoded(wire.OpenGeneration(**told)), wire.Position)
    receipt = await push(full)
    assert (receipt.full_seq, receipt.inserted, receipt.unchanged, receipt.rejected) == (sent.to_seq, 1, 5, [])
    told |= {"last_batch_id": receipt.batch_id, "at_seq": sent.to_seq, "head_digest": sent.head_digest}
    commit = encoded(wire.CommitGeneration(**told))
    done = await post(hub, f"{ledger}/generations/1/commit", headers, commit, wire.Committed)
    assert (done.verdict, done.removed, done.digest) == ("converged", 0, sent.head_digest)

    await lose(hub.db, (keys.EVENTS, event))
    receipt = await push(repair)
    assert (receipt.verdict, receipt.digest, receipt.rejected) == ("converged", sent.head_digest, [])
    assert (receipt.inserted, receipt.unchanged, receipt.acked_seq) == (1, 5, sent.to_seq)


def encoded(document: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(document)


def test_there_are_recordings_of_all_kinds_of_batches_and_no_others() -> None:
    assert sorted(path.name for path in FOLDER.glob("batch-*")) == [
        "batch-full.hex",
        "batch-protocol1.hex",
        "batch-repair.hex",
    ]
