"""One request, one event, with the counters that the log really gives (formats/claude.md: Tokens, Coverage, Cost)."""

from typing import Any

import msgspec
import pytest

from claude_lines import MODEL, Read, answer, at, encode, line, message_id, micros, prompt, split, tool_result, usage
from trueup_shared.metrics import BIT
from trueup_shared.storable import Decimal

OUTPUT = BIT["output_tokens"]


def test_the_lines_of_a_streamed_message_are_one_request_with_the_last_output() -> None:
    lines = [
        answer(
            9.44, 2, usage=usage(4, **split(1600, 500)), stop=None, content=[{"type": "thinking", "thinking": "hm"}]
        ),
        answer(11.02, 3, usage=usage(318, **split(1600, 500), speed="standard"), stop="tool_use"),
    ]
    event = Read().file(lines).only()
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (9, 15800, 2100)
    assert (event.cache_write_1h_tokens, event.output_tokens, event.context_tokens) == (500, 318, 17909)
    assert (event.at, event.time_quality) == (micros(11.02), 1)
    assert (event.lower_bounds, event.derived, event.reasoning_tokens) == (0, 0, None)
    assert (event.provider, event.model, event.service_tier, event.speed) == (
        "anthropic",
        MODEL,
        "standard",
        "standard",
    )


def test_foreign_lines_between_two_lines_of_a_message_do_not_divide_it() -> None:
    between = [tool_result(2, 3), line(2.1, "attachment", 4, attachment={"type": "todo_reminder"})]
    read = Read().file([answer(1, 2, usage=usage(8), stop=None), *between, answer(3, 5, usage=usage(167))])
    assert read.only().output_tokens == 167


def test_an_earlier_chunk_replayed_later_does_not_take_the_fuller_one_back() -> None:
    event = Read().file([answer(1, 2, usage=usage(167)), answer(5, 3, usage=usage(8), stop=None)]).only()
    assert (event.output_tokens, event.at, event.lower_bounds) == (167, micros(1), 0)


def test_equal_snapshots_are_dated_by_the_earliest() -> None:
    assert Read().file([answer(5, 2), answer(3, 3), answer(4, 4)]).only().at == micros(3)


def test_a_gateway_that_sends_zero_input_first_is_repaired_by_the_greatest_of_each_counter() -> None:
    event = Read().file([answer(1, 2, usage=usage(1, input=0, read=0, written=0)), answer(2, 3)]).only()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (9, 15800, 100)


def test_output_is_a_lower_bound_where_no_line_has_a_stop_reason() -> None:
    event = Read().file([answer(1, 2, usage=usage(1), stop=None), answer(2, 3, usage=usage(5), stop=None)]).only()
    assert (event.output_tokens, event.lower_bounds) == (5, OUTPUT)
    assert Read().file([answer(1, 2, stop=...)]).only().lower_bounds == OUTPUT
    assert Read().file([answer(1, 2, stop=None), answer(1, 3, stop="end_turn")]).only().lower_bounds == 0


def test_a_null_or_absent_counter_is_unknown_and_zero_is_zero() -> None:
    event = Read().file([answer(1, 2, usage=usage(5, read=None, written=...))]).only()
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (9, None, None)
    assert (event.context_tokens, event.lower_bounds) == (9, BIT["context_tokens"])
    event = Read().file([answer(1, 2, usage=usage(5, read=0, written=0))]).only()
    assert (event.cache_read_tokens, event.cache_write_tokens, event.context_tokens) == (0, 0, 9)


@pytest.mark.parametrize("empty", [usage(0, 0, 0, 0), usage(None, None, None, None), usage(0, 0, ..., ...), {}])
def test_usage_in_which_every_counter_is_zero_is_unknown(empty: dict[str, Any]) -> None:
    event = Read().file([answer(1, 2, usage=empty)]).only()
    counters = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens)
    assert (*counters, event.context_tokens, event.lower_bounds) == (None, None, None, None, None, 0)


@pytest.mark.parametrize("absent", [..., None, "none", 5])
def test_a_message_without_usage_is_no_event_but_a_message(absent: Any) -> None:
    read = Read().file([answer(1, 2, usage=absent)])
    assert (read.events, len(read.messages)) == ({}, 1)


@pytest.mark.parametrize(
    ("total", "short", "long", "expected"),
    [
        (2100, 1600, 500, (2100, 500)),
        (2100, 0, 2100, (2100, 2100)),
        (2100, 2100, 0, (2100, 0)),
        (100, 60, 90, (150, 90)),  # the split knows of more
        (0, 60, 90, (150, 90)),
        (None, 60, 90, (150, 90)),
        (200, 60, 90, (200, 90)),  # 50 of unknown lifetime
        (2100, 0, 0, (2100, None)),  # the split is empty: lifetime unknown
        (2100, None, None, (2100, None)),
        (0, 0, 0, (0, 0)),
        (2100, None, 500, (2100, 500)),
    ],
)
def test_cache_writes_are_the_greater_of_total_and_split(
    total: int | None, short: int | None, long: int | None, expected: tuple[int, int | None]
) -> None:
    event = Read().file([answer(1, 2, usage=usage(5, written=total, **split(short, long)))]).only()
    assert (event.cache_write_tokens, event.cache_write_1h_tokens) == expected


@pytest.mark.parametrize("without", [{}, {"cache_creation": None}, {"cache_creation": 5}])
def test_without_a_split_the_lifetime_of_cache_writes_is_unknown(without: dict[str, Any]) -> None:
    event = Read().file([answer(1, 2, usage=usage(5, **without))]).only()
    assert (event.cache_write_tokens, event.cache_write_1h_tokens) == (2100, None)


def test_what_the_client_wrote_itself_is_no_spend() -> None:
    synthetic = answer(1, 2, model="<synthetic>", usage=usage(0, 0, 0, 0), isApiErrorMessage=True)
    read = Read().file([synthetic, answer(2, 3, 2, model="<synthetic>", usage=usage(7))])
    assert read.events == {}
    assert {(m.kind, m.model) for m in read.messages.values()} == {("error", None), ("meta", None)}


def test_an_error_in_mid_stream_was_billed() -> None:
    read = Read().file([answer(1, 2, isApiErrorMessage=True, usage=usage(3))])
    assert (read.only().output_tokens, read.only_message().kind) == (3, "error")


def test_advisor_iterations_are_requests_of_their_own() -> None:
    advisor = {"type": "advisor_message", "model": "claude-opus-4-5", "input_tokens": 70, "output_tokens": 30}
    own = {"type": "message", "input_tokens": 9, "output_tokens": 100}
    iterations = [own, advisor, advisor | {"output_tokens": 31}]
    read = Read().file([answer(1, 2, usage=usage(4), stop=None), answer(2, 3, usage=usage(iterations=iterations))])
    assert {(e.model, e.input_tokens, e.output_tokens) for e in read.counted()} == {
        (MODEL, 9, 100),
        ("claude-opus-4-5", 70, 30),
        ("claude-opus-4-5", 70, 31),
    }
    again = Read().file([answer(2, 3, usage=usage(iterations=iterations))])
    assert again.events.keys() == read.events.keys()


def test_cost_that_old_releases_reported_is_kept_apart() -> None:
    event = Read().file([answer(1, 2, costUSD=0.0123)]).only()
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0123", "usd", "reported")
    assert Read().file([answer(1, 2, costUSD=0)]).only().reported_cost == "0"
    assert Read().file([answer(1, 2, costUSD=1e-7)]).only().reported_cost == "0.0000001"
    assert all(Read().file([answer(1, 2, costUSD=cost)]).only().reported_cost is None for cost in (-1, 10**9, 1e300))
    assert Read().file([answer(1, 2)]).only().reported_cost_unit is None


@pytest.mark.parametrize("cost", [0.00010500000000000003, 0.1 + 0.2, 1e-30, 999_999_999.9999999, 0.99999999999999999])
def test_a_reported_cost_is_one_that_the_hub_takes_whatever_floating_point_made_of_it(cost: float) -> None:
    event = Read().file([answer(1, 2, costUSD=cost)]).only()
    assert event.reported_cost is not None
    assert abs(float(event.reported_cost) - cost) < 1e-12
    msgspec.convert(event.reported_cost, Decimal)


def test_fast_mode_batch_tier_and_web_searches_are_kept() -> None:
    more = {"speed": "fast", "service_tier": "batch", "server_tool_use": {"web_search_requests": 2}}
    event = Read().file([answer(1, 2, usage=usage(5, **more))]).only()
    assert (event.speed, event.service_tier, event.web_searches) == ("fast", "batch", 2)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-opus-4-1-20250805", "anthropic"),
        ("claude-sonnet-4-5@20250929", "vertex"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "bedrock"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "bedrock"),
        ("deepseek-chat", None),
        ("__proto__", None),
    ],
)
def test_the_provider_is_told_by_the_model_where_it_can_be(model: str, provider: str | None) -> None:
    event = Read().file([answer(1, 2, model=model)]).only()
    assert (event.model, event.provider) == (model, provider)


def test_usage_in_a_tool_result_is_not_counted() -> None:
    result = prompt(
        1, 2, [{"type": "tool_result", "tool_use_id": "t", "content": "x"}], toolUseResult={"usage": usage()}
    )
    assert Read().file([result]).events == {}


def test_a_line_without_type_counts_when_it_has_usage() -> None:
    export = {"timestamp": at(1), "message": {"id": message_id(1), "model": MODEL, "usage": usage()}}
    read = Read().file([encode(export), encode({"silly": "this"})])
    assert (read.only().output_tokens, read.unknown) == (100, {"(none)": 1})


def test_usage_without_a_time_takes_the_session_s_last_and_says_so() -> None:
    event = Read().file([prompt(5, 1), answer(0, 2, timestamp=...)]).only()
    assert (event.at, event.time_quality) == (micros(5), 2)
    read = Read().file([answer(0, 2, timestamp="yesterday")])
    assert (read.events, read.skipped) == ({}, {"usage_without_time": 1})


def test_the_usage_object_is_kept_as_logged_and_the_key_can_be_made_again() -> None:
    event = Read().file([answer(1, 2)]).only()
    assert event.raw_usage == encode(usage())
    assert event.identity == '["claude","msg_01AbCdEfGhIjKlMn000001","req_011AbCdEfGhIjKl000001"]'
