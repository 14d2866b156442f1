"""A request that several lines, files or sessions have counts once, for the one that had it first (Dedup)."""

from itertools import permutations
from typing import Any

import pytest

from claude_lines import (
    FORK,
    MAIN,
    PROJECT,
    Read,
    agent_key,
    agent_path,
    answer,
    line,
    message_id,
    micros,
    prompt,
    request_id,
    tool_result,
    usage,
    uuid,
)
from trueup_shared import keys

MAIN_KEY = keys.session_key("claude", MAIN)
FORK_KEY = keys.session_key("claude", FORK)

HISTORY = [prompt(1, 1), answer(2, 2), prompt(3, 3), answer(4, 4, 2, 2)]
OWN = [prompt(100, 11, sessionId=FORK), answer(101, 12, 3, 3, sessionId=FORK)]


def copied(lines: list[bytes], **fields: Any) -> list[bytes]:
    """The history as a fork repeats it: the same ids and times."""
    inserted = "".join(f'"{name}":{value},' for name, value in fields.items())
    return [one.replace(MAIN.encode(), FORK.encode()).replace(b"{", b"{" + inserted.encode(), 1) for one in lines]


def owners(read: Read) -> list[bytes]:
    return [event.session_key for event in read.counted()]


@pytest.mark.parametrize("fork_first", [False, True])
@pytest.mark.parametrize(
    "fork",
    [
        HISTORY + OWN,  # releases of 2025: the copy keeps the old session's id
        copied(HISTORY, sessionKind='"bg"') + copied(OWN, sessionKind='"bg"'),
        copied(HISTORY, forkedFrom=f'{{"sessionId":"{MAIN}","messageUuid":"x"}}') + OWN,
        copied(HISTORY, forkedFrom=f'"{MAIN}"') + OWN,
    ],
)
def test_a_resumed_or_forked_session_spends_nothing_before_its_first_own_request(
    fork: list[bytes], fork_first: bool
) -> None:
    files = [(HISTORY, MAIN), (fork, FORK)]
    read = Read()
    for lines, name in reversed(files) if fork_first else files:
        read.file(lines, name)
    assert owners(read) == [MAIN_KEY, MAIN_KEY, FORK_KEY]
    assert [message.session_key for message in read.messages.values()].count(FORK_KEY) == 2


@pytest.mark.parametrize(
    ("lines", "relationship"),
    [
        (HISTORY + OWN, "resume"),
        (copied(HISTORY, forkedFrom=f'{{"sessionId":"{MAIN}"}}') + OWN, "fork"),
    ],
)
def test_a_copy_names_its_parent_and_starts_with_its_first_own_record(lines: list[bytes], relationship: str) -> None:
    session = Read().file(lines, FORK).session(FORK)
    assert (session.relationship, session.parent_key, session.started_at) == (relationship, MAIN_KEY, micros(100))


def test_a_fork_whose_parent_is_gone_owns_what_it_copied() -> None:
    read = Read().file(HISTORY + OWN, FORK)
    assert set(owners(read)) == {FORK_KEY}
    assert {event.project_path for event in read.events.values()} == {"/home/ana/shop"}


def test_a_background_session_is_described_although_it_gives_way_to_any_other() -> None:
    session = Read().file([prompt(1, 1, sessionKind="bg"), answer(2, 2, sessionKind="bg")]).session()
    assert (session.started_at, session.project_path, session.relationship) == (micros(1), "/home/ana/shop", None)


def test_a_sidechain_s_replay_under_another_request_id_is_not_a_second_bill() -> None:
    main = [prompt(1, 1), answer(2, 2, 1, 1)]
    replay = [answer(2, 12, 1, 91, isSidechain=True), answer(9, 13, 2, 92, isSidechain=True)]
    for files in permutations([(main, PROJECT / f"{MAIN}.jsonl"), (replay, agent_path("a1"))]):
        read = Read()
        for lines, path in files:
            read.file(lines, path)
        assert [(e.session_key, e.at) for e in read.counted()] == [(MAIN_KEY, micros(2)), (agent_key("a1"), micros(9))]


def test_a_sidechain_s_replay_counts_where_the_original_is_gone() -> None:
    read = Read().file([answer(2, 12, 1, 91, isSidechain=True), answer(3, 13, 1, 92, isSidechain=True)])
    assert read.only().at == micros(2)


def test_two_requests_with_one_message_id_outside_sidechains_are_two() -> None:
    read = Read().file([answer(1, 2, 1, 1), answer(2, 3, 1, 2)])
    assert (len(read.counted()), len(read.messages)) == (2, 1)


def test_without_a_request_id_the_message_id_is_the_key() -> None:
    read = Read().file([answer(1, 2, 1, None, usage=usage(3), stop=None), answer(2, 3, 1, None)])
    assert (read.only().output_tokens, read.only().rank) == (100, 1)


def test_a_copy_that_lost_its_request_id_gives_way_to_the_one_that_has_it() -> None:
    read = Read().file([answer(1, 2, 1, 1)]).file([answer(1, 2, 1, None, sessionId=FORK)], FORK)
    assert read.only().rank == 0


@pytest.mark.parametrize("blank", [None, "", ...])
def test_a_message_without_an_id_is_keyed_by_its_record(blank: Any) -> None:
    read = Read().file([answer(1, 2, blank), answer(1, 2, blank), answer(1, 3, blank)])
    assert len(read.counted()) == 2
    read = Read().file([answer(1, 2, blank, uuid=...), answer(1, 2, blank, uuid=...), answer(2, 2, blank, uuid=...)])
    assert len(read.counted()) == 2


def test_a_gateway_s_running_numbers_hold_within_one_session_and_human_turn() -> None:
    lines = [
        prompt(1, 1),
        answer(2, 2, "msg_1", None, usage=usage(3), stop=None),
        tool_result(3, 3),
        answer(4, 4, "msg_1", None, usage=usage(50)),
        prompt(5, 5),
        answer(6, 6, "msg_1", None, usage=usage(60)),
        prompt(7, 7),
        answer(8, 8, "msg_1", None, usage=usage(70)),
    ]
    other = [prompt(1, 21, sessionId=FORK), answer(2, 22, "msg_1", None, sessionId=FORK)]
    read = Read().file(lines).file(other, FORK)
    assert sorted(event.output_tokens or 0 for event in read.counted()) == [50, 60, 70, 100]
    assert all(event.family is None for event in read.events.values())
    # A copy of the session under another name has the same requests.
    assert len(read.file(lines, "2026-03-02T091405_8e-ce5fc12e98-0").counted()) == 4


def test_more_short_ids_than_are_remembered_are_still_told_apart() -> None:
    lines = [prompt(0, 1)]
    lines += [answer(1 + n / 100, 10 + n, f"m{n}", None) for n in range(300)]
    lines += [prompt(50, 2), answer(51, 900, "m0", None)]
    assert len(Read().file(lines).counted()) == 301
    assert len(Read().file(lines, cuts=range(0, 300, 50)).counted()) == 301


def test_progress_lines_are_the_subagent_s_requests_where_its_own_file_is_gone() -> None:
    read = Read().file([prompt(1, 1), progress(3, 2)])
    event = read.only()
    assert (event.session_key, event.output_tokens, event.rank) == (agent_key("a7"), 3, 2)
    session = read.sessions[agent_key("a7")]
    assert (session.parent_key, session.relationship, session.session_id) == (MAIN_KEY, "subagent", "agent-a7")
    assert (session.started_at, session.project_path) == (micros(3), "/home/ana/shop")


@pytest.mark.parametrize("parent_first", [False, True])
def test_progress_lines_cost_nothing_where_the_subagent_s_file_is_there(parent_first: bool) -> None:
    parent = ([prompt(1, 1), progress(3, 2)], PROJECT / f"{MAIN}.jsonl")
    child_lines = [
        prompt(2, 31, isSidechain=True, agentId="a7", cwd="/home/ana/shop/web"),
        answer(3, 32, 1, 1, isSidechain=True, agentId="a7", cwd="/home/ana/shop/web"),
    ]
    read = Read()
    for lines, path in sorted([parent, (child_lines, agent_path("a7"))], key=lambda f: (f is parent) != parent_first):
        read.file(lines, path)
    event, session = read.only(), read.sessions[agent_key("a7")]
    assert (event.output_tokens, event.session_key, event.project_path) == (100, agent_key("a7"), "/home/ana/shop/web")
    assert (session.started_at, session.project_path) == (micros(2), "/home/ana/shop/web")


def progress(seconds: float, number: int) -> bytes:
    inner = {
        "type": "assistant",
        "uuid": uuid(32),
        "timestamp": f"2026-03-02T09:00:0{seconds}.000Z",
        "requestId": request_id(1),
        "message": {"id": message_id(1), "model": "claude-haiku-4-5", "stop_reason": None, "usage": usage(3)},
    }
    data = {"type": "agent_progress", "agentId": "a7", "prompt": "explore", "message": inner}
    return line(seconds + 1, "progress", number, data=data, toolUseID="agent_msg_1", parentToolUseID="toolu_A1")


def test_other_progress_lines_are_no_spend() -> None:
    silent = line(2, "progress", 2, data={"type": "bash_progress", "output": 'a "usage" of nothing', "elapsed": 3})
    strange = [line(2, "progress", n, data=data) for n, data in enumerate((None, "usage", {"message": '"usage"'}, [1]))]
    read = Read().file([silent, *strange])
    assert (read.events, read.messages, read.skipped) == ({}, {}, {})


def test_growing_copies_of_one_session_under_names_that_are_no_session_count_once() -> None:
    lines = [prompt(1, 1), answer(2, 2, usage=usage(4), stop=None), answer(3, 3), prompt(4, 4), answer(5, 5, 2, 2)]
    read = Read()
    for size, name in ((5, "2026-03-02T0905_8e"), (2, "2026-03-02T0901_bd"), (4, "2026-03-02T0903_2c")):
        read.file(lines[:size], name)
    whole = Read().file(lines)
    assert (read.events, read.messages, read.sessions) == (whole.events, whole.messages, whole.sessions)


def test_every_branch_of_an_edited_prompt_was_billed() -> None:
    branch = [prompt(5, 5, parentUuid=uuid(1)), answer(6, 6, 3, 3, parentUuid=uuid(5))]
    assert len(Read().file([*HISTORY, *branch]).counted()) == 3


def test_a_file_rewritten_smaller_takes_nothing_away() -> None:
    assert Read().file(HISTORY).file(HISTORY[:2]).events == Read().file(HISTORY).events
