"""Gemini CLI: every rule of formats/gemini.md under Tokens, Dedup, Coverage and Generations, one test each."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_files import GOLDEN, HEAD, SESSION, answer, document, journal, tokens
from given import CORPORA, SAMPLES, needs_given
from read_sources import Read
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.gemini.usage import of_tokens
from trueup_shared import keys


def read(path: Path) -> Read:
    return Read("gemini").file(path)


async def test_the_golden_home_gives_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "gemini", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text())
    totals = seen.totals()
    assert {name: totals[name] for name in expected["totals"]} == expected["totals"]
    assert (totals["skipped"], totals["unknown"]) == ({}, {})
    ids = {row.key: row.session_id for row in seen.sessions()}
    names = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "context_tokens", "project_path")
    rows = [
        [f"{datetime.fromtimestamp(e.at / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}", ids[e.session_key], e.model]
        + [getattr(e, name) for name in names]
        for e in seen.events()
    ]
    assert rows == expected["events"]
    by_id = {keys.message_key("gemini", s, m) for s in ids.values() for m in expected["messages"]}
    assert {row.key for row in seen.messages()} <= by_id


@needs_given
@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("gemini/VibeCodingTracker/gemini.jsonl", (6, 153635, 48951, None, 4293, 2141)),
        ("gemini/agent-sessions/jsonl_v040.jsonl", (2, 12422, 11502, None, 228, 0)),
    ],
)
def test_real_recordings_give_the_expected_figures(sample: str, expected: tuple[int | None, ...]) -> None:
    got = read(SAMPLES / sample)
    names = ("input", "cache_read", "cache_write", "output", "reasoning")
    assert (len(got.events), *(got.total(f"{name}_tokens") for name in names)) == expected
    assert (got.skipped, got.unknown, got.unmetered) == ({}, {}, 0)


@needs_given
async def test_the_corpus_gives_the_expected_totals(tmp_path: Path) -> None:
    expected = json.loads((CORPORA / "expected.json").read_text())["gemini/entireio+cli"]
    totals = (await scanned(tmp_path, "gemini", CORPORA / "gemini/entireio+cli")).totals()
    assert {name: totals[f"{name}_tokens"] for name in expected} == expected
    assert (totals["events"], totals["sessions"], totals["lower_bound"], totals["skipped"]) == (16, 4, 0, {})


@needs_given
def test_a_hand_made_fixture_whose_total_adds_the_cache_had_it_outside_of_the_input() -> None:
    """EXPECTED.md calls this sample unlike reality; `total` tells the dialect."""
    got = read(SAMPLES / "gemini/agentsview/standard_session.json")
    assert got.usage() == [(1500, 100, 250, 50, 1600), (2000, 50, 400, 100, 2050)]


def test_input_contains_what_was_cached_and_output_not_what_was_thought() -> None:
    usage = of_tokens(tokens(12000, 80, 9000, 220))
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (3000, 9000, 300)
    assert (usage.reasoning_tokens, usage.context_tokens, usage.cache_write_tokens) == (220, 12000, None)


def test_tool_prompts_are_added_to_input_and_context() -> None:
    usage = of_tokens(tokens(500, 40, 100, 0, tool=60))
    assert (usage.input_tokens, usage.context_tokens) == (460, 560)


def test_cached_absent_leaves_the_prompt_undivided_and_cached_zero_does_not() -> None:
    said = tokens(500, 40)
    assert of_tokens(said).input_tokens == 500
    del said["cached"]
    usage = of_tokens(said)
    assert (usage.input_tokens, usage.input_undivided_tokens, usage.cache_read_tokens) == (None, 500, None)
    assert (usage.context_tokens, usage.output_tokens) == (500, 40)


def test_a_total_without_thoughts_says_that_they_are_inside_of_the_output() -> None:
    usage = of_tokens(tokens(500, 40) | {"thoughts": 30, "total": 540})
    assert (usage.output_tokens, usage.reasoning_tokens) == (40, 30)


def test_without_a_total_thoughts_come_on_top() -> None:
    said = tokens(500, 40, 0, 30)
    del said["total"]
    assert of_tokens(said).output_tokens == 70


def test_output_is_a_lower_bound_where_only_the_total_knows_of_thoughts() -> None:
    said = tokens(500, 40, 0, 30)
    del said["thoughts"]
    usage = of_tokens(said)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.lower_bounds != 0) == (40, None, True)


def test_a_message_written_again_with_more_tool_calls_is_one_request(tmp_path: Path) -> None:
    calls = [{"id": "c1", "name": "read_file"}, {"id": "c2", "name": "edit"}]
    got = read(journal(tmp_path, HEAD, answer(toolCalls=calls[:1]), answer(toolCalls=calls), answer(toolCalls=calls)))
    assert got.usage() == [(60, 40, 8, 3, 100)]
    assert [json.loads(row.tool_names or "[]") for row in got.messages] == [["read_file", "edit"]]


def test_tokens_that_come_with_the_second_write_are_taken(tmp_path: Path) -> None:
    got = read(journal(tmp_path, HEAD, answer(tokens=None), answer()))
    assert got.usage() == [(60, 40, 8, 3, 100)]
    assert got.messages[0].event_key == got.events[0].key
    assert got.unmetered == 0


def test_a_rewind_hides_and_does_not_unbill(tmp_path: Path) -> None:
    got = read(journal(tmp_path, HEAD, answer(), {"$rewindTo": "g1"}, answer("g2")))
    assert (len(got.events), len(got.messages)) == (2, 2)


def test_a_rebuilt_list_restates_messages_and_keeps_those_that_vanished(tmp_path: Path) -> None:
    rebuilt = {"$set": {"messages": [answer("g2"), answer("g3", tokens=None, model=None)], "lastUpdated": "x"}}
    got = read(journal(tmp_path, HEAD, answer("g1"), answer("g2"), rebuilt))
    assert (len(got.events), len(got.messages)) == (2, 3)


def test_a_document_and_the_journal_it_was_migrated_to_are_one_session(tmp_path: Path) -> None:
    old = document(tmp_path, answer("g1"), answer("g2"))
    new = journal(tmp_path, HEAD, answer("g1"), answer("g2"), {"$set": {"sessionId": SESSION}}, answer("g3"))
    assert len(read(old).events) == 2
    both = Read("gemini").file(old).file(new)
    assert (len(both.events), len(both.sessions), both.total("input_tokens")) == (3, 1, 180)


def test_a_subagent_counts_by_itself_and_names_its_parent(tmp_path: Path) -> None:
    child = {"sessionId": "child-1", "projectHash": "ab" * 32, "kind": "subagent"}
    journal(tmp_path, HEAD, answer(toolCalls=[{"id": "c1", "name": "delegate", "agentId": "helper"}]))
    journal(tmp_path, child, answer(), name=f"{SESSION}/child-1.jsonl")
    got = Read("gemini").root(tmp_path)
    assert got.total("input_tokens") == 120
    (of_child,) = (row for row in got.sessions if row.session_id == "child-1")
    assert (of_child.parent_key, of_child.relationship) == (keys.session_key("gemini", SESSION), "subagent")


def test_an_aborted_answer_is_a_message_and_no_request(tmp_path: Path) -> None:
    aborted = {"id": "i", "timestamp": "2026-05-01T10:00:09.000Z", "type": "info", "content": "Request cancelled."}
    got = read(journal(tmp_path, HEAD, answer(tokens=None), aborted))
    assert (len(got.events), [row.kind for row in got.messages], got.unmetered) == (0, ["answer", "meta"], 0)


def test_zeros_are_unknown_and_no_request(tmp_path: Path) -> None:
    got = read(journal(tmp_path, HEAD, answer(tokens=tokens(0, 0))))
    assert (len(got.events), len(got.messages), got.unmetered) == (0, 1, 0)


def test_a_file_with_metadata_alone_is_no_session(tmp_path: Path) -> None:
    got = read(journal(tmp_path, HEAD, {"$set": {"lastUpdated": "2026-05-01T10:00:03.001Z"}}))
    assert (got.events, got.messages, got.sessions, got.lines) == ([], [], [], 2)


def test_the_model_is_that_of_each_message(tmp_path: Path) -> None:
    got = read(journal(tmp_path, HEAD, answer("g1"), answer("g2", model="gemini-3-flash-preview")))
    assert {row.model for row in got.events} == {"gemini-3-pro-preview", "gemini-3-flash-preview"}
    assert {row.provider for row in got.events} == {"google"}


def test_answers_of_functions_are_no_human_turns(tmp_path: Path) -> None:
    result = {"functionResponse": {"id": "c1"}}
    user = {"type": "user", "timestamp": "2026-05-01T10:00:09.000Z"}
    lines = [user | {"id": "u1", "content": [result]}, user | {"id": "u2", "content": [{"text": "go on"}]}]
    lines.append(user | {"id": "u3", "content": "System: Please continue.", "displayContent": [result]})
    got = read(journal(tmp_path, HEAD, *lines))
    assert sorted((row.role, row.kind) for row in got.messages) == [
        ("tool", "tool_result"),
        ("user", "meta"),
        ("user", "prompt"),
    ]


def test_more_cached_than_read_leaves_the_input_unknown_and_is_counted(tmp_path: Path) -> None:
    got = read(journal(tmp_path, HEAD, answer(tokens=tokens(10, 5, 40))))
    assert got.usage() == [(None, 40, 5, 0, 10)]
    assert got.skipped == {"contradictory_usage": 1}


def test_a_stored_event_is_derived_again_from_its_raw_usage_alone(tmp_path: Path) -> None:
    (event,) = read(journal(tmp_path, HEAD, answer())).events
    facts = Facts(provider="google", model=event.model, identity=event.identity, usage=Usage())
    assert event.raw_usage is not None
    assert HARNESSES["gemini"].usage(event.raw_usage, facts) == of_tokens(tokens(100, 5, 40, 3))
    assert json.loads(event.identity) == [SESSION, "g1"]


@settings(max_examples=30, deadline=None)
@given(cuts=st.sets(st.integers(1, 11)))
def test_a_journal_cut_anywhere_says_the_same(cuts: set[int]) -> None:
    (path,) = (GOLDEN / "home/.gemini/tmp/shop/chats").glob("*.jsonl")
    assert Read("gemini").file(path, cuts).same() == Read("gemini").file(path).same()
