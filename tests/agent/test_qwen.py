"""Qwen Code: the rules of formats/qwen.md, one test each."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from given import SAMPLES, needs_given
from read_sources import Read
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.qwen.usage import of_metadata
from trueup_shared import keys
from trueup_shared.metrics import BIT

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "qwen"
QWEN = HARNESSES["qwen"]
SESSION, BRANCH = "6f000000-0000-4000-8000-000000000001", "6f000000-0000-4000-8000-000000000002"


def uuid(n: int) -> str:
    return f"0aa00000-0000-4000-8000-{n:012d}"


def record(n: int, kind: str, **said: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "uuid": uuid(n),
        "parentUuid": None,
        "sessionId": SESSION,
        "type": kind,
        "cwd": "/home/ana/shop",
    }
    fields["message"] = {"role": "user", "parts": [{"text": "go on"}]}
    return fields | {"timestamp": f"2026-06-15T14:40:{n:02d}.000Z", "version": "0.18.1"} | said


def metadata(prompt: int, output: int, cached: int = 0, thoughts: int = 0, total: int | None = None) -> dict[str, Any]:
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": output,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + output if total is None else total,
    }


def answer(n: int, usage: Any = None, **said: Any) -> dict[str, Any]:
    message = {"role": "model", "parts": [{"text": "ok"}, {"functionCall": {"id": f"c{n}", "name": "read_file"}}]}
    given = {} if usage is None else {"usageMetadata": usage}
    return record(n, "assistant", model="coder-model", message=message, **given, **said)


def telemetry(n: int, prompt: int, output: int, auth: str = "openai") -> dict[str, Any]:
    event = {"event.name": "qwen-code.api_response", "response_id": f"r{n}", "auth_type": auth}
    counters = {"input_token_count": prompt, "output_token_count": output, "total_token_count": prompt + output}
    return record(n, "system", subtype="ui_telemetry", systemPayload={"uiEvent": event | counters})


def transcript(tmp_path: Path, *records: Any, name: str = f"chats/{SESSION}.jsonl") -> Path:
    path = tmp_path / ".qwen/projects/-home-ana-shop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records))
    return path


def read(tmp_path: Path, *records: Any) -> Read:
    return Read("qwen").file(transcript(tmp_path, *records))


async def test_the_golden_home_gives_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "qwen", GOLDEN / "home", home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text())
    totals = seen.totals()
    assert {name: totals[name] for name in expected["totals"]} == expected["totals"]
    assert (totals["skipped"], totals["unknown"], totals["derived"]) == ({}, {}, 0)
    ids = {row.key: row.session_id for row in seen.sessions()}
    names = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "context_tokens", "project_path")
    rows = [
        [f"{datetime.fromtimestamp(e.at / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}", ids[e.session_key], e.provider]
        + [getattr(e, name) for name in names]
        for e in seen.events()
    ]
    assert rows == expected["events"]


@needs_given
@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("qwen/splitrail/qwen_code.jsonl", (2, 1050, 50, None, 25, 0)),
        ("qwen/agent-sessions/019f0000-0000-7000-8000-000000000004.jsonl", (1, 12, None, None, 4, None)),
        ("qwen/agent-sessions/system_telemetry.jsonl", (0, None, None, None, None, None)),
    ],
)
def test_real_recordings_give_the_expected_figures(sample: str, expected: tuple[int | None, ...]) -> None:
    got = Read("qwen").file(SAMPLES / sample)
    names = ("input", "cache_read", "cache_write", "output", "reasoning")
    assert (len(got.events), *(got.total(f"{name}_tokens") for name in names)) == expected
    assert (got.skipped, got.unknown) == ({}, {})


def test_a_request_that_openai_served_has_its_thoughts_inside_of_the_candidates() -> None:
    usage = of_metadata(metadata(600, 25, 50, 10))
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (550, 50, 25)
    assert (usage.reasoning_tokens, usage.context_tokens, usage.derived) == (10, 600, 0)


def test_a_total_that_adds_the_thoughts_has_them_outside() -> None:
    assert of_metadata(metadata(600, 25, 50, 10, total=635)).output_tokens == 35


@pytest.mark.parametrize(("auth", "output"), [("openai", 25), ("gemini", 35), ("vertex-ai", 35), ("qwen-oauth", 25)])
def test_without_a_total_the_auth_type_of_the_matching_telemetry_tells(tmp_path: Path, auth: str, output: int) -> None:
    usage = metadata(600, 25, 50, 10)
    del usage["totalTokenCount"]
    (event,) = read(tmp_path, telemetry(1, 600, 25, auth), answer(2, usage)).events
    assert event.output_tokens == output
    assert event.provider == {"gemini": "google", "vertex-ai": "google", "qwen-oauth": "qwen"}.get(auth)
    facts = Facts(provider=None, model=None, identity="", usage=Usage())
    assert event.raw_usage is not None
    again = QWEN.usage(event.raw_usage, facts)
    assert again is not None
    assert again.output_tokens == output


def test_telemetry_of_another_request_tells_nothing(tmp_path: Path) -> None:
    usage = metadata(600, 25, 50, 10)
    del usage["totalTokenCount"]
    (event,) = read(tmp_path, telemetry(1, 601, 25, "gemini"), answer(2, usage)).events
    assert (event.output_tokens, event.provider) == (25, None)


def test_telemetry_is_never_counted(tmp_path: Path) -> None:
    got = read(tmp_path, telemetry(1, 600, 25), answer(2, metadata(600, 25)), telemetry(3, 9000, 70))
    assert (len(got.events), len(got.messages)) == (1, 1)


def test_a_split_of_seventy_to_thirty_is_flagged_as_derived(tmp_path: Path) -> None:
    both = BIT["input_tokens"] | BIT["output_tokens"]
    assert of_metadata(metadata(62, 28)).derived == both  # floor(90 * 0.7) is 62 in the producer's arithmetic
    assert of_metadata(metadata(70, 30)).derived == both
    assert of_metadata(metadata(71, 29)).derived == 0
    assert of_metadata(metadata(70, 30, cached=5)).derived == 0


def test_a_total_alone_is_undivided() -> None:
    usage = of_metadata({"totalTokenCount": 90})
    assert (usage.undivided_tokens, usage.input_tokens, usage.output_tokens) == (90, None, None)


def test_zeros_are_unknown_and_no_request(tmp_path: Path) -> None:
    got = read(tmp_path, answer(1, metadata(0, 0)), answer(2, {}), answer(3))
    assert (len(got.events), len(got.messages)) == (0, 3)


def test_a_uuid_that_is_written_twice_is_one_request_with_its_last_usage(tmp_path: Path) -> None:
    got = read(tmp_path, answer(1), answer(1, metadata(600, 25)))
    assert (got.usage(), len(got.messages), got.unmetered) == ([(600, 0, 25, 0, 600)], 1, 0)


@pytest.mark.parametrize("branch_first", [True, False])
def test_a_branch_repeats_records_that_stay_with_the_session_they_were_first_in(
    tmp_path: Path, branch_first: bool
) -> None:
    own = [record(1, "user"), answer(2, metadata(600, 25))]
    mark = {"sessionId": BRANCH, "forkedFrom": {"sessionId": SESSION, "messageUuid": uuid(2)}}
    new = answer(9, metadata(700, 5), sessionId=BRANCH)
    paths = [transcript(tmp_path, *own)]
    paths.append(transcript(tmp_path, *(one | mark for one in own), new, name=f"chats/{BRANCH}.jsonl"))
    got = Read("qwen")
    for path in reversed(paths) if branch_first else paths:
        got.file(path)
    owners = [row.session_key for row in got.events]
    assert owners == [keys.session_key("qwen", SESSION), keys.session_key("qwen", BRANCH)]
    assert (got.total("input_tokens"), len(got.messages)) == (1300, 3)
    branch = next(row for row in got.sessions if row.session_id == BRANCH)
    assert (branch.parent_key, branch.relationship) == (keys.session_key("qwen", SESSION), "fork")
    assert branch.started_at == got.events[1].at


def test_an_id_that_is_no_uuid_is_one_within_the_session_it_was_first_written_in(tmp_path: Path) -> None:
    first = answer(1, metadata(600, 25), uuid="a1")
    fork = first | {"sessionId": BRANCH, "forkedFrom": {"sessionId": SESSION, "messageUuid": "a1"}}
    other = first | {"sessionId": "another"}
    assert len(read(tmp_path, first, fork, other).events) == 2


def test_a_rewind_and_a_compression_unbill_nothing(tmp_path: Path) -> None:
    rewind = record(3, "system", subtype="rewind", systemPayload={"truncatedCount": 1})
    squeezed = record(4, "system", subtype="chat_compression", systemPayload={"compressedHistory": []})
    got = read(tmp_path, answer(1, metadata(600, 25)), rewind, squeezed, answer(5, metadata(100, 5)))
    assert (len(got.events), [row.kind for row in got.messages]) == (2, ["answer", "summary", "answer"])


@pytest.mark.parametrize("name", [f"chats/{SESSION}.jsonl", f"subagents/{SESSION}/agent-explore-7f3c.jsonl"])
def test_a_subagent_is_a_session_of_its_own_wherever_it_is_written(tmp_path: Path, name: str) -> None:
    side = {"agentId": "explore-7f3c", "isSidechain": True}
    path = transcript(tmp_path, answer(1, metadata(300, 8), **side), answer(2, **side), name=name)
    got = Read("qwen").root(tmp_path)
    assert Read("qwen").file(path).same() == got.same()
    (session,) = got.sessions
    assert session.parent_key == keys.session_key("qwen", SESSION)
    assert (session.relationship, session.session_id, got.unmetered) == ("subagent", f"{SESSION}/explore-7f3c", 0)
    assert got.usage() == [(300, 0, 8, 0, 300)]


def test_a_session_that_another_started_names_it(tmp_path: Path) -> None:
    parent = record(1, "system", subtype="parent_session", systemPayload={"parentSessionId": BRANCH})
    title = record(2, "system", subtype="custom_title", systemPayload={"customTitle": "Fix the cart"})
    (session,) = read(tmp_path, parent, title, answer(3, metadata(1, 1), gitBranch="fix/cart")).sessions
    assert (session.parent_key, session.relationship) == (keys.session_key("qwen", BRANCH), "subagent")
    assert (session.title, session.git_branch, session.harness_version) == ("Fix the cart", "fix/cart", "0.18.1")


def test_what_the_program_writes_in_the_users_name_is_no_prompt(tmp_path: Path) -> None:
    typed = record(1, "user", subtype="mid_turn_user_message")
    notice = record(2, "user", subtype="notification")
    got = read(tmp_path, typed, notice, record(3, "tool_result"))
    assert [(row.role, row.kind) for row in got.messages] == [
        ("user", "prompt"),
        ("user", "meta"),
        ("tool", "tool_result"),
    ]


def test_two_records_glued_into_one_line_are_two(tmp_path: Path) -> None:
    glued = json.dumps(answer(1, metadata(600, 25))) + json.dumps(answer(2, metadata(100, 5)))
    got = read(tmp_path, glued.encode())
    assert (len(got.events), got.lines, got.skipped) == (2, 1, {})


def test_placeholders_where_numbers_are_expected_are_unknown(tmp_path: Path) -> None:
    usage = metadata(600, 25) | {"candidatesTokenCount": "[trimmed for fixture]", "totalTokenCount": "[trimmed]"}
    got = read(tmp_path, answer(1, usage))
    assert got.usage() == [(600, 0, None, 0, 600)]


def test_more_cached_than_read_leaves_the_input_unknown_and_is_counted(tmp_path: Path) -> None:
    got = read(tmp_path, answer(1, metadata(10, 5, 40)))
    assert (got.usage(), got.skipped) == ([(None, 40, 5, 0, 10)], {"contradictory_usage": 1})


@settings(max_examples=30, deadline=None)
@given(cuts=st.sets(st.integers(1, 9)))
def test_a_transcript_cut_anywhere_says_the_same(cuts: set[int]) -> None:
    path = GOLDEN / f"home/.qwen/projects/-home-ana-shop/chats/{SESSION}.jsonl"
    assert Read("qwen").file(path, cuts).same() == Read("qwen").file(path).same()
