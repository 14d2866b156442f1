"""The documents of repair, full push and directives keep their bytes (docs/wire.md)."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trueup_shared import wire

GOLDEN = Path(__file__).parents[1] / "golden" / "wire" / "documents.json"
K = [bytes(range(n, n + 16)) for n in range(8)]
AGENT = wire.AgentInfo(version="0.4.0", features=list(wire.FEATURES))
ROW = msgspec.Raw(msgspec.msgpack.encode((K[3], 5, K[4], {"1": "claude", "2": "s1"})))

DOCUMENTS: dict[str, Any] = {
    "full batch": wire.Batch(
        batch_id=K[0],
        previous_batch_id=K[1],
        batch_no=7,
        from_seq=0,
        to_seq=9,
        kind="full",
        generation=2,
        sessions=[ROW],
        agent=AGENT,
        parsers={"claude": wire.ParserVersion(1, 1)},
        replaces=["0b8f6a52-6a3c-4d0e-9d61-1f2d3c4b5a69"],
    ),
    "repair batch": wire.Batch(
        batch_id=K[0],
        previous_batch_id=K[1],
        batch_no=8,
        from_seq=9,
        to_seq=9,
        kind="repair",
        sessions=[ROW],
        tombstones=[msgspec.Raw(msgspec.msgpack.encode(wire.Tombstone(3, K[5], 0)))],
        head_digest=K[6],
        agent=AGENT,
    ),
    "position": wire.Position(
        host_id="h",
        ledger_id="l",
        acked_seq=9,
        last_batch_id=K[0],
        batch_no=8,
        generation=1,
        open_generation=2,
        full_seq=4,
        full_target=9,
        digest=K[6],
        state="behind",
        rejected=1,
        hub_version="0.4.0",
        features=list(wire.FEATURES),
    ),
    "open generation": wire.OpenGeneration(last_batch_id=K[0], agent=AGENT),
    "commit generation": wire.CommitGeneration(last_batch_id=K[0], at_seq=9, head_digest=K[6], agent=AGENT),
    "committed": wire.Committed(generation=2, acked_seq=9, removed=3, corrected=1, digest=K[6], verdict="converged"),
    "buckets": wire.Buckets(
        last_batch_id=K[0],
        acked_seq=9,
        sums=bytes(4096),
        rejected=[wire.RejectedDigest(3, K[2], 4, K[7]), wire.RejectedDigest(3, None, None, K[7])],
    ),
    "bucket sessions": wire.BucketSessions(last_batch_id=K[0], acked_seq=9, sessions=[wire.SessionSum(K[2], 3, K[7])]),
    "session rows": wire.SessionRows(last_batch_id=K[0], acked_seq=9, rows=[wire.RowDigest(3, K[2], 4, K[7])]),
    "receipt": wire.Receipt(
        ledger_id="l",
        batch_id=K[0],
        batch_no=8,
        acked_seq=9,
        full_seq=4,
        digest=K[6],
        verdict="converged",
        directives=[wire.Directive(id="6f3c", kind="full_push")],
    ),
    "heartbeat": wire.Heartbeat(
        ledger_id="l",
        head_seq=9,
        rows=5,
        pending=0,
        agent=AGENT,
        sent_at=1_763_800_000_000_000,
        replaces=["0b8f6a52-6a3c-4d0e-9d61-1f2d3c4b5a69"],
        withheld=["events.27"],
        directives=[wire.DirectiveReport(id="6f3c", state="running", done=2, of=5, note="reading logs")],
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_the_bytes_that_it_was_released_with(name: str) -> None:
    recorded = json.loads(GOLDEN.read_text())[name]
    assert msgspec.msgpack.encode(DOCUMENTS[name]).hex() == recorded
    assert msgspec.msgpack.decode(bytes.fromhex(recorded), type=type(DOCUMENTS[name])) == DOCUMENTS[name]


def test_every_recorded_document_is_looked_at() -> None:
    assert json.loads(GOLDEN.read_text()).keys() == DOCUMENTS.keys()


def test_a_release_that_knew_none_of_this_is_understood() -> None:
    """What issue one sent: no features, no kinds but ordinary."""
    old = {"host_id": "h", "ledger_id": "l", "acked_seq": 3, "state": "converged"}
    position = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=wire.Position)
    assert (position.features, position.open_generation, position.hub_version) == ([], 0, "")
