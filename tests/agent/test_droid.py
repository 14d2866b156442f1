"""Droid: running totals beside conversations (formats/droid.md)."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from given import SAMPLES, needs_given
from parsed import Parse
from scanned import Scanned, scanned
from trueup_agent.harnesses import HARNESSES
from trueup_shared import keys
from trueup_shared.price_names import named

SESSION = "a1b20000-0000-4000-8000-000000000001"
FOLDER = ".factory/sessions/-home-ana-shop"
EIGHT = 1_748_764_800  # 2025-06-01T08:00:00Z
START = {"type": "session_start", "id": SESSION, "title": "Cart", "cwd": "/home/ana/shop", "owner": "ana", "version": 2}


def line(seconds: int, role: str, text: str = "ok", **fields: Any) -> dict[str, Any]:
    stamp = f"2025-06-01T08:{seconds // 60:02d}:{seconds % 60:02d}.000Z"
    message = {"role": role, "content": [{"type": "text", "text": text}]}
    return {"type": "message", "id": f"m{seconds}", "parentId": None, "timestamp": stamp, "message": message, **fields}


def total(plain: int, out: int, writes: int = 0, reads: int = 0, thinking: int | None = None) -> dict[str, int]:
    found = {"inputTokens": plain, "outputTokens": out, "cacheCreationTokens": writes, "cacheReadTokens": reads}
    return found if thinking is None else found | {"thinkingTokens": thinking}


class Session:
    """Files of one session, written as the producer does it."""

    def __init__(self, tmp_path: Path, name: str = SESSION) -> None:
        self.log = tmp_path / "home" / FOLDER / f"{name}.jsonl"
        self.settings = self.log.with_name(f"{name}.settings.json")
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def say(self, *lines: Any) -> "Session":
        with self.log.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in lines)
        return self

    def use(
        self, seconds: int, tokens: dict[str, Any] | None, model: str = "claude-sonnet-4-5", **more: Any
    ) -> "Session":
        settings = {"assistantActiveTimeMs": 1, "model": model, "providerLock": "anthropic", **more}
        settings |= {} if tokens is None else {"tokenUsage": tokens}
        self.settings.write_text(json.dumps(settings), encoding="utf-8")
        os.utime(self.settings, (EIGHT + seconds, EIGHT + seconds))
        return self


async def scan_home(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "droid", tmp_path / "home", home=True)


def rows(seen: Scanned) -> list[tuple[Any, ...]]:
    return [(e.at // 1_000_000 - EIGHT, e.input_tokens, e.output_tokens, e.cache_read_tokens) for e in seen.events()]


async def test_the_first_sight_of_an_old_session_is_one_event_at_its_last_answer(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(0, "user"), line(7, "assistant"), line(30, "assistant"))
    session.use(31, total(5200, 900, 3000, 41_000, 120))
    seen = await scan_home(tmp_path)
    [event] = seen.events()
    assert event.at == (EIGHT + 30) * 1_000_000 and event.time_quality == 1
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (5200, 41_000, 3000)
    assert (event.output_tokens, event.reasoning_tokens, event.context_tokens) == (1020, 120, None)
    assert event.derived and not event.lower_bounds
    assert (event.provider, event.model, event.project_path) == ("anthropic", "claude-sonnet-4-5", "/home/ana/shop")
    assert event.owner_key == keys.series_key("droid", SESSION)


async def test_a_growing_total_gives_the_difference_at_each_look(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(0, "user"), line(7, "assistant")).use(8, total(100, 10, reads=1000))
    seen = await scan_home(tmp_path)
    session.say(line(20, "user"), line(27, "assistant")).use(28, total(150, 30, reads=3000))
    await seen.scan()
    session.say(line(40, "user"), line(47, "assistant")).use(48, total(150, 70, reads=3500))
    await seen.scan()
    await seen.scan()
    assert rows(seen) == [(7, 100, 10, 1000), (27, 50, 20, 2000), (47, 0, 40, 500)]
    assert seen.totals()["lower_bound"] == 0 and seen.totals()["derived"] == 3


async def test_a_total_that_grows_without_a_new_line_is_seen_too(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(0, "user"), line(7, "assistant")).use(8, total(100, 10))
    seen = await scan_home(tmp_path)
    session.use(15, total(130, 12))
    await seen.scan()
    assert (seen.totals()["input_tokens"], seen.totals()["output_tokens"]) == (130, 12)


async def test_a_total_that_shrank_began_anew_and_counts_in_full_as_a_lower_bound(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(0, "user"), line(7, "assistant")).use(8, total(100, 50))
    seen = await scan_home(tmp_path)
    session.say(line(27, "assistant")).use(28, total(40, 60))
    await seen.scan()
    assert (seen.totals()["input_tokens"], seen.totals()["output_tokens"]) == (140, 110)
    assert seen.totals()["lower_bound"] == 1


async def test_after_a_switch_of_models_the_difference_bears_the_model_of_then(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(0, "user"), line(7, "assistant")).use(8, total(100, 10), model="a")
    seen = await scan_home(tmp_path)
    session.say(line(27, "assistant")).use(28, total(150, 15), model="b")
    await seen.scan()
    assert [(event.model, event.input_tokens) for event in seen.events()] == [("a", 100), ("b", 50)]


async def test_an_answer_that_is_logged_before_its_usage_does_not_date_the_total(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(0, "user"), line(7, "assistant"), line(60, "assistant"))
    session.use(9, total(100, 10))
    assert [row[0] for row in rows(await scan_home(tmp_path))] == [7]


async def test_without_settings_or_a_total_usage_is_unknown(tmp_path: Path) -> None:
    Session(tmp_path).say(START, line(0, "user"), line(7, "assistant"))
    Session(tmp_path, "b").say(START | {"id": "b"}, line(1, "user"), line(8, "assistant")).use(9, None)
    Session(tmp_path, "c").say(START | {"id": "c"}, line(2, "user"), line(9, "assistant")).use(9, total(0, 0))
    totals = (await scan_home(tmp_path)).totals()
    assert (totals["events"], totals["messages"], totals["sessions"], totals["input_tokens"]) == (0, 6, 3, None)


async def test_a_total_that_is_not_divided_stays_undivided(tmp_path: Path) -> None:
    Session(tmp_path).say(START, line(7, "assistant")).use(8, {"totalTokens": 777})
    totals = (await scan_home(tmp_path)).totals()
    assert (totals["undivided_tokens"], totals["input_tokens"], totals["output_tokens"]) == (777, None, None)


async def test_settings_without_a_conversation_count_at_the_time_of_their_file(tmp_path: Path) -> None:
    session = Session(tmp_path).use(28, total(150, 15))
    seen = await scan_home(tmp_path)
    [event] = seen.events()
    assert (event.at, event.time_quality, event.input_tokens) == ((EIGHT + 28) * 1_000_000, 3, 150)
    session.say(START, line(0, "user"), line(7, "assistant"))
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["input_tokens"], seen.totals()["sessions"]) == (1, 150, 1)


async def test_a_copy_of_a_session_counts_once(tmp_path: Path) -> None:
    Session(tmp_path).say(START, line(7, "assistant")).use(8, total(100, 10))
    copied = tmp_path / "home" / ".factory/sessions"  # as the first releases kept it
    for path in sorted((tmp_path / "home" / FOLDER).iterdir()):
        (copied / path.name).write_bytes(path.read_bytes())
    seen = await scan_home(tmp_path)
    assert (len(seen.sources()), seen.totals()["events"], seen.totals()["input_tokens"]) == (2, 1, 100)


async def test_a_session_that_another_called_is_its_subagent(tmp_path: Path) -> None:
    Session(tmp_path, "child").say(START | {"id": "child", "callingSessionId": SESSION, "callingToolUseId": "t"})
    [session] = (await scan_home(tmp_path)).sessions()
    assert (session.parent_key, session.relationship) == (keys.session_key("droid", SESSION), "subagent")


async def test_half_written_settings_are_read_again(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(7, "assistant"))
    session.settings.write_text('{"model": "x", "tokenUsage": {"input', encoding="utf-8")
    seen = await scan_home(tmp_path)
    assert seen.totals()["events"] == 0
    assert [source.error for source in seen.sources()] == ["half-written JSON"]
    session.use(8, total(100, 10))
    await seen.scan()
    assert (seen.totals()["events"], [source.error for source in seen.sources()]) == (1, [None])


async def test_a_captured_stream_in_the_folder_is_no_session(tmp_path: Path) -> None:
    capture = [
        {"type": "system", "subtype": "init", "session_id": "sid", "timestamp": 1, "model": "m", "cwd": "/tmp"},
        {"type": "message", "session_id": "sid", "role": "user", "text": "hi", "id": "m1", "timestamp": 1},
        {"type": "completion", "sessionId": "sid", "finalText": "Done", "usage": {"input_tokens": 10}},
    ]
    Session(tmp_path, "capture").say(*capture)
    Session(tmp_path).say(START, line(7, "assistant")).use(8, total(100, 10))
    totals = (await scan_home(tmp_path)).totals()
    assert (totals["sessions"], totals["messages"], totals["events"], totals["unknown"]) == (1, 1, 1, {})


def test_the_price_of_a_custom_model_is_looked_up_without_what_wraps_it() -> None:
    assert named("custom:GLM-5.1-[Proxy]-0").names[0] == "GLM-5.1"
    assert named("custom:claude-sonnet-4-5-12").names[0] == "claude-sonnet-4-5"
    assert named("claude-sonnet-4-5").names[0] == "claude-sonnet-4-5"


def test_cuts_anywhere_give_the_same_rows(tmp_path: Path) -> None:
    lines = [
        START,
        line(0, "user"),
        line(7, "assistant"),
        {"type": "todo_state"},
        line(20, "user"),
        line(27, "assistant"),
    ]
    session = Session(tmp_path).say(*lines).use(28, total(100, 10))
    raw = [json.dumps(one).encode() for one in lines]

    def read(*cuts: int) -> Any:
        return Parse("droid").lines(session.log, raw, cuts, companions=(session.settings,)).everything()[:2]

    whole = read()
    assert all(read(cut) == whole for cut in range(1, len(lines)))


def test_a_session_without_its_first_line_is_named_by_its_file(tmp_path: Path) -> None:
    session = Session(tmp_path).say(line(7, "assistant")).use(8, total(100, 10))
    parse = Parse("droid").lines(session.log, session.log.read_bytes().splitlines(), companions=(session.settings,))
    assert [row.session_id for row in parse.sessions.values()] == [SESSION]
    assert parse.totals()["input_tokens"] == 100


def test_a_renamed_usage_object_is_noticed(tmp_path: Path) -> None:
    session = Session(tmp_path).say(START, line(7, "assistant"), line(9, "assistant"))
    session.use(28, None, usageTotals=total(100, 10))
    assert Parse("droid").root(tmp_path / "home").unmetered == 2


def test_unknown_lines_are_counted_and_broken_ones_skipped(tmp_path: Path) -> None:
    Session(tmp_path).say(START, {"type": "mission_state"}, {"type": "message", "id": "x"}, 7, line(7, "assistant"))
    parse = Parse("droid").root(tmp_path / "home")
    assert (parse.unknown, parse.skipped) == ({"mission_state": 1}, {"malformed": 2})


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_sessions_lie_below_the_home_on_every_platform(tmp_path: Path, platform: str) -> None:
    assert HARNESSES["droid"].data_folders(tmp_path, {}, platform) == [tmp_path / ".factory/sessions"]


@pytest.mark.parametrize("below", ["", ".factory", ".factory/sessions", FOLDER])
async def test_a_root_is_a_home_the_harness_home_or_a_folder_with_sessions(tmp_path: Path, below: str) -> None:
    Session(tmp_path).say(START, line(7, "assistant")).use(8, total(100, 10))
    seen = await scanned(tmp_path, "droid", tmp_path / "home" / below)
    assert (seen.totals()["events"], len(seen.sources())) == (1, 1)


@needs_given
async def test_the_samples_have_conversations_and_no_usage(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "droid", SAMPLES / "droid")
    totals = seen.totals()
    assert (totals["events"], totals["sessions"], totals["messages"]) == (0, 3, 12)
    assert totals["skipped"] == totals["unknown"] == {}
    assert {Path(source.path).name for source in seen.sources()} == {
        "session_store_large.jsonl", "session_store_schema_drift.jsonl", "session_store_small.jsonl",
    }  # fmt: skip
