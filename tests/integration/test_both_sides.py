"""What a ledger says of a machine and what the hub says of it are the same numbers, counter by counter."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent_process import trueup
from claude_lines import answer
from codex_lines import count, meta, turn
from golden_homes import home_of_all
from hub_process import running_hub
from processes import environment
from trueup_agent.demo import write_demo
from trueup_agent.harnesses import HARNESSES
from trueup_hub.enrolment import make_enroll_code

ZONE = "Asia/Kathmandu"


def old_logs(home: Path) -> None:
    """What the demo has none of: costs as reported, prompts whose cached part nobody knows."""
    claude = home / ".claude/projects/-home-ana-shop/5e551000-0000-4000-8000-0000000000aa.jsonl"
    codex = home / ".codex/sessions/2026/05/04/rollout-2026-05-04T08-00-00-019e0000-0000-7000-8000-00000000000a.jsonl"
    for path, lines in (
        (claude, [answer(1, 2, costUSD=0.00010500000000000003)]),
        (codex, [meta(0), turn(1), count(2, {"input_tokens": 900, "output_tokens": 40, "total_tokens": 940})]),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))


def of_usage(row: dict[str, Any]) -> dict[str, Any]:
    return {"events": row["events"], "unpriced": row["unpriced_tokens"], **row["totals"], "coverage": row["coverage"]}


def of_hub(row: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    totals = row["totals"] | {"peak_context_tokens": row["peak_context_tokens"]}
    coverage = {name: row["coverage"][name] for name in like["coverage"]}
    named = {name: totals[name] for name in totals.keys() & like.keys()}
    return {"events": row["events"], "unpriced": totals["unpriced_tokens"], **named, "coverage": coverage}


async def both_sides(home: Path, by: str, database_url: str, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `trueup usage` tells, and what the hub shows after a push in which nothing was rejected."""
    env = environment(home, tmp_path / "data")
    async with running_hub(database_url, tmp_path / "hub") as hub:
        code = await make_enroll_code(hub.auth.db)
        assert (await trueup("agent", "enroll", hub.url, "--code", code, env=env)).status == 0
        pushed = await trueup("agent", "run", "--once", "--json", env=env)
        assert (pushed.status, pushed.json["push"]["rejected"]) == (0, 0), pushed.err
        told = (await trueup("usage", "totals", "--by", by, "--timezone", ZONE, "--json", env=env)).json
        shown = await hub.get("analytics/breakdown", by=by, timezone=ZONE)
    return told, shown


def amounts(told: dict[str, Any], shown: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Key -> amounts and coverage: of usage, and of the hub."""
    usage = {row["key"]: of_usage(row) for row in told["rows"]}
    return usage, {row["key"]: of_hub(row, usage[row["key"]]) for row in shown["rows"] if row["events"]}


@pytest.mark.parametrize("by", ["harness", "provider", "model", "project"])
async def test_usage_and_page_agree_on_every_amount_and_its_coverage(
    by: str, database_url: str, tmp_path: Path
) -> None:
    write_demo(tmp_path / "demo", datetime(2026, 11, 20, tzinfo=UTC), days=9)
    home = tmp_path / "demo" / "studio"
    old_logs(home)
    told, shown = await both_sides(home, by, database_url, tmp_path)
    assert (shown["from"], shown["to"]) == (told["from"], told["to"])
    usage, hubs = amounts(told, shown)
    assert hubs == usage
    assert {"input_undivided_tokens", "reported_cost_microusd"} <= {
        name for row in usage.values() for name, value in row.items() if value is not None
    }


async def test_they_agree_of_every_harness_at_once(database_url: str, tmp_path: Path) -> None:
    home = home_of_all(tmp_path / "golden")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.toml").write_text(f'[harness.aider]\nroots = ["{home}/src"]\n')
    usage, hubs = amounts(*await both_sides(home, "harness", database_url, tmp_path))
    assert hubs == usage
    assert set(usage) == set(HARNESSES)
