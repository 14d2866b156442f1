"""pi and Oh My Pi: formats/pi.md, rule by rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from parsed import Parse
from pi_lines import FILE, FOLDER, FORK, SESSION, START_MS, answer, at, header, line, message, prompt, session, usage
from trueup_agent.harnesses import HARNESSES
from trueup_shared.keys import session_key
from trueup_shared.metrics import BIT

FORKED = FOLDER / f"2026-05-01T09-00-00-000Z_{FORK}.jsonl"


def parse(*lines: bytes, path: Path = FILE) -> Parse:
    return Parse("pi").lines(path, lines)


def test_an_answer_is_an_event_with_what_its_provider_reported() -> None:
    [event] = parse(header(), answer("aa000003", 9)).in_order()
    counters = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens)
    assert counters == (14, 8800, 1900, 230)
    assert (event.context_tokens, event.reasoning_tokens, event.lower_bounds) == (10714, None, 0)
    assert (event.provider, event.model, event.project_path) == ("anthropic", "claude-sonnet-4-6", "/home/ana/shop")
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0132", "usd", "estimated")
    assert (event.at, event.time_quality) == ((START_MS + 9000) * 1000, 1)


def test_all_branches_of_a_tree_were_billed() -> None:
    assert parse(*session()).totals()["output_tokens"] == 230 + 40 + 60


def test_a_fork_copies_entries_and_counts_none_of_them_again() -> None:
    own = answer("bb000001", 3700, "aa000006", usage(1, 7, 0, 0))
    fork = [header(FORK, 3600, parentSession=str(FILE)), *session()[1:], own]
    for order in ((0, 1), (1, 0)):
        both, files = Parse("pi"), [(FILE, session()), (FORKED, fork)]
        for number in order:
            both.lines(*files[number])
        assert both.totals()["output_tokens"] == 330 + 7
        owners = [event.session_key for event in both.in_order()]
        assert owners == [session_key("pi", SESSION)] * 3 + [session_key("pi", FORK)]
        record = both.sessions[session_key("pi", FORK)]
        assert (record.relationship, record.parent_key) == ("fork", session_key("pi", SESSION))


def test_a_fork_whose_parent_is_gone_owns_what_it_copied() -> None:
    fork = parse(header(FORK, 3600, branchedFrom=str(FILE)), *session()[1:], path=FORKED)
    assert {event.session_key for event in fork.in_order()} == {session_key("pi", FORK)}
    assert fork.totals()["output_tokens"] == 330


def test_a_branch_that_was_extracted_to_a_file_counts_nothing_again() -> None:
    lines = session()
    branch = [header(FORK, 3600, parentSession=str(FILE)), *lines[1:3], *lines[4:]]
    both = Parse("pi").lines(FILE, lines).lines(FORKED, [*branch, line(type="label", id="x", targetId="aa000002")])
    assert len(both.events) == 3


def v1(lines: list[bytes]) -> list[bytes]:
    """The same session as its first version had it: no ids, no version."""
    old = []
    for one in lines:
        record = json.loads(one)
        is_header = record["type"] == "session"
        for name in ("version",) if is_header else ("id", "parentId"):
            record.pop(name, None)
        old.append(line(**record))
    return old


def test_a_session_of_version_1_that_was_migrated_in_place_counts_once() -> None:
    old = Parse("pi").lines(FILE, v1(session()))
    before = old.everything()
    assert len(old.events) == 3
    assert old.lines(FILE, session()).everything() == before


def test_copies_of_a_version_1_session_that_were_migrated_apart_count_once() -> None:
    other_ids = [one.replace(b'"aa0000', b'"cc0000') for one in session()[1:]]
    both = Parse("pi").lines(FILE, session()).lines(FORKED, [header(FORK, 3600, parentSession=str(FILE)), *other_ids])
    assert len(both.events) == 3


def test_answers_that_are_alike_but_for_their_id_are_two() -> None:
    twins = [header(), answer("aa000003", 9), answer("aa000004", 9)]
    assert len(parse(*twins).events) == 2
    again = [header(FORK, 3600, parentSession=str(FILE)), *twins[1:]]
    assert len(Parse("pi").lines(FILE, twins).lines(FORKED, again).events) == 2


def test_the_same_entry_twice_in_a_file_is_one() -> None:
    assert len(parse(header(), answer("aa000003", 9), answer("aa000003", 9)).events) == 1


def test_the_slot_of_a_title_may_stand_before_the_header() -> None:
    seen = parse(line(type="title", title="Fix the cart      "), *session())
    [record] = seen.sessions.values()
    assert (record.session_id, record.title, len(seen.events)) == (SESSION, "Fix the cart", 3)


def test_a_session_may_be_named_later() -> None:
    [record] = parse(*session(), line(type="session_info", id="x", name="Cart")).sessions.values()
    assert record.title == "Cart"


@pytest.mark.parametrize("stop", ["aborted", "error", "stop"])
def test_zeros_are_what_stands_there_before_anything_is_known(stop: str) -> None:
    seen = parse(header(), answer("aa000003", 9, used=usage(0, 0, 0, 0, 0), stopReason=stop))
    assert (len(seen.events), len(seen.messages), seen.unmetered) == (0, 1, 0)


def test_what_an_answer_cost_before_it_failed_counts() -> None:
    seen = parse(header(), answer("aa000003", 9, used=usage(6, 1, 37652, 94), stopReason="error"))
    assert seen.totals()["output_tokens"] == 1
    assert next(iter(seen.messages.values())).kind == "error"


@pytest.mark.parametrize("used", [None, "many", {}, {"in": 5, "out": 6}, {"input": "5", "output": -1}])
def test_an_answer_without_usage_is_a_message_whose_usage_nobody_knows(used: Any) -> None:
    record = json.loads(answer("aa000003", 9))
    record["message"]["usage"] = used
    seen = parse(header(), line(**record))
    assert (len(seen.events), len(seen.messages), seen.unmetered) == (0, 1, 1)


@pytest.mark.parametrize(
    ("field", "counter"),
    [
        ("input", "input_tokens"),
        ("output", "output_tokens"),
        ("cacheRead", "cache_read_tokens"),
        ("cacheWrite", "cache_write_tokens"),
    ],
)
@pytest.mark.parametrize("value", ["absent", None, "5", -3, 2**70, True])
def test_a_counter_that_is_missing_is_unknown_and_no_other_changes(field: str, counter: str, value: Any) -> None:
    used = usage()
    if value == "absent":
        del used[field]
    else:
        used[field] = value
    whole, seen = parse(header(), answer("a", 9)).totals(), parse(header(), answer("a", 9, used=used))
    different = {name for name, number in seen.totals().items() if number != whole[name]}
    assert different == ({counter, "context_tokens"} if counter != "output_tokens" else {counter})
    [event] = seen.in_order()
    assert event.lower_bounds == (BIT["context_tokens"] if counter != "output_tokens" else 0)


@pytest.mark.parametrize(
    "cache", [{"cacheCreation": 1900, "cacheRead": 8800}, {"cache": {"read": 8800, "creation": 1900}}]
)
def test_oh_my_pis_names_for_the_cache_are_understood(cache: dict[str, Any]) -> None:
    totals = parse(header(), answer("a", 9, used={"input": 14, "output": 230, **cache})).totals()
    assert (totals["cache_read_tokens"], totals["cache_write_tokens"]) == (8800, 1900)


def test_a_malformed_line_costs_that_line_alone() -> None:
    bad = [b"not json", b'{"type":"message"', b"[]", b'{"type":5}', b'{"type":"message","message":7}', b'"text"']
    lines = session()
    seen = parse(*lines[:3], *bad, *lines[3:])
    assert (len(seen.events), seen.skipped) == (3, {"malformed": len(bad)})


def test_a_file_without_a_header_is_named_by_its_name() -> None:
    seen = parse(*session()[1:])
    [record] = seen.sessions.values()
    assert (record.session_id, record.started_at, len(seen.events)) == (SESSION, (START_MS + 3000) * 1000, 3)


def test_entries_of_extensions_and_settings_change_no_number() -> None:
    silent = [
        line(type="thinking_level_change", id="1", timestamp=at(1), thinkingLevel="high"),
        line(type="custom", id="2", timestamp=at(1), customType="plan", data={"usage": usage()}),
        line(type="child_usage_attributed", id="3", targetId="x", childUsage=usage(), aggregateUsage=usage()),
        line(type="compaction", id="4", timestamp=at(20), summary="So far", tokensBefore=5000),
        line(type="custom_message", id="5", timestamp=at(21), customType="plan", content="Go on"),
    ]
    seen = parse(*session(), *silent)
    assert (len(seen.events), seen.unknown) == (3, {})
    kinds = [(row.role, row.kind, row.size_chars) for row in seen.messages.values()][-2:]
    assert kinds == [("system", "summary", 6), ("user", "meta", 5)]


def test_a_type_that_is_not_known_is_counted() -> None:
    seen = parse(*session(), line(type="novelty", id="9"), message("aa", 50, "oracle"))
    assert seen.unknown == {"novelty": 1, "message/oracle": 1}


def test_a_message_tells_its_role_its_tools_and_the_event_of_its_request() -> None:
    call = [{"type": "text", "text": "I look"}, {"type": "toolCall", "id": "t", "name": "read", "arguments": {}}]
    seen = parse(
        header(),
        prompt("1", 1),
        answer("2", 2, content=call),
        message("3", 3, "toolResult", toolCallId="t", toolName="read", content="abcd"),
        message("4", 4, "bashExecution", command="ls", output="abcde", content=None),
    )
    rows = [(row.role, row.kind, row.size_chars, row.tool_names) for row in seen.messages.values()]
    assert rows == [
        ("user", "prompt", 3, None),
        ("assistant", "answer", 6, '["read"]'),
        ("tool", "tool_result", 4, '["read"]'),
        ("user", "meta", 5, None),
    ]
    assert [row.event_key for row in seen.messages.values() if row.event_key] == list(seen.events)


def test_an_answer_without_a_model_has_the_one_that_was_chosen_last() -> None:
    record = json.loads(answer("a", 9, model=None, provider=None))
    change = line(type="model_change", id="m", timestamp=at(1), provider="openai", modelId="gpt-5.5")
    [event] = parse(header(provider="anthropic", modelId="claude-opus-4-5"), change, line(**record)).in_order()
    assert (event.provider, event.model) == ("openai", "gpt-5.5")


def test_a_subagent_lies_in_a_folder_named_like_its_parents_file() -> None:
    child = FILE.with_suffix("") / "2026-05-01T08-01-00-000Z_child.jsonl"
    seen = parse(header("child", 60), answer("c", 70), path=child)
    [record] = seen.sessions.values()
    assert (record.relationship, record.parent_key) == ("subagent", session_key("pi", SESSION))


def test_an_answer_without_a_time_is_dated_by_its_session() -> None:
    record = json.loads(answer("a", 9))
    del record["timestamp"], record["message"]["timestamp"]
    [event] = parse(header(), line(**record)).in_order()
    assert (event.at, event.time_quality) == (START_MS * 1000, 2)


def test_an_answer_whose_entry_has_no_time_is_dated_by_its_request() -> None:
    record = json.loads(answer("a", 9))
    del record["timestamp"]
    [event] = parse(header(), line(**record)).in_order()
    assert (event.at, event.time_quality) == ((START_MS + 9000) * 1000, 1)


def test_the_harness_says_that_it_was_seen_on_recordings() -> None:
    assert HARNESSES["pi"].about.verified
