"""Kimi CLI and Kimi Code: formats/kimi.md, rule by rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from kimi_lines import (
    CLI,
    CODE,
    HASH,
    SESSION,
    SHARE,
    START,
    cli,
    cli_session,
    cli_usage,
    code_session,
    code_usage,
    line,
    loop,
    ms,
    record,
    request,
    status,
    step_end,
)
from parsed import Parse
from trueup_shared.keys import session_key
from trueup_shared.metrics import BIT

FORK = CLI.parents[1] / "33333333-cccc" / "wire.jsonl"


def parse(*lines: bytes, path: Path = CLI) -> Parse:
    return Parse("kimi").lines(path, lines)


# -- Kimi CLI


def test_a_status_update_with_usage_is_one_request() -> None:
    first, second = parse(*cli_session()).in_order()
    counters = (first.input_tokens, first.cache_read_tokens, first.cache_write_tokens, first.output_tokens)
    assert counters == (1200, 13000, None, 210)
    assert (second.cache_write_tokens, second.context_tokens, second.lower_bounds) == (7, 14307, 0)
    assert (first.context_tokens, first.model, first.provider) == (14200, None, None)
    assert (first.at, first.time_quality) == (round((START + 9.5) * 1e6), 1)


def test_other_status_updates_are_no_requests() -> None:
    seen = parse(*cli_session(), cli(20, "StatusUpdate", plan_mode=True), cli(21, "StatusUpdate", token_usage=None))
    assert (len(seen.events), seen.unmetered) == (2, 0)


def test_what_a_subagent_says_in_its_parents_wire_is_not_counted() -> None:
    event = {"type": "StatusUpdate", "payload": {"token_usage": cli_usage(10, 5, 0), "message_id": "sub"}}
    mirror = cli(11, "SubagentEvent", parent_tool_call_id="t1", agent_id="a1", event=event)
    child = CLI.parent / "subagents" / "a1" / "wire.jsonl"
    both = Parse("kimi").lines(CLI, [*cli_session(), mirror]).lines(child, [status(11, "sub", cli_usage(10, 5, 0))])
    assert both.totals()["output_tokens"] == 250 + 5
    own = both.sessions[session_key("kimi", "11111111-aaaa/a1")]
    assert (own.relationship, own.parent_key) == ("subagent", session_key("kimi", "11111111-aaaa"))


@pytest.mark.parametrize("turns", [5, 11], ids=["undo", "fork"])
def test_forks_and_undos_copy_lines_and_count_none_again(turns: int, tmp_path: Path) -> None:
    parent, fork = (tmp_path / ".kimi" / path.relative_to(SHARE) for path in (CLI, FORK))
    fork.parent.mkdir(parents=True)
    (fork.parent / "state.json").write_text(json.dumps({"custom_title": "Fork: Cart"}))
    copied = [*cli_session()[:turns], status(500, "chatcmpl-9", cli_usage(1, 7, 0))]
    beside = (fork.parent / "state.json",)
    for first in (True, False):
        both = Parse("kimi")
        if first:
            both.lines(parent, cli_session())
        both.lines(fork, copied, companions=beside)
        if not first:
            both.lines(parent, cli_session())
        assert both.totals()["output_tokens"] == 210 + 40 + 7
        owners = {event.output_tokens: event.session_key for event in both.in_order()}
        assert owners[210] == owners[40] == session_key("kimi", "11111111-aaaa")
        assert owners[7] == session_key("kimi", "33333333-cccc")
        assert both.sessions[owners[7]].relationship == "fork"
        assert len(both.messages) == len(parse(*cli_session()).messages) + 1


def test_without_a_message_id_a_request_is_its_time_and_its_counters() -> None:
    lines = [status(9, None), status(9, None), status(9, None, cli_usage(1, 2, 3)), status(10, None)]
    assert len(parse(*lines).events) == 3
    assert len(Parse("kimi").lines(CLI, lines).lines(FORK, lines).events) == 3


def test_a_message_id_that_a_gateway_uses_twice_is_two_requests() -> None:
    assert len(parse(status(9, "chatcmpl-1"), status(10, "chatcmpl-1", cli_usage(5, 6, 7))).events) == 2


def test_a_total_alone_is_undivided() -> None:
    [event] = parse(status(9, "m", {"total": 4242})).in_order()
    assert (event.undivided_tokens, event.input_tokens, event.output_tokens) == (4242, None, None)


def test_the_working_directory_is_the_one_whose_hash_names_the_folder(tmp_path: Path) -> None:
    share = tmp_path / ".kimi"
    share.mkdir()
    directories = [{"path": "/home/ana/other"}, {"path": "/home/ana/shop", "kaos": "local"}]
    (share / "kimi.json").write_text(json.dumps({"work_dirs": directories}))
    for folder in (HASH, f"ssh_{HASH}"):
        path = share / "sessions" / folder / "s1" / "wire.jsonl"
        [event] = Parse("kimi").lines(path, [status(9, "m")], companions=(share / "kimi.json",)).in_order()
        assert event.project_path == "/home/ana/shop"


def test_an_answer_tells_its_tools_and_the_event_of_its_request() -> None:
    seen = parse(*cli_session())
    rows = [(row.role, row.kind, row.size_chars, row.tool_names) for row in seen.messages.values()]
    assert rows == [
        ("user", "prompt", 12, None),
        ("assistant", "answer", 6, '["ReadFile"]'),
        ("tool", "tool_result", 4, None),
        ("assistant", "answer", 2, None),
    ]
    assert [row.event_key for row in seen.messages.values() if row.event_key] == list(seen.events)


@pytest.mark.parametrize(("end", "unmetered"), [("StepInterrupted", 0), ("TurnEnd", 1)])
def test_an_answer_that_ends_without_usage_counts_for_the_canary_unless_interrupted(end: str, unmetered: int) -> None:
    lines = [cli(1, "StepBegin", n=1), cli(2, "ContentPart", type="text", text="abc"), cli(3, end)]
    seen = parse(*lines)
    assert (len(seen.events), len(seen.messages), seen.unmetered) == (0, 1, unmetered)


@pytest.mark.parametrize(
    ("field", "counter"),
    [("input_other", "input_tokens"), ("output", "output_tokens"), ("input_cache_read", "cache_read_tokens")],
)
@pytest.mark.parametrize("value", ["absent", None, "5", -3, 2**70, True])
def test_a_counter_that_is_missing_is_unknown_and_no_other_changes(field: str, counter: str, value: Any) -> None:
    usage: dict[str, Any] = cli_usage()
    if value == "absent":
        del usage[field]
    else:
        usage[field] = value
    whole, seen = parse(status(9, "m")).totals(), parse(status(9, "m", usage))
    different = {name for name, number in seen.totals().items() if number != whole[name]}
    assert different == ({counter, "context_tokens"} if counter != "output_tokens" else {counter})
    assert seen.in_order()[0].lower_bounds == (BIT["context_tokens"] if counter != "output_tokens" else 0)


# -- Kimi Code


def test_a_step_and_its_usage_record_are_one_request_and_a_compaction_is_another() -> None:
    seen = parse(*code_session(), path=CODE)
    totals = seen.totals()
    assert len(seen.events) == 2
    assert (totals["input_tokens"], totals["cache_read_tokens"], totals["output_tokens"]) == (1678, 65024, 979)


def test_usage_records_alone_and_steps_alone_give_the_same() -> None:
    lines = code_session()
    steps = [one for one in lines if b"usage.record" not in one or b'"session"' in one]
    records = [one for one in lines if b"step.end" not in one]
    assert parse(*steps, path=CODE).totals() == parse(*records, path=CODE).totals() == parse(*lines, path=CODE).totals()


def test_a_record_before_its_step_is_the_same_request() -> None:
    lines = [record(1, code_usage()), step_end(1.002, code_usage(), "m"), record(2, code_usage(1, 2, 3))]
    assert len(parse(*lines, path=CODE).events) == 2


def test_a_record_that_lacks_a_counter_of_its_step_is_the_same_request() -> None:
    told = code_usage() | {"output": None}
    [event] = parse(step_end(1, code_usage()), record(1, told), path=CODE).in_order()
    assert event.output_tokens == code_usage()["output"]


def test_two_requests_with_equal_counters_are_two() -> None:
    twice = [step_end(1, code_usage()), record(1, code_usage()), step_end(1, code_usage()), record(1, code_usage())]
    assert len(parse(*twice, path=CODE).events) == 2


def test_the_model_is_the_requests_and_not_the_alias() -> None:
    first, second = parse(
        *code_session(), request(30, "kimi-k3"), record(31, code_usage(1, 1, 1)), path=CODE
    ).in_order()[::2]
    assert (first.provider, first.model, second.model) == ("kimi", "kimi-k2.7-code", "kimi-k3")
    [event] = parse(record(1, code_usage()), path=CODE).in_order()
    assert (event.provider, event.model) == (None, "moonshot-ai/kimi-k2.7")


def test_retries_without_usage_are_no_requests() -> None:
    seen = parse(request(1), request(2), request(3), line(type="turn.cancel", time=ms(4)), path=CODE)
    assert (len(seen.events), seen.unmetered) == (0, 0)


def test_zeros_are_what_stands_there_before_anything_is_known() -> None:
    seen = parse(step_end(1, code_usage(0, 0, 0)), record(1, code_usage(0, 0, 0)), path=CODE)
    assert (len(seen.events), len(seen.messages), seen.unmetered) == (0, 1, 0)


@pytest.mark.parametrize("usage", [None, "many", {"in": 1}])
def test_a_step_whose_usage_cannot_be_read_counts_for_the_canary(usage: Any) -> None:
    assert parse(loop(1, "step.end", usage=usage), path=CODE).unmetered == 1


def test_a_session_of_kimi_cli_that_was_imported_counts_once() -> None:
    usage = {"inputOther": 1200, "output": 210, "inputCacheRead": 13000, "inputCacheCreation": 0}
    imported = [step_end(9.5, usage, "chatcmpl-1"), record(9.5, usage)]
    both = Parse("kimi").lines(CLI, cli_session()).lines(CODE, imported)
    assert len(both.events) == 2
    assert {event.session_key for event in both.in_order()} == {session_key("kimi", "11111111-aaaa")}


def test_a_subagent_is_a_session_of_its_own_below_the_agent_that_called_it(tmp_path: Path) -> None:
    main = tmp_path / "sessions/wd_shop_ac3bb318f98e" / SESSION / "agents/main/wire.jsonl"
    state = main.parents[2] / "state.json"
    main.parent.mkdir(parents=True)
    agents = {"agent-0": {"type": "sub", "parentAgentId": "main"}, "agent-1": {"parentAgentId": "agent-0"}}
    state.write_text(json.dumps({"title": "hi", "workDir": "/home/ana/shop", "agents": agents}))
    seen = Parse("kimi").lines(main, code_session(), companions=(state,))
    for agent in agents:
        seen.lines(main.parents[1] / agent / "wire.jsonl", [record(30, code_usage(1, 1, 1))], companions=(state,))
    assert len(seen.events) == 4
    key, child = session_key("kimi", SESSION), session_key("kimi", f"{SESSION}/agent-0")
    assert (seen.sessions[key].title, seen.sessions[key].parent_key) == ("hi", None)
    assert (seen.sessions[child].relationship, seen.sessions[child].parent_key) == ("subagent", key)
    assert seen.sessions[session_key("kimi", f"{SESSION}/agent-1")].parent_key == child
    assert {event.project_path for event in seen.in_order()} == {"/home/ana/shop"}


@pytest.mark.parametrize(
    ("folder", "relationship"), [("conv-1", None), ("ctitle-1", "subagent"), ("dvlt-1", "subagent")]
)
def test_kimi_works_own_runs_are_spend_but_nobodys_conversation(folder: str, relationship: str | None) -> None:
    seen = parse(record(1, code_usage()), path=CODE.parents[3] / folder / "agents/main/wire.jsonl")
    assert len(seen.events) == 1
    assert [row.relationship for row in seen.sessions.values()] == [relationship]


def test_messages_of_the_user_are_told_from_those_put_in_for_them() -> None:
    injected = {"role": "user", "content": [{"type": "text", "text": "mind"}], "origin": {"kind": "injection"}}
    seen = parse(*code_session(), line(type="context.append_message", message=injected, time=ms(30)), path=CODE)
    rows = [(row.role, row.kind, row.size_chars, row.tool_names) for row in seen.messages.values()]
    assert rows == [
        ("user", "prompt", 3, None),
        ("tool", "tool_result", 4, None),
        ("assistant", "answer", 6, '["Bash"]'),
        ("system", "summary", 6, None),
        ("user", "meta", 4, None),
    ]


# -- Both


def test_seconds_and_milliseconds_are_told_apart_by_the_format() -> None:
    old, new = parse(status(9.5, "a")).in_order()[0], parse(record(9.5, code_usage()), path=CODE).in_order()[0]
    assert old.at == new.at == round((START + 9.5) * 1_000_000)


def test_a_malformed_line_costs_that_line_alone() -> None:
    bad = [b"not json", b'{"timestamp":1', b"[]", b'{"message":7}', b"5", b'{"timestamp":1,"message":{"type":5}}']
    seen = parse(*cli_session()[:6], *bad, *cli_session()[6:])
    assert (len(seen.events), seen.skipped) == (2, {"malformed": len(bad)})


def test_types_that_are_not_known_are_counted() -> None:
    seen = parse(cli(1, "Novelty"), line(type="novel.ty", time=ms(1)), loop(1, "step.novelty"))
    assert seen.unknown == {"Novelty": 1, "novel.ty": 1, "loop/step.novelty": 1}


def test_a_request_without_a_time_is_dated_by_its_session() -> None:
    untimed = line(type="usage.record", usage=code_usage(), usageScope="turn")
    [event] = parse(
        line(type="context.append_message", message={"role": "user"}, time=ms(1)), untimed, path=CODE
    ).in_order()
    assert (event.at, event.time_quality) == (ms(1) * 1000, 2)
