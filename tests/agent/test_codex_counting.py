"""The cumulative counter: what is a request and what is the same one told again (formats/codex.md, Algorithm)."""

import msgspec

from codex_lines import PARENT, TURN, Read, count, line, meta, spent, turn, vector
from trueup_shared.metrics import BIT

FIRST = vector(9000, 6000, 400, 250, cache_write_input_tokens=0)
SECOND = vector(10500, 8900, 500, 250, cache_write_input_tokens=0)
BOTH = {name: n + SECOND[name] for name, n in FIRST.items()}
FIRST_REQUEST = (3000, 6000, 0, 400, 250, 9000)
SECOND_REQUEST = (1600, 8900, 0, 500, 250, 10500)


def begin() -> list[bytes]:
    return [meta(0), turn(2)]


def test_two_requests_and_one_repetition_are_two_events() -> None:
    read = Read().file([*begin(), count(9, FIRST, FIRST), count(11, FIRST, FIRST), count(20, BOTH, SECOND)])
    assert read.usage() == [FIRST_REQUEST, SECOND_REQUEST]
    event = read.in_order()[0]
    assert (event.model, event.provider, event.project_path) == ("gpt-5.3-codex", "openai", "/home/ana/shop")
    assert (event.derived, event.lower_bounds, event.time_quality) == (0, 0, 1)
    assert msgspec.json.decode(event.raw_usage or b"") == {"total_token_usage": FIRST, "last_token_usage": FIRST}
    assert msgspec.json.decode(event.identity) == [TURN.format(1), 9000, 6000, 400, 250, 9400]


def test_a_repetition_keeps_the_date_of_the_first() -> None:
    once = Read().file([*begin(), count(9, FIRST, FIRST)])
    twice = Read().file([*begin(), count(9, FIRST, FIRST), count(3000, FIRST, FIRST)])
    assert once.events == twice.events


def test_two_equal_requests_in_a_row_are_two() -> None:
    one, total = spent(9, None, FIRST)
    two, _ = spent(20, total, FIRST)
    assert Read().file([*begin(), one, two]).usage() == [FIRST_REQUEST, FIRST_REQUEST]


def test_lines_of_rate_limits_alone_are_no_requests() -> None:
    limits = line(5, "event_msg", {"type": "token_count", "info": None, "rate_limits": {"primary": None}})
    none_at_all = line(5, "event_msg", {"type": "token_count", "rate_limits": {}})
    assert Read().file([*begin(), limits, none_at_all]).usage() == []


def test_a_zero_vector_at_the_start_is_a_baseline() -> None:
    read = Read().file([*begin(), count(3, vector(0), vector(0)), count(9, FIRST, FIRST)])
    assert read.usage() == [FIRST_REQUEST]
    assert read.in_order()[0].derived == 0


def test_after_an_overflow_marker_the_counter_grows_from_zero() -> None:
    marker = count(12, {**vector(0), "total_tokens": 258400}, {**vector(0), "total_tokens": 1000})
    read = Read().file([*begin(), count(9, FIRST, FIRST), marker, count(20, SECOND, SECOND)])
    assert read.usage() == [FIRST_REQUEST, SECOND_REQUEST]
    assert all(event.derived == 0 for event in read.events.values())


def test_a_request_after_an_overflow_is_not_the_one_before_it_though_the_totals_are_equal() -> None:
    marker = count(12, {**vector(0), "total_tokens": 258400})
    read = Read().file([*begin(), count(9, FIRST, FIRST), marker, count(20, FIRST, FIRST)])
    assert read.usage() == [FIRST_REQUEST, FIRST_REQUEST]


def test_an_estimate_after_a_compaction_is_no_request() -> None:
    estimate = count(12, FIRST, {**vector(0), "total_tokens": 17245})
    read = Read().file([*begin(), count(9, FIRST, FIRST), estimate, count(20, BOTH, SECOND)])
    assert read.usage() == [FIRST_REQUEST, SECOND_REQUEST]


def test_a_resumed_thread_that_was_seeded_counts_only_its_own_request() -> None:
    """Another file of the thread, whose first total has everything that went before."""
    assert Read().file([*begin(), count(20, BOTH, SECOND)]).usage() == [SECOND_REQUEST]


def test_several_requests_in_one_step_are_derived_and_their_prompt_is_the_last_one() -> None:
    missed = vector(50000, 40000, 3000, 100, cache_write_input_tokens=0)
    total = {name: n + missed[name] for name, n in FIRST.items()}
    read = Read().file([*begin(), count(9, FIRST, FIRST), count(20, total, SECOND)])
    assert read.usage() == [FIRST_REQUEST, (10000, 40000, 0, 3000, 100, 10500)]
    told = ("input", "cache_read", "cache_write", "output", "reasoning")
    assert read.in_order()[1].derived == sum(BIT[f"{name}_tokens"] for name in told)


def test_a_counter_that_began_anew_counts_the_last_request() -> None:
    read = Read().file([*begin(), count(9, BOTH, SECOND), count(20, FIRST, FIRST)])
    assert read.usage() == [SECOND_REQUEST, FIRST_REQUEST]
    assert read.in_order()[1].derived & BIT["output_tokens"]


def test_a_counter_that_began_anew_without_a_last_vector_counts_its_total() -> None:
    read = Read().file([*begin(), count(9, BOTH, SECOND), count(20, FIRST)])
    assert read.usage()[1] == (3000, 6000, 0, 400, 250, None)


def test_a_missing_cache_write_is_unknown_and_a_reported_zero_is_zero() -> None:
    old = Read().file([*begin(), count(9, vector(100, 40, 5), vector(100, 40, 5))])
    new = Read().file([*begin(), count(9, vector(100, 40, 5, cache_write_input_tokens=0))])
    assert old.in_order()[0].cache_write_tokens is None
    assert new.in_order()[0].cache_write_tokens == 0


def test_cache_writes_are_part_of_the_logged_input() -> None:
    read = Read().file([*begin(), count(9, vector(100, 40, 5, cache_write_input_tokens=25))])
    assert read.usage() == [(35, 40, 25, 5, 0, None)]


def test_without_a_cache_count_the_input_is_undivided() -> None:
    read = Read().file([*begin(), count(9, {"input_tokens": 100, "total_tokens": 100})])
    event = read.in_order()[0]
    assert (event.input_undivided_tokens, event.input_tokens, event.output_tokens) == (100, None, None)


def test_an_input_smaller_than_its_cached_part_is_unknown() -> None:
    event = Read().file([*begin(), count(9, vector(100, 140, 5))]).in_order()[0]
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (None, 140, 5)


def test_the_model_may_change_inside_a_thread_or_come_with_the_count() -> None:
    one, total = spent(9, None, FIRST)
    two, total = spent(19, total, FIRST)
    three = count(29, {name: n + FIRST[name] for name, n in total.items()}, FIRST, model="gpt-5.5")
    switch = turn(15, TURN.format(2), "gpt-5.4-mini")
    read = Read().file([*begin(), one, switch, two, three])
    assert [event.model for event in read.in_order()] == ["gpt-5.3-codex", "gpt-5.4-mini", "gpt-5.5"]


def test_a_model_that_nobody_named_is_unknown() -> None:
    read = Read().file([meta(0), count(9, FIRST, FIRST)])
    assert read.in_order()[0].model is None


def test_a_turn_that_was_rolled_back_stays_billed() -> None:
    back = line(30, "event_msg", {"type": "thread_rolled_back", "num_turns": 1})
    undone = line(31, "event_msg", {"type": "undo_completed", "success": True})
    read = Read().file([*begin(), count(9, FIRST, FIRST), back, undone])
    assert read.usage() == [FIRST_REQUEST]
    assert read.unknown == {}


def test_threads_that_are_read_in_turns_do_not_disturb_each_other() -> None:
    from codex_lines import CHILD, name_of
    from trueup_agent.harnesses.codex.parser import CodexParser

    one, other = CodexParser(name_of(PARENT), None), CodexParser(name_of(CHILD), None)
    one.feed(b"\n".join([*begin(), count(9, BOTH, SECOND), b""]))
    other.feed(b"\n".join([meta(0, CHILD), turn(2, TURN.format(7)), count(9, FIRST, FIRST), b""]))
    one.feed(count(30, BOTH, SECOND) + b"\n")
    assert (len(one.take().events), len(other.take().events)) == (1, 1)


def test_a_line_that_names_another_thread_is_left_to_that_threads_own_file() -> None:
    foreign = count(10, vector(7), vector(7), thread_id="019e0000-2222-7000-8000-00000000000c")
    read = Read().file([*begin(), count(9, FIRST, FIRST), foreign, count(11, FIRST, FIRST)])
    assert read.usage() == [FIRST_REQUEST]
    assert read.skipped == {"counted_elsewhere": 1}
