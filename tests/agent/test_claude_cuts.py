"""Where an append was cut, in which order files came: none of it changes a row."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_lines import (
    FORK,
    MAIN,
    PROJECT,
    Read,
    agent_path,
    answer,
    encode,
    line,
    message_id,
    prompt,
    request_id,
    split,
    tool_result,
    tool_use,
    usage,
)


def story(seed: int, session: str = MAIN, first: int = 0, **fields: Any) -> list[bytes]:
    """A session in which everything happens that claude.md names."""
    r, number, seconds = random.Random(seed), first, float(first)
    fields = {"sessionId": session} | fields
    lines: list[bytes] = []
    vary: list[dict[str, Any]] = [{}, {}, {"cwd": ...}, {"cwd": "/tmp"}, {"sessionKind": "bg"}, {"sessionId": FORK}]

    def add(make: Any, *args: Any, **more: Any) -> None:
        nonlocal number, seconds
        number, seconds = number + 1, seconds + r.uniform(0.1, 30)
        lines.append(make(seconds, number, *args, **(fields | more)))

    if r.random() < 0.5:
        lines.append(encode({"type": "summary", "summary": "of another", "leafUuid": "x"}))
    for turn in range(r.randint(1, 4)):
        add(prompt, f"do {turn}", **r.choice(vary))
        for _ in range(r.randint(0, 3)):
            message = r.choice([number + 1, r.randint(1, 5), "msg_1", "msg_2", None])
            request = r.choice([number + 1, 1, 2, None])
            outputs = [*sorted(r.randint(0, 5) for _ in range(r.randint(0, 2))), r.randint(5, 400)]
            tier = r.choice(["standard", "batch"])
            for n, output in enumerate(outputs):
                is_last = n == len(outputs) - 1
                more = split(r.choice([0, 50]), 40) if r.random() < 0.7 else {}
                if is_last and r.random() < 0.3:
                    more |= {"iterations": [{"type": "advisor_message", "model": "m", "output_tokens": 5}] * 2}
                used = usage(output, r.choice([9, None, 0]), 70, 100, service_tier=r.choice([tier, None]), **more)
                block = tool_use(f"toolu_{r.randint(1, 9)}", r.choice(["Read", "Bash"]))
                stop = r.choice(["tool_use", None]) if is_last else None
                add(answer, message, request, usage=used, stop=stop, content=[block, {"type": "text", "text": "x" * n}])
                if r.random() < 0.3:
                    number, seconds = number + 1, seconds + 0.2
                    lines.append(tool_result(seconds, number))
                if r.random() < 0.1:
                    lines.append(lines[-1])
        if r.random() < 0.3:
            add(of_type("system"), subtype="turn_duration")
        if r.random() < 0.3:
            inner = {"requestId": request_id(number), "message": {"id": message_id(number), "usage": usage(3)}}
            add(of_type("progress"), data={"agentId": f"a{r.randint(1, 2)}", "message": inner})
        if r.random() < 0.3:
            lines.append(encode({"type": "ai-title", "aiTitle": f"Title {turn}", "sessionId": session}))
    return lines


def of_type(kind: str) -> Callable[..., bytes]:
    return lambda seconds, number, **fields: line(seconds, kind, number, **fields)


def rows(read: Read) -> dict[str, Any]:
    return {name: value for name, value in read.__dict__.items() if name != "lines"}


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 100_000), cuts=st.sets(st.integers(1, 60)), named=st.booleans())
def test_a_file_cut_anywhere_and_read_by_new_parsers_says_the_same(seed: int, cuts: set[int], named: bool) -> None:
    lines, name = story(seed), MAIN if named else "export"
    whole = Read().file(lines, name)
    pieces = Read().file(lines, name, cuts={cut for cut in cuts if cut < len(lines)})
    assert whole.__dict__ == pieces.__dict__


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), cuts=st.sets(st.integers(1, 90)), order=st.permutations(range(4)))
def test_a_session_its_fork_its_subagent_and_its_copy_say_the_same_in_any_order_and_cut_anywhere(
    seed: int, cuts: set[int], order: list[int]
) -> None:
    history = story(seed)
    copied = [
        one.replace(MAIN.encode(), FORK.encode())[:-1] + b',"forkedFrom":{"sessionId":"%s"}}' % MAIN.encode()
        for one in history
    ]
    files = [
        (history, PROJECT / f"{MAIN}.jsonl"),
        (copied + story(seed + 1, FORK, 500), PROJECT / f"{FORK}.jsonl"),
        (story(seed + 2, MAIN, 200, isSidechain=True), agent_path("a1")),
        (history[: len(history) // 2], PROJECT / "grown-copy.jsonl"),
    ]
    expected = Read()
    for lines, path in files:
        expected.file(lines, path)
    read = Read()
    for index in order:
        lines, path = files[index]
        read.file(lines, path, cuts={cut for cut in cuts if cut < len(lines)})
    assert rows(read) == rows(expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_reading_again_changes_nothing(seed: int, sizes: list[int]) -> None:
    lines = story(seed)
    once = Read().file(lines)
    again = Read().file(lines)
    for size in sizes:
        again.file(lines[:size])
    assert (again.sessions, again.messages, again.events) == (once.sessions, once.messages, once.events)
