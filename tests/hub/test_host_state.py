"""A host's state is one word, computed from facts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup_hub.states import (
    EXPECTED_SILENCE,
    STATES,
    WORDS,
    LedgerFacts,
    State,
    counts,
    host_state,
    ledger_state,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WORST_FIRST = ("forked", "diverged", "silent", "behind", "converged", "never")


def ledger(**facts: object) -> LedgerFacts:
    return LedgerFacts(**{"acked_seq": 5, "head_seq": 5, "verdict": "converged", **facts})  # type: ignore[arg-type]


def state(
    *ledgers: LedgerFacts, kind: str = "server", silent_for: timedelta = timedelta(0), retired: bool = False
) -> State:
    return host_state(
        retired=retired,
        last_seen_at=NOW - silent_for,
        expected_silence=EXPECTED_SILENCE[kind],
        ledgers=ledgers,
        now=NOW,
    )


def test_a_host_whose_ledger_agrees_is_converged() -> None:
    assert state(ledger()) == "converged"


def test_a_host_without_a_batch_is_never_even_when_long_silent() -> None:
    assert state() == "never"
    assert state(ledger(verdict=None, acked_seq=0, head_seq=7), silent_for=timedelta(days=9)) == "never"


def test_what_the_heartbeat_says_is_pending_makes_a_host_behind() -> None:
    assert state(ledger(head_seq=6)) == "behind"
    assert state(ledger(head_seq=None)) == "converged"


def test_silence_wins_over_behind_but_not_over_diverged() -> None:
    assert state(ledger(verdict="behind"), silent_for=timedelta(minutes=16)) == "silent"
    assert state(ledger(), silent_for=timedelta(minutes=16)) == "silent"
    assert state(ledger(verdict="diverged"), silent_for=timedelta(days=30)) == "diverged"


def test_a_laptop_may_be_silent_for_three_days() -> None:
    assert state(ledger(), kind="laptop", silent_for=timedelta(days=2, hours=23)) == "converged"
    assert state(ledger(), kind="laptop", silent_for=timedelta(days=3, seconds=1)) == "silent"


def test_a_retired_host_is_retired_whatever_else() -> None:
    assert state(ledger(shared=True), retired=True) == "retired"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"superseded": True, "verdict": "diverged", "shared": True}, "superseded"),
        ({"shared": True, "verdict": None}, "forked"),
        ({"verdict": None, "head_seq": 7}, "never"),
        ({"verdict": "diverged", "head_seq": 7}, "diverged"),
        ({"verdict": "behind"}, "behind"),
        ({"head_seq": 6}, "behind"),
        ({"head_seq": 4}, "converged"),  # a heartbeat that a batch overtook
        ({"head_seq": None}, "converged"),
    ],
)
def test_the_state_of_a_ledger(facts: dict[str, object], expected: str) -> None:
    assert ledger_state(ledger(**facts)) == expected


def test_a_ledger_whose_place_was_taken_says_nothing_of_its_host() -> None:
    assert state(ledger(verdict="diverged", superseded=True), ledger()) == "converged"
    assert state(ledger(verdict="behind", replaced=True), ledger()) == "converged"
    assert state(ledger(replaced=True, shared=True), ledger()) == "forked"
    assert state(ledger(superseded=True)) == "never"


LEDGERS = st.lists(
    st.builds(
        LedgerFacts,
        acked_seq=st.integers(0, 3),
        head_seq=st.none() | st.integers(0, 3),
        verdict=st.sampled_from([None, "converged", "behind", "diverged"]),
        replaced=st.booleans(),
        superseded=st.booleans(),
        shared=st.booleans(),
    ),
    max_size=4,
)


@given(LEDGERS, st.none() | st.integers(0, 40), st.booleans())
def test_a_host_has_exactly_one_state_and_it_is_the_worst_of_its_ledgers(
    ledgers: list[LedgerFacts], silent_minutes: int | None, retired: bool
) -> None:
    seen = None if silent_minutes is None else NOW - timedelta(minutes=silent_minutes)
    expected_silence = timedelta(minutes=15)
    found = host_state(retired=retired, last_seen_at=seen, expected_silence=expected_silence, ledgers=ledgers, now=NOW)
    assert found in STATES
    assert WORDS[found].reason
    if retired:
        assert found == "retired"
        return
    of_ledgers = {ledger_state(one) for one in ledgers if counts(one)} - {"never"}
    if not of_ledgers:
        assert found == "never"
        return
    silent = silent_minutes is None or silent_minutes > 15
    facts = of_ledgers | ({"silent"} if silent else set())
    assert WORST_FIRST.index(found) == min(WORST_FIRST.index(fact) for fact in facts)
