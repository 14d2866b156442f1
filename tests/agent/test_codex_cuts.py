"""Where an append was cut, in which order files came, what a line contains: none of it changes a number."""

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from codex_lines import CHILD, PARENT, TURN, Read, count, line, meta, name_of, spent, turn, vector
from trueup_agent.harnesses.codex.parser import CodexParser


def story(seed: int, turn_ids: bool = True) -> list[bytes]:
    """A thread in which everything happens that codex.md names."""
    r, total, seconds = random.Random(seed), None, 2.0
    lines = [meta(0)]
    for n in range(6):
        seconds += r.uniform(1, 40)
        lines.append(turn(seconds, TURN.format(n) if turn_ids else None, r.choice(["gpt-5.4", "gpt-5.5", None])))
        lines.append(line(seconds, "event_msg", {"type": "user_message", "message": "x"}))
        for _ in range(r.randrange(4)):
            seconds += r.uniform(1, 20)
            used = vector(r.randrange(900, 9000), 500, r.randrange(1, 90), 1)
            one, total = spent(seconds, total, used)
            lines.append(line(seconds, "response_item", {"type": "function_call", "name": "shell", "arguments": "{}"}))
            if r.random() < 0.3:
                fields = {"turn_id": TURN.format(n), "response_id": f"resp_{seed}_{seconds}", "usage": used}
                lines.append(line(seconds, "token_usage_record", fields | {"thread_token_usage": total}))
            if r.random() < 0.9:
                lines.append(one)
            if r.random() < 0.3:
                lines.append(one)
            if r.random() < 0.15:
                total = dict.fromkeys(total, 0)
                lines.append(count(seconds, total | {"total_tokens": 258400}))
    return lines


def forked(seed: int, history: list[bytes]) -> list[bytes]:
    stamp = line(900, "x", {})[:39]
    own = [one.replace(TURN.format(0)[:24].encode(), b"019e0000-bbbb-7000-8000-") for one in story(seed + 1)[1:]]
    return [meta(900, CHILD, forked_from_id=PARENT), *(stamp + one[39:] for one in history), *own]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(1, 60)), turn_ids=st.booleans())
def test_a_file_cut_anywhere_and_read_by_new_parsers_says_the_same(seed: int, cuts: set[int], turn_ids: bool) -> None:
    lines = story(seed, turn_ids)
    whole, pieces = Read().file(lines), Read().file(lines, cuts={c for c in cuts if c <= len(lines)})
    assert whole.__dict__ == pieces.__dict__


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(1, 90)), child_first=st.booleans())
def test_a_fork_says_the_same_in_any_order_and_cut_anywhere(seed: int, cuts: set[int], child_first: bool) -> None:
    history = story(seed)
    child = forked(seed, history)
    expected = Read().file(history).file(child, name_of(CHILD))
    files = [(history, name_of(PARENT)), (child, name_of(CHILD))]
    read = Read()
    for lines, path in reversed(files) if child_first else files:
        read.file(lines, path, {c for c in cuts if c <= len(lines)})
    assert (read.events, read.messages, read.sessions) == (expected.events, expected.messages, expected.sessions)
    assert len(read.events) <= len(Read().file(history).events) + len(Read().file(child, name_of(CHILD)).events)


def test_a_cut_between_the_model_and_the_count_loses_nothing() -> None:
    lines = [meta(0), turn(1), count(9, vector(100, 40, 5), vector(100, 40, 5))]
    assert Read().file(lines, cuts=[2]).in_order()[0].model == "gpt-5.3-codex"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 500),
    where=st.integers(0, 40),
    junk=st.binary(max_size=200),
)
def test_no_bytes_make_the_reader_stumble(seed: int, where: int, junk: bytes) -> None:
    lines, junk = story(seed), junk.replace(b"\n", b"")
    broken = [*lines[:where], junk, lines[-1][: len(junk)], lines[0] + junk, *lines[where:]]
    read = Read().file(broken)
    assert read.lines == len(broken)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_value_in_any_field_makes_the_reader_stumble(data: st.DataObject) -> None:
    lines = story(data.draw(st.integers(0, 50)))
    which = data.draw(st.integers(0, len(lines) - 1))
    record: Any = json.loads(lines[which])
    at = record
    while isinstance(at, dict) and at:
        name = data.draw(st.sampled_from(sorted(at)))
        if not isinstance(at[name], dict) or data.draw(st.booleans()):
            at[name] = data.draw(JSON)
            break
        at = at[name]
    lines[which] = json.dumps(record, separators=(",", ":")).encode()
    read = Read().file(lines, cuts=[which])
    for event in read.events.values():
        assert all(n is None or 0 <= n < 2**53 for n in (event.input_tokens, event.output_tokens, event.context_tokens))


def test_deep_nesting_is_a_skipped_line() -> None:
    deep = (
        b'{"timestamp":"2026-05-04T08:00:01.000Z","type":"event_msg","payload":{"type":"token_count","info":'
        + b"[" * 200_000
    )
    read = Read().file([meta(0), deep + b"]" * 200_000 + b"}}", deep])
    assert read.lines == 3
    assert sum(read.skipped.values()) == 2


def test_a_line_without_a_newline_is_not_read() -> None:
    parser = CodexParser(name_of(PARENT), None)
    parser.feed(meta(0))
    assert parser.take().lines == 0
