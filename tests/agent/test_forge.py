"""Rules of formats/forge.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from databases import change, golden, seen, subset, write
from scanned import scanned
from trueup_agent.harnesses import HARNESSES

FORGE = HARNESSES["forge"]
DB = ".forge/.forge.db"
HASH = -7_346_890_123_456_789_012  # a workspace's id uses all 64 bits
DIRECTORY = "<current_working_directory>/home/ana/shop</current_working_directory>"
SYSTEM = {"text": {"role": "System", "content": DIRECTORY}}
Json = dict[str, Any]


def said(role: str, content: str, usage: Any = None, **more: Any) -> Json:
    entry: Json = {"message": {"text": {"role": role, "content": content, **more}}}
    return entry if usage is None else entry | {"usage": usage}


def counts(prompt: int, completion: int, cached: int, kind: str = "actual", **more: Any) -> Json:
    named = {"prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": cached}
    return {name: {kind: n} for name, n in (named | {"total_tokens": prompt + completion}).items()} | more


def answer(content: str, usage: Any, call: str | None = None, **more: Any) -> Json:
    calls = [{"name": "read", "call_id": call, "arguments": {"path": "cart.py"}}] if call else []
    return said("Assistant", content, usage, model="anthropic/claude-sonnet-4-6", tool_calls=calls, **more)


def row(id: str, *messages: Json, updated: str | None = "2026-06-01 08:05:00.5", **more: Any) -> Json:
    context = json.dumps({"conversation_id": id, "messages": [{"message": SYSTEM}, *messages]})
    about = {"conversation_id": id, "title": "Cart", "workspace_id": HASH, "context": context}
    return about | {"created_at": "2026-06-01 08:02:00", "updated_at": updated, "metrics": "{}"} | more


async def read(tmp_path: Path, *rows: Json) -> Any:
    return await seen(tmp_path, "forge", DB, {"conversations": rows})


PAGE = answer("I will read it.", counts(12700, 240, 11000), "toolu_1")


async def test_the_example_of_the_page_has_its_cached_part_taken_out_of_the_prompt(tmp_path: Path) -> None:
    found, _ = await read(tmp_path, row("c1", said("User", "fix the cart"), PAGE))
    (event,) = found.events()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens, event.context_tokens) == (
        1700, 11000, 240, 12700,
    )  # fmt: skip
    assert (event.cache_write_tokens, event.reasoning_tokens) == (None, None)
    assert (event.model, event.project_path) == ("anthropic/claude-sonnet-4-6", "/home/ana/shop")
    assert {(m.role, m.kind, m.size_chars, m.tool_names) for m in found.messages()} == {
        ("system", "meta", len(DIRECTORY), None),
        ("user", "prompt", 12, None),
        ("assistant", "answer", 15, '["read"]'),
    }


async def test_estimates_of_the_client_are_unknown(tmp_path: Path) -> None:
    found, _ = await read(tmp_path, row("c1", answer("a", counts(900, 100, 0, "approx"), "t1"), PAGE))
    values = {event.input_tokens for event in found.events()}
    assert values == {None, 1700}
    assert found.totals()["output_tokens"] == 240


@pytest.mark.parametrize(
    ("usage", "figures"),
    [
        (counts(100, 5, 0), (100, 0, None, 5)),
        (counts(100, 5, 0) | {"cached_tokens": {"approx": 0}}, (None, None, 100, 5)),
        (counts(0, 5, 0) | {"prompt_tokens": {"approx": 90}}, (None, None, None, 5)),
        (counts(0, 0, 0), (None, None, None, None)),
        (counts(50, 5, 80), (None, 80, None, 5)),
        ({"prompt_tokens": {"Actual": 7}, "completion_tokens": {"Actual": 2}}, (None, None, 7, 2)),
    ],
)
async def test_zero_cached_is_a_number_only_beside_a_prompt_and_contradictions_are_unknown(
    tmp_path: Path, usage: Json, figures: tuple[int | None, ...]
) -> None:
    found, _ = await read(tmp_path, row("c1", answer("a", usage)))
    (event,) = found.events()
    names = ("input_tokens", "cache_read_tokens", "input_undivided_tokens", "output_tokens")
    assert tuple(getattr(event, name) for name in names) == figures
    contradicts = usage["prompt_tokens"] == {"actual": 50}
    assert found.totals()["skipped"] == ({"contradictory_usage": 1} if contradicts else {})


async def test_messages_that_a_compaction_replaced_keep_their_events(tmp_path: Path) -> None:
    found, path = await read(tmp_path, row("c1", PAGE, answer("Done.", counts(20, 3, 0))))
    rest = row("c1", said("User", "summary", droppable=True), answer("Done.", counts(20, 3, 0)))
    change(path, "UPDATE conversations SET context = ?, updated_at = '2026-06-01 09:00:00'", rest["context"])
    await found.scan()
    assert (found.totals()["events"], found.totals()["input_tokens"]) == (2, 1720)


async def test_a_message_is_the_same_wherever_it_stands_and_may_get_its_usage_later(tmp_path: Path) -> None:
    found, path = await read(tmp_path, row("c1", PAGE, answer("Soon", None, "t2")))
    assert found.totals()["events"] == 1
    after = row("c1", said("User", "before"), PAGE, answer("Soon", counts(10, 1, 0), "t2"))
    change(path, "UPDATE conversations SET context = ?, updated_at = '2026-06-01 08:06:00'", after["context"])
    await found.scan()
    assert (found.totals()["events"], found.totals()["input_tokens"]) == (2, 1710)


async def test_times_are_those_of_messages_else_of_the_row(tmp_path: Path) -> None:
    timed = answer("c", counts(3, 1, 0), timestamp="2026-06-01T08:03:00Z")
    found, _ = await read(tmp_path, row("c1", answer("a", counts(1, 1, 0)), answer("b", counts(2, 1, 0)), timed))
    minutes = {event.input_tokens: (event.at // 1_000_000 - 1780300800) / 60 for event in found.events()}
    assert minutes == {1: 2.0, 2: 5.0, 3: 3.0}
    assert {e.input_tokens: e.time_quality for e in found.events()} == {1: 2, 2: 2, 3: 1}


async def test_empty_rows_rows_of_the_first_format_and_broken_ones_do_no_harm(tmp_path: Path) -> None:
    direct = json.dumps({"messages": [{"text": {"role": "Assistant", "content": "old"}}, {"hologram": 1}, 5]})
    others = [row(f"c{i}", context=context) for i, context in enumerate((None, direct, "{", "[]"), 2)]
    found, _ = await read(tmp_path, row("c1", PAGE), *others)
    assert found.totals()["events"] == 1
    assert found.totals()["skipped"] == {"malformed": 3}
    assert found.totals()["unknown"] == {"hologram": 1}
    assert found.sources()[0].unmetered == 0


async def test_a_task_is_a_session_whose_parent_is_known(tmp_path: Path) -> None:
    call = {"name": "task", "call_id": "t", "arguments": {"session_id": "c2"}}
    task = said("Assistant", "x", counts(1, 1, 0), tool_calls=[call])
    found, _ = await read(tmp_path, row("c1", task), row("c2", PAGE))
    parent, child = found.sessions()
    assert (child.parent_key, child.relationship, parent.parent_key) == (parent.key, "subagent", None)


async def test_a_cost_is_the_providers(tmp_path: Path) -> None:
    found, _ = await read(tmp_path, row("c1", answer("a", counts(1, 1, 0, cost=0.0125))))
    (event,) = found.events()
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0125", "usd", "reported")


async def test_an_answer_without_usage_among_others_raises_the_canary(tmp_path: Path) -> None:
    found, _ = await read(tmp_path, row("c1", answer("a", None), answer("b", None), answer("c", None)))
    assert found.sources()[0].unmetered == 2


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, [".forge", "forge"]),
        ({"FORGE_CONFIG": "{home}/x"}, ["x"]),
        ({"FORGE_CONFIG": "~/y"}, ["y"]),
        ({"FORGE_DIR": "/peer"}, [".forge", "forge"]),
    ],
)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
async def test_the_database_is_found_in_the_home_of_every_platform(
    tmp_path: Path, platform: str, environ: dict[str, str], expected: list[str]
) -> None:
    home = tmp_path / "home"
    named = {name: value.format(home=home) for name, value in environ.items()}
    assert FORGE.data_folders(home, named, platform) == [home / name for name in expected]
    write(home / expected[-1] / ".forge.db", {"conversations": [row("c1", PAGE)]})
    found = await scanned(tmp_path, "forge", home, home=True, environ=named, platform=platform)
    assert found.totals()["input_tokens"] == 1700


@pytest.mark.parametrize("root", ["", ".forge", ".forge/.forge.db"])
async def test_a_root_may_be_a_home_its_folder_or_the_database(tmp_path: Path, root: str) -> None:
    write(tmp_path / "home" / DB, {"conversations": [row("c1", PAGE)]})
    found = await scanned(tmp_path, "forge", tmp_path / "home" / root)
    assert found.totals()["input_tokens"] == 1700
    assert FORGE.recognise(tmp_path / ".forge.db", b"{}") is None


async def test_the_golden_database_gives_the_frozen_rows(tmp_path: Path) -> None:
    expected = golden("forge", "expected.json")
    found, _ = await read(tmp_path, *golden("forge", "tables.json")["conversations"])
    assert subset(found.totals(), expected["totals"]) == expected["totals"]
    assert [[e.key.hex(), e.at, json.loads(e.identity)] for e in found.events()] == expected["events"]
