"""What a machine with a credential may claim: nothing that spoils the page for the others or fells the hub."""

from typing import Any

import msgspec
import pytest

from hub_client import API, HubClient, bearer
from ledgers import Ledger, event, event_key, session
from trueup_shared import keys, wire

MOST = 2**53 - 1
PACKED = {"Content-Type": wire.CONTENT_TYPE}


@pytest.fixture
async def ledger(hub: HubClient) -> Ledger:
    enrolled = await hub.host()
    return Ledger(hub.db, (await hub.db.fetchval("SELECT max(host_no) FROM hosts"), enrolled.host_id))


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
