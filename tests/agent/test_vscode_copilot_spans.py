"""Spans of model calls in VS Code, and of Visual Studio (formats/vscode-copilot.md)."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from given import SAMPLES, needs_given
from scanned import Scanned, scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from vscode_chats import SESSION, START, document, request, span, spans, state

SAMPLE = SAMPLES / "visualstudio-copilot" / "agentsview" / "redacted"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def seen_of(home: Path) -> Scanned:
    return await scanned(home.parent, "vscode-copilot", home, home=True)


async def test_a_call_is_divided_with_both_caches_taken_out_of_its_prompt(home: Path) -> None:
    more = (
        ("s1", "gen_ai.usage.cache_creation.input_tokens", "100"),
        ("s1", "copilot_chat.copilot_usage_nano_aiu", "7"),
    )
    spans(home, span(1, 1200, 300, 800, reasoning_tokens=20), attributes=more)
    seen = await seen_of(home)
    (event,) = seen.events()
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (300, 800, 100)
    assert (event.output_tokens, event.reasoning_tokens, event.context_tokens) == (300, 20, 1200)
    assert (event.model, event.provider, event.at) == ("claude-sonnet-4-6", "github", (START + 1500) * 1000)
    assert seen.totals()["cost"] == {"aiu": Decimal("7E-9")}
    assert (event.cost_nanousd or 0) > 0
    assert [session.session_id for session in seen.sessions()] == [SESSION]


async def test_a_cache_that_is_not_named_was_empty_if_its_provider_always_names_it(home: Path) -> None:
    spans(home, span(1, 1000, 50), span(2, 2000, 60, provider_name="ollama"))
    one, other = (await seen_of(home)).events()
    assert (one.input_tokens, one.cache_read_tokens, one.input_undivided_tokens) == (1000, 0, None)
    assert (other.input_tokens, other.cache_read_tokens, other.input_undivided_tokens) == (None, None, 2000)


async def test_spans_of_a_session_stand_for_its_chat_and_other_chats_count(home: Path) -> None:
    document(home, state(request(1, 18200, 410)))
    document(home, state(request(1, 500, 5), session="other"), name="other")
    seen = await seen_of(home)
    assert seen.totals()["input_undivided_tokens"] == 18700
    spans(home, span(1, 9000, 200), span(2, 18200, 210, 9000))
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["output_tokens"]) == (3, 200 + 210 + 5)
    assert (totals["input_tokens"], totals["input_undivided_tokens"]) == (9000 + 9200, 500)
    assert len(seen.set_aside()) == 1


async def test_a_chat_that_spans_know_by_another_id_is_found_by_it(home: Path) -> None:
    turn = request(1, 18200, 410)
    turn["result"]["metadata"]["sessionId"] = "inner"
    document(home, state(turn))
    spans(home, span(1, 9000, 200, chat_session_id="inner"))
    assert (await seen_of(home)).totals()["output_tokens"] == 200


async def test_calls_without_numbers_do_not_stand_for_a_chat_that_has_some(home: Path) -> None:
    spans(home, span(1, None, None))
    seen = await seen_of(home)
    assert (seen.totals()["events"], seen.totals()["output_tokens"]) == (1, None)
    document(home, state(request(1, 18200, 410)))
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["output_tokens"]) == (1, 410)


async def test_only_calls_count_and_not_those_that_failed_or_the_command_line_made(home: Path) -> None:
    rows = [span(1), span(2, operation_name="invoke_agent"), span(3, operation_name="execute_tool")]
    rows += [span(4, None, None, status_code=2), span(5), span(6, 10, 1, chat_session_id=None)]
    spans(home, *rows, attributes=(("s5", "github.copilot.interaction_id", "x"),))
    seen = await seen_of(home)
    assert [event.input_tokens for event in seen.events()] == [1000, 10]
    assert {session.session_id for session in seen.sessions()} == {SESSION, "c1"}


async def test_spans_that_were_pruned_stay_and_rows_that_take_their_place_are_read(home: Path) -> None:
    path = spans(home, span(1, 100), span(2, 200))
    seen = await seen_of(home)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM spans")
    db.close()
    spans(home, span(3, 300))  # has the row id of one that was deleted
    await seen.scan()
    assert [event.input_tokens for event in seen.events()] == [100, 200, 300]


@pytest.mark.parametrize("absent", ["reasoning_tokens", "chat_session_id", "response_model", "cached_tokens"])
async def test_a_column_that_a_build_lacks_is_unknown(home: Path, absent: str) -> None:
    path = spans(home, span(1))
    with sqlite3.connect(path) as db:
        db.execute(f"ALTER TABLE spans DROP COLUMN {absent}")
        db.execute("DROP TABLE span_attributes")
    db.close()
    (event,) = (await seen_of(home)).events()
    assert (event.input_tokens, event.output_tokens) == (1000, 50)
    assert event.model == ("claude-sonnet-4.6" if absent == "response_model" else "claude-sonnet-4-6")


@pytest.mark.parametrize(
    ("more", "skipped"),
    [
        ({"cached_tokens": 5000}, {"contradictory_usage": 1}),
        ({"span_id": None}, {"usage_without_identity": 1}),
        ({"chat_session_id": None, "conversation_id": None}, {"usage_without_identity": 1}),
        ({"start_time_ms": "x", "end_time_ms": -1}, {"usage_without_time": 1}),
    ],
)
async def test_what_cannot_be_taken_is_counted(home: Path, more: dict[str, Any], skipped: dict[str, int]) -> None:
    spans(home, span(1) | more)
    assert (await seen_of(home)).totals()["skipped"] == skipped


def batch(operation: str, number: int, **more: Any) -> dict[str, Any]:
    attributes = {"gen_ai.operation.name": operation, "gen_ai.conversation.id": "v1", "gen_ai.request.model": "gpt-5.5"}
    listed = [{"key": key, "value": {"stringValue": str(value)}} for key, value in (attributes | more).items()]
    times = {"startTimeUnixNano": str(START * 10**6), "endTimeUnixNano": str((START + 500) * 10**6)}
    told = {"traceId": "t1", "spanId": f"v{number}", "name": operation, "attributes": listed, **times}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "vs-copilot"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [told]}]}]}


async def test_traces_of_visual_studio_count_calls_else_runs(tmp_path: Path) -> None:
    path = tmp_path / "x_VSGitHubCopilot_traces.jsonl"
    usage = {"gen_ai.usage.input_tokens": 700, "gen_ai.usage.output_tokens": 70}
    lines = [batch("invoke_agent", 1, **usage), batch("execute_tool", 2, **{"gen_ai.tool.name": "get_file"})]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    seen = await scanned(tmp_path, "vscode-copilot", path)
    (run,) = seen.events()
    assert (run.input_undivided_tokens, run.output_tokens, run.model) == (700, 70, "gpt-5.5")
    assert [(m.role, m.tool_names) for m in seen.messages()] in ([("assistant", None), ("tool", '["get_file"]')], [
        ("tool", '["get_file"]'), ("assistant", None),
    ])  # fmt: skip
    calls = [batch("chat", n, **usage) for n in (3, 4)]
    path.write_text(path.read_text() + "".join(json.dumps(line) + "\n" for line in (*calls, [1], batch("other", 9))))
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["output_tokens"]) == (2, 140)
    assert (seen.totals()["skipped"], seen.totals()["unknown"]) == ({"malformed": 1}, {"other": 1})


@needs_given
async def test_the_redacted_traces_have_runs_of_unknown_usage(tmp_path: Path) -> None:
    """EXPECTED.md has no figures for them: no span has a counter, so each run is a request of unknown usage."""
    seen = await scanned(tmp_path, "vscode-copilot", SAMPLE)
    totals = seen.totals()
    assert (len(seen.sources()), totals["events"], totals["sessions"]) == (4, 5, 2)
    assert {totals[name] for name in ("input_tokens", "output_tokens", "input_undivided_tokens")} == {None}
    assert {(event.provider, event.model) for event in seen.events()} == {
        ("azure", "gpt-5.5"),
        ("azure", "gpt-5.5-2026-03-05"),
    }
    assert (totals["skipped"], totals["unknown"]) == ({}, {})


async def test_every_event_is_derived_again_from_its_raw_usage(home: Path) -> None:
    document(home, state(request(1, 18200, 410, response=[{"kind": "toolInvocationSerialized"}])))
    spans(home, span(1, 1200, 300, 800), span(2, 1000, 10, provider_name="x"))
    seen = await seen_of(home)
    events = (*seen.events(), *seen.set_aside())
    assert len(events) == 3
    for event in events:
        assert event.raw_usage is not None
        facts = Facts(provider=None, model=None, identity=event.identity, usage=Usage())
        again = HARNESSES["vscode-copilot"].usage(event.raw_usage, facts)
        assert again == Usage(**{name: getattr(event, name) for name in Usage.__struct_fields__})
    assert HARNESSES["vscode-copilot"].usage(b"[]", facts) is None
