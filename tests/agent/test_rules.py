"""Which events of a family count, and with which numbers: one case of each rule's clauses."""

from typing import Any

from ledger_rows import NOON, event, update
from trueup_agent.ledger.rows import StoredEvent
from trueup_agent.ledger.rules import as_read, decide
from trueup_agent.records import DELETIONS, LEGS, SERIES
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT

FAMILY, PARENT = b"f" * 16, b"p" * 16
IN, OUT, READ, CONTEXT = (BIT[f"{name}_tokens"] for name in ("input", "output", "cache_read", "context"))


def row(name: str, **fields: Any) -> StoredEvent:
    return update(event(name, **{"family": FAMILY} | fields)).events[0]


def total(minute: int, input_: int | None = None, output: int | None = None, **fields: Any) -> StoredEvent:
    """What a source said of its running total, minutes after noon."""
    values = {"rule": SERIES, "input_tokens": input_, "output_tokens": output, "at": NOON + minute * 60_000_000}
    return row(f"{minute}-{input_}-{output}-{fields}", **values | fields)


def counted(*rows: StoredEvent, parents: tuple[StoredEvent, ...] = ()) -> list[tuple[int | None, int | None, int, int]]:
    """(input, output, lower bounds, derived) of what counts, by time."""
    return [(r.input_tokens, r.output_tokens, r.lower_bounds, r.derived) for r in count(*rows, parents=parents)]


def count(*rows: StoredEvent, parents: tuple[StoredEvent, ...] = ()) -> list[StoredEvent]:
    decided = decide(rows, parents)
    assert decide(rows[::-1], parents[::-1]) == decided
    kept = [found for r in rows if (found := decided.get(r.key, r)) is not None]
    assert {as_read(found).key: as_read(found) for found in kept}.items() <= {r.key: r for r in rows}.items()
    return sorted(kept, key=lambda found: (found.at, found.key))


def test_a_running_total_counts_in_full_at_first_and_then_by_differences() -> None:
    rows = total(0, 100, 10), total(1, 150, 10), total(2, 150, 30)
    assert counted(*rows) == [(100, 10, 0, IN | OUT), (50, 0, 0, IN | OUT), (0, 20, 0, IN | OUT)]


def test_a_total_that_shrank_began_anew_and_may_have_lost_some() -> None:
    assert counted(total(0, 100, 10), total(1, 40, 12), total(2, 45, 15)) == [
        (100, 10, 0, IN | OUT),
        (40, 12, IN | OUT, 0),
        (5, 3, 0, IN | OUT),
    ]


def test_totals_give_way_to_requests_of_their_family_whichever_came_first() -> None:
    request = row("request", input_tokens=60, output_tokens=6, at=NOON)
    assert count(total(0, 100, 10), request, total(1, 150, 10)) == [request]


def test_requests_of_a_parent_are_no_total_that_it_handed_on() -> None:
    request = row("request", input_tokens=60, output_tokens=6, at=NOON, family=PARENT)
    assert counted(total(1, 100, 10, after=PARENT), parents=(request,)) == [(100, 10, 0, IN | OUT)]


def test_the_same_total_seen_later_adds_nothing() -> None:
    first, again = total(0, 100, 10), total(9, 100, 10)
    assert count(first, again)[0].at == first.at
    assert len(count(first, again)) == 1


def test_a_counter_that_is_not_reported_for_once_stands_still() -> None:
    assert counted(total(0, 100, 10), total(1, None, 20), total(2, 130, 25)) == [
        (100, 10, 0, IN | OUT),
        (None, 10, 0, OUT),
        (30, 5, 0, IN | OUT),
    ]


def test_an_input_that_begins_to_be_divided_counts_undivided_where_only_the_sum_can_be_compared() -> None:
    undivided = total(0, None, 10, input_undivided_tokens=100)
    divided = total(1, 40, 15, cache_read_tokens=80)
    later = total(2, 50, 16, cache_read_tokens=90)
    found = count(undivided, divided, later)
    assert [(r.input_tokens, r.cache_read_tokens, r.input_undivided_tokens, r.output_tokens) for r in found] == [
        (None, None, 100, 10),
        (None, None, 20, 5),
        (10, 10, None, 1),
    ]


def test_one_number_for_everything_is_compared_with_the_sum_of_the_parts() -> None:
    found = count(total(0, None, None, undivided_tokens=100), total(1, 90, 30))
    assert [(r.undivided_tokens, r.input_tokens, r.output_tokens) for r in found] == [
        (100, None, None),
        (20, None, None),
    ]


def test_the_context_is_a_gauge_and_stays_as_it_is() -> None:
    found = count(total(0, 100, 10, context_tokens=70), total(1, 150, 20, context_tokens=60, lower_bounds=CONTEXT))
    assert [(r.context_tokens, r.derived) for r in found] == [(70, IN | OUT), (60, IN | OUT)]
    assert found[1].lower_bounds == CONTEXT


def test_a_total_that_is_a_lower_bound_gives_differences_that_are() -> None:
    assert counted(total(0, 100, 10), total(1, 150, 20, lower_bounds=OUT))[1] == (50, 10, OUT, IN | OUT)


def costs(*rows: StoredEvent) -> list[str | None]:
    return [r.reported_cost for r in count(*rows)]


def cost(minute: int, amount: str, input_: int | None = None, **fields: Any) -> StoredEvent:
    return total(minute, input_, reported_cost=amount, reported_cost_unit="usd", **fields)


def test_a_running_cost_counts_by_differences_too_without_floating_point() -> None:
    assert costs(cost(0, "0.1", 5), cost(1, "0.3", 6), cost(2, "0.30", 9)) == ["0.1", "0.2", "0"]


def test_a_cost_without_tokens_begins_anew_where_it_shrank() -> None:
    assert costs(cost(0, "0.5", context_tokens=9), cost(1, "0.2", context_tokens=7)) == ["0.5", "0.2"]


def test_a_cost_that_was_estimated_anew_is_no_new_beginning_of_the_tokens() -> None:
    rows = cost(0, "0.5", 10), cost(1, "0.2", 15), cost(2, "0.6", 16)
    assert costs(*rows) == ["0.5", None, "0.1"]
    assert [r.input_tokens for r in count(*rows)] == [10, 5, 1]


def test_a_total_handed_over_by_the_parent_counts_without_what_the_parent_had() -> None:
    parents = total(0, 50, 5, family=PARENT), total(1, 100, 10, family=PARENT), total(9, 900, 90, family=PARENT)
    child = total(3, 120, 14, after=PARENT), total(4, 130, 15, after=PARENT)
    assert counted(*child, parents=parents) == [(20, 4, 0, IN | OUT), (10, 1, 0, IN | OUT)]


def test_a_child_that_began_at_zero_counts_in_full() -> None:
    fork = total(3, 60, 14, after=PARENT), total(4, 130, 15, after=PARENT)
    parents = (total(1, 100, 10, family=PARENT),)
    assert counted(*fork, parents=parents) == [(60, 14, 0, IN | OUT), (70, 1, 0, IN | OUT)]


def request(minute: int, input_: int, output: int, **fields: Any) -> StoredEvent:
    return total(minute, input_, output, **{"rule": LEGS, "model": "m"} | fields)


def leg(since: int | None, until: int, input_: int, output: int, **fields: Any) -> StoredEvent:
    start = None if since is None else NOON + since * 60_000_000
    return request(until, input_, output, **{"rank": 1, "since": start} | fields)


def answer(minute: int, output: int) -> StoredEvent:
    return total(minute, None, output, rule=LEGS, rank=2, model="m", lower_bounds=OUT)


def test_a_leg_without_requests_counts_as_it_was_read() -> None:
    assert counted(leg(0, 9, 100, 10)) == [(100, 10, 0, 0)]


def test_of_a_leg_counts_what_requests_of_its_model_and_time_do_not_cover() -> None:
    inside, outside, other = request(5, 60, 4), request(0, 30, 3), request(6, 20, 2, model="other")
    found = counted(leg(0, 9, 100, 10), inside, outside, other)
    assert found[-1] == (40, 6, 0, IN | OUT)
    assert len(found) == 4


def test_a_leg_that_requests_cover_whole_is_set_aside() -> None:
    assert counted(leg(None, 9, 100, 10), request(5, 60, 4), request(9, 40, 6)) == [(60, 4, 0, 0), (40, 6, 0, 0)]


def test_answers_count_only_where_neither_requests_nor_a_leg_cover_them() -> None:
    assert counted(answer(1, 7), answer(12, 8), leg(0, 9, 100, 10)) == [(100, 10, 0, 0), (None, 8, OUT, 0)]
    assert counted(answer(12, 8), request(1, 5, 5)) == [(5, 5, 0, 0)]
    assert counted(answer(1, 7)) == [(None, 7, OUT, 0)]


def kept(minute: int, input_: int, output: int, gone: int = 0) -> StoredEvent:
    found = total(minute, input_, output, rule=DELETIONS)
    found.gone = gone
    return found


def deleted(since: int, minute: int, input_: int, output: int, gone: int = 0) -> StoredEvent:
    """The sum of what was deleted of the time after `since`."""
    found = kept(minute, input_, output, gone)
    found.rank, found.since = 1, NOON + since * 60_000_000
    return found


def test_a_sum_of_deleted_requests_counts_where_they_were_never_seen() -> None:
    assert counted(kept(0, 1, 1), deleted(0, 5, 100, 10)) == [(1, 1, 0, 0), (100, 10, 0, 0)]


def test_a_sum_of_deleted_requests_counts_without_those_that_were_seen() -> None:
    assert counted(kept(1, 60, 4, gone=1), deleted(0, 5, 100, 10)) == [(60, 4, 0, 0), (40, 6, 0, IN | OUT)]
    assert counted(kept(1, 100, 10, gone=1), deleted(0, 5, 100, 10)) == [(100, 10, 0, 0)]


def test_a_request_deleted_after_the_sum_was_made_is_in_a_later_sum() -> None:
    found = counted(deleted(0, 5, 100, 10), kept(6, 60, 4, gone=1), deleted(5, 9, 60, 4))
    assert found == [(100, 10, 0, 0), (60, 4, 0, 0)]


def test_a_sum_that_was_deleted_itself_is_contained_in_the_next() -> None:
    found = counted(kept(1, 60, 4, gone=1), deleted(1, 5, 100, 10, gone=1), deleted(0, 9, 190, 20))
    assert found == [(60, 4, 0, 0), (100, 10, 0, 0), (30, 6, 0, IN | OUT)]


def test_when_the_whole_log_goes_its_sums_stay_as_they_are() -> None:
    found = counted(kept(0, 60, 4), deleted(0, 5, 100, 10))
    assert counted(kept(0, 60, 4, gone=1), deleted(0, 5, 100, 10, gone=1)) == found


def test_what_rules_do_not_change_has_no_second_reading() -> None:
    assert all(r.observed is None for r in count(leg(0, 9, 100, 10), answer(20, 3)))
    assert all(r.observed is not None for r in count(total(0, 1, 1)))


def test_of_alternatives_the_one_whose_session_began_first_counts_where_time_does_not_tell() -> None:
    late, early = row("a", rank=1, session_started=9), row("b", rank=1, session_started=3)
    assert [r.key for r in count(late, early)] == [early.key]


def test_every_counter_but_the_gauge_is_a_difference() -> None:
    first = total(0, **dict.fromkeys(("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 5), input_=5)
    then = total(1, **dict.fromkeys(("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 8), input_=8)
    found = count(first, then)[1]
    assert {getattr(found, name) for name in ADDITIVE_COUNTERS} == {3, None}
