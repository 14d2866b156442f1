"""Forks, subagents and files kept twice: every request counts once, for the thread that made it."""

import pytest

from codex_lines import CHILD, PARENT, TURN, Read, copied, count, line, meta, name_of, spent, turn, vector
from trueup_shared.keys import session_key

SUBAGENT = {
    "parent_thread_id": PARENT,
    "thread_source": "subagent",
    "source": {"subagent": {"thread_spawn": {"parent_thread_id": PARENT, "depth": 1}}},
}
FORK = {"forked_from_id": PARENT}
ASKED = vector(1000, 500, 50, 10)


def parent(turn_ids: tuple[str | None, str | None] = (TURN.format(1), TURN.format(2))) -> list[bytes]:
    one, total = spent(9, None, ASKED)
    two, _ = spent(109, total, ASKED)
    say = {"type": "user_message", "message": "hello"}
    return [
        *(meta(0), turn(1, turn_ids[0]), line(1, "event_msg", say), one),
        *(turn(100, turn_ids[1]), line(101, "event_msg", say), two),
    ]


def child(header: dict, history: list[bytes], turn_id: str | None = TURN.format(9)) -> list[bytes]:
    before = {name: 2 * n for name, n in ASKED.items()} if history else None
    own, _ = spent(612, before, ASKED)
    say = line(605, "event_msg", {"type": "user_message", "message": "go on"})
    return [meta(600, CHILD, **header), *copied(history, 600.1), turn(604, turn_id), say, own]


@pytest.mark.parametrize("header", [FORK, SUBAGENT], ids=["fork", "subagent"])
@pytest.mark.parametrize("parent_first", [True, False], ids=["parent first", "parent later"])
def test_copied_history_is_the_parents_whichever_file_is_read_first(header: dict, parent_first: bool) -> None:
    files = [(parent(), name_of(PARENT)), (child(header, parent()), name_of(CHILD))]
    read = Read()
    for lines, path in files if parent_first else reversed(files):
        read.file(lines, path)
    owners = [event.session_key for event in read.in_order()]
    assert owners == [session_key("codex", PARENT)] * 2 + [session_key("codex", CHILD)]
    assert [event.at for event in read.in_order()][:2] == [event.at for event in Read().file(parent()).in_order()]
    assert sum(message.session_key == session_key("codex", CHILD) for message in read.messages.values()) == 1
    assert len(read.messages) == 3


def test_a_fork_whose_parent_is_gone_keeps_what_its_copy_tells() -> None:
    read = Read().file(child(FORK, parent()), name_of(CHILD))
    assert read.total("output_tokens") == 150
    assert [event.copy for event in read.in_order()] == [1, 1, 0]


def test_a_subagent_without_copied_history_counts_all_of_its_own() -> None:
    read = Read().file(child(SUBAGENT, []), name_of(CHILD))
    assert read.total("output_tokens") == 50
    assert [event.copy for event in read.events.values()] == [0]


def test_parent_and_relationship_are_on_the_session() -> None:
    fork = Read().file(child(FORK, parent()), name_of(CHILD)).sessions[session_key("codex", CHILD)]
    assert (fork.parent_key, fork.relationship) == (session_key("codex", PARENT), "fork")
    subagent = Read().file(child(SUBAGENT, []), name_of(CHILD)).sessions[session_key("codex", CHILD)]
    assert (subagent.parent_key, subagent.relationship) == (session_key("codex", PARENT), "subagent")
    assert (subagent.git_branch, subagent.harness_version) == ("fix/cart", "0.129.0")


def test_of_two_headers_the_first_names_the_thread_and_the_second_its_parent() -> None:
    read = Read().file(child({}, parent()), name_of(CHILD))
    assert list(read.sessions) == [session_key("codex", CHILD)]
    assert read.sessions[session_key("codex", CHILD)].parent_key == session_key("codex", PARENT)
    assert all(event.session_key == session_key("codex", CHILD) for event in read.events.values())


@pytest.mark.parametrize("turn_ids", [(None, None), ("t-1", "t-2")], ids=["no turn ids", "short turn ids"])
@pytest.mark.parametrize("header", [FORK, SUBAGENT], ids=["fork", "subagent"])
def test_without_unique_turn_ids_a_copy_is_told_by_its_time(header: dict, turn_ids: tuple) -> None:
    history = parent(turn_ids)
    alone = Read().file(child(header, history, turn_ids[0]), name_of(CHILD))
    assert alone.total("output_tokens") == 50
    assert len(alone.messages) == 1
    together = alone.file(history)
    assert together.total("output_tokens") == 150


def test_a_copy_that_kept_its_dates_is_told_by_them() -> None:
    history = parent((None, None))
    own, _ = spent(620, {name: 2 * n for name, n in ASKED.items()}, ASKED)
    read = Read().file([meta(600, CHILD, **FORK), *history, own], name_of(CHILD))
    assert read.total("output_tokens") == 50


def test_the_ordinal_of_the_first_own_line_tells_the_copy_exactly() -> None:
    numbered = [
        one.replace(b'Z","type"', b'Z","ordinal":%d,"type"' % n) for n, one in enumerate(parent((None, None)), 1)
    ]
    own, _ = spent(601, {name: 2 * n for name, n in ASKED.items()}, ASKED)
    own = own.replace(b'Z","type"', b'Z","ordinal":8,"type"')
    header = meta(600, CHILD, **SUBAGENT, subagent_history_start_ordinal=8)
    read = Read().file([header, *copied(numbered, 600.1), own], name_of(CHILD))
    assert read.total("output_tokens") == 50


def test_a_copy_by_a_newer_release_does_not_make_the_cache_write_known() -> None:
    """It writes 0 where the original had no field."""
    history = [one.replace(b'"output_tokens"', b'"cache_write_input_tokens":0,"output_tokens"') for one in parent()]
    read = Read().file(parent()).file(child(FORK, history), name_of(CHILD))
    assert len(read.events) == 3
    assert [event.cache_write_tokens for event in read.in_order()][:2] == [None, None]


def test_a_seeded_child_without_a_last_vector_does_not_count_its_parents_total() -> None:
    read = Read().file([meta(600, CHILD, **SUBAGENT), turn(601), count(612, vector(90000, 0, 900))], name_of(CHILD))
    assert read.usage() == []


def test_the_same_thread_live_and_archived_counts_once() -> None:
    once, twice = Read().file(parent()), Read().file(parent()).file(parent())
    assert (once.events, once.messages, once.sessions) == (twice.events, twice.messages, twice.sessions)


def test_a_longer_copy_of_a_thread_adds_only_what_is_new() -> None:
    grown = Read().file(parent()[:4]).file(parent())
    assert grown.events == Read().file(parent()).events
