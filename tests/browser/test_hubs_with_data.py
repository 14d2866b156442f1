"""The hubs that pages are tested on have what they are said to have."""

from datetime import timedelta

import pytest

from hub_process import Hub
from trueup_hub.ingest.verify import verify
from trueup_hub.states import STATES
from usage_fleet import CONFLICTING, COPIED, HOSTS, LONG, SILENT, SUBAGENT_ELSEWHERE, SUBAGENTS
from usage_quarter import HARNESSES, QUIET_DAYS, TODAY

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_fleet_has_twenty_hosts_each_in_the_state_and_with_the_flags_that_it_is_there_for(
    fleet_hub: Hub,
) -> None:
    hosts = (await fleet_hub.get("hosts"))["hosts"]
    found = {host["label"]: (host["state"], {flag["flag"] for flag in host["flags"]}) for host in hosts}
    assert found == {host.label: (host.state, set(host.flags)) for host in HOSTS}
    assert len(found) == 20
    assert {state for state, _ in found.values()} == set(STATES)


async def test_the_fleet_has_every_kind_of_knowing(fleet_hub: Hub) -> None:
    told = {row["key"]: row for row in (await fleet_hub.get("analytics/breakdown", by="harness"))["rows"]}
    assert told.keys() == HARNESSES.keys()
    assert told["cursor"]["totals"]["output_tokens"] is None
    for harness, known in (("aider", "lower_bound"), ("zed", "derived")):
        output = told[harness]["coverage"]["output_tokens"]
        assert output[known] == output["events"] > 0
    assert told["warp"]["totals"]["undivided_tokens"]
    assert told["opencode"]["totals"]["cost_microusd"] is None
    assert await verify(fleet_hub.auth.db) == {}


async def test_the_sessions_that_are_there_for_something_are_there(fleet_hub: Hub) -> None:
    usage = await fleet_hub.get(f"sessions/{LONG.key.hex()}/usage")
    assert {one["id"] for one in usage["subagents"]} == {one.key.hex() for one in (*SUBAGENTS, SUBAGENT_ELSEWHERE)}
    copied, conflicting = [await fleet_hub.get(f"sessions/{one.key.hex()}/usage") for one in (COPIED, CONFLICTING)]
    assert (copied["set_aside"]["events"], conflicting["set_aside"]["events"]) == (COPIED.turns, CONFLICTING.turns)
    assert sum(part["conflicts"] for part in conflicting["parts"]) > 0
    day = str(TODAY - timedelta(QUIET_DAYS[1]))
    alone = await fleet_hub.get("analytics/heatmap", metric="output_tokens", **{"from": day, "to": day})
    assert [(one["value"], one["coverage"]["events"]) for one in alone["entries"]] == [(None, SILENT.turns)]
