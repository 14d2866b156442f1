"""`trueup pg verify`: which rows differ between the ledger and its hub, either way. Changes nothing on either side."""

import asyncio
from pathlib import Path

from msgspec import Struct, field

from trueup_agent.errors import Forked, HubTooOld, PositionMismatch
from trueup_agent.ledger import LedgerReader
from trueup_agent.push.compare import Comparer, Comparison, Difference, Tell
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.identity import fork_of
from trueup_agent.push.rejections import TABLES
from trueup_agent.push.versions import hub_version
from trueup_shared import wire

MOST_TRIES = 5  # where somebody pushes meanwhile
PAUSE_SECONDS = 0.5


class DifferingRow(Struct, frozen=True, kw_only=True):
    """Keys are hex; `session_id` is the producer's own. What only the hub has may have neither session nor harness."""

    difference: str  # only_here | only_hub | different
    table: str
    key: str
    session_key: str | None
    session_id: str | None
    harness: str | None


class Verified(Struct, kw_only=True):
    """`pg verify --json`. The three lists hold keys (hex) of rows; `rows` says the same with where they belong."""

    hub_url: str
    host_id: str
    ledger_id: str
    deep: bool
    verdict: wire.Verdict
    acked_seq: int
    head_seq: int
    pending: int  # rows and deletions that the hub is yet to get: no differences
    ledger_digest: str
    hub_digest: str
    buckets_differing: list[int]
    only_here: list[str] = field(default_factory=list)
    only_hub: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    rows: list[DifferingRow] = field(default_factory=list)
    rejected: list[str] = field(
        default_factory=list
    )  # keys of rows that the hub could not take, as the ledger has them
    requests: int = 0
    bytes: int = 0


async def verify(data_dir: Path, hub: HubClient, deep: bool, tell: Tell | None = None) -> Verified:
    """Raises HubTooOld, Forked, PositionMismatch while somebody pushes all the time, and the hub client's errors."""
    with LedgerReader(data_dir) as reader:
        ledger_id = reader.ledger_id()
    for tries in range(MOST_TRIES):
        position = await hub.position(ledger_id)
        if wire.REPAIR not in position.features:
            raise HubTooOld(f"the hub ({hub_version(position)}) is too old to be compared row by row: upgrade it")
        with LedgerReader(data_dir) as reader:
            _refuse_what_cannot_be_compared(reader, position)
        try:
            found = await Comparer(hub, ledger_id, position, deep, tell).run(data_dir)
        except PositionMismatch:
            await asyncio.sleep(PAUSE_SECONDS * tries)
            continue
        return await asyncio.to_thread(_verified, data_dir, hub.address, position, deep, found)
    raise PositionMismatch("the hub is being pushed to all the time: try again when less is going on")


def _refuse_what_cannot_be_compared(reader: LedgerReader, position: wire.Position) -> None:
    why = fork_of(reader, position)
    if why is not None:
        raise Forked(f"{why}: `trueup pg push` gives this one a new id")
    [[digest_set]] = reader.query("SELECT digest_set FROM ledger")
    if position.last_batch_id is not None and position.digest_set != digest_set:
        raise PositionMismatch("ledger and hub sum by different digest sets until the next push: `trueup pg push`")


def _verified(data_dir: Path, hub_url: str, position: wire.Position, deep: bool, found: Comparison) -> Verified:
    equal = found.ledger_digest == position.digest
    verdict: wire.Verdict = "converged" if equal and not found.buckets else "diverged"
    if found.pending or found.head_seq > found.acked_seq:
        verdict = "diverged" if found.differences else "behind"
    elif found.differences or found.without_key:
        verdict = "diverged"
    buckets = found.buckets
    if verdict == "behind" or found.pending:  # what is yet to come makes sums differ too
        buckets = sorted({d.session_key[0] for d in found.differences if d.session_key is not None})
    verified = Verified(
        hub_url=hub_url,
        host_id=position.host_id,
        ledger_id=position.ledger_id,
        deep=deep,
        verdict=verdict,
        acked_seq=found.acked_seq,
        head_seq=found.head_seq,
        pending=found.pending,
        ledger_digest=found.ledger_digest.hex(),
        hub_digest=position.digest.hex(),
        buckets_differing=buckets,
        rejected=[key.hex() for _, key in found.rejected],
        requests=found.requests,
        bytes=found.bytes,
    )
    with LedgerReader(data_dir) as reader:
        for difference in found.differences:
            row = _named(reader, difference)
            verified.rows.append(row)
            getattr(verified, row.difference).append(row.key)
    return verified


def _named(reader: LedgerReader, difference: Difference) -> DifferingRow:
    kind = "only_hub" if difference.here is None else "only_here" if difference.hub is None else "different"
    session_key = difference.session_key
    known = reader.query("SELECT session_id, harness FROM sessions WHERE key = ?", (session_key,))
    session_id, harness = known[0] if known else (None, None)
    return DifferingRow(
        difference=kind,
        table=TABLES.get(difference.table, "rows"),
        key=difference.key.hex(),
        session_key=session_key.hex() if session_key is not None else None,
        session_id=session_id,
        harness=difference.harness or harness,
    )
