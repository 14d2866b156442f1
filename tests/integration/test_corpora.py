"""Real transcripts and generated corpora come out exact: every counter, events and lower bounds included."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from given import CORPORA, GEN_CORPUS, needs_given
from processes import environment, trueup

EXPECTED: dict[str, Any] = json.loads((CORPORA / "expected.json").read_text()) if CORPORA.is_dir() else {}
COUNTERS = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "input_undivided": "input_undivided_tokens",
}
TRUE_COUNTERS = ("input", "cache_read", "cache_write", "output", "reasoning")  # of a generated corpus


def folder_of(group: str) -> tuple[str, Path]:
    kind, name = group.split("/")
    if kind == "claude-overlap":
        return "claude", next((CORPORA / kind).glob(f"*/{name}"))
    return kind, CORPORA / kind / name


@needs_given
@pytest.mark.parametrize("group", EXPECTED)
def test_a_group_of_real_transcripts_has_its_true_totals(group: str, tmp_path: Path) -> None:
    harness, folder = folder_of(group)
    env = environment(tmp_path / "home", tmp_path / "data")
    scanned = trueup("agent", "scan", "--root", f"{harness}={folder}", "--json", env=env)
    assert scanned.status == 0, scanned.err
    (row,) = trueup("usage", "totals", "--by", "harness", "--json", env=env).json["rows"]
    assert row["key"] == harness
    expected = EXPECTED[group]
    for name, counter in COUNTERS.items():
        if name in expected:
            assert (row["totals"][counter] or 0) == expected[name], name
    if "events" in expected:
        assert row["events"] == expected["events"]
    if "output_lower_bound" in expected:
        assert row["coverage"]["output_tokens"]["lower_bound"] == expected["output_lower_bound"]
    if "sessions" in expected:
        assert scanned.json["harnesses"][harness]["sessions"] == expected["sessions"]
    if "reported_cost_usd" in expected:
        assert row["totals"]["reported_cost_microusd"] == pytest.approx(cost_of(group, folder) * 1e6, abs=50)


def cost_of(group: str, folder: Path) -> float:
    """As expected.json says it, in dollars with four digits; for Crush it says how to look it up."""
    cost = EXPECTED[group]["reported_cost_usd"]
    if isinstance(cost, str):
        database = next(folder.rglob("crush.db"))
        (cost,) = (
            sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
            .execute("SELECT sum(cost) FROM sessions WHERE parent_session_id IS NULL")
            .fetchone()
        )
    return float(cost)


def truth_cells(truth: dict[str, Any]) -> dict[tuple[str, str, str], tuple[int, ...]]:
    return {
        (cell["day"], cell["agent"], cell["model"]): (
            cell["calls"],
            cell["input"],
            cell["cache_read"],
            cell["cache_5m"] + cell["cache_1h"],
            cell["output"],
            cell["reasoning"],
        )
        for cell in truth["day_agent_model"]
    }


@needs_given
@pytest.mark.parametrize("megabytes", [10, 200])
def test_every_day_harness_model_cell_of_a_generated_corpus_is_true(megabytes: int, tmp_path: Path) -> None:
    command = [sys.executable, str(GEN_CORPUS), str(tmp_path), "--target-mb", str(megabytes), "--seed", "7"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    env = environment(tmp_path / "home", tmp_path / "data")
    scanned = trueup("agent", "scan", "--json", env=env)
    assert scanned.status == 0, scanned.err
    usage = trueup("usage", "totals", "--json", "--by", "day,harness,model", "--timezone", "UTC", env=env).json
    cells = {
        tuple(row["key"]): (row["events"], *((row["totals"][COUNTERS[name]] or 0) for name in TRUE_COUNTERS))
        for row in usage["rows"]
    }
    assert cells == truth_cells(json.loads((tmp_path / "truth.json").read_text()))
