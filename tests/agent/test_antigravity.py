"""Antigravity: the rules of formats/antigravity.md, one test each."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antigravity_files import (
    CONVERSATION,
    GOLDEN,
    NOON,
    generation,
    golden_home,
    pb,
    row,
    sidecar,
    step,
    store,
    transcript,
)
from given import SAMPLES, needs_given
from read_sources import Read
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.antigravity import protobuf
from trueup_agent.harnesses.antigravity.generations import earliest_time, of_row
from trueup_agent.harnesses.base import Facts, Usage
from trueup_shared import keys

ANTIGRAVITY = HARNESSES["antigravity"]


async def test_the_golden_home_gives_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "antigravity", golden_home(tmp_path / "home"), home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text())
    totals = seen.totals()
    assert {name: totals[name] for name in expected} == expected


@needs_given
def test_the_fixtures_bytes_give_the_expected_figures(tmp_path: Path) -> None:
    fixture = json.loads((SAMPLES / "antigravity/codeburn/gen-metadata.json").read_text())
    store(tmp_path, *(bytes.fromhex(one["hex"]) for one in fixture["rows"]), name=fixture["conversationId"])
    got = Read("antigravity").root(tmp_path)
    (event,) = got.events
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (30_265, 0, 730)
    assert (event.reasoning_tokens, event.cache_write_tokens, event.context_tokens) == (None, None, 30_265)
    assert (event.model, json.loads(event.identity)) == (
        "Gemini 3.1 Pro (High)",
        ["fixture-current-cli", "fixture-response-1"],
    )
    assert json.loads(event.raw_usage or b"")["9"] + json.loads(event.raw_usage or b"")["10"] == 730


def test_what_a_known_block_lacks_is_zero_and_the_context_has_the_cache(tmp_path: Path) -> None:
    store(tmp_path, row((1, 1016), (2, 100), (3, 7)), row((1, 1016), (2, 50), (3, 8), (5, 900)))
    assert Read("antigravity").root(tmp_path).usage() == [(100, 0, 7, None, 100), (50, 900, 8, None, 950)]


def test_without_a_block_nothing_is_known_and_the_canary_hears_of_it(tmp_path: Path) -> None:
    store(tmp_path, row((2, 100), (3, 7)), row(), row((1, 1016)), row())
    got = Read("antigravity").root(tmp_path)
    assert (len(got.events), got.unmetered) == (1, 2)  # the last row may be filled in later


async def test_a_row_that_is_filled_in_later_is_restated(tmp_path: Path) -> None:
    store(tmp_path / "home", row((2, 100), (3, 7), (11, "r1")), row())
    seen = await scanned(tmp_path, "antigravity", tmp_path / "home", home=True)
    store(tmp_path / "home", row((2, 100), (3, 9), (11, "r1")), row((2, 5), (3, 1), (11, "r2")))
    await seen.scan()
    assert [(e.input_tokens, e.output_tokens) for e in sorted(seen.events(), key=lambda e: e.identity)] == [
        (100, 9),
        (5, 1),
    ]


async def test_deleting_a_conversation_keeps_its_events_as_gone(tmp_path: Path) -> None:
    path = store(tmp_path / "home", row((2, 100), (3, 7)))
    seen = await scanned(tmp_path, "antigravity", tmp_path / "home", home=True)
    path.unlink()
    await seen.scan()
    totals = seen.totals()
    assert (totals["events"], totals["gone"], totals["output_tokens"]) == (1, 1, 7)


def test_equal_generations_without_a_response_id_are_told_apart_by_their_row(tmp_path: Path) -> None:
    store(tmp_path, row((2, 100), (3, 7)), row((2, 100), (3, 7)))
    assert len(Read("antigravity").root(tmp_path).events) == 2


def test_an_encrypted_conversation_is_skipped(tmp_path: Path) -> None:
    path = store(tmp_path, row((2, 100), (3, 7)))
    path.with_name("other.pb").write_bytes(b"\x00" * 64)
    assert [s.path for s in ANTIGRAVITY.sources(tmp_path / ".gemini/antigravity-cli", [])] == [path]


def test_a_sidecar_beside_a_database_is_not_added(tmp_path: Path) -> None:
    beside = sidecar(tmp_path, generation(inputTokens="100", outputTokens="7"))
    assert len(Read("antigravity").root(tmp_path).events) == 1
    path = store(tmp_path, row((2, 100), (3, 7)), folder="implicit")
    assert [s.path for s in ANTIGRAVITY.sources(tmp_path / ".gemini/antigravity-cli", [])] == [path]
    assert len(Read("antigravity").root(tmp_path).file(beside).events) == 1


def test_counters_of_a_sidecar_are_text_and_name_the_thinking(tmp_path: Path) -> None:
    usage = {"inputTokens": "30265", "outputTokens": "730", "thinkingOutputTokens": "659", "cacheReadTokens": "0"}
    sidecar(tmp_path, generation(**usage), generation(inputTokens="x", outputTokens="5"))
    got = Read("antigravity").root(tmp_path)
    assert sorted(got.usage(), key=str) == [(0, 0, 5, None, 0), (30_265, 0, 730, 659, 30_265)]
    facts = Facts(provider=None, model=None, identity="", usage=Usage())
    again = [ANTIGRAVITY.usage(event.raw_usage or b"", facts) for event in got.events]
    assert {(one.output_tokens, one.reasoning_tokens) for one in again if one} == {(5, None), (730, 659)}


def test_attempts_that_were_retried_were_billed_too(tmp_path: Path) -> None:
    one = generation(inputTokens="100", outputTokens="7", responseId="r2")
    one["chatModel"]["retryInfos"] = [{"usage": {"inputTokens": "100", "outputTokens": "1"}}, {"error": "x"}, 5]
    sidecar(tmp_path, one)
    got = Read("antigravity").root(tmp_path)
    assert (got.total("input_tokens"), got.total("output_tokens")) == (200, 8)


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ([(21, "Gemini 3.1 Pro (High)"), (19, "gemini-pro")], "Gemini 3.1 Pro (High)"),
        ([(19, "gemini-pro")], "gemini-pro"),
        ([(20, pb((1, "a"), (2, "b"))), (20, pb((1, "model_enum"), (2, "MODEL_X")))], "MODEL_X"),
        ([(20, b"\xff\xff")], "MODEL_PLACEHOLDER_M3999"),
    ],
)
def test_a_model_is_called_as_it_is_shown_else_by_its_slug_else_by_its_number(fields: Any, model: str) -> None:
    usage = pb((1, 4999), (2, 100), (3, 7))
    found = of_row(0, pb((1, pb((4, usage), *fields))))
    assert found is not None
    assert found.model == model


def test_the_time_is_the_generations_else_its_steps_else_the_sessions_else_the_files(tmp_path: Path) -> None:
    usage = ((2, 100), (3, 7))
    path = store(tmp_path, row(*usage, at=None))
    transcript(tmp_path, step(0, "USER_INPUT", 1), step(3, "VIEW_FILE", 5), step(2, "PLANNER_RESPONSE", 7))
    store(tmp_path, row(*usage), name="own")
    other = store(tmp_path, row(*usage, at=None), steps=[(9, 14, pb((5, pb((1, NOON + 3)))))], name="session")
    store(tmp_path, row(*usage, at=None), name="file")
    times = {json.loads(e.identity)[0]: (e.at, e.time_quality) for e in Read("antigravity").root(tmp_path).events}
    assert times.pop("file") == (other.with_name("file.db").stat().st_mtime_ns // 1000, 3)
    assert times == {
        path.stem: ((NOON + 5) * 1_000_000, 1),
        "own": (NOON * 1_000_000, 1),
        "session": ((NOON + 3) * 1_000_000, 2),
    }


def test_a_step_without_a_transcript_tells_its_earliest_plausible_time() -> None:
    inner = pb((1, NOON + 9), (2, 500_000_000))
    payload = pb((1, "text"), (5, pb((7, inner), (8, pb((1, NOON))))), (6, pb((1, 12), (2, 3))))
    assert earliest_time(payload) == NOON * 1_000_000
    assert earliest_time(pb((5, inner))) == (NOON + 9) * 1_000_000 + 500_000
    assert earliest_time(b"\xff\xff") is None


def test_steps_are_messages_and_the_transcript_tells_them_better(tmp_path: Path) -> None:
    calls = [{"name": "list_dir", "args": {}}, {"name": 5}, 5]
    steps = [(0, 14, b""), (1, 15, b""), (2, 99, b""), (3, 15, None)]
    store(tmp_path, row((2, 1), (3, 1)), steps=steps)
    transcript(tmp_path, step(1, "PLANNER_RESPONSE", 4, content="ok", thinking="hm", tool_calls=calls), {"x": 1})
    rows = {m.key: m for m in Read("antigravity").root(tmp_path).messages}
    told = [rows[keys.message_key("antigravity", CONVERSATION, n)] for n in (0, 1, 3)]
    assert [(m.role, m.kind, m.size_chars, m.tool_names) for m in told] == [
        ("user", "prompt", None, None),
        ("assistant", "answer", 4, '["list_dir"]'),
        ("assistant", "answer", None, None),
    ]
    assert len(rows) == 3


@needs_given
def test_a_transcript_alone_gives_its_messages() -> None:
    got = Read("antigravity").file(SAMPLES / "antigravity/agent-sessions/cli_small.jsonl")
    assert (got.events, len(got.sessions), got.lines) == ([], 1, 19)
    assert sorted({(m.role, m.kind) for m in got.messages}) == [("assistant", "answer"), ("user", "prompt")]


def test_counters_beyond_reason_are_fields_of_another_meaning(tmp_path: Path) -> None:
    store(tmp_path, row((2, 2_000_001), (3, 7)), row((2, 2_000_000), (3, 7)))
    got = Read("antigravity").root(tmp_path)
    assert (len(got.events), got.skipped) == (1, {"implausible_usage": 1})


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x0a\xff\x01", "text", 5, None, b"\x0b", b"\x08" + b"\xff" * 12, b"\x00\x00"]
)
def test_bytes_that_are_no_protobuf_cost_their_row(tmp_path: Path, data: Any) -> None:
    store(tmp_path, row((2, 100), (3, 7)), data)
    got = Read("antigravity").root(tmp_path)
    assert (len(got.events), got.skipped) == (1, {"malformed": 1})


def test_nested_parsing_ends_with_its_budget() -> None:
    with pytest.raises(ValueError, match="more fields"):
        protobuf.fields(pb(*[(1, 1)] * 101), protobuf.Budget(100))
    many = pb((1, pb((4, pb((2, 100), (3, 7))), *[(20, pb((1, "a"), (2, "b")))] * 30_000)))
    assert of_row(0, many) is None
    bomb = b"\x08\x01" * 8
    for _ in range(40):
        bomb = pb((1, bomb))
    assert earliest_time(bomb) is None
    assert earliest_time(pb(*[(1, pb(*[(1, pb((3, 1)))] * 100))] * 100)) is None


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_no_bytes_make_the_decoder_stumble(data: bytes) -> None:
    of_row(0, data)
    earliest_time(data)
    of_row(0, pb((1, data), (2, data)))
    of_row(0, pb((1, pb((4, data), (9, data), (20, data), (21, data)))))


def test_a_bad_sidecar_or_transcript_costs_itself(tmp_path: Path) -> None:
    wrong = [{"chatModel": value} for value in (5, [], {"usage": 5}, {"usage": {}, "retryInfos": 5}, None)]
    path = sidecar(tmp_path, generation(inputTokens="1", outputTokens="1"), 5, *wrong)
    got = Read("antigravity").root(tmp_path)
    assert (len(got.events), got.skipped) == (1, {"malformed": 1})
    path.write_text("[]")
    assert Read("antigravity").root(tmp_path).skipped == {"malformed": 1}
    transcript(tmp_path, 5, {"step_index": "x"}, step(1, "USER_INPUT", 0), name="other")
    assert Read("antigravity").root(tmp_path).skipped == {"malformed": 3}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_homes_of_the_app_the_cli_and_the_ide_are_found(tmp_path: Path, platform: str) -> None:
    names = ("antigravity", "antigravity-cli", "antigravity-ide")
    assert ANTIGRAVITY.data_folders(tmp_path, {}, platform) == [tmp_path / ".gemini" / name for name in names]
    path = store(tmp_path, row((2, 100), (3, 7)))
    for root in (tmp_path, tmp_path / ".gemini", path.parent.parent, path.parent, path):
        assert len(Read("antigravity").root(root).events) == 1
