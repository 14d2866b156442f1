"""Aider: formats/aider.md, rule by rule."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aider_lines import HISTORY, STARTED, in_utc, message, run, tokens
from parsed import Parse
from trueup_shared.metrics import BIT

__all__ = ["in_utc"]
pytestmark = pytest.mark.usefixtures("in_utc")

BEGUN = int(datetime(2026, 6, 9, 14, 1, tzinfo=UTC).timestamp()) * 1_000_000


def parse(*lines: bytes, path: Path = HISTORY) -> Parse:
    return Parse("aider").lines(path, lines)


def one(line: str) -> Any:
    [event] = parse(*run(*message(line=line))).in_order()
    return event


def test_a_line_of_tokens_is_a_request_whose_prompt_is_not_divided() -> None:
    event = one("> Tokens: 4.2k sent, 1.1k cache write, 310 received. Cost: $0.02 message, $0.07 session.  ")
    assert (event.input_undivided_tokens, event.output_tokens) == (4200, 310)
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.context_tokens) == (None,) * 4
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.02", "usd", "estimated")
    assert (event.provider, event.model) == ("anthropic", "anthropic/claude-sonnet-4-6")
    assert event.project_path == "/home/ana/shop"
    assert b'"cache_write":"1.1k"' in event.raw_usage


def test_a_request_has_the_time_of_its_session_which_is_local() -> None:
    event = one(tokens())
    assert (event.at, event.time_quality) == (BEGUN, 2)


@pytest.mark.parametrize(
    ("said", "number", "is_rounded"),
    [
        ("999", 999, False),
        ("1.0k", 1000, True),
        ("11k", 11_000, True),
        ("12,345", 12_345, False),
        ("1.5M", 1_500_000, True),
    ],
)
def test_a_number_above_1000_is_rounded_and_so_a_lower_bound(said: str, number: int, is_rounded: bool) -> None:
    event = one(tokens(sent=said, received="5"))
    assert event.input_undivided_tokens == number
    assert event.lower_bounds == (BIT["input_undivided_tokens"] if is_rounded else 0)
    event = one(tokens(sent="5", received=said))
    assert (event.output_tokens, event.lower_bounds) == (number, BIT["output_tokens"] if is_rounded else 0)


def test_a_model_without_a_price_has_no_cost() -> None:
    event = one("> Tokens: 1.5k sent, 20 received.  ")
    assert (event.input_undivided_tokens, event.reported_cost) == (1500, None)


def test_with_both_cache_figures_the_cost_stands_on_the_next_line() -> None:
    lines = run(*message(line="> Tokens: 4.2k sent, 1.1k cache write, 3.0k cache hit, 310 received."))
    lines.append(b"Cost: $0.02 message, $0.07 session.  ")
    for cuts in ((), (len(lines) - 1,)):
        seen = Parse("aider").lines(HISTORY, lines, cuts)
        [event] = seen.in_order()
        assert (event.output_tokens, event.reported_cost) == (310, "0.02")
        assert [row.kind for row in seen.messages.values()] == ["prompt", "answer"]


def test_without_a_cost_on_the_next_line_that_line_is_read_as_what_it_is() -> None:
    lines = run(*message(line="> Tokens: 4.2k sent, 1.1k cache write, 3.0k cache hit, 310 received."))
    seen = parse(*lines, *run(*message(), started="2026-06-09 15:00:00")[1:])
    assert (len(seen.events), len(seen.sessions)) == (2, 2)


def test_each_header_begins_a_session_even_within_the_same_second() -> None:
    seen = parse(*run(*message()), *run(*message()), *run(*message(), started="2026-06-09 15:00:00"))
    assert (len(seen.sessions), len(seen.events)) == (3, 3)
    assert len({event.session_key for event in seen.in_order()}) == 3


def test_a_run_of_a_header_alone_is_an_empty_session() -> None:
    seen = parse(f"# aider chat started at {STARTED}".encode())
    assert (len(seen.sessions), len(seen.events), len(seen.messages)) == (1, 0, 0)


def test_runs_before_it_may_be_deleted_and_the_same_run_keeps_its_keys() -> None:
    first, second = run(*message()), run(*message(), started="2026-06-09 15:00:00")
    whole, rest = parse(*first, *second), parse(*second)
    assert set(rest.events) < set(whole.events)
    assert set(rest.messages) < set(whole.messages)


def test_a_heading_in_an_answer_is_no_prompt() -> None:
    lines = run("#### add a retry  ", "", "Here is the plan:", "#### Step 1", "Wrap it.", tokens())
    rows = [(row.role, row.kind, row.size_chars) for row in parse(*lines).messages.values()]
    assert rows == [("user", "prompt", 11), ("assistant", "answer", 17 + 11 + 8)]


def test_lines_that_the_user_typed_in_one_go_are_one_prompt() -> None:
    seen = parse(*run("#### sync  ", "#### and test  ", "", "Done.", tokens(), "#### more  "))
    assert [(row.kind, row.size_chars) for row in seen.messages.values()] == [
        ("prompt", 12),
        ("answer", 5),
        ("prompt", 4),
    ]


def test_commands_are_told_from_prompts() -> None:
    seen = parse(*run("#### /add a.py  ", "", "> Added a.py  ", "", "#### /ask why?  "))
    assert [row.kind for row in seen.messages.values()] == ["meta", "prompt"]


def test_an_answer_names_the_event_of_its_request_and_its_model() -> None:
    seen = parse(*run(*message()))
    answer = next(row for row in seen.messages.values() if row.role == "assistant")
    assert (answer.event_key, answer.model) == (next(iter(seen.events)), "anthropic/claude-sonnet-4-6")


def test_the_model_is_the_one_announced_last() -> None:
    change = ["#### /model o3  ", "", "> Main model: openrouter/openai/o3 with diff edit format  ", ""]
    first, second = parse(*run(*message(), *change, *message(line=tokens(received="9")))).in_order()
    models = {first.output_tokens: first.model, second.output_tokens: second.model}
    assert models == {310: "anthropic/claude-sonnet-4-6", 9: "openrouter/openai/o3"}
    older = b"> Models: gpt-4o with diff edit format, weak model gpt-4o-mini"
    [event] = parse(*run(model="x"), older, *(line.encode() for line in message())).in_order()
    assert (event.provider, event.model) == (None, "gpt-4o")


def test_windows_newlines_change_no_number() -> None:
    lines = run(*message(), *message(prompt="more"))
    plain, windows = parse(*lines), parse(*(line + b"\r" for line in lines))
    assert windows.totals() == plain.totals()
    sizes = [[row.size_chars for row in seen.messages.values()] for seen in (plain, windows)]
    assert sizes[0] == sizes[1]


def test_every_line_of_tokens_of_one_prompt_counts() -> None:
    again = ["> Applied edit to a.py  ", "", "Fixed the lint.", "", tokens(received="40")]
    seen = parse(*run(*message(), *again))
    assert seen.totals()["output_tokens"] == 350
    assert [row.kind for row in seen.messages.values()] == ["prompt", "answer", "answer"]


def test_a_history_without_a_header_counts_in_a_session_without_a_time(tmp_path: Path) -> None:
    path = tmp_path / ".aider.chat.history.md"
    path.write_bytes(b"\n".join(line.encode() for line in message()))
    seen = parse(*(line.encode() for line in message()), path=path)
    [event] = seen.in_order()
    assert (event.time_quality, event.at) == (3, path.stat().st_mtime_ns // 1000)
    assert [row.started_at for row in seen.sessions.values()] == [None]


@pytest.mark.parametrize(
    "line",
    [
        "> Tokens: many sent, 5 received.",
        "> Tokens: 0 sent, 0 received.",
        "> Tokens:",
        "> Tokens: unknown, Cost: unknown",
    ],
)
def test_what_is_no_line_of_tokens_is_no_request(line: str) -> None:
    assert len(parse(*run(*message(line=line))).events) == 0


def test_bytes_that_are_no_text_cost_nothing() -> None:
    seen = parse(
        *run(*message())[:-1], b"\xff\xfe\x00", tokens().encode(), b"> Tokens: " + b"9" * 5000 + b" sent, 1 received"
    )
    assert seen.totals()["output_tokens"] == 310


def test_a_huge_number_is_unknown() -> None:
    event = one(tokens(sent="9" * 30))
    assert (event.input_undivided_tokens, event.output_tokens) == (None, 310)


def test_what_stands_before_the_first_prompt_of_a_run_is_no_answer() -> None:
    """Aider repeats its own command line, whose message may have many lines, and prints what that asks for."""
    echoed = [b"> /usr/bin/aider --message # Fix", b"priority: high", b"## Mission", b"cost: 5  "]
    head, rest = run(), [line.encode() for line in message()]
    said = [(m.role, m.kind) for m in parse(*head, *echoed, *rest).messages.values()]
    assert said == [(m.role, m.kind) for m in parse(*head, *rest).messages.values()]
    assert len(said) == 2
