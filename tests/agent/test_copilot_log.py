"""What a session's log alone says: totals per run, answers of a run that crashed (formats/copilot.md)."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from copilot_files import MODEL, SESSION, START, Log, usage
from scanned import Scanned, scanned

PARTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


async def seen_of(tmp_path: Path, *logs: Log) -> Scanned:
    for log in logs:
        log.write(tmp_path / "home")
    return await scanned(tmp_path, "copilot", tmp_path / "home")


def counters(seen: Scanned) -> tuple[Any, ...]:
    totals = seen.totals()
    return tuple(totals[name] for name in PARTS)


async def test_a_shutdown_gives_one_event_per_model_with_the_caches_taken_out_of_the_prompt(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, Log().start().answer(9).shutdown(300, 31000, 420, 24000, 5000, 90))
    (event,) = seen.events()
    assert counters(seen) == (2000, 24000, 5000, 420, 90)
    assert (event.at, event.model, event.time_quality) == (START + 300_000_000, MODEL, 1)
    assert (event.context_tokens, event.lower_bounds, event.derived) == (None, 0, 0)
    assert (event.project_path, event.provider) == ("/home/ana/shop", None)
    (session,) = seen.sessions()
    assert (session.session_id, session.started_at) == (SESSION, START)
    assert (session.project_path, session.git_branch, session.harness_version) == (
        "/home/ana/shop",
        "fix/cart",
        "1.0.80",
    )


async def test_three_runs_of_a_session_count_what_each_added_to_the_running_totals(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100, 800, 0, 10)
    log.resume(100).answer(110).shutdown(160, 1500, 150, 1200, 0, 15)
    log.resume(200).answer(210).shutdown(260, 4000, 350, 3000, 100, 15)
    seen = await seen_of(tmp_path, log)
    assert counters(seen) == (900, 3000, 100, 350, 15)
    assert [event.input_tokens for event in seen.events()] == [200, 100, 600]
    assert [event.derived > 0 for event in seen.events()] == [False, True, True]
    assert seen.totals()["lower_bound"] == 0


async def test_a_run_that_used_nothing_gives_no_event(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100).resume(100).shutdown(120, 1000, 100)
    assert (await seen_of(tmp_path, log)).totals()["events"] == 1


async def test_after_a_compaction_the_totals_count_in_full_though_they_are_greater(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100)
    log.resume(100).answer(110, output=40).add(130, "session.compaction_complete", {"success": True})
    seen = await seen_of(tmp_path, log.answer(140, output=60).shutdown(160, 5000, 160))
    first, before, after = seen.events()
    assert (first.output_tokens, after.input_tokens, after.output_tokens, after.derived) == (100, 5000, 160, 0)
    # What was used between the run's beginning and the compaction only the answers tell.
    assert (before.output_tokens, before.input_tokens, before.lower_bounds > 0) == (40, None, True)


async def test_the_request_that_wrote_a_summary_counts_as_it_is_logged(tmp_path: Path) -> None:
    used = {"model": MODEL, "inputTokens": 129612, "outputTokens": 6210, "cacheReadTokens": 127386}
    compaction = {"success": True, "compactionTokensUsed": used | {"cacheWriteTokens": 2220, "duration": 4200}}
    log = Log().start().add(30, "session.compaction_complete", compaction)
    seen = await seen_of(tmp_path, log.add(50, "session.compaction_complete", OLD_COMPACTION))
    assert counters(seen) == (6 + 133329, 127386 + 24000, 2220, 6210 + 3400, None)


OLD_COMPACTION = {"success": True, "compactionTokensUsed": {"input": 157329, "output": 3400, "cachedInput": 24000}}


async def test_a_compaction_that_failed_changes_nothing(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100).resume(100)
    log.add(130, "session.compaction_complete", {"success": False}).answer(140).shutdown(160, 1200, 110)
    assert counters(await seen_of(tmp_path, log))[0] == 1200


async def test_totals_that_shrank_without_a_compaction_count_in_full_as_a_lower_bound(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100).resume(100).answer(110).shutdown(160, 700, 300)
    seen = await seen_of(tmp_path, log)
    assert counters(seen)[0] == 1700
    assert [event.lower_bounds > 0 for event in seen.events()] == [False, True]


async def test_a_crash_leaves_the_output_of_answers_as_a_lower_bound_until_the_session_is_resumed(
    tmp_path: Path,
) -> None:
    log = Log().start().answer(9, output=120).answer(20, output=30)
    seen = await seen_of(tmp_path, log)
    assert counters(seen) == (None, None, None, 150, None)
    assert seen.totals()["lower_bound"] == 2
    log.resume(100).answer(110, output=50).shutdown(160, 900, 50).write(tmp_path / "home")
    await seen.scan()
    assert counters(seen) == (900, 0, 0, 200, 0)
    assert seen.totals()["events"] == 3


async def test_a_shutdown_replaces_the_answers_of_its_run_wherever_the_log_was_cut(tmp_path: Path) -> None:
    log = Log().start().answer(9, output=120).answer(20, output=30).shutdown(60, 900, 150)
    path = log.write(tmp_path / "home")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])  # the last line is being written
    seen = await scanned(tmp_path, "copilot", tmp_path / "home")
    assert counters(seen) == (None, None, None, 150, None)
    path.write_bytes(whole)
    await seen.scan()
    assert counters(seen) == (900, 0, 0, 150, 0)
    assert len(seen.set_aside()) == 2


async def test_a_log_without_any_usage_has_requests_of_unknown_usage(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, Log().start().answer(9, output=None))
    assert (seen.totals()["events"], counters(seen)) == (1, (None,) * 5)


async def test_models_that_change_within_a_run_each_have_their_totals(tmp_path: Path) -> None:
    log = Log().start().answer(9).add(20, "session.model_change", {"newModel": "gpt-5.5"})
    metrics = {MODEL: {"usage": usage(100, 10)}, "gpt-5.5": {"usage": usage(300, 30, read=200)}}
    seen = await seen_of(tmp_path, log.answer(30, model=None).add(60, "session.shutdown", {"modelMetrics": metrics}))
    assert {event.model: event.input_tokens for event in seen.events()} == {MODEL: 100, "gpt-5.5": 100}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("session.model_change", {"newModel": "gpt-5.5"}),
        ("session.auto_mode_resolved", {"chosenModel": "gpt-5.5"}),
        ("session.resume", {"selectedModel": "gpt-5.5"}),
    ],
)
async def test_an_answer_without_a_model_has_the_one_that_was_chosen_last(
    tmp_path: Path, kind: str, data: dict[str, str]
) -> None:
    seen = await seen_of(tmp_path, Log().start(selectedModel="auto").add(5, kind, data).answer(9, model=None))
    assert [event.model for event in seen.events()] == ["gpt-5.5"]


async def test_a_model_with_zeros_used_nothing_and_one_without_usage_is_unknown(tmp_path: Path) -> None:
    metrics = {MODEL: {"usage": usage(0, 0)}, "gpt-5.5": {"requests": 2}}
    seen = await seen_of(tmp_path, Log().start().add(60, "session.shutdown", {"modelMetrics": metrics}))
    assert [(event.model, event.output_tokens) for event in seen.events()] == [(MODEL, 0)]


async def test_a_dotted_model_name_is_kept_and_has_a_price(tmp_path: Path) -> None:
    (event,) = (await seen_of(tmp_path, Log().start().shutdown(60, 1000, 100))).events()
    assert (event.model, event.cost_nanousd) == ("claude-sonnet-4.6", 1000 * 3000 + 100 * 15000)


async def test_what_premium_requests_cost_is_no_money(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100)
    metric = {"requests": {"count": 5, "cost": 1.33}, "usage": usage(1500, 150)}
    seen = await seen_of(tmp_path, log.resume(100).add(160, "session.shutdown", {"modelMetrics": {MODEL: metric}}))
    assert seen.totals()["cost"] == {"premium_requests": Decimal("1.33")}
    assert [event.reported_cost for event in seen.events()] == ["1", "0.33"]
    assert {event.reported_cost_status for event in seen.events()} == {"reported"}


async def test_ai_units_of_the_session_are_added_up_over_its_runs(tmp_path: Path) -> None:
    log = Log().start().shutdown(60, 1000, 100, totalNanoAiu=1_200_000_000)
    seen = await seen_of(tmp_path, log.resume(100).shutdown(160, 1500, 150, totalNanoAiu=1_500_000_000))
    assert seen.totals()["cost"] == {"aiu": Decimal("1.5")}


@pytest.mark.parametrize("per_model", [True, False])
async def test_ai_units_beyond_a_billion_survive_a_log_that_grows_between_two_readings(
    tmp_path: Path, per_model: bool
) -> None:
    """One AI unit is a billion of what is logged, so the numbers are larger than any amount of money."""
    log = Log().start()
    seen: Scanned | None = None
    for run, nano_aiu in enumerate((5_000_000_000, 12_000_000_000)):
        metric = {"usage": usage(1000 * (run + 1), 100)} | ({"totalNanoAiu": nano_aiu} if per_model else {})
        more = {} if per_model else {"totalNanoAiu": nano_aiu}
        log.add(60 * (run + 1), "session.shutdown", {"modelMetrics": {MODEL: metric}, **more}).write(tmp_path / "home")
        if seen is None:
            seen = await scanned(tmp_path, "copilot", tmp_path / "home")
        else:
            await seen.scan()
    assert seen is not None
    assert [event.reported_cost for event in seen.events()] == ["5", "7"]


async def test_subagents_are_in_the_totals_of_the_session_that_started_them(tmp_path: Path) -> None:
    log = Log().start().add(10, "subagent.started", {"toolCallId": "t1", "agentName": "explore"})
    log.answer(12, output=70, parentToolCallId="t1")
    log.add(20, "subagent.completed", {"toolCallId": "t1", "model": "gpt-5-mini", "totalTokens": 9999})
    seen = await seen_of(tmp_path, log.answer(30, output=30))
    assert counters(seen) == (None, None, None, 100, None)
    assert seen.totals()["unknown"] == {}
    assert len(seen.sessions()) == 1


async def test_entries_of_the_conversation_become_messages(tmp_path: Path) -> None:
    log = Log().start().add(1, "user.message", {"content": "fix the cart"})
    log.add(2, "user.message", {"content": "…", "source": "skill-pdf"}).add(3, "system.message", {"content": "You are"})
    log.answer(4, content="", toolRequests=[{"name": "view"}, {"toolName": "bash"}])
    log.add(5, "tool.execution_complete", {"toolCallId": "t", "success": True, "result": {"content": "abc"}})
    seen = await seen_of(tmp_path, log.add(6, "session.error", {"message": "no"}))
    told = [(m.role, m.kind, m.size_chars, m.tool_names) for m in seen.messages()]
    assert told == [
        ("user", "prompt", 12, None),
        ("user", "meta", 1, None),
        ("system", "meta", 7, None),
        ("assistant", "answer", 0, '["view","bash"]'),
        ("tool", "tool_result", 3, None),
        ("system", "error", None, None),
    ]
    assert [m.event_key for m in seen.messages() if m.event_key] == [seen.events()[0].key]
