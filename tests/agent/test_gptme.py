"""gptme: formats/gptme.md, rule by rule."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aider_lines import in_utc, set_zone
from given import SAMPLES, needs_given
from parsed import Parse
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Unfinished
from trueup_agent.harnesses.values import local_micros
from trueup_shared.keys import session_key
from trueup_shared.metrics import BIT

__all__ = ["in_utc"]

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "gptme"
GPTME = HARNESSES["gptme"]
NAME = "2026-06-13-fix-cart"


def said(role: str, at: str, content: str = "abc", **fields: Any) -> bytes:
    return json.dumps({"role": role, "content": content, "timestamp": f"2026-06-13T{at}.000000"} | fields).encode()


def usage(fresh: int = 120, output: int = 42, read: int = 8000, written: int = 900) -> dict[str, Any]:
    counters = (fresh, output, read, written)
    return dict(
        zip(("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens"), counters, strict=True)
    )


def answer(at: str, used: Any = None, **metadata: Any) -> bytes:
    known = {"model": "anthropic/claude-sonnet-4-6", "usage": usage() if used is None else used, "cost": 0.0065}
    return said("assistant", at, metadata=known | metadata)


def conversation(logs: Path, *lines: bytes, name: str = NAME, file: str = "conversation.jsonl") -> Path:
    path = logs / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return logs


def parse(logs: Path) -> Parse:
    seen = Parse("gptme")
    for source in GPTME.sources(logs, []):
        seen.source(source)
    return seen


@pytest.mark.usefixtures("in_utc")
async def test_a_home_gives_the_totals_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "gptme", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    expected["cost"] = {unit: Decimal(value) for unit, value in expected["cost"].items()}
    assert seen.totals() == expected
    sessions = {row.key: row for row in seen.sessions()}
    owners = [sessions[event.session_key].session_id for event in seen.events()]
    assert owners == [NAME, NAME, "2026-06-14-fix-cart-fork"]
    assert sessions[session_key("gptme", NAME)].title == "Fix the cart"


@pytest.mark.usefixtures("in_utc")
def test_an_answer_is_an_event_whose_input_holds_no_cache(tmp_path: Path) -> None:
    [event] = parse(conversation(tmp_path, answer("10:00:05"))).in_order()
    counters = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens)
    assert counters == (120, 8000, 900, 42)
    assert (event.context_tokens, event.lower_bounds, event.provider) == (9020, 0, "anthropic")
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0065", "usd", "estimated")
    assert (event.at, event.time_quality) == (local_micros("2026-06-13T10:00:05Z"), 1)


def test_times_are_this_machines_local_time(tmp_path: Path) -> None:
    conversation(tmp_path, answer("10:00:05"))
    with set_zone("America/New_York"):
        [event] = parse(tmp_path).in_order()
    assert event.at == local_micros("2026-06-13T14:00:05Z")


async def test_an_answer_that_was_edited_away_stays_billed(tmp_path: Path) -> None:
    prompt, kept = said("user", "10:00:00"), answer("10:00:09", usage(1, 1))
    logs = conversation(tmp_path / "logs", prompt, answer("10:00:05"), kept)
    seen = await scanned(tmp_path, "gptme", logs)
    conversation(logs, prompt, kept, answer("10:00:20", usage(2, 2)))
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["output_tokens"], totals["gone"]) == (3, 45, 1)


def test_what_undo_took_out_remains_in_a_branch_and_counts(tmp_path: Path) -> None:
    conversation(tmp_path, said("user", "10:00:00"))
    conversation(
        tmp_path, said("user", "10:00:00"), answer("10:00:05"), name=f"{NAME}/branches", file="main-undo-0.jsonl"
    )
    seen = parse(tmp_path)
    assert (len(seen.events), len(seen.sessions), len(seen.messages)) == (1, 1, 2)


def test_views_and_branches_repeat_answers_that_count_once(tmp_path: Path) -> None:
    conversation(tmp_path, answer("10:00:05"), answer("10:00:09"))
    for folder in ("branches", "views"):
        conversation(tmp_path, answer("10:00:05"), answer("10:00:09"), name=f"{NAME}/{folder}", file="x.jsonl")
    assert len(parse(tmp_path).events) == 2


def test_a_fork_repeats_its_original_which_keeps_what_it_had(tmp_path: Path) -> None:
    fork = "2026-06-20-again"
    conversation(tmp_path, answer("10:00:05"))
    conversation(tmp_path, answer("10:00:05"), said("user", "11:00:00"), name=fork)
    assert [event.session_key for event in parse(tmp_path).in_order()] == [session_key("gptme", NAME)]


def test_counters_beside_the_model_are_those_of_older_releases(tmp_path: Path) -> None:
    flat = said("assistant", "10:00:05", metadata={"model": "gpt-5.5", "cost": 0.001} | usage())
    old, new = parse(conversation(tmp_path / "a", flat)), parse(conversation(tmp_path / "b", answer("10:00:05")))
    assert old.totals() == new.totals()
    assert set(old.events) == set(new.events)


def test_reasoning_is_a_part_of_the_output(tmp_path: Path) -> None:
    [event] = parse(conversation(tmp_path, answer("10:00:05", usage() | {"reasoning_tokens": 30}))).in_order()
    assert (event.output_tokens, event.reasoning_tokens) == (42, 30)


@pytest.mark.parametrize(
    ("field", "counter"),
    [
        ("input_tokens", "input_tokens"),
        ("output_tokens", "output_tokens"),
        ("cache_read_tokens", "cache_read_tokens"),
        ("cache_creation_tokens", "cache_write_tokens"),
    ],
)
@pytest.mark.parametrize("value", ["absent", None, "5", -3, 2**70, True])
def test_a_counter_that_is_missing_is_unknown_and_no_other_changes(
    field: str, counter: str, value: Any, tmp_path: Path
) -> None:
    used = usage()
    if value == "absent":
        del used[field]
    else:
        used[field] = value
    whole = parse(conversation(tmp_path / "whole", answer("10:00:05"))).totals()
    seen = parse(conversation(tmp_path / "seen", answer("10:00:05", used)))
    different = {name for name, number in seen.totals().items() if number != whole[name]}
    assert different == ({counter, "context_tokens"} if counter != "output_tokens" else {counter})
    assert seen.in_order()[0].lower_bounds == (BIT["context_tokens"] if counter != "output_tokens" else 0)


@pytest.mark.parametrize(("metadata", "unmetered"), [(None, 0), ({"model": "x"}, 1), ({"usage": usage(0, 0, 0, 0)}, 0)])
def test_an_answer_without_usage_is_a_message_and_no_event(metadata: Any, unmetered: int, tmp_path: Path) -> None:
    seen = parse(conversation(tmp_path, said("assistant", "10:00:05", metadata=metadata)))
    assert (len(seen.events), len(seen.messages), seen.unmetered) == (0, 1, unmetered)


def test_output_of_tools_is_what_the_system_says_after_an_answer(tmp_path: Path) -> None:
    call = '@shell(call-1): {"command": "ls"}\n```python\n1\n```\n```html\n```'
    lines = [said("system", "09:00:00"), said("user", "10:00:00"), said("assistant", "10:00:01", call)]
    lines += [
        said("system", "10:00:02"),
        said("system", "10:00:03"),
        said("user", "10:00:04"),
        said("tool", "10:00:05"),
    ]
    rows = [(row.role, row.kind, row.tool_names) for row in parse(conversation(tmp_path, *lines)).messages.values()]
    assert rows == [
        ("system", "meta", None),
        ("user", "prompt", None),
        ("assistant", "answer", '["shell","python"]'),
        ("tool", "tool_result", None),
        ("tool", "tool_result", None),
        ("user", "prompt", None),
        ("tool", "tool_result", None),
    ]


@pytest.mark.parametrize(
    "line", [b"{", b'{"role": "assista', b'{"role": "user", "content": "x", "timestamp": "2026-06-1']
)
def test_a_file_that_was_caught_while_it_was_written_is_read_again(line: bytes, tmp_path: Path) -> None:
    conversation(tmp_path, answer("10:00:05"))
    path = tmp_path / NAME / "conversation.jsonl"
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(Unfinished):
        parse(tmp_path)


async def test_a_file_that_was_caught_empty_keeps_what_was_read(tmp_path: Path) -> None:
    logs = conversation(tmp_path / "logs", answer("10:00:05"))
    seen = await scanned(tmp_path, "gptme", logs)
    (logs / NAME / "conversation.jsonl").write_bytes(b"")
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["gone"]) == (1, 0)


def test_a_malformed_line_costs_that_line_alone(tmp_path: Path) -> None:
    bad = [b"not json", b"[]", b"5", b'"text"', b'{"role": "user", "cont']
    seen = parse(conversation(tmp_path, answer("10:00:05"), *bad, answer("10:00:09"), said("oracle", "11:00:00")))
    assert (len(seen.events), seen.skipped, seen.unknown) == (2, {"malformed": len(bad)}, {"role/oracle": 1})


def test_an_answer_without_a_time_is_dated_by_its_session(tmp_path: Path) -> None:
    untimed = json.loads(answer("10:00:05"))
    del untimed["timestamp"]
    [event] = parse(conversation(tmp_path, said("user", "10:00:00"), json.dumps(untimed).encode())).in_order()
    assert (event.at, event.time_quality) == (local_micros("2026-06-13T10:00:00"), 2)


@pytest.mark.parametrize(
    ("platform", "places"),
    [
        ("linux", [".local/share/gptme/logs"]),
        ("darwin", [".local/share/gptme/logs", "Library/Application Support/gptme/logs"]),
        ("win32", [".local/share/gptme/logs", "AppData/Local/gptme/logs", "AppData/Local/gptme/gptme/logs"]),
    ],
)
def test_the_folders_of_each_platform(platform: str, places: list[str]) -> None:
    home = Path("/home/ana")
    assert GPTME.data_folders(home, {}, platform) == [home / place for place in places]


def test_its_own_variables_move_the_folder() -> None:
    home = Path("/home/ana")
    environ = {"GPTME_LOGS_HOME": "~/logs", "XDG_DATA_HOME": "/data", "GPTME_DIR": "/peer"}
    assert GPTME.data_folders(home, environ, "linux") == [home / "logs"]
    assert GPTME.data_folders(home, {"XDG_DATA_HOME": "/data"}, "linux") == [Path("/data/gptme/logs")]


@pytest.mark.parametrize("root", ["", ".local/share/gptme", ".local/share/gptme/logs"])
def test_a_root_is_a_home_or_anything_below_it(root: str, tmp_path: Path) -> None:
    logs = conversation(tmp_path / ".local/share/gptme/logs", answer("10:00:05"))
    assert GPTME.folders_of_root(tmp_path / root) == [logs]


@needs_given
def test_no_sample_of_another_harness_is_taken_for_its_own() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    claimed = {path for path in files if GPTME.recognise(path, path.read_bytes()[: 64 << 10])}
    assert claimed == set((SAMPLES / "gptme").rglob("conversation.jsonl"))


@needs_given
def test_the_sample_gives_the_expected_figures() -> None:
    seen = Parse("gptme").root(SAMPLES / "gptme/agentsview")
    totals = seen.totals()
    counters = [totals[f"{c}_tokens"] for c in ("input", "cache_read", "cache_write", "output")]
    assert (len(seen.events), *counters) == (2, 320, 200, 0, 57)
    assert sum(Decimal(event.reported_cost or 0) for event in seen.events.values()) == Decimal("0.0020")
