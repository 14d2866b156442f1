"""Amp threads: usage of messages, the ledger of 2025 where a message has none (formats/amp.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from parsed import Parse
from scanned import Scanned, scanned
from trueup_agent.harnesses import HARNESSES

THREADS = ".local/share/amp/threads"
THREAD = "T-0c9e0000-0000-4000-8000-000000000001"
CREATED = 1_782_892_800_000  # 2026-07-01T08:00:00Z
AT = "2026-07-01T08:00:06.000Z"
MICROS = (CREATED + 6000) * 1000


def usage(plain: int, out: int, reads: int = 0, writes: int = 0, **more: Any) -> dict[str, Any]:
    counted = {
        "inputTokens": plain,
        "outputTokens": out,
        "cacheReadInputTokens": reads,
        "cacheCreationInputTokens": writes,
    }
    return {
        "model": "claude-sonnet-4-5",
        "timestamp": AT,
        **counted,
        "totalInputTokens": plain + reads + writes,
        **more,
    }


def user(id_: int, sent: int | None = CREATED + 1000, text: str = "fix the cart") -> dict[str, Any]:
    return {
        "role": "user",
        "messageId": id_,
        "content": [{"type": "text", "text": text}],
        "meta": {} if sent is None else {"sentAt": sent},
    }


def answer(id_: int, used: dict[str, Any] | None = None, state: str = "complete") -> dict[str, Any]:
    content = [{"type": "text", "text": "ok"}, {"type": "tool_use", "id": "t", "name": "Read", "input": {}}]
    message = {"role": "assistant", "messageId": id_, "content": content, "state": {"type": state}}
    return message if used is None else message | {"usage": used}


def entry(id_: str, to: int, prompt: int, out: int, at: str = AT, **more: Any) -> dict[str, Any]:
    tokens = {"input": prompt, "output": out}
    return {"id": id_, "timestamp": at, "model": "claude-sonnet-4-5", "toMessageId": to, "tokens": tokens, **more}


def write_thread(home: Path, *messages: Any, thread: str = THREAD, **fields: Any) -> Path:
    path = home / THREADS / f"{thread}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"v": 1, "id": thread, "created": CREATED, "messages": list(messages), **fields}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def ledger(*events: dict[str, Any]) -> dict[str, Any]:
    return {"usageLedger": {"events": list(events)}}


async def scan_home(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "amp", tmp_path / "home", home=True)


async def test_a_message_gives_its_usage(tmp_path: Path) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210, 9000, 1800, credits=1.7)))
    seen = await scan_home(tmp_path)
    [event] = seen.events()
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (12, 9000, 1800)
    assert (event.output_tokens, event.reasoning_tokens, event.context_tokens) == (210, None, 10812)
    assert (event.at, event.time_quality, event.model) == (MICROS, 1, "claude-sonnet-4-5")
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("1.7", "credits", "reported")
    rows = [(m.role, m.kind, m.size_chars, m.tool_names) for m in seen.messages()]
    assert rows == [("user", "prompt", 12, None), ("assistant", "answer", 2, '["Read"]')]


@pytest.mark.parametrize(
    ("model", "plain", "expected"),
    [
        ("gpt-5.2", 0, (700, 0)),
        ("o3-pro", 0, (700, 0)),
        ("gpt-5.2", 5, (5, 700)),
        ("claude-opus-4-6", 0, (0, 700)),
        ("omni", 0, (0, 700)),
    ],
)
async def test_what_openai_models_read_anew_is_input_not_a_write_to_the_cache(
    tmp_path: Path, model: str, plain: int, expected: tuple[int, int]
) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(plain, 30, 11_000, 700, model=model)))
    [event] = (await scan_home(tmp_path)).events()
    assert (event.input_tokens, event.cache_write_tokens) == expected
    assert (event.cache_read_tokens, event.context_tokens) == (11_000, 11_700 + plain)


async def test_a_thread_with_the_ledger_alone_counts_by_it_and_its_prompt_stays_undivided(tmp_path: Path) -> None:
    events = ledger(entry("l1", 1, 500, 60, credits=0.5), entry("l2", 3, 600, 70, at="2026-07-01T08:01:00Z"))
    write_thread(tmp_path / "home", user(0), answer(1), user(2), answer(3), **events)
    seen = await scan_home(tmp_path)
    totals = seen.totals()
    assert (totals["events"], totals["input_undivided_tokens"], totals["output_tokens"]) == (2, 1100, 130)
    assert totals["input_tokens"] is totals["cache_read_tokens"] is totals["cache_write_tokens"] is None
    assert {unit: float(sum_) for unit, sum_ in totals["cost"].items()} == {"credits": 0.5}


async def test_the_ledger_does_not_count_beside_the_usage_of_its_message(tmp_path: Path) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)), **ledger(entry("l1", 1, 12, 210, credits=1.7)))
    seen = await scan_home(tmp_path)
    totals = seen.totals()
    assert (totals["events"], totals["output_tokens"], totals["input_undivided_tokens"]) == (1, 210, None)
    assert float(totals["cost"]["credits"]) == 1.7  # the ledger may be the only one that knows the price


async def test_a_ledger_that_writes_the_number_of_its_message_as_text_is_joined_all_the_same(tmp_path: Path) -> None:
    named = entry("l1", 1, 12, 210) | {"toMessageId": "1"}
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)), **ledger(named))
    assert (await scan_home(tmp_path)).totals()["events"] == 1


async def test_the_ledger_of_a_message_that_was_edited_away_does_not_count_it_again(tmp_path: Path) -> None:
    events = ledger(entry("l1", 1, 12, 210))
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)), **events)
    seen = await scan_home(tmp_path)
    write_thread(tmp_path / "home", user(0), **events)
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["input_tokens"], totals["output_tokens"]) == (1, 12, 210)


async def test_a_message_without_usage_is_unknown_until_it_has_some(tmp_path: Path) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, state="streaming"))
    seen = await scan_home(tmp_path)
    assert (seen.totals()["events"], seen.totals()["messages"], seen.totals()["output_tokens"]) == (0, 2, None)
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)))
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["messages"], seen.totals()["output_tokens"]) == (1, 2, 210)


async def test_an_edited_thread_uses_ids_again_and_loses_nothing(tmp_path: Path) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)))
    seen = await scan_home(tmp_path)
    again = usage(15, 90, timestamp="2026-07-01T09:00:00.000Z")
    write_thread(tmp_path / "home", user(0, CREATED + 3_500_000, "other"), answer(1, again))
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["input_tokens"], totals["output_tokens"], totals["messages"]) == (2, 27, 300, 4)


async def test_the_same_thread_under_two_homes_counts_once(tmp_path: Path) -> None:
    for home in ("a", "b"):
        write_thread(tmp_path / "homes" / home, user(0), answer(1, usage(12, 210)))
    seen = await scanned(tmp_path, "amp", tmp_path / "homes")
    assert (len(seen.sources()), seen.totals()["events"], seen.totals()["sessions"]) == (2, 1, 1)


async def test_zero_cache_fields_are_reported_zeros_and_missing_ones_unknown(tmp_path: Path) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)))
    [event] = (await scan_home(tmp_path)).events()
    assert (event.cache_read_tokens, event.cache_write_tokens) == (0, 0)
    used = usage(12, 210)
    del used["cacheReadInputTokens"], used["cacheCreationInputTokens"], used["totalInputTokens"]
    parse = Parse("amp").file(write_thread(tmp_path / "other", user(0), answer(1, used)))
    [event] = parse.in_order()
    assert (event.cache_read_tokens, event.cache_write_tokens, event.context_tokens) == (None, None, 12)


async def test_usage_without_a_time_has_that_of_the_ledger_else_the_prompt_else_the_thread(tmp_path: Path) -> None:
    used = usage(12, 210)
    del used["timestamp"]
    write_thread(
        tmp_path / "home", answer(0, used), user(1), answer(2, used), answer(3, used), **ledger(entry("l", 3, 1, 1))
    )
    seen = await scan_home(tmp_path)
    rows = [(event.at, event.time_quality) for event in seen.events()]
    assert rows == [(CREATED * 1000, 2), ((CREATED + 1000) * 1000, 2), (MICROS, 1)]


async def test_a_total_that_differs_from_its_parts_is_told_and_nothing_is_repaired(tmp_path: Path) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210, 9000, totalInputTokens=1)))
    seen = await scan_home(tmp_path)
    assert seen.totals()["skipped"] == {"contradictory_usage": 1}
    assert (seen.totals()["input_tokens"], seen.totals()["context_tokens"]) == (12, 1)


async def test_where_a_thread_ran_and_on_which_branch(tmp_path: Path) -> None:
    tree = {"uri": "file:///c%3A/Users/ana/shop", "repository": {"ref": "refs/heads/fix/cart"}}
    write_thread(tmp_path / "home", user(0), answer(1, usage(1, 1)), env={"initial": {"trees": [tree]}}, title="Cart")
    [session] = (await scan_home(tmp_path)).sessions()
    assert (session.project_path, session.git_branch, session.title) == ("c:/Users/ana/shop", "fix/cart", "Cart")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_threads_lie_at_the_same_place_on_every_platform(tmp_path: Path, platform: str) -> None:
    folders = HARNESSES["amp"].data_folders
    assert folders(tmp_path, {}, platform) == [tmp_path / ".local/share/amp/threads"]
    moved = folders(tmp_path, {"XDG_DATA_HOME": "/data"}, platform)
    assert moved == [tmp_path / ".local/share/amp/threads" if platform == "win32" else Path("/data/amp/threads")]


@pytest.mark.parametrize("below", ["", ".local/share", ".local/share/amp", THREADS, f"{THREADS}/{THREAD}.json"])
async def test_a_root_is_a_home_the_data_the_threads_or_one_thread(tmp_path: Path, below: str) -> None:
    write_thread(tmp_path / "home", user(0), answer(1, usage(12, 210)))
    (tmp_path / "home" / THREADS / "session.json").write_text("{}", encoding="utf-8")
    seen = await scanned(tmp_path, "amp", tmp_path / "home" / below)
    assert (seen.totals()["events"], len(seen.sources())) == (1, 1)


def test_a_thread_under_another_name_is_known_by_its_id(tmp_path: Path) -> None:
    path = write_thread(tmp_path, user(0), answer(1, usage(12, 210)))
    other = path.rename(tmp_path / "export.json")
    assert Parse("amp").file(other).totals()["output_tokens"] == 210
    recognise = HARNESSES["amp"].recognise
    assert recognise(tmp_path / "x.json", b'{"id":"ses_1","messages":[]}') is None
    assert recognise(tmp_path / "T-1.jsonl", b'{"id":"T-1","messages":[]}') is None


def test_a_renamed_usage_object_is_noticed(tmp_path: Path) -> None:
    messages = [user(0), answer(1) | {"cost": usage(1, 1)}, answer(2) | {"cost": usage(1, 1)}]
    assert Parse("amp").file(write_thread(tmp_path, *messages)).unmetered == 2
    assert Parse("amp").file(write_thread(tmp_path, *messages, answer(3, usage(1, 1)))).unmetered == 0


@pytest.mark.parametrize("field", ["inputTokens", "outputTokens", "cacheReadInputTokens"])
@pytest.mark.parametrize("value", [None, "12", -1, 2**60, 1.5, True, {}])
def test_a_counter_of_another_type_is_unknown_and_the_others_stay(tmp_path: Path, field: str, value: object) -> None:
    [event] = (
        Parse("amp").file(write_thread(tmp_path, user(0), answer(1, usage(12, 210, 9) | {field: value}))).in_order()
    )
    counted = {"inputTokens": event.input_tokens, "outputTokens": event.output_tokens}
    counted["cacheReadInputTokens"] = event.cache_read_tokens
    expected = {"inputTokens": 12, "outputTokens": 210, "cacheReadInputTokens": 9, field: None}
    assert counted == expected
