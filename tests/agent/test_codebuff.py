"""Codebuff: credits, usage in several spellings, times of day (formats/codebuff.md)."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from scanned import Scanned, scanned
from trueup_agent.harnesses.codebuff import Codebuff

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "codebuff"
CHAT = "2026-06-10T15-00-00.000Z"
START = 1_781_103_600_000_000  # that moment, microseconds
COUNTERS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def user(number: int, timestamp: Any = "2026-06-10T15:00:01.000Z", **more: Any) -> dict[str, Any]:
    return {"id": f"u-{number}", "variant": "user", "content": "fix the cart", "timestamp": timestamp, **more}


def ai(number: int, credits: Any = None, timestamp: Any = "2026-06-10T15:00:20.000Z", **more: Any) -> dict[str, Any]:
    blocks = [
        {"type": "tool", "toolCallId": "t1", "toolName": "read_files", "input": {"paths": ["cart.py"]}},
        {
            "type": "agent",
            "blocks": [{"type": "tool", "toolName": "code_search"}, {"type": "text", "content": "Found."}],
        },
        {"type": "text", "content": "Done."},
    ]
    told = {"id": f"a-{number}", "variant": "ai", "content": "", "blocks": blocks, "timestamp": timestamp}
    return told | ({} if credits is None else {"credits": credits}) | more


def chat(home: Path, messages: Any, run_state: Any = None, name: str = CHAT, channel: str = "manicode") -> Path:
    path = home / ".config" / channel / "projects/shop/chats" / name / "chat-messages.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(messages), encoding="utf-8")
    if run_state is not None:
        path.with_name("run-state.json").write_text(json.dumps(run_state), encoding="utf-8")
    return path


def state(credits: Any = None, agent: str = "base2-max") -> dict[str, Any]:
    main = {"agentType": agent, "contextTokenCount": 900, "creditsUsed": credits, "directCreditsUsed": 1}
    return {"sessionState": {"mainAgentState": main, "fileContext": {"cwd": "/home/ana/shop"}}}


async def seen_of(home: Path) -> Scanned:
    return await scanned(home.parent, "codebuff", home, home=True)


async def test_an_answer_has_its_credits_and_unknown_tokens(home: Path) -> None:
    chat(home, [user(1), ai(1, 3.5)], state(3.5))
    seen = await seen_of(home)
    (event,) = seen.events()
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("3.5", "credits", "reported")
    assert [getattr(event, name) for name in COUNTERS] == [None] * 5
    assert (event.at, event.time_quality, event.model) == (START + 20_000_000, 1, None)  # a template is no model
    (session,) = seen.sessions()
    assert (session.project_path, session.started_at) == ("/home/ana/shop", START)
    told = sorted((m.role, m.kind, m.size_chars, m.tool_names) for m in seen.messages())
    assert told == [("assistant", "answer", 11, '["read_files","code_search"]'), ("user", "prompt", 12, None)]


async def test_what_the_chat_cost_beyond_its_answers_is_told_once(home: Path) -> None:
    chat(home, [user(1), ai(1), user(2), ai(2)], state(4.25))
    seen = await seen_of(home)
    assert seen.totals()["cost"] == {"credits": Decimal("4.25")}
    chat(home, [user(1), ai(1), user(2), ai(2), ai(3)], state(7))
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal(7)}  # a running total
    chat(home, [ai(1, 1), ai(2, 2)], state(3.5), name="2026-06-11T15-00-00.000Z")
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal("10.5")}


@pytest.mark.parametrize("total", [3.5, 2, None, "9", -1, True])
async def test_credits_of_answers_count_where_the_chats_total_adds_nothing(home: Path, total: Any) -> None:
    chat(home, [ai(1, 1.25), ai(2, 2.25)], state(total))
    seen = await seen_of(home)
    assert (seen.totals()["cost"], seen.totals()["events"]) == ({"credits": Decimal("3.5")}, 2)


async def test_an_answer_that_is_not_billed_yet_leaves_the_total_alone(home: Path) -> None:
    chat(home, [ai(1, 1.25), ai(2)], state(3))
    seen = await seen_of(home)
    assert seen.totals()["cost"] == {"credits": Decimal("1.25")}
    chat(home, [ai(1, 1.25), ai(2, 0.5, isComplete=False)], state(3))
    await seen.scan()
    chat(home, [ai(1, 1.25), ai(2, 1.75, isComplete=True)], state(3))
    await seen.scan()
    assert (seen.totals()["cost"], seen.totals()["events"]) == ({"credits": Decimal(3)}, 2)


async def test_the_free_edition_has_requests_of_unknown_cost(home: Path) -> None:
    chat(home, [user(1), ai(1)], state(0, agent="base2-free"))
    seen = await seen_of(home)
    assert (seen.totals()["events"], seen.totals()["cost"]) == (1, {})


@pytest.mark.parametrize(
    ("usage", "counters", "undivided"),
    [
        ({"inputTokens": 500, "outputTokens": 80}, (500, None, None, 80, None), None),
        (
            {"inputTokens": 5, "cacheReadInputTokens": 70, "cacheCreationInputTokens": 9, "outputTokens": 8},
            (5, 70, 9, 8, None),
            None,
        ),
        (
            {"input_tokens": 5, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 9, "output_tokens": 8},
            (5, 70, 9, 8, None),
            None,
        ),
        (
            {"promptTokens": 100, "completionTokens": 8, "promptTokensDetails": {"cachedTokens": 70}},
            (30, 70, None, 8, None),
            None,
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 70},
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            (30, 70, None, 8, 6),
            None,
        ),
        (
            {"inputTokens": 100, "cachedInputTokens": 60, "outputTokens": 8, "reasoningTokens": 2},
            (40, 60, None, 8, 2),
            None,
        ),
        ({"promptTokens": 100, "completionTokens": 8}, (None, None, None, 8, None), 100),
        ({"inputTokens": 0, "outputTokens": 0}, (None,) * 5, None),
        ({"inputTokens": "500", "outputTokens": -8}, (None,) * 5, None),
    ],
)
async def test_the_details_of_usage_tell_whether_its_prompt_contains_the_cache(
    home: Path, usage: Any, counters: tuple[int | None, ...], undivided: int | None
) -> None:
    chat(home, [ai(1, metadata={"model": "claude-sonnet-4-5", "usage": usage})])
    chat(home, [ai(1, metadata={"codebuff": {"usage": usage}})], name="2026-06-11T15-00-00.000Z")
    for event in (await seen_of(home)).events():
        assert tuple(getattr(event, name) for name in COUNTERS) == counters
        assert event.input_undivided_tokens == undivided


async def test_a_cached_part_larger_than_its_prompt_is_a_contradiction(home: Path) -> None:
    chat(home, [ai(1, metadata={"usage": {"promptTokens": 10, "promptTokensDetails": {"cachedTokens": 70}}})])
    seen = await seen_of(home)
    assert (seen.totals()["input_tokens"], seen.totals()["skipped"]) == (None, {"contradictory_usage": 1})


def history(*usages: Any) -> dict[str, Any]:
    entries: list[Any] = [{"role": "user"}]
    for usage in usages:
        entries.append({"role": "assistant", "providerOptions": {"codebuff": {"model": "gpt-5.5", "usage": usage}}})
    return {"runState": {"sessionState": {"mainAgentState": {"messageHistory": [*entries, {"role": "tool"}]}}}}


async def test_history_that_is_carried_along_counts_its_last_answer_once(home: Path) -> None:
    one, two = {"inputTokens": 10, "outputTokens": 1}, {"inputTokens": 20, "outputTokens": 2}
    chat(home, [ai(1, metadata=history(one)), ai(2, metadata=history(one, two)), ai(3, metadata=history(one, two))])
    seen = await seen_of(home)
    assert [(event.input_tokens, event.model) for event in seen.events()].count((None, "gpt-5.5")) == 1
    assert (seen.totals()["input_tokens"], seen.totals()["output_tokens"]) == (30, 3)


async def test_times_of_day_go_on_from_the_chats_beginning(home: Path) -> None:
    times = ["23:59", "11:59 PM", "12:01 AM", "00:11:30", "soon"]
    chat(
        home, [user(n, time) for n, time in enumerate(times[:2])] + [ai(n, 1, time) for n, time in enumerate(times[2:])]
    )
    events = (await seen_of(home)).events()
    assert [(event.at - START) // 60_000_000 for event in events] == [2, 12, 12]
    assert {event.time_quality for event in events} == {2}


async def test_a_chat_without_any_time_is_dated_by_its_file(home: Path) -> None:
    chat(home, [ai(1, 1, "15:00")], name="copy of a chat")
    assert [event.time_quality for event in (await seen_of(home)).events()] == [3]


async def test_messages_that_vanished_stay_and_chats_of_channels_are_apart(home: Path) -> None:
    chat(home, [ai(1, 1), ai(2, 2)])
    chat(home, [ai(1, 4)], channel="manicode-dev")
    seen = await seen_of(home)
    chat(home, [ai(2, 2)])
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal(7)}
    assert len(seen.sessions()) == 2


async def test_what_is_damaged_is_counted_and_the_rest_read(home: Path) -> None:
    odd = [7, None, {"variant": 3}, {"variant": "dance"}, {"variant": "error", "content": "no", "id": "e"}]
    path = chat(home, [*odd, ai(1, "3", metadata=9, blocks="x"), ai(2, 1, metadata=history("x"))], "odd")
    seen = await seen_of(home)
    totals = seen.totals()
    assert (totals["events"], totals["cost"]) == (2, {"credits": Decimal(1)})
    assert (totals["skipped"], totals["unknown"]) == ({"malformed": 3}, {"dance": 1})
    assert sorted(m.kind for m in seen.messages()) == ["answer", "answer", "error"]
    path.write_text(path.read_text()[:-9])
    await seen.scan()
    assert [source.error for source in seen.sources()] == ["half-written JSON"]
    path.write_text('{"a": 1}')
    await seen.scan()
    assert (seen.totals()["events"], seen.totals()["skipped"]) == (2, {"malformed": 1})


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_chats_of_every_channel_are_found_and_peers_variables_are_not_honoured(home: Path, platform: str) -> None:
    for channel in ("manicode", "manicode-dev", "manicode-staging", "other"):
        (chat(home, [], channel=channel).parents[1] / "empty").mkdir()
    harness, peers = Codebuff(), {"CODEBUFF_DATA_DIR": "/x", "CODEBUFF_DIR": "/x"}
    folders = harness.data_folders(home, peers, platform)
    found = [source for folder in folders for source in harness.sources(folder, [])]
    assert [source.path.parts[-6] for source in found] == ["manicode", "manicode-dev", "manicode-staging"]
    assert {path.name for source in found for path in source.companions} == {"run-state.json", "chat-meta.json"}


@pytest.mark.parametrize("root", [".config/manicode", ".config/manicode/projects", ".config/manicode/projects/shop"])
async def test_a_root_may_be_the_home_of_codebuff_or_any_folder_of_chats(home: Path, tmp_path: Path, root: str) -> None:
    chat(home, [ai(1, 1)])
    assert (await scanned(tmp_path, "codebuff", home / root)).totals()["events"] == 1


def test_a_file_elsewhere_is_known_by_its_name_and_content() -> None:
    known = Codebuff().recognise
    assert known(Path("/x/chat-messages.json"), b'[{"id":"u","variant":"user"}]') is not None
    assert known(Path("/x/chat-messages.json"), b'[{"id":1,"text":"a shop\'s chat"}]') is None
    assert known(Path("/x/messages.json"), b'[{"variant":"user"}]') is None


async def test_the_golden_home_gives_the_figures_worked_out_by_hand_under_frozen_keys(tmp_path: Path) -> None:
    expected: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    seen = await scanned(tmp_path, "codebuff", GOLDEN / "home", home=True)
    totals = seen.totals()
    assert {name: totals[name] for name in expected["totals"]} == expected["totals"]
    assert {unit: str(amount) for unit, amount in totals["cost"].items()} == expected["cost"]
    assert {event.identity: event.key.hex() for event in seen.events()} == expected["keys"]


async def test_the_id_of_a_session_does_not_tell_the_project(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "codebuff", GOLDEN / "home", home=True)
    assert [session.session_id for session in seen.sessions()] == [CHAT]
