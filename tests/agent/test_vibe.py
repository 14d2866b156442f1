"""Mistral Vibe's sessions: totals of a running program (formats/vibe.md)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from databases import GOLDEN, golden, subset
from given import SAMPLES, needs_given
from scanned import Scanned, scanned
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.vibe import HARNESS
from trueup_shared import keys
from trueup_shared.metrics import BIT

HOME = GOLDEN / "vibe" / "home"
SESSIONS = ".vibe/logs/session"
FOLDER = "session_20260701_100000_8a1b0000"
ONE, TWO = "8a1b0000-0000-4000-8000-000000000001", "9b2c0000-0000-4000-8000-000000000002"


def meta(minute: int = 5, prompt: int | None = 42000, output: int = 1900, **fields: Any) -> dict[str, Any]:
    """The golden session's, with other totals; `stats` replaces them altogether."""
    found: dict[str, Any] = json.loads((HOME / SESSIONS / FOLDER / "meta.json").read_text(encoding="utf-8"))
    stats = found["stats"] | {"session_prompt_tokens": prompt, "session_completion_tokens": output}
    return found | {"end_time": f"2026-07-01T10:{minute:02}:00+00:00", "stats": stats} | fields


def save(home: Path, document: Any, folder: str = FOLDER, messages: str = "") -> Path:
    path = home / SESSIONS / folder / "meta.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    (path.parent / "messages.jsonl").write_text(messages, encoding="utf-8")
    return path


async def of(tmp_path: Path, *documents: Any) -> Scanned:
    for number, document in enumerate(documents):
        save(tmp_path / "home", document, FOLDER if number == 0 else f"session_{number}")
    return await scanned(tmp_path, "vibe", tmp_path / "home", home=True)


async def test_the_golden_home_gives_its_figures(tmp_path: Path) -> None:
    shutil.copytree(HOME, tmp_path / "home")
    scan = await scanned(tmp_path, "vibe", tmp_path / "home", home=True)
    expected = golden("vibe", "expected.json")
    assert subset(scan.totals(), expected) == expected
    kinds = [(m.role, m.kind, m.tool_names, m.size_chars) for m in scan.messages()]
    assert set(kinds) == {
        ("user", "prompt", None, 12),
        ("assistant", "answer", '["read_file"]', 2),
        ("tool", "tool_result", None, 7),
        ("user", "meta", None, 5),
        ("system", "meta", None, 13),
        ("user", "prompt", None, 5),
        ("assistant", "answer", None, 3),
    }


async def test_a_session_reports_its_total_when_it_was_saved(tmp_path: Path) -> None:
    scan = await of(tmp_path, meta())
    (event,) = scan.events()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (12000, 30000, 1900)
    assert (event.context_tokens, event.at, event.model) == (14000, 1782900300_000000, "devstral-2")
    assert (event.reported_cost, event.reported_cost_status) == ("0.0206", "estimated")
    assert event.key == keys.event_key("vibe", ONE, 42000, 1900, 30000)
    (session,) = scan.sessions()
    assert (session.project_path, session.git_branch, session.title) == ("/home/ana/shop", "fix/cart", "Cart")


async def test_a_grown_total_counts_by_the_difference(tmp_path: Path) -> None:
    scan = await of(tmp_path, meta())
    grown = meta(8, 50000, 2000)
    grown["stats"]["session_cost"] = 0.025
    save(tmp_path / "home", grown)
    await scan.scan()
    first, second = scan.events()
    assert (second.input_tokens, second.cache_read_tokens, second.output_tokens) == (8000, 0, 100)
    assert second.reported_cost == "0.0044"
    assert first.derived
    assert not second.lower_bounds


async def test_a_resumed_session_starts_anew_and_what_it_spent_before_stays(tmp_path: Path) -> None:
    scan = await of(tmp_path, meta())
    resumed = {"session_prompt_tokens": 9000, "session_completion_tokens": 200, "session_cached_tokens": 1000}
    save(tmp_path / "home", meta(30, stats=resumed))
    await scan.scan()
    totals = scan.totals()
    assert (totals["input_tokens"], totals["cache_read_tokens"], totals["output_tokens"]) == (20000, 31000, 2100)
    assert scan.events()[1].lower_bounds & BIT["output_tokens"]


@pytest.mark.parametrize("one_by_one", [True, False])
async def test_compaction_hands_the_total_on_to_the_next_session(tmp_path: Path, one_by_one: bool) -> None:
    child = meta(20, 60000, 2500, session_id=TWO, parent_session_id=ONE)
    grandchild = meta(40, 61000, 2600, session_id="third", parent_session_id=TWO)
    if one_by_one:
        scan = await of(tmp_path, meta())
        for number, document in enumerate((child, grandchild)):
            save(tmp_path / "home", document, f"session_{number}")
            await scan.scan()
    else:
        scan = await of(tmp_path, meta(), child, grandchild)
    assert [event.output_tokens for event in scan.events()] == [1900, 600, 100]
    assert scan.totals()["input_tokens"] == 31000
    parents = {session.session_id: session.parent_key for session in scan.sessions()}
    assert parents == {ONE: None, TWO: keys.session_key("vibe", ONE), "third": keys.session_key("vibe", TWO)}


async def test_a_fork_starts_at_zero(tmp_path: Path) -> None:
    small = {"session_prompt_tokens": 700, "session_completion_tokens": 30, "session_cached_tokens": 0}
    scan = await of(tmp_path, meta(), meta(20, stats=small, session_id=TWO, parent_session_id=ONE))
    assert (scan.totals()["input_tokens"], scan.totals()["output_tokens"]) == (12700, 1930)
    assert scan.totals()["lower_bound"] == 0


async def test_a_cleared_conversation_is_a_session_of_its_own(tmp_path: Path) -> None:
    scan = await of(tmp_path, meta(), meta(20, session_id=TWO))
    assert scan.totals()["output_tokens"] == 3800


async def test_before_cached_tokens_were_counted_the_prompt_is_undivided(tmp_path: Path) -> None:
    document = meta()
    del document["stats"]["session_cached_tokens"]
    scan = await of(tmp_path, document)
    (event,) = scan.events()
    assert (event.input_undivided_tokens, event.input_tokens, event.cache_read_tokens) == (42000, None, None)


async def test_totals_of_zero_and_a_folder_without_meta_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "home" / SESSIONS / "session_x").mkdir(parents=True)
    (tmp_path / "home" / SESSIONS / "session_x" / "messages.jsonl").write_text('{"role":"user"}\n', encoding="utf-8")
    scan = await of(tmp_path, meta(5, 0, 0))
    assert (scan.events(), len(scan.sessions()), scan.sources()[0].unmetered) == ([], 1, 0)


@pytest.mark.parametrize("content", ['{"session_id": "8a1b', ""])
async def test_a_half_written_meta_is_tried_again(tmp_path: Path, content: str) -> None:
    scan = await of(tmp_path, content)
    assert (scan.sessions(), scan.sources()[0].error) == ([], "half-written JSON")
    save(tmp_path / "home", meta())
    await scan.scan()
    assert scan.totals()["output_tokens"] == 1900


@pytest.mark.parametrize(
    ("document", "skipped"),
    [
        ("[]", {"malformed": 1}),
        ({"stats": {"session_prompt_tokens": 5}}, {"usage_without_identity": 1}),
        ({"session_id": "s", "stats": 7, "environment": [], "config": "x"}, {}),
        (
            {"session_id": "s", "stats": {"session_prompt_tokens": 5, "session_cached_tokens": 9}},
            {"contradictory_usage": 1},
        ),
    ],
)
async def test_a_meta_of_another_shape_is_counted_where_it_hides_usage(
    tmp_path: Path, document: Any, skipped: dict[str, int]
) -> None:
    assert (await of(tmp_path, document)).totals()["skipped"] == skipped


async def test_a_broken_message_is_skipped_and_an_unfinished_one_waits(tmp_path: Path) -> None:
    messages = '{"role":"user","content":"a"}\n{broken\n7\n{"role":"robot"}\n{"role":"assistant","content":"b"}'
    save(tmp_path / "home", meta(), messages=messages)
    scan = await scanned(tmp_path, "vibe", tmp_path / "home", home=True)
    assert (len(scan.messages()), scan.totals()["skipped"]) == (1, {"malformed": 3})
    save(tmp_path / "home", meta(), messages=messages + "\n")
    await scan.scan()
    assert len(scan.messages()) == 2


async def test_a_subagent_counts_besides_the_session_that_its_folder_lies_in(tmp_path: Path) -> None:
    shutil.copytree(HOME, tmp_path / "home")
    scan = await scanned(tmp_path, "vibe", tmp_path / "home", home=True)
    child = next(session for session in scan.sessions() if session.relationship == "subagent")
    assert child.parent_key == keys.session_key("vibe", ONE)
    assert [e.model for e in scan.events() if e.session_key == child.key] == ["devstral-small"]


async def test_a_session_of_the_first_generation_counts_once_when_it_is_migrated(tmp_path: Path) -> None:
    old = tmp_path / "home" / SESSIONS / "session_20251201_090000_7c000000.json"
    shutil.copytree(HOME, tmp_path / "home")
    scan = await scanned(tmp_path, "vibe", old)
    document = json.loads(old.read_text(encoding="utf-8"))
    assert (scan.totals()["input_undivided_tokens"], len(scan.messages())) == (5000, 3)
    everything = await scanned(tmp_path / "b", "vibe", tmp_path / "home", home=True)
    save(tmp_path / "home", document["metadata"], old.stem)
    old.unlink()
    await everything.scan()
    expected = golden("vibe", "expected.json")
    assert subset(everything.totals(), expected) == expected
    assert len(everything.sources()) == 3


async def test_renamed_totals_are_an_unmetered_answer(tmp_path: Path) -> None:
    save(tmp_path / "home", meta(stats={"prompt": 5}), messages='{"role":"assistant","content":"b"}\n')
    scan = await scanned(tmp_path, "vibe", tmp_path / "home", home=True)
    assert (scan.events(), scan.sources()[0].unmetered) == ([], 1)


@needs_given
@pytest.mark.parametrize(
    ("name", "figures"), [("session_basic", (100, 50, 50)), ("session_with_tools", (200, 100, 100))]
)
async def test_the_samples_give_the_expected_figures(tmp_path: Path, name: str, figures: tuple[int, int, int]) -> None:
    scan = await scanned(tmp_path, "vibe", SAMPLES / "vibe" / "agentsview" / name)
    totals = scan.totals()
    assert (totals["input_undivided_tokens"], totals["output_tokens"], totals["context_tokens"]) == figures
    unknown = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    assert [totals[counter] for counter in unknown] == [None] * 4
    assert (totals["events"], totals["skipped"]) == (1, {})


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_its_folder_on_each_platform(platform: str) -> None:
    assert HARNESS.data_folders(Path("/h"), {}, platform) == [Path("/h/.vibe/logs/session")]
    assert HARNESS.data_folders(Path("/h"), {"VIBE_HOME": "/v"}, platform) == [Path("/v/logs/session")]


@pytest.mark.parametrize("below", [SESSIONS, "logs/session", "", "old/backup"])
async def test_a_root_is_a_home_vibes_home_its_folder_or_any_other(tmp_path: Path, below: str) -> None:
    shutil.copytree(HOME / SESSIONS, tmp_path / "root" / below, dirs_exist_ok=True)
    (tmp_path / "root" / below / "notes.json").write_text('{"metadata":{},"messages":[]}', encoding="utf-8")
    assert (await scanned(tmp_path, "vibe", tmp_path / "root")).totals()["output_tokens"] == 2250


def test_usage_derived_from_raw_is_what_reading_gives() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    raw = b'{"session_prompt_tokens":10,"session_completion_tokens":2,"session_cached_tokens":4}'
    assert HARNESS.usage(raw, facts) == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=2)
    assert HARNESS.usage(b"x", facts) is None
