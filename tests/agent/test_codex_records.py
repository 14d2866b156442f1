"""The newer line per response, `token_usage_record`, beside the counter that repeats most of it."""

from typing import Any

import pytest

from codex_lines import CHILD, PARENT, TURN, Read, copied, count, line, meta, name_of, spent, turn, vector

USAGE = vector(1000, 400, 70, 30)
OTHER = vector(1200, 900, 80, 10)


def plus(*parts: dict[str, Any]) -> dict[str, Any]:
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def record(
    seconds: float, response_id: str | None, usage: dict, total: dict | None = None, turn_id: str = TURN.format(1)
) -> bytes:
    fields = {"thread_id": PARENT, "turn_id": turn_id, "response_id": response_id, "usage": usage}
    return line(seconds, "token_usage_record", fields | ({} if total is None else {"thread_token_usage": total}))


@pytest.mark.parametrize("totals", [True, False], ids=["with thread totals", "without"])
@pytest.mark.parametrize("record_first", [True, False], ids=["record first", "count first"])
def test_a_usage_record_and_the_count_that_repeats_it_are_one_request(totals: bool, record_first: bool) -> None:
    lines, total = [meta(0), turn(1)], None
    for n in range(3):
        seen, total = spent(10 * n + 10, total, USAGE)
        pair = [record(10 * n + 9, f"resp_{n}", USAGE, total if totals else None), seen]
        lines += pair if record_first else pair[::-1]
    read = Read().file(lines)
    assert len(read.events) == 3
    assert read.total("output_tokens") == 210
    assert read.in_order()[0].identity.startswith('["response"') == record_first


def test_a_usage_record_alone_counts() -> None:
    read = Read().file([meta(0), turn(1), record(9, "resp_1", USAGE), record(19, "resp_2", USAGE)])
    assert read.usage() == [(600, 400, None, 70, 30, 1000)] * 2


def test_a_compaction_has_a_record_and_no_count() -> None:
    both = plus(USAGE, OTHER)
    estimate = vector(0) | {"total_tokens": 23921}
    lines = [
        *(meta(0), turn(1)),
        *(record(8, "resp_1", USAGE, USAGE), count(9, USAGE, USAGE)),
        record(18, "resp_compact", OTHER, both),
        line(19, "compacted", {"message": "", "latest_token_usage_record": {"usage": OTHER}}),
        *(count(20, USAGE, estimate), count(21, USAGE, estimate)),
        *(record(28, "resp_2", USAGE, plus(both, USAGE)), count(29, plus(USAGE, USAGE), USAGE)),
    ]
    read = Read().file(lines)
    assert [event.identity for event in read.in_order()] == [
        f'["response","resp_{name}"]' for name in ("1", "compact", "2")
    ]
    assert read.usage()[1] == (300, 900, None, 80, 10, 1200)


def test_a_resumed_thread_that_goes_back_to_an_older_counter_counts_by_its_records() -> None:
    two, later = plus(USAGE, USAGE), TURN.format(2)
    lines = [
        *(meta(0), turn(1)),
        *(record(8, "resp_1", USAGE, USAGE), count(9, USAGE, USAGE)),
        *(record(18, "resp_2", USAGE, two), count(19, two, USAGE)),
        *(turn(30, later), count(31, USAGE, USAGE)),  # the restored one
        *(record(38, "resp_3", OTHER, plus(two, OTHER), later), count(39, plus(USAGE, OTHER), OTHER)),
    ]
    for cuts in ((), range(1, len(lines))):
        read = Read().file(lines, cuts=cuts)
        assert (len(read.events), read.total("output_tokens")) == (3, 220)


def test_a_count_that_is_not_quite_what_the_record_says_is_no_second_request() -> None:
    short = [count(9, vector(1000, 400, 69, 30)), count(19, vector(2000, 800, 139, 60))]
    lines = [
        *(meta(0), turn(1), record(8, "resp_1", USAGE), short[0], record(18, "resp_2", USAGE), short[1]),
    ]
    assert Read().file(lines).total("output_tokens") == 140


def test_a_child_whose_copied_history_has_counts_only_begins_its_records_at_zero() -> None:
    one, total = spent(9, None, vector(50_000, 20_000, 900, 0))
    own = record(620, "resp_own", USAGE, USAGE, TURN.format(9)).replace(PARENT.encode(), CHILD.encode())
    again, _ = spent(621, total, USAGE)
    lines = [
        meta(600, CHILD, forked_from_id=PARENT),
        *copied([meta(0), turn(1), one], 600.1),
        *(turn(619, TURN.format(9)), own, again),
    ]
    read = Read().file(lines, name_of(CHILD))
    assert [(event.copy, event.output_tokens) for event in read.in_order()] == [(1, 900), (0, 70)]


def test_turns_of_a_release_without_records_count_before_and_after_those_with() -> None:
    one, total = spent(9, None, OTHER)
    two, total = spent(29, total, USAGE)
    three, _ = spent(59, total, OTHER)
    lines = [
        *(meta(0), turn(1), one),
        *(turn(20, TURN.format(2)), record(28, "resp_1", USAGE, USAGE, TURN.format(2)), two),
        *(turn(50, TURN.format(3)), three),
    ]
    read = Read().file(lines)
    assert [event.output_tokens for event in read.in_order()] == [80, 70, 80]


def test_a_record_without_a_response_id_is_named_by_the_total_of_its_thread() -> None:
    lines = [meta(0), turn(1), record(8, None, USAGE, USAGE), record(9, None, USAGE, USAGE)]
    assert len(Read().file([*lines, record(18, None, USAGE, plus(USAGE, USAGE))]).events) == 2
    assert len(Read().file([meta(0), turn(1), record(8, None, USAGE)]).events) == 0


def test_usage_per_turn_does_not_count_beside_records() -> None:
    completed = line(12, "event_msg", {"type": "turn.completed", "usage": USAGE})
    assert len(Read().file([meta(0), turn(1), record(8, "resp_1", USAGE), completed]).events) == 1
