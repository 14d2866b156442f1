"""Sessions and their entries: who speaks, what kind of entry, how long, which tools. Never a text."""

from typing import Any

import pytest

from claude_lines import MAIN, MODEL, Read, answer, encode, line, micros, prompt, tool_result, tool_use, usage
from trueup_shared import keys


def test_an_answer_of_several_lines_is_one_message_with_all_its_tools() -> None:
    lines = [
        answer(1, 2, usage=usage(4), stop=None, content=[{"type": "thinking", "thinking": "h" * 10, "signature": "x"}]),
        answer(2, 3, usage=usage(4), stop=None, content=[tool_use("toolu_A1", "Read")]),
        tool_result(3, 4, "ok"),
        answer(4, 5, content=[tool_use("toolu_A2", "Bash"), {"type": "text", "text": "Übersicht"}]),
    ]
    read = Read().file(lines)
    (message,) = [m for m in read.messages.values() if m.role == "assistant"]
    assert (message.kind, message.model, message.at, message.size_chars) == ("answer", MODEL, micros(1), 19)
    assert (message.tool_names, message.event_key) == ('["Read","Bash"]', read.only().key)
    assert Read().file(lines, cuts=[1, 2, 3]).messages == read.messages


def test_a_tool_call_that_is_repeated_counts_once() -> None:
    lines = [
        answer(1, 2, content=[tool_use("toolu_A1", "Read"), tool_use("toolu_A1", "Read")]),
        answer(
            2, 3, content=[tool_use("toolu_A1", "Read"), {"type": "server_tool_use", "id": "s1", "name": "web_search"}]
        ),
        answer(2, 3, content=[tool_use("toolu_A9", "Bash")]),  # the same line again
    ]
    assert Read().file(lines).only_message().tool_names == '["Read","web_search"]'


@pytest.mark.parametrize(
    ("content", "fields", "expected"),
    [
        ("fix the cart", {}, ("user", "prompt", 12)),
        (
            [{"type": "text", "text": "fix it"}, {"type": "image", "source": {"data": "A" * 99}}],
            {},
            ("user", "prompt", 6),
        ),
        ("fix", {"promptSource": "typed"}, ("user", "prompt", 3)),
        ("fix", {"promptSource": "queued"}, ("user", "prompt", 3)),
        ("fix", {"promptSource": "sdk"}, ("user", "meta", 3)),
        ([{"type": "tool_result", "content": "12345"}], {}, ("tool", "tool_result", 5)),
        ([{"type": "tool_result", "content": [{"type": "text", "text": "123"}]}], {}, ("tool", "tool_result", 3)),
        ([{"type": "tool_result", "content": "1"}, {"type": "text", "text": "go on"}], {}, ("user", "prompt", 6)),
        ("<command-name>/clear</command-name>", {}, ("user", "meta", 35)),
        ([{"type": "text", "text": "<local-command-stdout>x"}], {}, ("user", "meta", 23)),
        ("[Request interrupted by user]", {}, ("user", "meta", 29)),
        ("Caveat", {"isMeta": True}, ("user", "meta", 6)),
        ("This session is being continued", {"isCompactSummary": True}, ("user", "summary", 31)),
        (None, {}, ("user", "meta", 0)),
        ([], {}, ("user", "meta", 0)),
        (["wow error"], {}, ("user", "prompt", 9)),
    ],
)
def test_a_user_record_is_a_human_turn_only_if_a_human_wrote_it(
    content: Any, fields: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    message = Read().file([prompt(1, 1, content, **fields)]).only_message()
    assert (message.role, message.kind, message.size_chars) == expected


@pytest.mark.parametrize(
    ("subtype", "kind"),
    [
        ("api_error", "error"),
        ("api_refusal", "error"),
        ("compact_boundary", "summary"),
        ("turn_duration", "meta"),
        (None, "meta"),
    ],
)
def test_system_records_are_entries_too(subtype: str | None, kind: str) -> None:
    message = Read().file([line(1, "system", 1, subtype=subtype, content="12345")]).only_message()
    assert (message.role, message.kind, message.size_chars) == ("system", kind, 5)


def test_a_prompt_typed_while_the_model_worked_is_a_prompt() -> None:
    queued = {"type": "queued_command", "prompt": "and the tax", "commandMode": "prompt"}
    message = Read().file([line(1, "attachment", 1, attachment=queued)]).only_message()
    assert (message.role, message.kind, message.size_chars) == ("user", "prompt", 11)
    notice = queued | {"prompt": "<task-notification>done"}
    assert Read().file([line(1, "attachment", 1, attachment=notice)]).only_message().kind == "meta"
    for attachment in (queued | {"commandMode": "task-notification"}, {"type": "todo_reminder"}, "text", None):
        assert Read().file([line(1, "attachment", 1, attachment=attachment)]).messages == {}


def test_messages_are_keyed_by_the_producer_and_else_by_their_place() -> None:
    read = Read().file([prompt(1, 1), prompt(1, 1, uuid=...), prompt(1, 1, uuid="a"), prompt(1, 1, uuid=...)])
    assert set(read.messages) == {
        keys.message_key("claude", "11111111-aaaa-4000-8000-000000000001"),
        keys.message_key("claude", MAIN, 2),
        keys.message_key("claude", MAIN, "a"),
        keys.message_key("claude", MAIN, 4),
    }


def test_a_session_is_described_by_its_first_own_record() -> None:
    session = Read().file([prompt(5, 1), prompt(6, 2, cwd="/tmp", gitBranch="main", version="3")]).session()
    assert (session.session_id, session.started_at, session.project_path) == (MAIN, micros(5), "/home/ana/shop")
    assert (session.git_branch, session.harness_version, session.relationship) == ("fix/cart", "2.1.96", None)


@pytest.mark.parametrize("branch", ["", "HEAD", None, 5])
def test_a_detached_or_absent_branch_is_unknown(branch: Any) -> None:
    assert Read().file([prompt(5, 1, gitBranch=branch)]).session().git_branch is None


def test_a_directory_that_comes_later_is_still_the_session_s() -> None:
    lines = [prompt(5, 1, cwd=...), answer(6, 2), answer(7, 3, 2, 2, cwd="/tmp")]
    read = Read().file(lines)
    assert read.session().project_path == "/home/ana/shop"
    assert {event.project_path for event in read.events.values()} == {"/home/ana/shop"}


@pytest.mark.parametrize(
    ("record", "title"),
    [
        ({"type": "ai-title", "aiTitle": "Cart total", "sessionId": MAIN}, "Cart total"),
        ({"type": "custom-title", "customTitle": "Mine", "sessionId": MAIN}, "Mine"),
        ({"type": "summary", "summary": "Cart total fix", "leafUuid": "x"}, "Cart total fix"),
    ],
)
def test_a_session_s_title_is_kept(record: dict[str, Any], title: str) -> None:
    for cuts in ([], [1]):
        assert Read().file([prompt(1, 1), encode(record)], cuts=cuts).session().title == title


def test_a_summary_at_the_head_of_a_file_names_another_session() -> None:
    assert Read().file([encode({"type": "summary", "summary": "x"}), prompt(1, 1)]).session().title is None


def test_unknown_record_types_are_counted_and_known_ones_are_not() -> None:
    known = [line(1, kind, 1) for kind in ("file-history-snapshot", "queue-operation", "mode", "pr-link", "relocated")]
    read = Read().file(
        [*known, line(1, "new-thing", 1), line(1, "new-thing", 1), *(line(1, f"t{n}", 1) for n in range(99))]
    )
    assert (read.unknown["new-thing"], read.unknown["(others)"], len(read.unknown)) == (2, 36, 65)
