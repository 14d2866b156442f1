"""Coverage is real: one thing taken out of a recording moves exactly the count that speaks of it, and by one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from given import CORPORA, SAMPLES, needs_given
from scanned import Scanned, scanned
from trueup_shared.metrics import BIT, COUNTERS

Record = dict[str, Any]


class Case(NamedTuple):
    """`usage` gives the object that holds the counter `name` of a record, and what tells its request from others."""

    harness: str
    path: Path
    usage: Callable[[Record], tuple[Record, str] | None]
    name: str  # as the harness calls it
    counter: str  # as we do


def claude(record: Record) -> tuple[Record, str] | None:
    message = record.get("message")
    return (message["usage"], message["id"]) if isinstance(message, dict) and message.get("usage") else None


def pi(record: Record) -> tuple[Record, str] | None:
    message = record.get("message", {})
    usage = message.get("usage")
    return (usage, record["timestamp"]) if usage and usage["output"] and message["stopReason"] != "aborted" else None


def kimi(record: Record) -> tuple[Record, str] | None:
    """A request is told twice, by its step and by its record."""
    told = record if record.get("type") == "usage.record" else record.get("event", {})
    return (told["usage"], str(sorted(told["usage"].items()))) if told.get("usage") else None


def gptme(record: Record) -> tuple[Record, str] | None:
    usage = (record.get("metadata") or {}).get("usage")
    return (usage, record["timestamp"]) if usage else None


def cline(record: Record) -> tuple[Record, str] | None:
    return (record["metrics"], record["id"]) if record.get("metrics") else None


CLAUDE = CORPORA / "claude/entireio+auth-go"
PI = CORPORA / "pi/entireio+auth-go"
KIMI = SAMPLES / "kimi/agent-sessions/subagent_agent-0.jsonl"
GPTME = SAMPLES / "gptme/agentsview/2026-06-13-write-hello-world"
CLINE = SAMPLES / "cline/cline-sdk/session"
CASES = [
    Case("claude", CLAUDE, claude, "output_tokens", "output_tokens"),
    Case("claude", CLAUDE, claude, "cache_read_input_tokens", "cache_read_tokens"),
    Case("pi", PI, pi, "output", "output_tokens"),
    Case("pi", PI, pi, "cacheRead", "cache_read_tokens"),
    Case("kimi", KIMI, kimi, "output", "output_tokens"),
    Case("kimi", KIMI, kimi, "inputCacheRead", "cache_read_tokens"),
    Case("gptme", GPTME, gptme, "output_tokens", "output_tokens"),
    Case("cline", CLINE, cline, "outputTokens", "output_tokens"),
]


def reported(seen: Scanned) -> dict[str, int]:
    events = seen.events()
    counts = {name: sum(getattr(event, name) is not None for event in events) for name in COUNTERS}
    return counts | {"output lower bounds": sum(bool(event.lower_bounds & BIT["output_tokens"]) for event in events)}


def change(root: Path, act: Callable[[Record], object]) -> None:
    """Hand every record of every JSON file below `root` to `act`, and write them back."""
    for path in [root] if root.is_file() else sorted(root.rglob("*.json*")):
        text = path.read_text()
        if path.suffix == ".jsonl":
            records = [json.loads(line) for line in text.splitlines()]
            for record in records:
                act(record)
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        else:
            document = json.loads(text)
            for record in document.get("messages", ()):
                act(record)
            path.write_text(json.dumps(document))


def copied(case_path: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy" / case_path.name
    target.parent.mkdir()
    (shutil.copytree if case_path.is_dir() else shutil.copy)(case_path, target)
    return target


@needs_given
@pytest.mark.parametrize("how", ["null", "renamed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.harness}-{case.counter}")
async def test_a_counter_taken_out_of_one_request_is_unknown_for_that_request_alone(
    case: Case, how: str, tmp_path: Path
) -> None:
    root = copied(case.path, tmp_path)
    before = reported(await scanned(tmp_path / "before", case.harness, root))
    requests: list[str] = []
    change(root, lambda record: requests.append(found[1]) if (found := case.usage(record)) else None)
    chosen = requests[len(requests) // 2]

    def take_out(record: Record) -> None:
        found = case.usage(record)
        if found is not None and found[1] == chosen:
            value = found[0].pop(case.name)
            found[0].update({case.name: None} if how == "null" else {f"{case.name}_v2": value})

    change(root, take_out)
    after = reported(await scanned(tmp_path / "after", case.harness, root))
    gauges = {"context_tokens", "output lower bounds"}  # a prompt without one of its parts is no exact prompt
    moved = {name: after[name] - before[name] for name in before if after[name] != before[name] and name not in gauges}
    assert moved == {case.counter: -1}


@needs_given
async def test_one_stop_reason_dropped_makes_one_more_output_a_lower_bound(tmp_path: Path) -> None:
    root = copied(CLAUDE, tmp_path)
    before = reported(await scanned(tmp_path / "before", "claude", root))
    stopped: list[str] = []
    change(root, lambda r: stopped.append(r["message"]["id"]) if claude(r) and r["message"]["stop_reason"] else None)
    chosen = stopped[len(stopped) // 2]

    def drop(record: Record) -> None:
        if claude(record) and record["message"]["id"] == chosen:
            del record["message"]["stop_reason"]

    change(root, drop)
    after = reported(await scanned(tmp_path / "after", "claude", root))
    assert {name: after[name] - before[name] for name in before if after[name] != before[name]} == {
        "output lower bounds": 1
    }
