"""Which lines are messages, usage of other shapes, or nothing at all."""

import json

from codex_lines import PARENT, TURN, Read, at, count, line, meta, name_of, spent, turn, vector
from trueup_agent.harnesses.codex.parser import CodexParser
from trueup_agent.harnesses.values import micros
from trueup_shared.keys import session_key

USAGE = vector(1000, 400, 70, 30)


def bare(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_messages_are_human_prompts_answers_and_tool_calls_with_their_names() -> None:
    read = Read().file(
        [
            meta(0),
            turn(1),
            line(
                2,
                "response_item",
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "<environment_context>"}],
                },
            ),
            line(2, "event_msg", {"type": "user_message", "message": "naïve"}),
            line(3, "response_item", {"type": "reasoning", "summary": [], "encrypted_content": "x"}),
            line(4, "response_item", {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"}),
            line(5, "response_item", {"type": "function_call_output", "call_id": "c1", "output": "ok"}),
            line(5, "response_item", {"type": "web_search_call", "status": "completed"}),
            line(6, "event_msg", {"type": "agent_message", "message": "done"}),
            line(
                6,
                "response_item",
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]},
            ),
            line(7, "compacted", {"message": "", "replacement_history": []}),
        ]
    )
    found = sorted(read.messages.values(), key=lambda m: m.at or 0)
    assert [(m.role, m.kind, m.tool_names, m.size_chars) for m in found] == [
        ("user", "prompt", None, 5),
        ("assistant", "answer", ["shell"], None),
        ("assistant", "answer", ["web_search"], None),
        ("assistant", "answer", None, 4),
        ("system", "summary", None, None),
    ]
    assert [m.model for m in found[:2]] == [None, "gpt-5.3-codex"]
    assert read.unknown == {}


def test_the_newest_history_mode_tells_prompts_as_items() -> None:
    item = line(
        3,
        "event_msg",
        {"type": "item_completed", "item": {"type": "UserMessage", "content": [{"type": "text", "text": "hi"}]}},
    )
    assert len(Read().file([meta(0, history_mode="paginated"), item]).messages) == 1
    assert len(Read().file([meta(0), item]).messages) == 0


def test_a_saved_exec_stream_counts_per_turn_dated_by_its_thread() -> None:
    stream = [
        bare(type="thread.started", thread_id=PARENT),
        bare(type="turn.started"),
        bare(type="item.completed", item={"id": "item_0", "type": "command_execution", "command": "ls"}),
        bare(type="item.completed", item={"id": "item_1", "type": "agent_message", "text": "done"}),
        bare(type="turn.completed", usage={"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 70}),
    ]
    read = Read().file(stream, name_of("x").with_name("saved.jsonl"))
    event = read.in_order()[0]
    assert read.usage() == [(600, 400, None, 70, None, None)]
    assert (event.session_key, event.time_quality) == (session_key("codex", PARENT), 2)
    assert event.at == int(PARENT.replace("-", "")[:12], 16) * 1000
    assert sorted(m.tool_names or [] for m in read.messages.values()) == [[], ["command_execution"]]
    assert read.unknown == {}


def test_an_exec_stream_of_a_thread_without_a_date_says_that_it_could_not_be_dated() -> None:
    read = Read().file(
        [bare(type="thread.started", thread_id="t"), bare(type="turn.completed", usage={"input_tokens": 1})]
    )
    assert (len(read.events), read.skipped) == (0, {"usage_without_time": 1})


def test_usage_per_turn_does_not_count_beside_the_counter() -> None:
    completed = line(12, "event_msg", {"type": "turn.completed", "usage": USAGE})
    assert len(Read().file([meta(0), turn(1), completed]).events) == 1
    assert len(Read().file([meta(0), turn(1), count(9, USAGE, USAGE), completed]).events) == 1


def test_the_oldest_counts_have_an_undivided_prompt() -> None:
    old = line(9, "event_msg", {"type": "token_count", "info": {"prompt": 1420, "completion": 910}})
    event = Read().file([meta(0), old, old]).in_order()[0]
    assert (event.input_undivided_tokens, event.output_tokens, event.input_tokens) == (1420, 910, None)


def test_bare_items_of_the_first_builds_are_messages_without_usage() -> None:
    read = Read().file(
        [
            bare(id=PARENT, timestamp=at(0), instructions=None, git={"branch": "main"}),
            bare(record_type="state"),
            bare(type="message", role="user", content=[{"type": "input_text", "text": "<environment_context>…"}]),
            bare(type="message", role="user", content=[{"type": "input_text", "text": "hi"}]),
            bare(type="function_call", name="shell", arguments="{}"),
            bare(type="message", role="assistant", content=[{"type": "output_text", "text": "ok"}]),
        ]
    )
    assert (len(read.messages), len(read.events)) == (3, 0)
    assert read.sessions[session_key("codex", PARENT)].started_at == micros(at(0))
    assert (read.unknown, read.skipped) == ({}, {})


def test_a_file_without_header_is_named_by_its_file_name() -> None:
    read = Read().file([turn(1), count(9, USAGE, USAGE)], name_of(PARENT))
    assert read.in_order()[0].session_key == session_key("codex", PARENT)
    assert read.sessions[session_key("codex", PARENT)].project_path == "/home/ana/shop"


def test_a_thread_without_any_count_is_a_session_without_usage() -> None:
    read = Read().file([meta(0), turn(1), line(2, "event_msg", {"type": "turn_aborted", "reason": "interrupted"})])
    assert (len(read.sessions), len(read.events)) == (1, 0)


def test_unknown_types_are_counted_by_name_and_bad_lines_by_reason() -> None:
    bad = [
        b"not json",
        b'{"timestamp":"2026-05-04T08:00:02.000Z","type":"event_msg","payload":{"type":"token_count","inf',
        b"",
        b"\x00\xff",
    ]
    odd = [line(3, "hologram", {}), line(3, "event_msg", {"type": "hologram"}), bare(type="hologram"), b"[1]", b"7"]
    read = Read().file([meta(0), *bad, *odd, turn(1), count(9, USAGE, USAGE)])
    assert read.unknown == {"hologram": 2, "event_msg/hologram": 1}
    assert read.skipped == {"malformed": 5}
    assert (len(read.events), read.lines) == (1, 12)


def test_fields_in_another_order_and_windows_line_ends_make_no_difference() -> None:
    def turned(one: bytes) -> bytes:
        return json.dumps(dict(reversed(json.loads(one).items()))).encode() + b"\r"

    lines = [meta(0), turn(1), line(2, "event_msg", {"type": "user_message", "message": "x"}), count(9, USAGE, USAGE)]
    plain, other = Read().file(lines), Read().file([turned(one) for one in lines])
    assert (plain.usage(), plain.sessions) == (other.usage(), other.sessions)
    assert plain.messages == other.messages


def test_the_name_of_a_thread_stays_local_as_its_title() -> None:
    read = Read().file([meta(0), line(3, "event_msg", {"type": "thread_name_updated", "thread_name": "Mend the cart"})])
    assert read.sessions[session_key("codex", PARENT)].title == "Mend the cart"


def test_the_state_stays_small() -> None:
    lines, total = [meta(0), turn(1)], None
    for n in range(400):
        one, total = spent(2 + n, total, USAGE)
        lines += [
            turn(2 + n, TURN.format(n)),
            line(2 + n, "event_msg", {"type": "user_message", "message": "x" * 500}),
            one,
        ]
    parser = CodexParser(name_of(PARENT), None)
    parser.feed(b"\n".join([*lines, b""]))
    assert len(parser.state()) < 2000
