"""Chats of VS Code: journals that are replayed, documents, and what a turn says (formats/vscode-copilot.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from scanned import Scanned, scanned
from trueup_shared.metrics import BIT
from vscode_chats import SESSION, START, delete, document, initial, journal, push, put, request, state, workspace

TOOL = {"kind": "toolInvocationSerialized", "toolId": "copilot_readFile", "toolCallId": "call_1"}
NO_TEXT: Any = {"value": {"uri": "…"}}


async def seen_of(home: Path) -> Scanned:
    return await scanned(home.parent, "vscode-copilot", home, home=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def told(seen: Scanned) -> list[tuple[int | None, int | None]]:
    return [(event.input_undivided_tokens, event.output_tokens) for event in seen.events()]


async def test_a_turn_has_an_undivided_prompt_and_the_model_that_answered(home: Path) -> None:
    result = {"timings": {}, "metadata": {"promptTokens": 18200, "outputTokens": 410}}
    result["metadata"]["resolvedModel"] = "claude-sonnet-4-6"  # type: ignore[assignment]
    journal(home, initial(), push(request(1)), put(result, "requests", 0, "result"))
    seen = await seen_of(home)
    (event,) = seen.events()
    assert (event.input_undivided_tokens, event.context_tokens, event.output_tokens) == (18200, 18200, 410)
    assert (event.input_tokens, event.cache_read_tokens, event.lower_bounds) == (None, None, 0)
    assert (event.model, event.provider, event.at) == ("claude-sonnet-4-6", None, (START + 1000) * 1000)
    (session,) = seen.sessions()
    assert (session.session_id, session.started_at) == (SESSION, START * 1000)


async def test_a_turn_under_way_is_no_request_yet(home: Path) -> None:
    path = journal(home, initial(), push(request(1)))
    seen = await seen_of(home)
    assert (seen.totals()["events"], seen.totals()["messages"]) == (0, 2)
    path.write_text(path.read_text() + json.dumps(put({"metadata": {"promptTokens": 5}}, "requests", 0, "result")))
    await seen.scan()
    assert seen.totals()["events"] == 0  # the line is being written
    path.write_text(path.read_text() + "\n")
    await seen.scan()
    assert told(seen) == [(5, None)]


async def test_values_are_set_and_deleted_at_any_depth(home: Path) -> None:
    entries = [
        initial(request(1, 1, 1), request(2, 2, 2)),
        put(77, "requests", 1, "result", "metadata", "promptTokens"),
    ]
    entries += [delete("requests", 0, "result", "metadata", "outputTokens"), put("Cart", "customTitle")]
    entries += [put("x", "requests", 0, "followups"), put({"a": 1}, "inputState"), push({"b": 1}, path=("inputs",))]
    journal(home, *entries)
    seen = await seen_of(home)
    assert told(seen) == [(1, None), (77, 2)]
    assert [session.title for session in seen.sessions()] == ["Cart"]
    assert seen.totals()["skipped"] == {}


async def test_a_second_whole_state_replaces_the_first_and_unbills_nothing(home: Path) -> None:
    journal(
        home, initial(request(1, 10, 1)), push(request(2, 20, 2)), initial(request(2, 21, 2)), push(request(3, 30, 3))
    )
    assert told(await seen_of(home)) == [(10, 1), (21, 2), (30, 3)]


async def test_a_turn_that_was_made_again_counts_with_the_one_it_replaces(home: Path) -> None:
    journal(home, initial(request(1, 10, 1), request(2, 20, 2)), push(request(3, 30, 3), at=1))
    assert told(await seen_of(home)) == [(10, 1), (20, 2), (30, 3)]


@pytest.mark.parametrize(
    "entry", [delete("requests", 0), delete("requests"), put([], "requests"), put(request(1, 10, 1), "requests", 0)]
)
async def test_a_turn_that_was_deleted_within_the_journal_counts(home: Path, entry: Any) -> None:
    journal(home, initial(request(1, 10, 1)), entry)
    assert told(await seen_of(home)) == [(10, 1)]


async def test_a_turn_that_vanished_from_its_document_stays(home: Path) -> None:
    document(home, state(request(1, 10, 1), request(2, 20, 2)))
    seen = await seen_of(home)
    document(home, state(request(2, 20, 2)))
    await seen.scan()
    assert told(seen) == [(10, 1), (20, 2)]


async def test_journal_and_document_of_one_chat_count_once(home: Path) -> None:
    document(home, state(request(1, 10, 1)))
    journal(home, initial(request(1, 10, 1)), push(request(2, 20, 2)))
    seen = await seen_of(home)
    assert (told(seen), len(seen.sources()), seen.totals()["messages"]) == ([(10, 1), (20, 2)], 2, 4)


async def test_a_cancelled_turn_counts_what_it_told_and_is_no_request_otherwise(home: Path) -> None:
    canceled = {"isCanceled": True}
    document(home, state(request(1, 10, 1, **canceled), request(2, result={"metadata": {}}, **canceled)))
    seen = await seen_of(home)
    assert (told(seen), seen.totals()["messages"]) == ([(10, 1)], 4)


async def test_a_finished_turn_without_numbers_is_unknown(home: Path) -> None:
    document(home, state(request(1, result={"metadata": {"toolCallRounds": []}}), request(2, result={})))
    seen = await seen_of(home)
    assert told(seen) == [(None, None), (None, None)]
    assert [event.model for event in seen.events()] == ["claude-sonnet-4.6"] * 2


@pytest.mark.parametrize(
    ("more", "several"),
    [
        ({"toolCallRounds": [{"response": "", "toolCalls": [{"name": "read"}]}, {"toolCalls": []}]}, True),
        ({"toolCallRounds": [{"response": "Done.", "toolCalls": []}]}, False),
        ({}, False),
    ],
)
async def test_a_turn_of_several_calls_tells_one_prompt_a_lower_bound(
    home: Path, more: dict[str, Any], several: bool
) -> None:
    turn = request(1, 100, 10)
    turn["result"]["metadata"] |= more
    document(home, state(turn, request(2, 5, 5, response=[TOOL])))
    first, second = (await seen_of(home)).events()
    assert first.lower_bounds == (BIT["input_undivided_tokens"] if several else 0)
    assert second.lower_bounds == BIT["input_undivided_tokens"]


async def test_tools_count_once_though_they_are_logged_twice(home: Path) -> None:
    turn = request(1, 100, 10, response=[{"value": "Let me"}, TOOL, TOOL, NO_TEXT, TOOL | {"toolCallId": "call_2"}])
    turn["result"]["metadata"]["toolCallRounds"] = [{"toolCalls": [{"id": "call_1", "name": "copilot_readFile"}]}]
    document(home, state(turn))
    prompt, answer = sorted((await seen_of(home)).messages(), key=lambda m: m.role, reverse=True)
    assert (prompt.role, prompt.kind, prompt.size_chars) == ("user", "prompt", len("fix the cart"))
    assert (answer.tool_names, answer.size_chars) == ('["copilot_readFile","copilot_readFile"]', len("Let me"))


async def test_the_window_tells_the_folder_and_one_without_has_none(home: Path) -> None:
    journal(home, initial(request(1, 10, 1)))
    journal(
        home,
        {"kind": 0, "v": state(request(1, 20, 2), session="empty")},
        folder="globalStorage/emptyWindowChatSessions",
    )
    workspace(home, folder="file:///home/ana/my%20shop")
    seen = await seen_of(home)
    assert {s.session_id: s.project_path for s in seen.sessions()} == {SESSION: "/home/ana/my shop", "empty": None}
    assert sorted(told(seen)) == [(10, 1), (20, 2)]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///c%3A/Users/ana/shop", "c:/Users/ana/shop"),
        ("vscode-remote://ssh-remote%2Bbox/home/ana/shop", "/home/ana/shop"),
        ("file:///home/ana/all.code-workspace", "/home/ana"),
        ("http://[", None),
    ],
)
async def test_the_folder_is_a_path_of_its_machine(home: Path, uri: str, path: str | None) -> None:
    journal(home, initial(request(1, 10, 1)))
    workspace(home, **({"workspace": uri} if uri.endswith("workspace") else {"folder": uri}))
    assert [session.project_path for session in (await seen_of(home)).sessions()] == [path]


@pytest.mark.parametrize(
    ("chosen", "served", "provider", "model"),
    [
        ("copilot/claude-opus-4.8", None, None, "claude-opus-4.8"),
        ("copilot/auto", "gpt-5-mini", None, "gpt-5-mini"),
        ("copilot/auto", None, None, None),
        ("anthropic/claude-opus-4-8", None, "anthropic", "claude-opus-4-8"),
        ("gpt-4.1", None, None, "gpt-4.1"),
        (None, None, None, None),
    ],
)
async def test_the_model_is_the_one_that_served_else_the_one_chosen(
    home: Path, chosen: str | None, served: str | None, provider: str | None, model: str | None
) -> None:
    turn = request(1, 10, 1, modelId=chosen)
    turn["result"]["metadata"]["resolvedModel"] = served
    document(home, state(turn))
    (event,) = (await seen_of(home)).events()
    assert (event.provider, event.model) == (provider, model)


async def test_a_line_of_many_megabytes_is_read_for_what_is_needed_of_it(home: Path) -> None:
    blob = "A" * (24 << 20)
    turn = request(1, 10, 1, response=[{"kind": "image", "data": blob}, {"value": "Done."}], variableData={"b": blob})
    journal(home, initial(turn), put({"stdout": blob}, "requests", 0, "response", 0, "toolSpecificData"))
    seen = await seen_of(home)
    assert (told(seen), seen.totals()["skipped"]) == ([(10, 1)], {})


async def test_damaged_lines_are_skipped_and_unknown_changes_counted(home: Path) -> None:
    path = journal(home, initial(request(1, 10, 1)), {"kind": 9, "k": ["x"]}, put(1, "requests", -1, "result"))
    bad = ["{broken", "[]", '{"kind":1}', '{"kind":1,"k":["requests",99999999,"timestamp"],"v":1}', '{"kind":"x"}']
    bad += ['{"kind":2,"k":["sessionId"],"v":[1]}', '{"kind":1,"k":["requests",0,7],"v":1}', ""]
    path.write_text(path.read_text() + "\n".join(bad) + "\n" + json.dumps(push(request(2, 20, 2))) + "\n")
    seen = await seen_of(home)
    assert told(seen) == [(10, 1), (20, 2)]
    assert seen.totals()["unknown"] == {"kind 9": 1}
    assert seen.totals()["skipped"] == {"malformed": 7}


@pytest.mark.parametrize("odd", [7, "x", None, [], {"metadata": 7}, {"metadata": {"promptTokens": "10"}}, [{"a": 1}]])
async def test_a_part_of_another_type_is_unknown_and_the_rest_counts(home: Path, odd: Any) -> None:
    turns = request(1, 10, 1), request(2, result=odd), request(3, 30, 3, message=odd, response=odd)
    document(home, state(*turns, odd))
    seen = await seen_of(home)
    assert [pair for pair in told(seen) if pair != (None, None)] == [(10, 1), (30, 3)]


async def test_a_half_written_document_is_tried_again_and_another_one_skipped(home: Path) -> None:
    path = document(home, state(request(1, 10, 1)))
    path.write_text(path.read_text()[:-20])
    seen = await seen_of(home)
    assert [source.error for source in seen.sources()] == ["half-written JSON"]
    document(home, [1, 2])
    await seen.scan()
    assert ([source.error for source in seen.sources()], seen.totals()["skipped"]) == ([None], {"malformed": 1})


async def test_a_turn_without_a_time_has_that_of_its_chat_or_file(home: Path) -> None:
    document(home, state(request(1, 10, 1, timestamp=None)))
    document(home, state(request(1, 10, 1, timestamp="x")) | {"creationDate": None, "sessionId": None}, name="other")
    document(home, state(request(1, 9, 9, requestId=None)), name="third")
    seen = await seen_of(home)
    assert sorted(event.time_quality for event in seen.events()) == [2, 3]
    assert {session.session_id for session in seen.sessions()} == {SESSION, "other"}
    assert seen.totals()["skipped"] == {"usage_without_identity": 1}
