"""Real recordings and the generated corpus, against figures that were worked out without this parser."""

import json
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claude_lines import Read
from given import CORPORA, GEN_CORPUS, SAMPLES, needs_given
from trueup_agent.harnesses.claude import Claude
from trueup_shared.metrics import BIT

pytestmark = needs_given

REAL = "claude-code-log/real_projects"
# Rows of EXPECTED.md: files, events, input, cache_read, cache_write, output; None = unknown.
EXPECTED: list[tuple[str, tuple[int | None, ...]]] = [
    ("VibeCodingTracker/claude_code.head.jsonl", (25, 137, 730_586, 69_676, 3_602)),
    ("claude-code-log/representative_messages.jsonl", (5, 218, 0, 0, 445)),
    ("claude-code-log/edge_cases.jsonl", (4, 488, 0, 0, 435)),
    ("claude-code-log/todowrite_examples.jsonl", (6, 883, None, None, 328)),
    ("claude-code-log/session_b.jsonl", (1, 20, 0, 0, 35)),
    ("ccusage/projects/project-alpha/session-alpha/chat.jsonl", (3, 600, 70, 75, 250)),
    ("ccusage/projects/project-beta/session-beta/chat.jsonl", (2, 130, 40, 15, 60)),
]
# files, events, without stop reason, input, cache_read, cache_write, of which 1 h (None = unknown), output
REAL_PROJECTS: list[tuple[str, tuple[int | None, ...]]] = [
    ("-experiments-worktrees/ef958aa1-*.jsonl", (12, 0, 1_293, 424_610, 89_023, 89_023, 14_309)),
    ("-experiments-worktrees/ef958aa1-*/subagents/*.jsonl", (66, 5, 1_238, 1_727_035, 296_384, 0, 30_557)),
    ("-src-experiments-claude_p/29ccd257-*.jsonl", (2, 2, 2, 36_009, 7_996, 0, 2)),
    ("-src-experiments-claude_p/29ccd257-*/subagents/*.jsonl", (10, 10, 4_466, 236_968, 42_768, 0, 18)),
    ("-Users-dain-workspace-coderabbit-review-helper/agent-*.jsonl", (51, 3, 28_244, 428_593, 201_213, 0, 13_083)),
    ("-Users-dain-workspace-claude-code-log-sample/cbc0f75b-*.jsonl", (10, 7, 64, 287_440, 28_310, None, 3_443)),
    ("**/*.jsonl", (360, 186, 57_955, 7_978_474, 1_122_801, 98_059, 95_842)),
]
SUMS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")


def lower_bounds(read: Read) -> int:
    return sum(bool(event.lower_bounds & BIT["output_tokens"]) for event in read.counted())


@pytest.mark.parametrize(("name", "figures"), EXPECTED, ids=lambda value: value if isinstance(value, str) else "")
def test_every_sample_gives_the_expected_figures(name: str, figures: tuple[int | None, ...]) -> None:
    read = Read().real(SAMPLES / "claude" / name)
    assert (len(read.counted()), *(read.total(counter) for counter in SUMS)) == figures


@pytest.mark.parametrize(("files", "figures"), REAL_PROJECTS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_real_project_gives_the_expected_figures(files: str, figures: tuple[int | None, ...]) -> None:
    read = Read().real(*sorted((SAMPLES / "claude" / REAL).glob(files)))
    sums = [read.total(counter) for counter in (*SUMS[:3], "cache_write_1h_tokens", SUMS[3])]
    assert (len(read.counted()), lower_bounds(read), *sums) == figures


def test_reported_cost_and_speed_of_old_records_are_kept() -> None:
    events = Read().real(SAMPLES / "claude" / EXPECTED[5][0]).counted()
    assert [event.reported_cost for event in events] == ["0.12", "0.34", "0.56"]
    assert [event.speed for event in events] == [None, "fast", None]


def test_hostile_names_are_names() -> None:
    folder = SAMPLES / "claude" / "codeburn"
    read = Read().real(*folder.glob("proto-*.jsonl"))
    assert {event.model for event in read.counted()} == {"claude-opus-4-6", "__proto__"}
    assert '["__proto__"]' in {message.tool_names for message in read.messages.values()}


def corpora() -> list[str]:
    if not CORPORA.is_dir():
        return []
    names = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))
    return [name for name in names if name.startswith("claude")]


@pytest.mark.parametrize("group", corpora())
def test_every_corpus_gives_the_expected_totals(group: str) -> None:
    expected: dict[str, Any] = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))[group]
    read = Read().root(CORPORA / group.replace("claude-overlap/", "claude-overlap/entireio+cli/"))
    figures = {name: read.total(f"{name}_tokens") for name in ("input", "cache_read", "cache_write", "output")}
    figures |= {"events": len(read.counted()), "output_lower_bound": lower_bounds(read)}
    assert {name: figures[name] or 0 for name in expected} == expected


def test_growing_copies_are_one_session() -> None:
    for folder in sorted((CORPORA / "claude-overlap" / "entireio+cli").iterdir()):
        if folder.is_dir():
            main = [s for s in Read().root(folder).sessions.values() if s.relationship is None]
            assert [session.session_id for session in main] == [folder.name]


def test_every_given_conversation_is_recognised_and_read() -> None:
    paths = [*CORPORA.glob("claude*/**/*.jsonl"), *(SAMPLES / "claude" / REAL).rglob("*.jsonl")]
    assert len(paths) > 80
    for path in paths:
        is_conversation = bool(Read().real(path).messages)
        assert (Claude().recognise(path, path.read_bytes()[:65536]) is not None) == is_conversation, path
    read = Read().real(*paths)
    assert (read.skipped, read.unknown) == ({"not_an_object": 3}, {"(none)": 1})


@pytest.mark.parametrize("seed", ["2", "5"])
def test_the_generated_corpus_gives_its_truth_in_every_cell(tmp_path: Path, seed: str) -> None:
    generate = [sys.executable, str(GEN_CORPUS), str(tmp_path), "--target-mb", "10", "--seed", seed]
    subprocess.run([*generate, "--agents", "claude"], check=True, capture_output=True)
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    read = Read().root(tmp_path / "home")
    names = ("calls", "input", "output", "cache_read", "cache_1h", "cache_5m")
    cells: dict[tuple[str, str | None], dict[str, int]] = defaultdict(lambda: dict.fromkeys(names, 0))
    for event in read.counted():
        cell = cells[datetime.fromtimestamp(event.at / 1e6, UTC).strftime("%Y-%m-%d"), event.model]
        long, written = event.cache_write_1h_tokens or 0, event.cache_write_tokens or 0
        values = (1, event.input_tokens, event.output_tokens, event.cache_read_tokens, long, written - long)
        for name, value in zip(names, values, strict=True):
            cell[name] += value or 0
    expected = {(c["day"], c["model"]): {name: c[name] for name in names} for c in truth["day_agent_model"]}
    assert dict(cells) == expected
    assert {session.session_id for session in read.sessions.values()} == {
        f"agent-{s['id'].split('/')[1]}" if "/" in s["id"] else s["id"] for s in truth["sessions"]
    }
