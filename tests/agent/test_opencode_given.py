"""Real exports and samples of OpenCode, against figures that were worked out without this parser; and mutations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from given import CORPORA, SAMPLES, needs_given
from scanned import scanned

pytestmark = needs_given

GROUP = "opencode/savekirk+session-bridge"
EXPORTS = CORPORA / GROUP / "export"
NAMES = {"input": "input_tokens", "cache_read": "cache_read_tokens", "output": "output_tokens"}
NAMES["reasoning"] = "reasoning_tokens"


async def test_the_corpus_gives_the_expected_totals(tmp_path: Path) -> None:
    expected = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))[GROUP]
    totals = (await scanned(tmp_path, "opencode", CORPORA / GROUP)).totals()
    assert {name: totals[NAMES[name]] for name in expected} == expected
    # One assistant message of 112 has only zeros and no step: it ended before it was answered.
    assert (totals["events"], totals["sessions"], totals["skipped"], totals["unknown"]) == (111, 6, {}, {})


# EXPECTED.md has no figures for these; they follow from the files by the page.
@pytest.mark.parametrize(
    ("sample", "figures"),
    [
        ("tokscale", (1, 1000, 200, 100, 500, 0)),
        ("claude-code-log", (1, 100, 0, 0, 50, 10)),
        # Cost is an object and path a string; the one answer with usage was aborted, the others never ended.
        ("agent-sessions/storage_v2", (1, 120, None, None, 16, None)),
        ("agent-sessions/storage_legacy", (0, None, None, None, None, None)),
    ],
)
async def test_samples_give_what_their_files_say(tmp_path: Path, sample: str, figures: tuple[int | None, ...]) -> None:
    totals = (await scanned(tmp_path, "opencode", SAMPLES / "opencode" / sample)).totals()
    names = ("events", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    assert tuple(totals[name] for name in names) == figures
    assert totals["skipped"] == {}


def drop(tokens: dict[str, Any], name: str) -> None:
    del tokens[name]


def rename(tokens: dict[str, Any], name: str) -> None:
    tokens[f"{name}Tokens"] = tokens.pop(name)


def null(tokens: dict[str, Any], name: str) -> None:
    tokens[name] = None


@pytest.mark.parametrize("change", [drop, rename, null])
@pytest.mark.parametrize("name", ["input", "reasoning", "cache"])
async def test_a_counter_that_is_lost_in_one_request_is_unknown_there_and_nowhere_else(
    tmp_path: Path, change: Callable[[dict[str, Any], str], None], name: str
) -> None:
    path = EXPORTS / "ses_27a3283eeffe2okXvUQaxKJ0Nw.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    before = await scanned(tmp_path / "before", "opencode", path)
    message = next(m for m in document["messages"] if m["info"]["role"] == "assistant")
    counts = message["info"]["tokens"]
    lost = counts["cache"]["read"] if name == "cache" else counts[name]
    for tokens in (counts, *(part["tokens"] for part in message["parts"] if part["type"] == "step-finish")):
        change(tokens, name)
    changed = tmp_path / "x.json"
    changed.write_text(json.dumps(document), encoding="utf-8")
    after = await scanned(tmp_path / "after", "opencode", changed)
    counter = {"cache": "cache_read_tokens"}.get(name, f"{name}_tokens")
    assert after.totals()[counter] == before.totals()[counter] - lost
    unknown = [sum(getattr(event, counter) is None for event in seen.events()) for seen in (before, after)]
    assert unknown == [0, 1]
    others = {"events", "input_tokens", "cache_read_tokens", "reasoning_tokens"} - {counter}
    assert {n: after.totals()[n] for n in others} == {n: before.totals()[n] for n in others}


async def test_a_renamed_usage_field_raises_the_canary_in_every_request(tmp_path: Path) -> None:
    text = (EXPORTS / "ses_27a3283eeffe2okXvUQaxKJ0Nw.json").read_text(encoding="utf-8")
    path = tmp_path / "x.json"
    path.write_text(text.replace('"tokens":', '"tokenUsage":'), encoding="utf-8")
    seen = await scanned(tmp_path, "opencode", path)
    assert (seen.totals()["events"], seen.totals()["input_tokens"]) == (3, None)
    assert seen.sources()[0].unmetered == 3
