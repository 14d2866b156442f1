"""What `trueup usage` says of a ledger is what the hub says of it once it was pushed."""

from pathlib import Path
from typing import Any

import pytest

from hub_process import Hub
from pushing import machine
from trueup_agent.ledger import SourceInfo, SourceUpdate
from trueup_agent.ledger.rows import event_row, session_row
from usage_ledger import NOON, ORIGIN, event, report, session

DAY = 86_400_000_000
ZONE = "Asia/Kathmandu"  # 5 h 45 min
MODELS = ("claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "made-up", None)


@pytest.fixture
async def pushed(hub: Hub, tmp_path: Path) -> Path:
    """Forty days of requests in eight sessions, some of which report less than all."""
    events = []
    for n in range(160):
        counters: dict[str, Any] = {"output_tokens": n, "cache_read_tokens": 10 * n}
        if n % 3:
            counters |= {"input_tokens": n + 1, "context_tokens": 11 * n}
        if n % 7 == 0:
            counters = {}
        at = NOON + n * DAY // 4 + n * 1_000_003
        events.append(event(f"e{n}", session=f"s{n % 8}", at=at, model=MODELS[n % 4], **counters))
    async with machine(hub, tmp_path / "ana") as ana:
        policy = ana.ledger.policy
        update = SourceUpdate(
            source=SourceInfo(source_key=ORIGIN.source_key, harness="claude", identity="test", path="/test"),
            sessions=[session_row(session(f"s{n}"), ORIGIN, policy) for n in range(8)],
            events=[event_row(one, ORIGIN, policy) for one in events],
        )
        await ana.ledger.write([update])
        assert (await ana.push()).verdict == "converged"
    return tmp_path / "ana"


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    names = ours["totals"].keys() & theirs["totals"].keys()
    assert {"total_tokens", "output_tokens", "cost_microusd"} <= names
    assert {name: ours["totals"][name] for name in names} == {name: theirs["totals"][name] for name in names}
    assert {name: ours["coverage"][name] for name in ours["coverage"]} == {
        name: theirs["coverage"][name] for name in ours["coverage"]
    }


async def test_days_weeks_and_months_are_the_activity_of_the_hub(hub: Hub, pushed: Path) -> None:
    for command, granularity in (("daily", "day"), ("weekly", "week"), ("monthly", "month")):
        theirs = await hub.get("analytics/activity", granularity=granularity, timezone=ZONE)
        ours = report(pushed, command, "--timezone", ZONE)
        assert (ours["from"], ours["to"]) == (theirs["from"], theirs["to"])
        points = {p["start"]: p for p in theirs["series"][0]["points"] if p["coverage"]["total_tokens"]["events"]}
        assert [row["key"] for row in ours["rows"]] == list(points)
        for row in ours["rows"]:
            same(row, points[row["key"]])


async def test_sessions_and_blocks_are_what_the_hub_has_of_them(hub: Hub, pushed: Path) -> None:
    narrowed = {"from": "2026-05-08", "to": "2026-05-20", "timezone": ZONE}
    theirs = await hub.get("sessions", limit="100", **narrowed)
    flags = ("--since", narrowed["from"], "--until", narrowed["to"], "--timezone", ZONE)
    ours = {row["key"]: row for row in report(pushed, "sessions", *flags)["rows"]}
    used = {one["session_id"]: one for one in theirs["sessions"] if one["events"]}
    assert len(ours) == 8
    assert ours.keys() == used.keys()
    for name, row in ours.items():
        same(row, used[name])
        assert row["session_key"] == used[name]["id"]
    whole = await hub.get(f"sessions/{ours['s1']['session_key']}")
    one = report(pushed, "session", "s1", "--timezone", ZONE)
    same(one, whole)
    by_model = {row["key"]: row for row in whole["by_model"]}
    assert {row["key"] for row in one["rows"]} == by_model.keys()
    for row in one["rows"]:
        same(row, by_model[row["key"]])
    blocks = report(pushed, "blocks", "--timezone", ZONE)
    same(blocks, await hub.get("analytics/summary", harness="claude"))
    assert sum(row["events"] for row in blocks["rows"]) == blocks["events"] == 160
