"""OpenHands: formats/openhands.md, rule by rule."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aider_lines import in_utc, set_zone
from parsed import Parse
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Unfinished
from trueup_shared.keys import session_key

__all__ = ["in_utc"]
pytestmark = pytest.mark.usefixtures("in_utc")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "openhands"
HANDS = HARNESSES["openhands"]
ID, OTHER = "0f0e" + "0" * 27 + "1", "0f0e" + "0" * 27 + "2"
MODEL = "anthropic/claude-sonnet-4-6"
AT = 1782892805  # 2026-07-01T08:00:05Z


def used(response: str, prompt: int = 9000, output: int = 120, read: int = 0, written: int = 5000, **more: Any) -> Any:
    counters = {"prompt_tokens": prompt, "completion_tokens": output, "cache_read_tokens": read}
    counters |= {"cache_write_tokens": written, "reasoning_tokens": 0, "per_turn_token": prompt + output}
    return {"model": MODEL, **counters, "response_id": response} | more


def metrics(*usages: Any, costs: Any = None, total: Any = None, spent: float = 0.0) -> dict[str, Any]:
    if costs is None:
        costs = [{"model": MODEL, "cost": 0.02, "timestamp": AT + n} for n in range(len(usages))]
    group = {"model_name": MODEL, "accumulated_cost": spent, "costs": costs, "token_usages": list(usages)}
    return group | ({"accumulated_token_usage": total} if total is not None else {})


def conversation(folder: Path, groups: Any, events: list[dict[str, Any]] | None = None, name: str = ID) -> Path:
    """Writes it; returns the folder of conversations."""
    place = folder / "conversations" / name
    (place / "events").mkdir(parents=True, exist_ok=True)
    state = {"id": name, "agent": {}, "workspace": {"working_dir": "/home/ana/shop"}}
    (place / "base_state.json").write_text(json.dumps(state | {"stats": {"usage_to_metrics": groups}}))
    for number, event in enumerate(events or []):
        event = {"id": f"{number:08x}-0000", "timestamp": f"2026-07-01T08:00:{number:02d}.000000"} | event
        (place / "events" / f"event-{number:05d}-{event['id']}.json").write_text(json.dumps(event))
    return folder / "conversations"


def parse(conversations: Path) -> Parse:
    seen = Parse("openhands")
    for source in HANDS.sources(conversations, []):
        seen.source(source)
    return seen


async def test_a_home_gives_the_totals_that_were_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "openhands", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    expected["cost"] = {unit: Decimal(value) for unit, value in expected["cost"].items()}
    assert seen.totals() == expected


def test_a_prompt_holds_what_was_cached(tmp_path: Path) -> None:
    first, second = parse(
        conversation(
            tmp_path, {"agent": metrics(used("msg_1"), used("msg_2", 14_100, 80, 9000, 100, reasoning_tokens=12))}
        )
    ).in_order()
    assert (first.input_tokens, first.cache_read_tokens, first.cache_write_tokens) == (4000, 0, 5000)
    assert (first.output_tokens, first.context_tokens) == (120, 9000)
    assert (second.input_tokens, second.context_tokens, second.reasoning_tokens) == (5000, 14_100, 12)
    assert (first.provider, first.model, first.project_path) == ("anthropic", MODEL, "/home/ana/shop")
    assert (first.reported_cost, first.reported_cost_unit, first.reported_cost_status) == ("0.02", "usd", "estimated")
    assert (first.at, first.time_quality) == (AT * 10**6, 1)


def test_an_agent_over_acp_reports_apart_what_was_cached(tmp_path: Path) -> None:
    [event] = parse(conversation(tmp_path, {"agent": metrics(used("s", 1000, 300, 5000, 50))})).in_order()
    assert (event.input_tokens, event.cache_read_tokens, event.context_tokens) == (1000, 5000, 6050)


def test_a_prompt_smaller_than_its_parts_is_unknown_and_no_other_counter_is(tmp_path: Path) -> None:
    seen = parse(conversation(tmp_path, {"agent": metrics(used("s", 1000, 300, 900, 500))}))
    [event] = seen.in_order()
    assert (event.input_tokens, event.cache_read_tokens, event.output_tokens) == (None, 900, 300)
    assert seen.skipped == {"contradictory_usage": 1}


def test_every_group_of_metrics_is_spend(tmp_path: Path) -> None:
    groups = {
        "agent": metrics(used("a")),
        "condenser": metrics(used("b", output=7)),
        "title": {},
        "profile:x": metrics(),
    }
    seen = parse(conversation(tmp_path, groups))
    assert (len(seen.events), seen.totals()["output_tokens"]) == (2, 127)


def test_metrics_that_were_merged_into_those_of_a_parent_count_once(tmp_path: Path) -> None:
    conversation(tmp_path, {"agent": metrics(used("a"), used("sub")), "delegate": metrics(used("sub"))})
    child = conversation(tmp_path, {"agent": metrics(used("sub"))}, name=f"{ID}/subagents/{OTHER}")
    seen = parse(child)
    assert len(seen.events) == 2
    record = seen.sessions[session_key("openhands", f"{ID}/subagents/{OTHER}")]
    assert (record.relationship, record.parent_key) == ("subagent", session_key("openhands", ID))


def test_a_fork_copies_requests_that_count_once(tmp_path: Path) -> None:
    conversation(tmp_path, {"agent": metrics(used("a"), used("b"))})
    seen = parse(conversation(tmp_path, {"agent": metrics(used("a"), used("b"), used("c"))}, name=OTHER))
    assert len(seen.events) == 3


def test_a_response_id_that_names_a_whole_conversation_does_not_hide_its_turns(tmp_path: Path) -> None:
    assert len(parse(conversation(tmp_path, {"agent": metrics(used("s"), used("s", 9500, 10))})).events) == 2


def test_requests_without_a_response_id_are_known_by_their_place(tmp_path: Path) -> None:
    twice = {"agent": metrics(used(""), used(""))}
    conversation(tmp_path, twice)
    assert len(parse(conversation(tmp_path, twice, name=OTHER)).events) == 4


EVENTS: list[dict[str, Any]] = [
    {"kind": "SystemPromptEvent", "system_prompt": {"type": "text", "text": "Be good"}},
    {"kind": "MessageEvent", "llm_message": {"role": "user", "content": [{"type": "text", "text": "fix"}]}},
    {
        "kind": "ActionEvent",
        "tool_name": "terminal",
        "thought": [{"type": "text", "text": "hm"}],
        "llm_response_id": "a",
    },
    {"kind": "ObservationEvent", "tool_name": "terminal", "observation": {"content": [{"type": "text", "text": "ok"}]}},
    {"kind": "AgentErrorEvent", "tool_name": "terminal", "error": "no"},
    {"kind": "Condensation", "summary": "So far"},
    {"kind": "MessageEvent", "llm_message": {"role": "assistant", "content": "Done"}, "llm_response_id": "b"},
    {"kind": "ConversationStateUpdateEvent", "key": "stats", "value": {}},
]


def test_events_are_messages_and_name_the_request_that_they_came_of(tmp_path: Path) -> None:
    seen = parse(conversation(tmp_path, {"agent": metrics(used("a"), used("b", output=5))}, EVENTS))
    rows = [(row.role, row.kind, row.size_chars, row.tool_names) for row in seen.messages.values()]
    assert rows == [
        ("system", "meta", 7, None),
        ("user", "prompt", 3, None),
        ("assistant", "answer", 2, '["terminal"]'),
        ("tool", "tool_result", 2, '["terminal"]'),
        ("tool", "error", 2, '["terminal"]'),
        ("system", "summary", 6, None),
        ("assistant", "answer", 4, None),
    ]
    assert [row.event_key for row in seen.messages.values() if row.event_key] == list(seen.events)


def test_costs_of_another_number_than_requests_belong_to_none_of_them(tmp_path: Path) -> None:
    one = [{"model": MODEL, "cost": 0.02, "timestamp": AT}]
    seen = parse(conversation(tmp_path, {"agent": metrics(used("a"), used("b"), costs=one)}, EVENTS))
    assert [event.reported_cost for event in seen.in_order()] == [None, None]
    first, second = seen.in_order()
    assert (first.at, second.at, first.time_quality) == ((AT - 3) * 10**6, (AT + 1) * 10**6, 1)


def test_times_of_events_are_this_machines_local_time(tmp_path: Path) -> None:
    conversations = conversation(tmp_path, {"agent": metrics(used("a"), costs=[])}, EVENTS)
    with set_zone("Europe/Berlin"):
        [event] = parse(conversations).in_order()
    assert event.at == (AT - 3 - 7200) * 10**6


def test_a_request_that_nothing_dates_has_the_time_of_its_conversation_or_its_file(tmp_path: Path) -> None:
    [event] = parse(conversation(tmp_path / "a", {"agent": metrics(used("x"), costs=[])}, EVENTS)).in_order()
    assert (event.at, event.time_quality) == ((AT - 5) * 10**6, 2)
    conversations = conversation(tmp_path / "b", {"agent": metrics(used("x"), costs=[])})
    [event] = parse(conversations).in_order()
    modified = (conversations / ID / "base_state.json").stat().st_mtime_ns // 1000
    assert (event.at, event.time_quality) == (modified, 3)


async def test_a_snapshot_without_lists_counts_by_what_its_total_grew(tmp_path: Path) -> None:
    first = metrics(costs=[], total=used("", 1000, 50, 400, 100), spent=0.25)
    conversations = conversation(tmp_path, {"agent": first}, EVENTS[:2])
    seen = await scanned(tmp_path, "openhands", conversations)
    before = seen.totals()
    conversation(tmp_path, {"agent": metrics(costs=[], total=used("", 2500, 90, 900, 150), spent=0.75)}, EVENTS[:3])
    await seen.scan()
    after = seen.totals()
    assert (before["input_tokens"], before["output_tokens"], before["derived"]) == (500, 50, 1)
    assert (after["input_tokens"], after["output_tokens"], after["derived"]) == (1450, 90, 2)
    assert (after["cache_read_tokens"], after["cache_write_tokens"], after["context_tokens"]) == (900, 150, None)
    assert after["cost"] == {"usd": Decimal("0.75")}


async def test_a_snapshot_that_gains_its_lists_later_counts_by_its_requests_alone(tmp_path: Path) -> None:
    total = used("", 9000, 120, 0, 5000)
    conversations = conversation(tmp_path, {"agent": metrics(costs=[], total=total)}, EVENTS[:2])
    seen = await scanned(tmp_path, "openhands", conversations)
    assert (seen.totals()["events"], seen.totals()["output_tokens"]) == (1, 120)
    conversation(tmp_path, {"agent": metrics(used("r1"), total=total)}, EVENTS[:2])
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["output_tokens"], seen.totals()["derived"]) == (1, 120, 0)


def test_a_snapshot_of_zeros_is_nothing(tmp_path: Path) -> None:
    zero = metrics(total=used("", 0, 0, 0, 0))
    assert len(parse(conversation(tmp_path, {"agent": zero})).events) == 0


@pytest.mark.parametrize(
    ("field", "counter"),
    [
        ("completion_tokens", "output_tokens"),
        ("reasoning_tokens", "reasoning_tokens"),
    ],
)
@pytest.mark.parametrize("value", ["absent", None, "5", -3, 2**70, True])
def test_a_counter_that_is_missing_is_unknown_and_no_other_changes(
    field: str, counter: str, value: Any, tmp_path: Path
) -> None:
    usage = used("a")
    if value == "absent":
        del usage[field]
    else:
        usage[field] = value
    whole = parse(conversation(tmp_path / "whole", {"agent": metrics(used("a"))})).totals()
    seen = parse(conversation(tmp_path / "seen", {"agent": metrics(usage)})).totals()
    assert {name for name, number in seen.items() if number != whole[name]} == {counter}


def test_what_was_read_from_the_cache_being_unknown_the_prompt_is_not_divided(tmp_path: Path) -> None:
    usage = used("a")
    del usage["cache_read_tokens"]
    [event] = parse(conversation(tmp_path, {"agent": metrics(usage)})).in_order()
    assert (event.input_tokens, event.input_undivided_tokens, event.cache_write_tokens) == (None, 4000, 5000)


def test_metrics_of_a_strange_shape_cost_themselves_alone(tmp_path: Path) -> None:
    groups = {"agent": metrics(used("a"), 5, "x", {}, {"prompt": 7}), "b": [], "c": None, "d": metrics(used("d"))}
    seen = parse(conversation(tmp_path, groups))
    assert (len(seen.events), seen.skipped) == (2, {"malformed": 6})


def test_the_older_name_of_the_groups_is_known(tmp_path: Path) -> None:
    conversations = conversation(tmp_path, {"agent": metrics(used("a"))})
    file = conversations / ID / "base_state.json"
    file.write_text(file.read_text().replace("usage_to_metrics", "service_to_metrics"))
    assert len(parse(conversations).events) == 1


def test_an_event_that_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    conversations = conversation(tmp_path, {"agent": metrics(used("a"))}, [*EVENTS[:2], {"kind": "Novelty"}])
    (conversations / ID / "events/event-00009-x.json").write_text('{"kind": "Mess')
    (conversations / ID / "events/notes.txt").write_text("{")
    seen = parse(conversations)
    assert (len(seen.messages), seen.skipped, seen.unknown) == (2, {"malformed": 1}, {"Novelty": 1})


@pytest.mark.parametrize("content", ["", "{", '{"id": "x", "stats": {"usage'])
def test_a_state_that_was_caught_while_it_was_written_is_read_again(content: str, tmp_path: Path) -> None:
    conversations = conversation(tmp_path, {})
    (conversations / ID / "base_state.json").write_text(content)
    with pytest.raises(Unfinished):
        parse(conversations)


def test_answers_without_any_usage_count_for_the_canary(tmp_path: Path) -> None:
    assert parse(conversation(tmp_path / "a", {"agent": {"tokens": []}}, EVENTS)).unmetered == 2
    assert parse(conversation(tmp_path / "b", {"agent": metrics(used("a"))}, EVENTS)).unmetered == 0
