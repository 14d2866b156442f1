"""Real recordings of Copilot CLI, against figures that were worked out without this parser."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from given import CORPORA, SAMPLES, needs_given
from scanned import Scanned, scanned

pytestmark = needs_given

RECORDING = SAMPLES / "copilot" / "VibeCodingTracker" / "copilot.jsonl"
COLUMNS = ("input", "cache_read", "cache_write", "output", "reasoning")
GROUP = "copilot/Mai0313+VibeCodingTracker"


def expected() -> list[int | None]:
    """Events and COLUMNS of the recording, from the table in EXPECTED.md."""
    lines = (SAMPLES / "EXPECTED.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("| `copilot/")]
    cells = [re.sub(r"\s|\(.*\)", "", cell) for cell in line.strip("|").split("|")][1:7]
    return [None if cell == "unknown" else int(cell) for cell in cells]


def figures(seen: Scanned) -> list[int | None]:
    totals = seen.totals()
    return [totals["events"], *(totals[f"{name}_tokens"] for name in COLUMNS)]


async def test_the_sample_gives_the_expected_figures(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "copilot", RECORDING)
    assert figures(seen) == expected()
    assert (seen.totals()["skipped"], seen.totals()["unknown"]) == ({}, {})
    # The answers' own numbers are the same output, set aside.
    assert sum(event.output_tokens or 0 for event in seen.set_aside()) == 2848
    assert seen.totals()["cost"] == {"premium_requests": 2}


async def test_the_corpus_gives_the_expected_totals(tmp_path: Path) -> None:
    totals = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))
    assert [name for name in totals if name.startswith("copilot/")] == [GROUP]
    seen = await scanned(tmp_path, "copilot", CORPORA / GROUP)
    assert {name: seen.totals()[f"{name}_tokens"] for name in totals[GROUP]} == totals[GROUP]
    (session,) = seen.sessions()
    assert (session.project_path, session.harness_version) == ("/home/wei/repo/VibeCodingTracker", "1.0.34")


@pytest.mark.parametrize(
    ("name", "output", "events"),
    [("small", 15, 3), ("large", None, 4), ("schema_drift", 50, 1), ("subdir_v1", 26, 2)],
)
async def test_fixtures_of_other_builds_are_read_without_loss(
    tmp_path: Path, name: str, output: int | None, events: int
) -> None:
    """`small` and `subdir_v1` have no usage in a shutdown, so their answers count; `large` has no usage at all."""
    root = SAMPLES / "copilot" / "agent-sessions"
    seen = await scanned(tmp_path, "copilot", root / name if name == "subdir_v1" else root / f"{name}.jsonl")
    totals = seen.totals()
    assert (totals["output_tokens"], totals["events"]) == (output, events)
    assert (totals["skipped"], totals["unknown"]) == ({}, {})


@pytest.mark.parametrize(
    ("field", "value", "changed"),
    [
        ("cacheReadTokens", None, {"input": None, "cache_read": None}),  # its prompt can no longer be divided
        ("cacheWriteTokens", "0", {"cache_write": None}),
        ("outputTokens", -1, {"output": None}),
        ("reasoningTokens", None, {"reasoning": None}),
        ("inputTokens", 2**60, {"input": None}),
    ],
)
async def test_one_field_less_moves_its_own_count_alone(
    tmp_path: Path, field: str, value: Any, changed: dict[str, None]
) -> None:
    records = [json.loads(line) for line in RECORDING.read_text(encoding="utf-8").splitlines()]
    (usage,) = [metric["usage"] for metric in records[-1]["data"]["modelMetrics"].values()]
    usage[field] = value
    mutant = tmp_path / "copilot.jsonl"
    mutant.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    told = dict(zip(("events", *COLUMNS), expected(), strict=True)) | changed
    assert figures(await scanned(tmp_path, "copilot", mutant)) == list(told.values())


async def test_without_its_shutdown_the_output_of_the_answers_counts_as_a_lower_bound(tmp_path: Path) -> None:
    lines = RECORDING.read_bytes().splitlines(keepends=True)
    (tmp_path / "copilot.jsonl").write_bytes(b"".join(lines[:-1]))
    seen = await scanned(tmp_path, "copilot", tmp_path / "copilot.jsonl")
    assert figures(seen) == [6, None, None, None, 2848, None]
    assert seen.totals()["lower_bound"] == 6
