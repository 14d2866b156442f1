"""A full push over rows that were lost at the hub: what it brings back counts once, before anybody scrubs."""

import pytest

from damaged import database_of
from hub_process import Hub
from pushing import Machine
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.full import FullPush
from trueup_agent.push.hub_client import HubClient
from trueup_hub.ingest.verify import verify

pytestmark = pytest.mark.usefixtures("no_long_waits")

LOST = [
    "DELETE FROM events",
    "DELETE FROM events WHERE get_byte(uuid_send(event_key), 15) < 128",
    "DELETE FROM messages",
    "DELETE FROM sessions",
    "DELETE FROM sessions; DELETE FROM messages; DELETE FROM events",
    "UPDATE events SET output_tokens = 5, at = at + interval '1 day'",
    "DELETE FROM event_owners; DELETE FROM events",
]


@pytest.mark.parametrize("damage", LOST)
async def test_what_a_full_push_brings_back_counts_once(hub: Hub, ana: Machine, damage: str) -> None:
    await ana.write(1, 120)
    await ana.push()
    before = await hub.get("analytics/summary"), await hub.get("analytics/activity", granularity="day")
    await database_of(hub).execute(damage)
    async with HubClient(ana.host.hub_url, ana.host.credential) as client:
        result = await FullPush(ana.ledger, client, BatchSize(50)).run(0.0)
    assert result.verdict == "converged"
    assert await verify(database_of(hub)) == {}
    after = await hub.get("analytics/summary"), await hub.get("analytics/activity", granularity="day")
    for old, new in zip(before, after, strict=True):
        assert {**old, "trust": None} == {**new, "trust": None}
