"""The join of two snapshots is a lattice join: order, grouping and repetition do not matter."""

from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_rows import NOON, POLICY, event, message, session, update
from trueup_agent.ledger.merge import join_events, join_messages, join_sessions
from trueup_agent.ledger.rows import StoredEvent, StoredMessage, StoredSession, finish_event
from trueup_shared.metrics import BIT, COUNTERS


def stored_event(**fields: object) -> StoredEvent:
    return update(event("e", **fields)).events[0]


def test_the_fullest_snapshot_gives_numbers_and_date() -> None:
    start = stored_event(at=NOON, output_tokens=4, lower_bounds=BIT["output_tokens"], model="m")
    end = stored_event(at=NOON + 5, output_tokens=318, input_tokens=7, model="m")
    both = join_events(start, end)
    assert (both.at, both.output_tokens, both.input_tokens, both.lower_bounds) == (NOON + 5, 318, 7, 0)
    assert finish_event(both, POLICY).digest == end.digest


def test_on_equal_output_the_earliest_date_counts_and_the_owner_is_the_parent() -> None:
    parent = stored_event(at=NOON, session_name="parent", session_started=1, output_tokens=9)
    replay = stored_event(at=NOON + 90, session_name="fork", session_started=2, copy=1, output_tokens=9)
    for both in (join_events(parent, replay), join_events(replay, parent)):
        assert (both.at, both.session_key, both.copy) == (NOON, parent.session_key, 0)


def test_what_the_fullest_snapshot_does_not_say_comes_from_the_next_fullest() -> None:
    thin, middle, full = (stored_event(output_tokens=n, model=m) for n, m in ((1, "x"), (2, "y"), (3, None)))
    for a, b, c in permutations((thin, middle, full)):
        assert join_events(join_events(a, b), c).model == "y"
        assert join_events(a, join_events(b, c)).model == "y"


def test_a_newer_data_version_replaces_what_an_older_one_said() -> None:
    old, new = stored_event(output_tokens=400), stored_event(output_tokens=300)
    new.data_version = 2
    assert join_events(old, new).output_tokens == join_events(new, old).output_tokens == 300


def test_a_session_is_described_by_its_earliest_snapshot() -> None:
    late, early = (
        update(session("s", started_at=NOON + 9, project_path="/late", git_branch="main")).sessions[0],
        update(session("s", started_at=NOON, project_path="/early")).sessions[0],
    )
    both = join_sessions(late, early)
    assert (both.started_at, both.project_path, both.git_branch) == (NOON, "/early", "main")


def test_a_message_has_its_longest_list_of_tools() -> None:
    first, then = (update(message("m", tool_names=names)).messages[0] for names in (["Read"], ["Read", "Edit"]))
    assert join_messages(first, then).tool_names == join_messages(then, first).tool_names == '["Read","Edit"]'


few = st.integers(0, 2)
maybe = st.none() | few
word = st.none() | st.sampled_from(["a", "b"])
owner = {
    "session_name": st.sampled_from(["p", "q"]),
    "copy": st.integers(0, 1),
    "session_started": few,
    "project_path": word,
}
sources = st.sampled_from(["one", "two"])


@st.composite
def events(draw: st.DrawFn) -> StoredEvent:
    counters = {name: draw(maybe) for name in COUNTERS}
    known = sum(BIT[name] for name, value in counters.items() if value is not None)
    fields = {name: draw(word) for name in ("provider", "model", "service_tier", "speed", "reported_cost")}
    record = event(
        "e",
        at=NOON + draw(few),
        time_quality=draw(st.integers(1, 3)),
        lower_bounds=draw(st.integers(0, 511)) & known,
        derived=draw(st.integers(0, 511)) & known,
        web_searches=draw(maybe),
        reported_cost_unit=draw(word),
        rank=draw(few),
        raw_usage=draw(st.none() | st.sampled_from([b"x", b"y"])),
        **{name: draw(strategy) for name, strategy in owner.items()},
        **counters,
        **fields,
    )
    return update(record, source=draw(sources), version=draw(st.sampled_from([1, 1, 1, 2]))).events[0]


@st.composite
def messages(draw: st.DrawFn) -> StoredMessage:
    record = message(
        "m",
        at=draw(maybe),
        role=draw(st.sampled_from(["user", "assistant"])),
        model=draw(word),
        event_key=draw(st.none() | st.sampled_from([b"1" * 16, b"2" * 16])),
        size_chars=draw(maybe),
        tool_names=draw(st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2)),
        **{name: draw(strategy) for name, strategy in owner.items()},
    )
    return update(record, source=draw(sources)).messages[0]


@st.composite
def sessions(draw: st.DrawFn) -> StoredSession:
    names = ("relationship", "project_path", "git_branch", "harness_version", "title")
    record = session("s", started_at=draw(maybe), **{name: draw(word) for name in names})
    return update(record, source=draw(sources)).sessions[0]


@pytest.mark.parametrize(
    ("strategy", "join"),
    [(events(), join_events), (messages(), join_messages), (sessions(), join_sessions)],
    ids=["events", "messages", "sessions"],
)
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_order_and_grouping_of_snapshots_gives_one_row(data: st.DataObject, strategy, join) -> None:
    rows = data.draw(st.lists(strategy, min_size=1, max_size=4))

    for row in rows:
        row.digest = b""  # not the join's to fill in
    expected = reduce(join, rows)
    assert join(expected, expected) == expected
    assert join(rows[0], expected) == expected
    for order in permutations(rows):
        assert reduce(join, order) == expected
    half = len(rows) // 2
    if half:
        assert join(reduce(join, rows[:half]), reduce(join, rows[half:])) == expected
