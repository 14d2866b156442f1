"""Requests in a Cline task (formats/cline.md, Task format, Tokens, Coverage, Cost)."""

from pathlib import Path
from typing import Any

import pytest

from parsed import Parse
from scanned import Scanned, scanned
from task_files import NOON, TASK, ask, request, say, told, usage, write_task
from trueup_agent.ledger.rows import StoredEvent
from trueup_shared.metrics import BIT

PROMPT = say("text", "fix the cart")


async def seen_of(tmp_path: Path, *entries: Any, **files: Any) -> Scanned:
    write_task(tmp_path / "home", entries, **files)
    return await scanned(tmp_path, "cline", tmp_path / "home", home=True)


async def only(tmp_path: Path, *entries: Any, **files: Any) -> StoredEvent:
    [event] = (await seen_of(tmp_path, PROMPT, *entries, **files)).events()
    return event


async def test_a_request_gives_its_counters_as_they_stand(tmp_path: Path) -> None:
    event = await only(tmp_path, request(1, 14, 230, reads=8800, writes=1900, cost=0.0144, model="claude-sonnet-4-5"))
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (14, 8800, 1900)
    assert (event.output_tokens, event.context_tokens, event.reasoning_tokens) == (230, 10714, None)
    assert (event.at, event.time_quality) == ((NOON + 1000) * 1000, 1)
    assert (event.provider, event.model) == ("anthropic", "claude-sonnet-4-5")
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0144", "usd", "estimated")
    assert event.lower_bounds == event.derived == 0


async def test_a_placeholder_is_no_usage_and_is_filled_later(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, None, None, reads=None, writes=None))
    assert (seen.totals()["events"], seen.totals()["messages"]) == (0, 2)
    write_task(tmp_path / "home", [PROMPT, request(1, 14, 230)])
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["messages"], seen.totals()["output_tokens"]) == (1, 2, 230)


async def test_zeros_only_are_a_placeholder_too(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, 0, 0, cost=0))
    assert (seen.totals()["events"], seen.totals()["messages"]) == (0, 2)


async def test_a_request_whose_usage_the_producer_says_is_missing_is_unknown_not_zero(tmp_path: Path) -> None:
    event = await only(tmp_path, request(1, 0, 0, usageMissing=True))
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens) == (None, None, None)


async def test_a_cancelled_request_counts_as_a_lower_bound(tmp_path: Path) -> None:
    event = await only(tmp_path, request(1, 14, 30, cancelReason="user_cancelled"))
    assert (event.input_tokens, event.output_tokens) == (14, 30)
    assert event.lower_bounds & BIT["output_tokens"] and event.lower_bounds & BIT["input_tokens"]
    assert not event.lower_bounds & BIT["reasoning_tokens"]


async def test_a_cost_of_zero_with_tokens_is_a_reported_zero_and_a_missing_one_is_none(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, 14, 30, cost=0), request(2, 14, 30))
    assert [event.reported_cost for event in seen.events()] == ["0", None]


@pytest.mark.parametrize(
    ("provider", "status"), [("openrouter", "reported"), ("cline", "reported"), ("anthropic", "estimated")]
)
async def test_who_was_paid_reports_the_cost_and_the_extension_estimates_it(
    tmp_path: Path, provider: str, status: str
) -> None:
    event = await only(tmp_path, request(1, 14, 30, cost=0.5, model="m", provider=provider))
    assert event.reported_cost_status == status


async def test_two_requests_of_the_same_time_are_two(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, 10, 100), request(1, 20, 200))
    assert (seen.totals()["events"], seen.totals()["input_tokens"], seen.totals()["output_tokens"]) == (2, 30, 300)


async def test_a_request_is_known_again_when_an_entry_before_it_is_deleted(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, say("text", "hm", 0.5), request(1, 10, 100))
    write_task(tmp_path / "home", [PROMPT, request(1, 10, 100)])
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["gone"]) == (1, 0)


async def test_requests_of_2024_get_what_the_entry_that_finished_them_says(tmp_path: Path) -> None:
    pair = [
        request(1, None, None, reads=None, writes=None),
        say("text", "done", 2),
        say("api_req_finished", usage(40, 400, 7, 3, cost=0.01), 3),
    ]
    write_task(tmp_path / "home", [PROMPT, *pair, request(4, None, None)], name="claude_messages.json")
    seen = await scanned(tmp_path, "cline", tmp_path / "home", home=True)
    [event] = seen.events()
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens, event.cache_write_tokens) == (
        40,
        400,
        7,
        3,
    )
    assert (event.at, event.reported_cost) == ((NOON + 1000) * 1000, "0.01")


async def test_a_list_that_its_producer_renamed_is_the_same_source(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "home", [PROMPT, request(1)], name="claude_messages.json")
    seen = await scanned(tmp_path, "cline", tmp_path / "home", home=True)
    (folder / "claude_messages.json").rename(folder / "ui_messages.json")
    await seen.scan()
    assert len(seen.sources()) == 1
    assert (seen.totals()["events"], seen.totals()["gone"]) == (1, 0)


async def test_the_usage_of_subagents_in_the_same_process_counts(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, 14, 230), say("subagent_usage", usage(3000, 400, cost=0.015), 2))
    totals = seen.totals()
    assert (totals["events"], totals["input_tokens"], totals["output_tokens"]) == (2, 3014, 630)
    assert totals["context_tokens"] == 14  # a sum of several requests is no prompt


async def test_a_half_written_list_keeps_what_was_known_and_is_tried_again(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, 14, 230))
    path = write_task(tmp_path / "home", [PROMPT, request(1, 14, 230), request(2, 5, 50)]) / "ui_messages.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["gone"]) == (1, 0)
    assert [source.error for source in seen.sources()] == ["half-written JSON"]
    path.write_bytes(whole)
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["output_tokens"]) == (2, 280)
    assert [source.error for source in seen.sources()] == [None]


async def test_the_model_is_that_of_the_entry_else_of_the_last_use_before_it(tmp_path: Path) -> None:
    used = [
        {"ts": NOON + 2000, "model_id": "second", "model_provider_id": "openai", "mode": "act"},
        {"ts": NOON, "model_id": "first", "model_provider_id": "anthropic", "mode": "plan"},
    ]
    entries = [PROMPT, request(1), request(3), request(4, model="third")]
    seen = await seen_of(tmp_path, *entries, task_metadata={"files_in_context": [], "model_usage": used})
    assert [(event.provider, event.model) for event in seen.events()] == [
        ("anthropic", "first"), ("openai", "second"), ("anthropic", "third"),
    ]  # fmt: skip


async def test_an_old_task_names_its_model_in_the_history_only_where_that_is_one(tmp_path: Path) -> None:
    event = await only(tmp_path, request(1), api_conversation_history=[told("<model>m-1</model>"), told("")])
    assert event.model == "m-1"
    history = [told("<model>m-1</model>"), told("<model>m-2</model>")]
    write_task(tmp_path / "home", [PROMPT, request(1)], "1782892800001", api_conversation_history=history)
    await (seen := await scanned(tmp_path, "cline", tmp_path / "home", home=True)).scan()
    assert {event.model for event in seen.events()} == {"m-1", None}


async def test_the_first_environment_details_tell_where_it_ran(tmp_path: Path) -> None:
    history = [
        told("# Current Working Directory (/home/ana/shop (old)) Files\ncart.py"),
        told("# Current Working Directory (/x)"),
    ]
    seen = await seen_of(tmp_path, PROMPT, request(1), api_conversation_history=history)
    assert [event.project_path for event in seen.events()] == ["/home/ana/shop (old)"]
    assert [session.project_path for session in seen.sessions()] == ["/home/ana/shop (old)"]


async def test_the_list_of_tasks_tells_where_one_ran_that_does_not_say_so_itself(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "home", [PROMPT, request(1)])
    state = folder.parent.parent / "state"
    state.mkdir()
    item = '[{"id":"%s","ts":1,"tokensIn":999,"tokensOut":999,"cwdOnTaskInitialization":"/home/ana/shop"},3,{"id":7}]'
    (state / "taskHistory.json").write_text(item % TASK, encoding="utf-8")
    seen = await scanned(tmp_path, "cline", tmp_path / "home", home=True)
    [session] = seen.sessions()
    assert (session.project_path, session.started_at) == ("/home/ana/shop", NOON * 1000)
    assert (seen.totals()["events"], seen.totals()["input_tokens"]) == (1, 14)  # its sums are a check only


async def test_openai_like_input_that_may_include_the_cache_is_taken_and_told(tmp_path: Path) -> None:
    ambiguous = request(1, 9000, 10, reads=8800, model="gpt-5", provider="openai-native")
    clear = request(2, 100, 10, reads=8800, model="gpt-5", provider="openai-native")
    other = request(3, 9000, 10, reads=8800, model="claude-sonnet-4-5", provider="anthropic")
    seen = await seen_of(tmp_path, PROMPT, ambiguous, clear, other)
    assert [event.input_tokens for event in seen.events()] == [9000, 100, 9000]
    assert seen.totals()["skipped"] == {"uncertain_input": 1}


async def test_messages_are_prompts_and_answers_with_their_tools(tmp_path: Path) -> None:
    seen = await seen_of(
        tmp_path,
        PROMPT,
        request(1, model="m"),
        say("reasoning", "hm", 2),
        say("text", "I will", 3),
        ask("tool", {"tool": "readFile", "path": "cart.py"}, 4, partial=False),
        ask("tool", {"tool": "editedExistingFile"}, 4.5, partial=True),
        ask("command", "ls", 5),
        say("use_mcp_server", {"toolName": "search"}, 6),
        say("user_feedback", "no, the other one", 7),
        request(8, 1, 1),
        say("error", "oh", 9),
    )
    rows = [(m.role, m.kind, m.size_chars, m.tool_names, m.model) for m in seen.messages()]
    assert rows == [
        ("user", "prompt", 12, None, None),
        ("assistant", "answer", 8, '["readFile","execute_command","search"]', "m"),
        ("user", "prompt", 17, None, None),
        ("assistant", "answer", 0, None, None),
        ("system", "error", 2, None, None),
    ]
    events = {event.key for event in seen.events()}
    assert {m.event_key for m in seen.messages() if m.kind == "answer"} == events


async def test_strange_entries_are_skipped_and_unknown_ones_counted(tmp_path: Path) -> None:
    strange = [
        7,
        {"ts": NOON},
        {"type": "say", "say": 5},
        say("holo_deck", "", 2),
        say("api_req_started", "{no json", 3),
    ]
    seen = await seen_of(tmp_path, PROMPT, *strange, request(4, 14, 230))
    totals = seen.totals()
    assert (totals["events"], totals["skipped"], totals["unknown"]) == (1, {"malformed": 4}, {"holo_deck": 1})


async def test_a_request_without_a_time_has_that_of_its_task(tmp_path: Path) -> None:
    timeless = {name: value for name, value in request(1, 14, 230).items() if name != "ts"}
    event = await only(tmp_path, timeless)
    assert (event.at, event.time_quality) == (NOON * 1000, 2)


async def test_what_is_no_list_is_skipped(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "home", [])
    (folder / "ui_messages.json").write_text('{"messages": 1}', encoding="utf-8")
    totals = (await scanned(tmp_path, "cline", tmp_path / "home", home=True)).totals()
    assert (totals["events"], totals["skipped"]) == (0, {"malformed": 1})


def test_renamed_usage_is_noticed(tmp_path: Path) -> None:
    renamed = [say("api_req_started", {"inTokens": 5, "cost": 0.1}, n) for n in range(4)]
    write_task(tmp_path, [PROMPT, *renamed])
    assert Parse("cline").root(tmp_path).unmetered == 3  # the last may still be under way
    cancelled = [say("api_req_started", {"cancelReason": "user_cancelled"}, n) for n in range(4)]
    write_task(tmp_path, [PROMPT, *cancelled, request(9)])
    assert Parse("cline").root(tmp_path).unmetered == 0


async def test_a_counter_that_is_null_is_unknown_and_nothing_else_moves(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, PROMPT, request(1, 10, 100), request(2, 20, 200), request(3, 30, 300))
    before = seen.totals()
    broken = request(2, 20, 200)
    broken["text"] = broken["text"].replace('"tokensOut": 200', '"tokensOut": null')
    write_task(tmp_path / "home", [PROMPT, request(1, 10, 100), broken, request(3, 30, 300)], "1782892800001")
    write_task(tmp_path / "home", [PROMPT])
    other = await scanned(tmp_path / "b", "cline", tmp_path / "home", home=True)
    after = other.totals()
    assert (before["output_tokens"], after["output_tokens"]) == (600, 400)
    assert [event.output_tokens for event in other.events()] == [100, None, 300]
    assert (after["events"], after["input_tokens"]) == (before["events"], before["input_tokens"])
