"""Rules of formats/opencode.md, sections Tokens, Dedup, Coverage and Cost."""

from pathlib import Path
from typing import Any

import pytest

import opencode_store as store
from opencode_store import Json, answer, at, database, renamed, session, step, text, tokens, tool, user
from scanned import Scanned, scanned
from trueup_shared.metrics import BIT

HOME = ".local/share/opencode"
COUNTERS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


async def seen(tmp_path: Path, *sessions: Json, **options: Any) -> Scanned:
    database(tmp_path / "home" / HOME / "opencode.db", *sessions, **options)
    return await scanned(tmp_path, "opencode", tmp_path / "home", home=True)


async def one(tmp_path: Path, *messages: Json) -> Any:
    found = (await seen(tmp_path, session("ses_1", *messages))).events()
    assert len(found) == 1
    return found[0]


def counters(event: Any) -> tuple[int | None, ...]:
    return tuple(getattr(event, name) for name in COUNTERS)


async def test_the_example_of_the_page_becomes_one_event(tmp_path: Path) -> None:
    usage = tokens(120, 400, 0, 11000, 1160, total=12680)
    event = await one(tmp_path, user("msg_u"), answer("msg_a", 5, usage, cost=0.0421))
    assert counters(event) == (120, 11000, 1160, 400, 0)
    assert (event.context_tokens, event.lower_bounds, event.derived) == (12280, 0, 0)
    assert (event.provider, event.model, event.project_path) == ("anthropic", "claude-sonnet-4-6", store.CWD)
    assert (event.at, event.time_quality) == (at(5) * 1000, 1)
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0421", "usd", "estimated")
    assert store.identities([event]) == [["msg_a", 0]]


# total absent: old; total = input + output + cache; total = that + reasoning; reasoning that output cannot contain
@pytest.mark.parametrize(
    ("usage", "output"),
    [
        (tokens(100, 50, 10), 50),
        (tokens(100, 50, 10, 30, 7, total=187), 50),
        (tokens(100, 50, 10, 30, 7, total=197), 60),
        (tokens(100, 50, 0, total=150), 50),
        (tokens(100, 50, 90), 140),
    ],
)
async def test_the_records_own_total_tells_whether_output_contains_reasoning(
    tmp_path: Path, usage: Json, output: int
) -> None:
    event = await one(tmp_path, answer("msg_a", 5, usage))
    assert (event.output_tokens, event.reasoning_tokens) == (output, usage["reasoning"])


async def test_output_is_a_lower_bound_where_reasoning_is_missing_and_the_total_has_more(tmp_path: Path) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(100, 50, None, 30, 7, total=197)))  # type: ignore[arg-type]
    assert (event.output_tokens, event.reasoning_tokens, event.lower_bounds) == (50, None, BIT["output_tokens"])


async def test_a_message_of_two_steps_is_two_events_and_its_own_tokens_count_as_none(tmp_path: Path) -> None:
    first, second = tokens(80, 180, 0, 5000, 1040, total=6300), tokens(40, 220, 0, 6000, 120, total=6380)
    parts = (step(first, 0.02), text("done"), step(second, 0.03))
    message = answer("msg_a", 5, second, *parts, lasts=20, cost=0.05)
    found = await seen(tmp_path, session("ses_1", message), row_times={"prt_msg_a_3": at(11)})
    events = found.events()
    assert [counters(event) for event in events] == [(80, 5000, 1040, 180, 0), (40, 6000, 120, 220, 0)]
    assert store.identities(events) == [["msg_a", 0], ["msg_a", 1]]
    assert [event.at for event in events] == [at(5) * 1000, at(11) * 1000]
    assert [event.reported_cost for event in events] == ["0.02", "0.03"]
    assert found.messages()[0].event_key == events[0].key


async def test_a_later_step_without_a_time_of_its_own_ends_with_what_it_did_last(tmp_path: Path) -> None:
    usage = tokens(10, 1)
    message = answer("msg_a", 5, usage, step(usage), tool("bash", ends=9), step(usage), lasts=20)
    # The row was copied by a migration long after.
    found = await seen(tmp_path, session("ses_1", message), row_times={"prt_msg_a_3": at(90_000)})
    assert [event.at for event in found.events()] == [at(5) * 1000, at(9) * 1000]


async def test_a_message_of_one_step_is_the_same_event_with_and_without_its_part(tmp_path: Path) -> None:
    usage = tokens(100, 50)
    bare = await seen(tmp_path / "a", session("ses_1", answer("msg_a", 5, usage)))
    whole = await seen(tmp_path / "b", session("ses_1", answer("msg_a", 5, usage, step(usage))))
    assert [event.digest for event in bare.events()] == [event.digest for event in whole.events()]


async def test_a_step_without_usage_takes_its_messages(tmp_path: Path) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(100, 50), step(None, None), cost=0.5))
    assert (event.input_tokens, event.output_tokens, event.reported_cost) == (100, 50, "0.5")


async def test_a_role_that_a_peer_saw_has_other_names_for_its_usage(tmp_path: Path) -> None:
    usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 7}
    message = answer("msg_a", 5, None)
    message["info"] |= {"role": "model", "usage": usage}
    event = await one(tmp_path, message)
    assert counters(event) == (100, 30, 7, 50, None)


async def test_an_aborted_request_with_zeros_is_a_message_and_no_event(tmp_path: Path) -> None:
    aborted = answer("msg_a", 5, tokens(), error={"name": "MessageAbortedError"}, finish=None, cost=0)
    found = await seen(tmp_path, session("ses_1", user("msg_u"), aborted))
    assert (len(found.events()), len(found.messages())) == (0, 2)


async def test_an_aborted_request_whose_usage_is_known_counts(tmp_path: Path) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(100, 50), error={"name": "MessageAbortedError"}, lasts=None))
    assert (event.input_tokens, event.output_tokens) == (100, 50)


async def test_a_pending_row_is_no_event_until_its_step_ended(tmp_path: Path) -> None:
    found = await seen(tmp_path, session("ses_1", answer("msg_a", 5, tokens(), lasts=None, finish=None, cost=0)))
    assert (len(found.events()), len(found.messages())) == (0, 1)
    usage = tokens(100, 50)
    path = tmp_path / "home" / HOME / "opencode.db"
    database(path, session("ses_1", answer("msg_a", 5, usage, step(usage))), updated=30)
    await found.scan()
    assert [counters(event) for event in found.events()] == [(100, 0, 0, 50, 0)]
    clean = await seen(tmp_path / "clean", session("ses_1", answer("msg_a", 5, usage, step(usage))))
    assert [event.digest for event in found.events()] == [event.digest for event in clean.events()]


async def test_a_finished_request_whose_provider_gave_no_usage_is_an_event_that_knows_nothing(tmp_path: Path) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(), step(tokens(), 0), providerID="ollama"))
    assert counters(event) == (None,) * 5
    assert event.context_tokens is None


async def test_a_completed_message_with_zeros_and_no_answer_is_no_event(tmp_path: Path) -> None:
    found = await seen(tmp_path, session("ses_1", answer("msg_a", 5, tokens(), finish=None)))
    assert found.events() == []


@pytest.mark.parametrize(
    ("provider", "model", "written"),
    [
        ("anthropic", "claude-sonnet-4-6", 0),
        ("google-vertex-anthropic", "claude-opus-4-6", 0),
        ("openrouter", "anthropic/claude-opus-4-6", 0),
        ("openai", "gpt-5.3", None),
        ("github-copilot", "claude-sonnet-4.6", None),
    ],
)
async def test_no_cache_writes_are_a_number_only_of_providers_that_report_them(
    tmp_path: Path, provider: str, model: str, written: int | None
) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(100, 50), providerID=provider, modelID=model))
    assert event.cache_write_tokens == written


async def test_cache_writes_above_zero_count_whoever_reports_them(tmp_path: Path) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(100, 50, write=9), providerID="openai", modelID="gpt-5.3"))
    assert (event.cache_write_tokens, event.context_tokens) == (9, 109)


@pytest.mark.parametrize(
    ("cost", "told"),
    [(0.0421, ("0.0421", "estimated")), (0, ("0", "included")), ({"input": 24}, (None, None)), (None, (None, None))],
)
async def test_a_cost_of_zero_is_a_plan_or_unknown_and_an_object_is_none(
    tmp_path: Path, cost: Any, told: tuple[str | None, str | None]
) -> None:
    event = await one(tmp_path, answer("msg_a", 5, tokens(100, 50), cost=cost))
    assert (event.reported_cost, event.reported_cost_status) == told


def forked() -> tuple[Json, Json, Json]:
    two = (step(tokens(10, 1), 0.1), step(tokens(20, 2), 0.2))
    original = session(
        "ses_1",
        user("msg_u"),
        answer("msg_a", 5, tokens(100, 50), step(tokens(100, 50))),
        answer("msg_b", 20, tokens(20, 2), *two),
    )
    return original, renamed(original, "ses_2", "f", 100), renamed(original, "ses_3", "ff", 200)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
async def test_a_fork_and_the_fork_of_a_fork_count_once_in_the_oldest_session(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    forks = forked()
    found = await seen(tmp_path, *(forks[i] for i in order))
    assert (found.totals()["input_tokens"], len(found.events()), len(found.set_aside())) == (130, 3, 6)
    assert {event.session_key for event in found.events()} == {found.sessions()[0].key}
    assert [row.session_id for row in found.sessions()] == ["ses_1", "ses_2", "ses_3"]


async def test_a_fork_that_grows_counts_what_is_new(tmp_path: Path) -> None:
    original, fork, _ = forked()
    fork["messages"].append(answer("msg_c", 150, tokens(7, 3)))
    found = await seen(tmp_path, original, fork)
    assert found.totals()["input_tokens"] == 137


async def test_a_fork_whose_original_was_deleted_before_it_was_read_counts(tmp_path: Path) -> None:
    found = await seen(tmp_path, *forked()[1:])
    assert (found.totals()["input_tokens"], {event.session_key for event in found.events()}) == (
        130,
        {found.sessions()[0].key},
    )


async def test_rows_without_tokens_or_not_completed_are_nobodys_copies(tmp_path: Path) -> None:
    zeros = [session(f"ses_{i}", answer(f"msg_{i}", 5, tokens(), step(tokens(), 0))) for i in (1, 2)]
    running = [session(f"ses_{i}", answer(f"msg_{i}", 9, tokens(10, 1), lasts=None)) for i in (3, 4)]
    found = await seen(tmp_path, *zeros, *running)
    assert (len(found.events()), found.totals()["input_tokens"]) == (4, 20)


async def test_a_fork_seen_while_it_ran_is_set_aside_once_it_is_known_to_be_one(tmp_path: Path) -> None:
    running = session("ses_1", answer("msg_a", 9, tokens(10, 1), lasts=None))
    found = await seen(tmp_path, running)
    ended = session("ses_1", answer("msg_a", 9, tokens(10, 1)))
    database(tmp_path / "home" / HOME / "opencode.db", ended, renamed(ended, "ses_2", "f", 60), updated=90)
    await found.scan()
    assert (len(found.events()), found.totals()["input_tokens"]) == (1, 10)


async def test_tree_database_and_export_of_one_session_are_the_same_events(tmp_path: Path) -> None:
    entry = forked()[0]
    home = tmp_path / "home" / HOME
    store.tree(home / "storage", entry)
    only_tree = await scanned(tmp_path / "1", "opencode", tmp_path / "home", home=True)
    database(home / "opencode.db", entry)
    both = await scanned(tmp_path / "2", "opencode", tmp_path / "home", home=True)
    single = await scanned(tmp_path / "3", "opencode", store.export(tmp_path / "x" / "s.json", entry))
    for other in (both, single):
        assert other.totals() == only_tree.totals()
        assert [e.digest for e in other.events()] == [e.digest for e in only_tree.events()]
        assert [m.digest for m in other.messages()] == [m.digest for m in only_tree.messages()]
    assert len(only_tree.sources()) == 1
    assert len(both.sources()) == 2


async def test_what_names_no_counter_raises_the_canary(tmp_path: Path) -> None:
    usage = {"in": 100, "out": 50}
    found = await seen(tmp_path, *(session(f"ses_{i}", answer(f"msg_{i}", i, usage)) for i in range(3)))
    assert [counters(event) for event in found.events()] == [(None,) * 5] * 3
    assert found.sources()[0].unmetered == 3


async def test_a_text_that_the_user_did_not_write_is_no_prompt(tmp_path: Path) -> None:
    notice = user("msg_n", 1, "continue", synthetic=True)
    summary = answer("msg_s", 9, tokens(100, 50), summary=True)
    shown = answer("msg_a", 5, tokens(100, 50), text("done"), tool("bash"), tool("invalid"), step(tokens(100, 50)))
    found = await seen(tmp_path, session("ses_1", user("msg_u"), notice, shown, summary))
    kinds = [(message.role, message.kind) for message in found.messages()]
    assert kinds == [("user", "prompt"), ("user", "meta"), ("assistant", "answer"), ("assistant", "summary")]
    assert [message.size_chars for message in found.messages()] == [12, 8, 4, 0]
    assert found.messages()[2].tool_names == '["bash","invalid"]'
    assert [message.model for message in found.messages()[:2]] == [None, None]
