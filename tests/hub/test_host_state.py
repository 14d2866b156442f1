"""A host's state is one word, computed from facts."""

from datetime import UTC, datetime, timedelta

import pytest

from trueup_hub.hosts import EXPECTED_SILENCE, STATES, LedgerFacts, State, host_state

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


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


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (ledger(verdict="forked"), ledger(verdict="diverged")),
        (ledger(verdict="diverged"), ledger(verdict="behind")),
        (ledger(verdict="behind"), ledger()),
    ],
)
def test_a_host_is_as_bad_as_the_worst_of_its_ledgers(worse: LedgerFacts, better: LedgerFacts) -> None:
    assert state(worse, better) == state(better, worse) == state(worse)
    assert state(better) != state(worse)


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
    assert state(ledger(verdict="forked"), retired=True) == "retired"
    assert "retired" in STATES
