"""Logs of Copilot CLI that are damaged, old, or of another kind: flat files, history documents, OpenTelemetry."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from copilot_files import MODEL, SESSION, START, Log, row, stamp, store, usage
from scanned import Scanned, scanned
from trueup_agent.files import DiskFiles
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, SourceFile, Usage

CONVERSATION = "gen_ai.conversation.id"


async def seen_of(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "copilot", tmp_path / "home")


def place(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / "home" / ".copilot" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


async def test_a_flat_legacy_log_is_the_session_that_its_header_names(tmp_path: Path) -> None:
    log = Log("legacy-1").start().answer(9, output=12)
    place(tmp_path, "session-state/0d1e.jsonl", "\n".join(log.lines) + "\n")
    place(tmp_path, "session-state/0d1f.jsonl", log.lines[1].replace("m1", "m9") + "\n")  # no header: the file's name
    seen = await seen_of(tmp_path)
    assert [session.session_id for session in seen.sessions()] == ["0d1f", "legacy-1"]
    assert seen.totals()["output_tokens"] == 24


async def test_a_log_that_moved_into_a_folder_of_its_own_counts_once(tmp_path: Path) -> None:
    log = Log().start().answer(9, output=12)
    place(tmp_path, f"session-state/{SESSION}.jsonl", "\n".join(log.lines) + "\n")
    log.write(tmp_path / "home")
    seen = await seen_of(tmp_path)
    assert (seen.totals()["events"], seen.totals()["messages"], len(seen.sources())) == (1, 1, 2)


async def test_a_history_document_gives_a_conversation_of_unknown_usage(tmp_path: Path) -> None:
    call = {"function": {"name": "bash", "arguments": "{}"}}
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": None, "tool_calls": [call]}, 7]
    document = {"sessionId": "hhh", "startTime": stamp(0), "chatMessages": messages, "timeline": []}
    place(tmp_path, "history-session-state/session_hhh.json", json.dumps(document))
    seen = await seen_of(tmp_path)
    (event,) = seen.events()
    assert (event.output_tokens, event.at, event.time_quality) == (None, START, 2)
    assert sorted((m.role, m.kind, m.tool_names) for m in seen.messages()) == [
        ("assistant", "answer", '["bash"]'),
        ("user", "prompt", None),
    ]
    assert seen.totals()["skipped"] == {"malformed": 1}


async def test_a_half_written_history_document_is_tried_again(tmp_path: Path) -> None:
    path = place(tmp_path, "history-session-state/h.json", '{"sessionId": "hhh", "chatMess')
    seen = await seen_of(tmp_path)
    assert [source.error for source in seen.sources()] == ["half-written JSON"]
    path.write_text('{"sessionId": "hhh", "chatMessages": []}', encoding="utf-8")
    await seen.scan()
    assert [(source.error, len(seen.sessions())) for source in seen.sources()] == [(None, 1)]


async def test_the_file_beside_the_log_fills_what_the_log_does_not_say(tmp_path: Path) -> None:
    path = Log().start(context={}).answer(9).write(tmp_path / "home")
    path.with_name("workspace.yaml").write_text("id: x\ncwd: /home/ana/shop\nbranch: main\nname: Fix the cart\n")
    seen = await seen_of(tmp_path)
    (session,) = seen.sessions()
    assert (session.project_path, session.git_branch, session.title) == ("/home/ana/shop", "main", "Fix the cart")


async def test_two_sessions_in_one_file_stay_two(tmp_path: Path) -> None:
    one, other = Log("one").start().shutdown(60, 100, 10), Log("two").start(70).shutdown(90, 50, 5)
    place(tmp_path, "session-state/x.jsonl", "\n".join(one.lines + other.lines) + "\n")
    seen = await seen_of(tmp_path)
    assert [session.session_id for session in seen.sessions()] == ["one", "two"]
    assert [event.input_tokens for event in seen.events()] == [100, 50]


async def test_unknown_events_are_counted_and_broken_lines_skipped(tmp_path: Path) -> None:
    log = Log().start().add(1, "session.brand_new", {}).answer(9, output=5)
    log.lines[2:2] = ["{broken", '{"type": "assistant.message", "data": 7}', "[]", '{"type": 3}', ""]
    log.write(tmp_path / "home")
    totals = (await seen_of(tmp_path)).totals()
    assert totals["output_tokens"] == 5
    assert totals["skipped"] == {"malformed": 3}
    assert totals["unknown"] == {"session.brand_new": 1, "(none)": 1}


@pytest.mark.parametrize("value", [-1, 2**53, 1.5, "120", True, [], {}])
async def test_a_counter_of_a_wrong_type_is_unknown(tmp_path: Path, value: Any) -> None:
    metric = {"usage": usage(100, 10) | {"reasoningTokens": value}}
    log = Log().start().add(60, "session.shutdown", {"modelMetrics": {MODEL: metric}})
    log.write(tmp_path / "home")
    (event,) = (await seen_of(tmp_path)).events()
    assert (event.input_tokens, event.reasoning_tokens) == (100, None)


async def test_a_prompt_smaller_than_its_cached_part_is_unknown_and_counted_as_such(tmp_path: Path) -> None:
    Log().start().shutdown(60, 100, 10, 800).write(tmp_path / "home")
    seen = await seen_of(tmp_path)
    (event,) = seen.events()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (None, 800, 10)
    assert seen.totals()["skipped"] == {"contradictory_usage": 1}


async def test_text_cut_inside_a_character_does_not_cost_the_numbers_beside_it(tmp_path: Path) -> None:
    path = Log().start().answer(9, output=12, content="caf\xe9").write(tmp_path / "home")
    path.write_bytes(path.read_bytes().replace(b"\\u00e9", b"\xc3"))
    totals = (await seen_of(tmp_path)).totals()
    assert (totals["output_tokens"], totals["messages"], totals["skipped"]) == (12, 1, {})


async def test_numbers_without_end_are_unknown_and_harm_nothing_that_follows(tmp_path: Path) -> None:
    log = Log().start().answer(9, output=10**40).shutdown(60, 10**40, 100).answer(70, output=5)
    path = log.write(tmp_path / "home")
    seen = await seen_of(tmp_path)
    path.write_text(path.read_text() + Log().answer(80, output=7, messageId="m80").lines[0] + "\n")
    await seen.scan()
    assert seen.totals()["output_tokens"] == 112


async def test_a_log_without_times_is_dated_by_its_file(tmp_path: Path) -> None:
    path = Log().start().answer(9, output=5).write(tmp_path / "home")
    path.write_text(path.read_text().replace("2026-07-01T", "01.07. "), encoding="utf-8")
    (event,) = (await seen_of(tmp_path)).events()
    assert (event.output_tokens, event.time_quality) == (5, 3)


def call(span: str, response: str | None, **more: Any) -> dict[str, Any]:
    """A span of one call as the file exporter writes it: attributes of the cache are left out where they are zero."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "github",
        CONVERSATION: SESSION,
        "gen_ai.response.model": MODEL,
        "gen_ai.usage.input_tokens": 2345,
        "gen_ai.usage.output_tokens": 91,
        "gen_ai.usage.cache_read.input_tokens": 512,
        "gen_ai.usage.cache_creation.input_tokens": 128,
        "github.copilot.nano_aiu": 750_000_000,
    } | more
    if response is not None:
        attributes["gen_ai.response.id"] = response
    end = [START // 1_000_000 + 30, 5_000_000]
    return {"type": "span", "traceId": "t1", "spanId": span, "name": "chat", "endTime": end, "attributes": attributes}


def export(tmp_path: Path, *records: Any) -> None:
    place(tmp_path, "otel/copilot.jsonl", "".join(json.dumps(record) + "\n" for record in records))


async def test_of_records_that_describe_one_call_the_surest_counts(tmp_path: Path) -> None:
    log = call("s9", "r1", **{"event.name": "gen_ai.client.inference.operation.details"})
    turn = call("s3", None, **{"event.name": "copilot_chat.agent.turn", "gen_ai.operation.name": None})
    run = call("s4", None, **{"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 4000})
    export(tmp_path, call("s1", "r1"), log, turn, run, call("s2", "r2"))
    seen = await seen_of(tmp_path)
    totals = seen.totals()
    assert (totals["events"], totals["input_tokens"], totals["output_tokens"]) == (2, 2 * (2345 - 640), 182)
    assert totals["cost"] == {"aiu": Decimal("1.5")}
    assert (seen.events()[0].at, seen.events()[0].context_tokens) == (START + 30_005_000, 2345)
    assert len(seen.set_aside()) == 2


async def test_without_spans_of_calls_a_turn_counts_and_without_turns_the_run(tmp_path: Path) -> None:
    run = call("s4", None, **{"gen_ai.operation.name": "invoke_agent"})
    export(tmp_path, run)
    seen = await seen_of(tmp_path)
    assert seen.totals()["output_tokens"] == 91
    turns = [call("s3", None, **{"event.name": "copilot_chat.agent.turn", "turn.index": n}) for n in (0, 1)]
    export(tmp_path, run, *turns)
    await seen.scan()
    assert (seen.totals()["output_tokens"], seen.totals()["events"]) == (182, 2)


async def test_an_export_counts_only_where_neither_log_nor_database_says_anything(tmp_path: Path) -> None:
    export(tmp_path, call("s1", "r1"), call("s5", "r5", **{CONVERSATION: "other"}))
    Log().start().answer(9, output=12).write(tmp_path / "home")
    seen = await seen_of(tmp_path)
    assert seen.totals()["output_tokens"] == 12 + 91
    store(tmp_path / "home", [row(10, 500, 40)])
    await seen.scan()
    assert seen.totals()["output_tokens"] == 40 + 91


async def test_an_export_counts_where_the_log_has_answers_without_any_usage(tmp_path: Path) -> None:
    export(tmp_path, call("s1", "r1"))
    Log().start().answer(9, output=None).write(tmp_path / "home")
    totals = (await seen_of(tmp_path)).totals()
    assert (totals["events"], totals["output_tokens"]) == (1, 91)


async def test_a_batch_of_spans_is_read_with_values_as_text(tmp_path: Path) -> None:
    span = call("s1", "r1")
    listed = [{"key": key, "value": {"intValue": str(value)}} for key, value in span["attributes"].items()]
    end = str(START * 1000)
    batch = {"scopeSpans": [{"spans": [span | {"attributes": listed, "endTimeUnixNano": end}]}]}
    export(tmp_path, {"resourceSpans": [batch]})
    totals = (await seen_of(tmp_path)).totals()
    assert (totals["input_tokens"], totals["cache_read_tokens"]) == (1705, 512)


async def test_a_span_of_a_provider_that_may_not_report_its_cache_has_an_undivided_prompt(tmp_path: Path) -> None:
    nothing = {"gen_ai.usage.cache_read.input_tokens": None, "gen_ai.usage.cache_creation.input_tokens": None}
    export(tmp_path, call("s1", "r1", **nothing), call("s2", "r2", **nothing | {"gen_ai.provider.name": "custom"}))
    totals = (await seen_of(tmp_path)).totals()
    assert (totals["input_tokens"], totals["cache_read_tokens"], totals["input_undivided_tokens"]) == (2345, 0, 2345)


async def test_every_event_is_derived_again_from_its_raw_usage(tmp_path: Path) -> None:
    export(tmp_path, call("s1", "r1", **{CONVERSATION: "other"}))
    log = Log().start().answer(9).shutdown(60, 1000, 100, 300).resume(100).answer(110).shutdown(160, 1500, 150, 500)
    log.add(200, "session.compaction_complete", {"success": True, "compactionTokensUsed": {"input": 9, "output": 1}})
    log.write(tmp_path / "home")
    seen = await seen_of(tmp_path)
    assert {event.rank for event in (*seen.events(), *seen.set_aside())} == {1, 2, 3}
    for event in (*seen.events(), *seen.set_aside()):
        facts = Facts(provider=None, model=event.model, identity=event.identity, usage=Usage())
        assert event.raw_usage is not None
        usage_again = HARNESSES["copilot"].usage(event.raw_usage, facts)
        assert usage_again is not None
        assert {name: getattr(event, name) for name in Usage.__struct_fields__} == {
            name: getattr(usage_again, name) for name in Usage.__struct_fields__
        }
    assert HARNESSES["copilot"].usage(b"{}", facts) is None
    assert HARNESSES["copilot"].usage(b"{", facts) is None


def test_a_shutdown_that_lost_its_usage_leaves_its_answers_unmetered(tmp_path: Path) -> None:
    log = Log().start().answer(9, output=None).answer(12, output=None).shutdown(60, 1000, 100)
    source = SourceFile(harness="copilot", path=tmp_path / "x.jsonl", identity="x")
    for lines, unmetered in ((log.lines, 0), ([line.replace('"usage"', '"used"') for line in log.lines], 2)):
        parser: Any = HARNESSES["copilot"].parser(source, None, DiskFiles(source))
        parser.feed("".join(line + "\n" for line in lines).encode())
        assert parser.take().unmetered == unmetered
