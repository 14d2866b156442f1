"""Ledgers become known by anything that their agent sends; a host cannot make them without end, nor when it is gone."""

import time
from uuid import UUID, uuid4

import pytest

from ledgers import Ledger, add_host, event, event_key
from trueup_hub.auth import Caller
from trueup_hub.db import Database
from trueup_hub.errors import Problem
from trueup_hub.heartbeats import record_heartbeat
from trueup_hub.ingest import contact, identity
from trueup_hub.ingest.forgetting import forget_pending
from trueup_shared import wire


async def beat(db: Database, host: Ledger, ledger_id: str) -> None:
    caller = Caller(scope="host", by="credential", name="ana", host_no=host.host_no, host_id=UUID(host.host_id))
    now = time.time_ns() // 1000
    agent = wire.AgentInfo(version="1")
    heartbeat = wire.Heartbeat(ledger_id=ledger_id, head_seq=1, rows=1, pending=0, agent=agent, sent_at=now)
    await record_heartbeat(db, caller, UUID(ledger_id), heartbeat)


async def test_a_host_has_so_many_ledgers_and_the_ones_it_has_go_on(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "MOST_LEDGERS", 3)
    first = Ledger(db, await add_host(db, "ana"))
    first.put(event_key(1), event(1))
    await first.push()
    second = str(uuid4())
    await beat(db, first, second)
    await contact(db, first.host_no, str(uuid4()), [second])
    fourth = Ledger(db, (first.host_no, first.host_id), "another file")
    fourth.put(event_key(2), event(2))
    for attempt in (
        beat(db, first, fourth.ledger_id),
        contact(db, first.host_no, fourth.ledger_id, [second]),
        fourth.push(),
    ):
        with pytest.raises(Problem, match="rekey") as refused:
            await attempt
        assert (refused.value.status, refused.value.code) == (409, "too_many_ledgers")
    await beat(db, first, second)
    first.put(event_key(2), event(2))
    assert (await first.push()).verdict == "converged"
    assert await db.fetchval("SELECT count(*) FROM ledgers") == 3


async def test_a_heartbeat_that_comes_after_its_host_was_forgotten_leaves_nothing(db: Database) -> None:
    ana = Ledger(db, await add_host(db, "ana"))
    await db.execute("UPDATE hosts SET forgotten_at = now()")
    for ledger_id in (ana.ledger_id, str(uuid4())):
        with pytest.raises(Problem, match="revoked"):
            await beat(db, ana, ledger_id)
        await forget_pending(db)
    assert await db.fetchval("SELECT count(*) FROM ledgers") == 0
    assert await db.fetchval("SELECT count(*) FROM host_status") == 0
