"""Roo Code: what `tokensIn` includes, by generation; subtasks; condensing (formats/roocode.md)."""

from pathlib import Path
from typing import Any

import pytest

from scanned import Scanned, scanned
from task_files import NOON, ROO, ask, request, say, told, usage, write_task
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_shared import keys

PROMPT = say("text", "fix the cart")
LATE = {"apiProtocol": "anthropic"}
TASK = "0198a000-0000-7000-8000-000000000001"
# 14 + 1900 + 8800 + 230 tokens of claude-sonnet-4-5 at list price.
COST = (14 * 3 + 1900 * 3.75 + 8800 * 0.3 + 230 * 15) / 1e6


async def seen_of(tmp_path: Path, *entries: Any, task: str = TASK, **files: Any) -> Scanned:
    write_task(tmp_path / "home", [PROMPT, *entries], task, ROO, **files)
    return await scanned(tmp_path, "roocode", tmp_path / "home", home=True)


def counters(seen: Scanned) -> list[tuple[int | None, ...]]:
    return [(e.input_tokens, e.cache_read_tokens, e.cache_write_tokens, e.context_tokens) for e in seen.events()]


@pytest.mark.parametrize("protocol", ["anthropic", "openai"])
async def test_late_input_includes_the_cache(tmp_path: Path, protocol: str) -> None:
    seen = await seen_of(tmp_path, request(1, 10_714, 230, reads=8800, writes=1900, apiProtocol=protocol))
    assert counters(seen) == [(14, 8800, 1900, 10_714)]
    assert seen.totals()["skipped"] == {}


async def test_input_smaller_than_the_cache_cannot_include_it(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, request(1, 14, 230, reads=8800, writes=1900, **LATE))
    assert counters(seen) == [(14, 8800, 1900, 10_714)]


async def test_a_history_item_with_a_workspace_tells_the_late_generation(tmp_path: Path) -> None:
    item = {"id": TASK, "workspace": "/home/ana/shop", "tokensIn": 1}
    seen = await seen_of(tmp_path, request(1, 10_714, 230, reads=8800, writes=1900), history_item=item)
    assert counters(seen) == [(14, 8800, 1900, 10_714)]
    assert [event.project_path for event in seen.events()] == ["/home/ana/shop"]


@pytest.mark.parametrize(("tokens_in", "expected"), [(10_714, 14), (14_000, 14_000)])
async def test_the_cost_tells_which_it_is_for_an_old_request(tmp_path: Path, tokens_in: int, expected: int) -> None:
    cost = COST if expected == 14 else COST + (14_000 - 14) * 3 / 1e6
    old = request(1, tokens_in, 230, reads=8800, writes=1900, cost=cost, model="claude-sonnet-4-5")
    seen = await seen_of(tmp_path, old)
    assert [event.input_tokens for event in seen.events()] == [expected]
    assert seen.totals()["skipped"] == {}


@pytest.mark.parametrize("more", [{}, {"cost": 0.5, "model": "claude-sonnet-4-5"}, {"cost": 0.02, "model": "nobody-1"}])
async def test_an_old_request_that_nothing_tells_of_is_taken_and_told(tmp_path: Path, more: dict[str, Any]) -> None:
    seen = await seen_of(tmp_path, request(1, 10_714, 230, reads=8800, writes=1900, **more))
    assert [event.input_tokens for event in seen.events()] == [10_714]
    assert seen.totals()["skipped"] == {"uncertain_input": 1}


async def test_without_cache_it_does_not_matter(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, request(1, 50, 5), request(2, 60, 5, **LATE))
    assert [event.input_tokens for event in seen.events()] == [50, 60]
    assert seen.totals()["skipped"] == {}


async def test_a_subtask_is_a_task_of_its_own_and_no_sum_over_children_counts(tmp_path: Path) -> None:
    child = "0198a000-0000-7000-8000-000000000002"
    item = {"id": TASK, "workspace": "/w", "childIds": [child], "tokensIn": 10**6, "totalCost": 99}
    write_task(tmp_path / "home", [PROMPT, request(1, 100, 10, **LATE)], TASK, ROO, history_item=item)
    item = {"id": child, "workspace": "/w", "rootTaskId": TASK, "parentTaskId": TASK, "tokensIn": 10**6}
    seen = await seen_of(tmp_path, request(2, 7, 1, **LATE), task=child, history_item=item)
    assert (seen.totals()["events"], seen.totals()["input_tokens"]) == (2, 107)
    sessions = {session.session_id: session for session in seen.sessions()}
    assert (sessions[child].parent_key, sessions[child].relationship) == (keys.session_key("roocode", TASK), "subagent")
    assert sessions[TASK].parent_key is None


async def test_a_subtask_result_in_the_parent_is_no_usage(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, request(1, 7, 1, **LATE), say("subtask_result", "done", 2))
    assert (seen.totals()["events"], seen.totals()["unknown"]) == (1, {})


async def test_condensing_costs_money_and_its_tokens_are_unknown(tmp_path: Path) -> None:
    condensed = {"cost": 0.03, "prevContextTokens": 90_000, "newContextTokens": 9_000, "summary": "so far"}
    entry = say("condense_context", "", 2, contextCondense=condensed)
    running = say("condense_context", "", 3, partial=True)
    seen = await seen_of(tmp_path, request(1, 7, 1, cost=0.01, **LATE), entry, running)
    totals = seen.totals()
    assert (totals["events"], totals["input_tokens"], float(totals["cost"]["usd"])) == (2, 7, 0.04)
    assert seen.events()[1].output_tokens is None
    assert [m.kind for m in seen.messages()] == ["prompt", "answer", "summary", "summary"]


async def test_deleted_messages_leave_their_events(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, request(1, 100, 10, **LATE), request(2, 200, 20, **LATE))
    write_task(tmp_path / "home", [PROMPT, request(1, 100, 10, **LATE)], TASK, ROO)
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["input_tokens"], totals["gone"]) == (2, 300, 1)


async def test_a_task_without_a_history_item_as_old_editors_keep_it_elsewhere(tmp_path: Path) -> None:
    history = [told("# Current Workspace Directory (/home/ana/shop) Files\n<model>m-1</model>")]
    seen = await seen_of(tmp_path, request(1, 7, 1), api_conversation_history=history, task=str(NOON))
    [event], [session] = seen.events(), seen.sessions()
    assert (event.model, event.project_path, session.project_path) == ("m-1", "/home/ana/shop", "/home/ana/shop")


async def test_the_model_is_the_one_that_the_request_was_told(tmp_path: Path) -> None:
    history = [
        told("<model>m-1</model>", NOON + 1200),
        {"role": "assistant", "content": "<environment_details><model>no</model>", "ts": NOON + 1500},
        told("<model>m-2</model>", NOON + 3300),
    ]
    entries = [request(1, 7, 1), request(3, 7, 1), request(9, 7, 1)]
    seen = await seen_of(tmp_path, *entries, api_conversation_history=history)
    assert [event.model for event in seen.events()] == ["m-1", "m-2", "m-2"]


async def test_an_edit_that_is_applied_by_another_model_is_a_request(tmp_path: Path) -> None:
    tool = {"tool": "editedExistingFile", "fastApplyResult": {"tokensIn": 2100, "tokensOut": 900, "cost": 0.0009}}
    seen = await seen_of(tmp_path, request(1, 20_400, 310, reads=18_000, **LATE), ask("tool", tool, 2))
    assert counters(seen) == [(2400, 18_000, 0, 20_400), (2100, None, None, 2100)]


async def test_a_missing_usage_and_a_cancelled_one(tmp_path: Path) -> None:
    missing, cut = usage(0, 0, usageMissing=True, **LATE), usage(500, 20, 400, cancelReason="streaming_failed", **LATE)
    seen = await seen_of(tmp_path, say("api_req_started", missing, 1), say("api_req_started", cut, 2))
    assert counters(seen) == [(None, None, None, None), (100, 400, 0, 500)]
    assert seen.totals()["lower_bound"] == 1


async def test_a_renamed_usage_field_is_noticed(tmp_path: Path) -> None:
    def renamed(seconds: float) -> dict[str, Any]:
        return say("api_req_started", {"promptTokens": 5, "completionTokens": 6, "cost": 0.1}, seconds)

    from parsed import Parse

    write_task(tmp_path, [PROMPT, renamed(1), renamed(2), renamed(3)], TASK, ROO)
    assert Parse("roocode").root(tmp_path).unmetered == 2  # the last may still be under way
    write_task(tmp_path, [PROMPT, request(1), request(2)], TASK, ROO)
    assert Parse("roocode").root(tmp_path).unmetered == 0


def test_usage_is_derived_again_from_what_is_stored() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    raw = b'{"tokensIn":10714,"tokensOut":230,"cacheReads":8800,"cacheWrites":1900,"apiProtocol":"anthropic"}'
    found = HARNESSES["roocode"].usage(raw, facts)
    assert found is not None and found.input_tokens == 14
    found = HARNESSES["roocode"].usage(raw.replace(b"apiProtocol", b"other"), facts)
    assert found is not None and found.input_tokens == 10_714
    assert HARNESSES["roocode"].usage(b"\xff", facts) is None
