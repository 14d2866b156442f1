"""Real recordings and the generated corpus, against figures that were worked out without this parser."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from codex_lines import Read
from given import CORPORA, GEN_CORPUS, SAMPLES, needs_given

pytestmark = needs_given

COLUMNS = ("input", "cache_read", "cache_write", "output", "reasoning")


def expected_samples() -> list[list[str]]:
    """Rows of the table in EXPECTED.md that speak of Codex: file, events, then COLUMNS."""
    if not SAMPLES.is_dir():
        return []
    rows = (SAMPLES / "EXPECTED.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows if row.startswith("| `codex/")]
    return [row[: 2 + len(COLUMNS)] for row in cells]


def number(cell: str) -> int | None:
    return None if cell == "unknown" else int(re.sub(r"\s", "", cell))


@pytest.mark.parametrize("row", expected_samples(), ids=lambda row: row[0])
def test_every_sample_gives_the_expected_figures(row: list[str]) -> None:
    read = Read().real(SAMPLES / row[0])
    assert len(read.events) == number(row[1])
    assert {c: read.total(f"{c}_tokens") for c in COLUMNS} == dict(zip(COLUMNS, map(number, row[2:]), strict=True))


@pytest.mark.parametrize("group", ["codex/Mai0313+VibeCodingTracker", "codex/savekirk+session-bridge"])
def test_every_corpus_gives_the_expected_totals(group: str) -> None:
    expected = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))
    assert {name for name in expected if name.startswith("codex/")} == {
        "codex/Mai0313+VibeCodingTracker",
        "codex/savekirk+session-bridge",
    }
    read = Read().folder(CORPORA / group)
    assert {name: read.total(f"{name}_tokens") for name in expected[group]} == expected[group]
    assert (read.skipped, read.unknown) == ({}, {})


def test_no_sample_has_an_unreadable_line() -> None:
    for path in sorted((SAMPLES / "codex").rglob("*.jsonl")):
        assert Read().real(path).skipped == {}, path


def test_the_generated_corpus_gives_its_truth_in_every_cell(tmp_path: Path) -> None:
    generate = [sys.executable, str(GEN_CORPUS), str(tmp_path), "--target-mb", "10", "--seed", "1"]
    subprocess.run([*generate, "--agents", "codex"], check=True, capture_output=True)
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    read = Read().folder(tmp_path / "home")
    cells: dict[tuple[str, str | None], dict[str, int]] = defaultdict(lambda: dict.fromkeys(("calls", *COLUMNS), 0))
    for event in read.events.values():
        cell = cells[datetime.fromtimestamp(event.at / 1e6, UTC).strftime("%Y-%m-%d"), event.model]
        cell["calls"] += 1
        for name in COLUMNS:
            cell[name] += getattr(event, f"{name}_tokens") or 0
    expected = {
        (c["day"], c["model"]): {"cache_write": 0} | {n: c[n] for n in ("calls", *COLUMNS) if n in c}
        for c in truth["day_agent_model"]
        if c["agent"] == "codex"
    }
    assert dict(cells) == expected
    assert truth["features"]["codex_forks"] + truth["features"]["codex_subagents"] >= 2
    by_session: dict[bytes, int] = defaultdict(int)
    for event in read.events.values():
        by_session[event.session_key] += event.output_tokens or 0
    assert sorted(by_session.values()) == sorted(
        s["output"] for s in truth["sessions"] if s["agent"] == "codex" and s["calls"]
    )
