"""Requests that newer logs tell of themselves: `model.model_call_success`, recorded in 1.0.91."""

from pathlib import Path
from typing import Any

import pytest

from copilot_files import Log, row, store
from scanned import Scanned, scanned

PARTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def call(log: Log, seconds: float, name: str, usage: Any, **more: Any) -> Log:
    data = {
        "kind": "model_call_success",
        "callId": f"id of {name}",
        "modelCall": {"model": "gpt-5.4-nano", "api_id": name, "initiator": "agent"},
        "responseUsage": usage,
        "requestMessages": "[]",
    }
    return log.add(seconds, "model.model_call_success", data | more)


def used(prompt: int, output: int, read: int = 0, write: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": write},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


async def seen_of(tmp_path: Path, log: Log) -> Scanned:
    log.write(tmp_path / "home")
    return await scanned(tmp_path, "copilot", tmp_path / "home")


async def test_a_request_that_the_log_tells_of_is_exact_and_stands_beside_answers_of_unknown_usage(
    tmp_path: Path,
) -> None:
    log = call(Log().start(), 5, "a", used(593, 193, 100, 20, 128), copilotUsage={"total_nano_aiu": 7000})
    log.answer(9, None).add(10, "model.messages_snapshot", {"messages": []})
    seen = await seen_of(tmp_path, log)
    one, answer = seen.events()
    assert tuple(getattr(one, name) for name in PARTS) == (473, 100, 20, 193, 128)
    assert (one.context_tokens, one.lower_bounds, one.derived, one.model) == (593, 0, 0, "gpt-5.4-nano")
    assert (one.reported_cost, one.reported_cost_unit) == ("0.000007", "aiu")
    assert tuple(getattr(answer, name) for name in PARTS) == (None,) * 5
    assert seen.totals()["events"] == 2


async def test_an_answer_and_the_request_that_gave_it_are_one(tmp_path: Path) -> None:
    log = call(Log().start(), 8, "a", used(1000, 120, 400)).answer(9, 120, apiCallId="a").answer(12, 70, apiCallId="b")
    seen = await seen_of(tmp_path, log)
    assert [(event.input_tokens, event.output_tokens) for event in seen.events()] == [(600, 120), (None, 70)]
    assert [message.event_key for message in seen.messages()] == [event.key for event in seen.events()]


async def test_a_shutdown_or_the_database_tells_of_everything_and_counts_before_them(tmp_path: Path) -> None:
    log = call(Log().start(), 5, "a", used(593, 193)).answer(9, None).shutdown(60, 31000, 420, 24000)
    assert (await seen_of(tmp_path, log)).totals()["output_tokens"] == 420
    store(tmp_path / "home", [row(9, 31000, 420, 24000)])
    assert (await seen_of(tmp_path, log)).totals()["output_tokens"] == 420


@pytest.mark.parametrize("usage", [None, {}, "many", {"prompt_tokens": "1"}, {"prompt_tokens_details": 3}])
async def test_a_request_without_readable_usage_is_a_request_of_unknown_usage(tmp_path: Path, usage: Any) -> None:
    seen = await seen_of(tmp_path, call(Log().start(), 5, "a", usage, modelCall={"model": 3}))
    (event,) = seen.events()
    assert tuple(getattr(event, name) for name in PARTS) == (None,) * 5


async def test_a_prompt_smaller_than_its_cached_part_is_unknown(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, call(Log().start(), 5, "a", used(10, 5, 100)))
    assert [(event.input_tokens, event.output_tokens) for event in seen.events()] == [(None, 5)]
