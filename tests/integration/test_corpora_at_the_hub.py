"""Real transcripts, scanned and pushed by the command line: each cell of the hub's answers is that of the machine."""

from pathlib import Path
from typing import Any

from agent_process import trueup
from given import CORPORA, needs_given
from hub_process import Hub
from processes import environment
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.verify import verify

ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns")  # 0, 5 h 45 min, -3 h 30 min with changes of clocks
Cells = dict[tuple[str, str | None, str | None], dict[str, Any]]


def assert_same(hub: dict[str, Any], machine: dict[str, Any], what: object) -> None:
    """Every amount that adds up, and how much of it is known."""
    names = machine["totals"].keys() - {"peak_context_tokens"}
    assert {name: hub["totals"][name] for name in names} == {name: machine["totals"][name] for name in names}, what
    assert {name: hub["coverage"][name] for name in machine["coverage"]} == machine["coverage"], what


async def hub_cells(hub: Hub, zone: str, harnesses: set[str]) -> Cells:
    cells: Cells = {}
    for harness in harnesses:
        query = {"granularity": "day", "group_by": "model", "harness": harness, "timezone": zone}
        for series in (await hub.get("analytics/activity", **query))["series"]:
            for point in series["points"]:
                if point["coverage"]["total_tokens"]["events"]:
                    cells[point["start"], harness, series["key"]] = point
    return cells


@needs_given
async def test_every_day_harness_model_cell_is_the_machines_in_every_zone(hub: Hub, tmp_path: Path) -> None:
    env = environment(tmp_path / "home", tmp_path / "data")
    kinds = sorted(folder.name for folder in CORPORA.iterdir() if folder.is_dir() and folder.name != "claude-overlap")
    roots = [flag for kind in kinds for flag in ("--root", f"{kind}={CORPORA / kind}")]
    assert (await trueup("agent", "scan", *roots, env=env)).status == 0
    code = await make_enroll_code(hub.auth.db)
    assert (await trueup("agent", "enroll", hub.url, "--code", code, env=env)).status == 0
    pushed = await trueup("pg", "push", "--json", env=env)
    assert (pushed.status, pushed.json["verdict"], pushed.json["rejected"]) == (0, "converged", 0), pushed.err
    assert await verify(hub.auth.db) == {}
    for zone in ZONES:
        usage = ("usage", "totals", "--json", "--timezone", zone)
        told = (await trueup(*usage, "--by", "day,harness,model", env=env)).json
        rows = {tuple(row["key"]): row for row in told["rows"]}
        cells = await hub_cells(hub, zone, {key[1] for key in rows})
        assert cells.keys() == rows.keys()
        assert len(cells) > 30
        for key, row in rows.items():
            assert_same(cells[key], row, (zone, key))
            assert cells[key]["coverage"]["total_tokens"]["events"] == row["events"]
        whole = await hub.get("analytics/summary", timezone=zone)
        assert_same(whole, told, zone)
        assert (whole["from"], whole["to"], whole["unpriced_tokens"]) == (
            told["from"],
            told["to"],
            told["unpriced_tokens"],
        )
