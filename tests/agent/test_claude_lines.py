"""Whatever a line holds, the lines around it are read, and what cannot be read is counted."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_lines import MAIN, PROJECT, Read, answer, encode, prompt, usage, uuid
from trueup_agent.harnesses.claude.parser import ClaudeParser
from trueup_agent.harnesses.claude.records import decode_record, salvage
from trueup_agent.harnesses.claude.session import origin_of
from trueup_shared import keys
from trueup_shared.metrics import COUNTERS, MAX_COUNTER


@pytest.mark.parametrize(
    ("junk", "reason"),
    [
        (b"not json at all", "malformed"),
        (b'{"type":"assistant","message":{"usage":{"input_tok', "malformed"),
        (b'"massive error"', "not_an_object"),
        (b"42", "not_an_object"),
        (b"[1]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a":' * 5000, "too_deep"),
        (b"1" * 5000, "malformed"),
        (b"", None),
        (b"  \r", None),
        (b"\x00" * 100, None),
    ],
)
def test_a_line_that_is_no_record_is_counted_and_the_others_are_read(junk: bytes, reason: str | None) -> None:
    read = Read().file([answer(1, 2), junk, answer(3, 3, 2, 2)])
    assert (len(read.counted()), read.lines) == (2, 3)
    assert read.skipped == ({reason: 1} if reason else {})


def test_two_objects_glued_together_are_two_records() -> None:
    title = encode({"type": "summary", "summary": "Cart", "leafUuid": "x"})
    read = Read().file([prompt(1, 1), answer(2, 2) + title, answer(3, 3, 2, 2) + b" " + answer(4, 4, 3, 3)])
    assert (len(read.counted()), read.session().title, read.skipped) == (3, "Cart", {})
    torn = Read().file([answer(2, 2) + answer(3, 3, 2, 2)[:50]])
    assert (len(torn.counted()), torn.skipped) == (1, {"malformed": 1})


def test_spaces_other_orders_and_line_ends_change_nothing() -> None:
    compact = [prompt(1, 1), answer(2, 2)]
    spaced = [
        json.dumps(dict(reversed(json.loads(one).items())), indent=1).replace("\n", " ").encode() for one in compact
    ]
    expected = Read().file(compact)
    read = Read().file([one + b"\r" for one in spaced])
    assert (read.messages, read.sessions, read.events.keys()) == (
        expected.messages,
        expected.sessions,
        expected.events.keys(),
    )


def test_bytes_that_are_not_text_become_replacement_characters() -> None:
    model = answer(1, 2, model="claude-XX").replace(b"XX", b"\xff\\ud800\\u0000")
    nul = b"\x00\x00" + answer(2, 3, 2, 2)
    surrogate = prompt(3, 4, "a", cwd="/home/Y").replace(b"Y", b"\\udfff")
    read = Read().file([surrogate, model, nul])
    assert (len(read.counted()), read.counted()[0].model) == (2, "claude-\ufffd\ufffd\ufffd")
    assert read.session().project_path == "/home/\ufffd"


def test_a_field_of_another_type_is_absent_and_the_rest_is_read() -> None:
    line = answer(1, 2, cwd=5, version=[], gitBranch={}, isSidechain="yes", costUSD="1", isMeta=0, uuid=None)
    event = Read().file([line]).only()
    assert (event.output_tokens, event.project_path, event.reported_cost) == (100, None, None)
    hostile = {"__proto__": {"x": 1}, "constructor": "y", "": 1, "a\x00b": 2}
    assert Read().file([answer(1, 2, **hostile, usage=usage(7, **hostile))]).only().output_tokens == 7
    assert Read().file([prompt(1, 1, message="error")]).only_message().kind == "meta"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1, None),
        (2**53, None),
        (10**30, None),
        (MAX_COUNTER, MAX_COUNTER),
        (7.0, 7),
        (7.5, None),
        (True, None),
        ("7", None),
    ],
)
def test_a_counter_that_cannot_be_stored_is_unknown(value: Any, expected: int | None) -> None:
    assert Read().file([answer(1, 2, usage=usage(5, input=value))]).only().input_tokens == expected


def test_tool_names_and_ids_are_capped() -> None:
    block = {"type": "tool_use", "id": "i" * 5000, "name": "n" * 5000}
    message = Read().file([answer(1, 2, content=[block | {"id": f"{n}"} for n in range(500)])]).only_message()
    assert message.tool_names is not None
    assert len(message.tool_names) < 256 * 520
    assert len(Read().file([answer(1, 2, content=[block], uuid="u" * 9000)]).only_message().tool_names or "") == 516


def test_the_state_stays_small() -> None:
    parser_input = [
        answer(n, 1000 + n, n, n, content=[{"type": "tool_use", "id": f"toolu_{n}", "name": "Read"}])
        for n in range(900)
    ]
    parser = ClaudeParser(origin_of(PROJECT / f"{MAIN}.jsonl"), None)
    parser.feed(b"\n".join(parser_input) + b"\n")
    assert len(parser.state()) < 16_000


def test_a_line_of_tens_of_megabytes_is_read() -> None:
    image = {"type": "tool_result", "content": [{"type": "image", "source": {"data": "A" * 30_000_000}}]}
    read = Read().file([prompt(1, 1, [image]), answer(2, 2)])
    assert (len(read.counted()), len(read.messages)) == (1, 2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | st.just(MAIN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RECORD = json.loads(answer(1, 2, usage=usage(5, cache_creation={}, iterations=[]), content=[{"type": "tool_use"}]))
PLACES: list[tuple[str, ...]] = [
    *((name,) for name in (*RECORD, "data", "attachment", "content", "forkedFrom", "costUSD", "summary", "subtype")),
    *(("message", name) for name in RECORD["message"]),
    *(("message", "usage", name) for name in (*RECORD["message"]["usage"], "speed", "server_tool_use")),
    *(("message", "content", name) for name in ("type", "text", "thinking", "name", "id", "content")),
]
TYPES = ["assistant", "user", "system", "progress", "attachment", "summary", "ai-title", "custom-title", "x", None]


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(TYPES), changes=st.lists(st.tuples(st.sampled_from(PLACES), json_values), max_size=4))
def test_any_value_in_any_field_is_read_without_an_exception_and_gives_storable_rows(
    kind: str | None, changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    record = json.loads(json.dumps(RECORD)) | {"type": kind}
    for path, value in changes:
        place: Any = record
        for name in path[:-1]:
            place = place.get(name) if isinstance(place, dict) else None
            place = place[0] if isinstance(place, list) and place else place
        if isinstance(place, dict):
            place[path[-1]] = value
    read = Read().file([json.dumps(record).encode(), answer(9, 9, 9, 9)])
    assert keys.session_key("claude", MAIN) in read.sessions
    for row in (*read.sessions.values(), *read.messages.values(), *read.events.values()):
        msgspec.msgpack.encode(row)
    for event in read.events.values():
        assert all(n is None or 0 <= n <= MAX_COUNTER for n in (getattr(event, name) for name in COUNTERS))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([answer(1, 2), prompt(1, 1), b"{", b'{"a":']), max_size=6))
def test_garbage_never_raises(pieces: list[bytes]) -> None:
    read = Read().file([b"".join(pieces).replace(b"\n", b""), answer(2, 3, 7, 7)])
    assert any(event.output_tokens == 100 for event in read.events.values())


@pytest.mark.parametrize(
    "line", [answer(1, 2, costUSD=0.5, forkedFrom={"sessionId": uuid(1)}), prompt(1, 1), prompt(1, 1, [])]
)
def test_both_ways_of_decoding_give_the_same_record(line: bytes) -> None:
    ((record, text),) = salvage(line)[0]
    fields = {
        name: getattr(record, name) for name in record.__struct_fields__ if name not in ("message", "forked_from")
    }
    typed = decode_record(line)
    assert fields == {name: getattr(typed, name) for name in fields}
    assert (text, getattr(record.message, "content", 0)) == (line, getattr(typed.message, "content", 0))
