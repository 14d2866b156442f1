"""The state of a ledger and of a host: rules and words, in one place. Computed from facts, never stored (section 8)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, cast

from msgspec import Struct

State = Literal["never", "converged", "behind", "diverged", "forked", "silent", "retired"]
LedgerState = Literal["never", "converged", "behind", "diverged", "forked", "superseded"]
STATES: tuple[State, ...] = ("never", "converged", "behind", "diverged", "forked", "silent", "retired")

# How long a machine may say nothing before it counts as silent, by its kind. Kept with each host.
EXPECTED_SILENCE = {"server": timedelta(minutes=15), "laptop": timedelta(days=3), "ephemeral": timedelta(days=3)}

# A host is as bad as the worst of its ledgers. Silence wins over behind: who says nothing cannot catch up.
_WORST_FIRST: tuple[State, ...] = ("forked", "diverged", "silent", "behind", "converged")


class LedgerFacts(Struct, frozen=True, kw_only=True):
    """What the state of one ledger depends on.

    `head_seq`: what its machine said last in a heartbeat, None = nothing yet. `verdict`: of the last batch, commit or
    scrub, None = no batch yet. `replaced`: another ledger of the host took its place and has sent something.
    `shared`: it was heard of after another ledger of the host had come, so two machines send under one credential.
    """

    acked_seq: int = 0
    head_seq: int | None = None
    verdict: str | None = None
    replaced: bool = False
    superseded: bool = False
    shared: bool = False


def ledger_state(ledger: LedgerFacts) -> LedgerState:
    """Exactly one: `superseded` when its successor has taken its place, `never` where nothing of it has arrived."""
    if ledger.superseded:
        return "superseded"
    if ledger.shared:
        return "forked"
    if ledger.verdict is None:
        return "never"
    if ledger.verdict == "diverged":
        return "diverged"
    if ledger.verdict == "behind" or (ledger.head_seq is not None and ledger.head_seq > ledger.acked_seq):
        return "behind"
    return "converged"


def counts(ledger: LedgerFacts) -> bool:
    """Whether it says anything about its host: one whose place was taken does not, but as a sign of two machines."""
    return not ledger.superseded and (not ledger.replaced or ledger.shared)


def host_state(
    *,
    retired: bool,
    last_seen_at: datetime | None,
    expected_silence: timedelta,
    ledgers: Sequence[LedgerFacts],
    now: datetime,
) -> State:
    """Exactly one of STATES. `last_seen_at`: when anything authentic last came from the host."""
    if retired:
        return "retired"
    states = {cast(State, ledger_state(ledger)) for ledger in ledgers if counts(ledger)} - {"never"}
    if not states:
        return "never"
    if last_seen_at is None or now - last_seen_at > expected_silence:
        states.add("silent")
    return next(state for state in _WORST_FIRST if state in states)


class Words(Struct, frozen=True):
    """Why, and what to do about it."""

    reason: str
    action: str


WORDS: dict[State | LedgerState | Literal["forgotten", "empty"], Words] = {
    "never": Words(
        "It was enrolled but has not sent anything yet.",
        "Start the agent on this host: `trueup agent run`, or its service.",
    ),
    "empty": Words(  # never, but its agent runs
        "Its agent is heard of, but has not sent any usage yet.",
        "Nothing, if no harness was used there so far; else see `trueup agent doctor` on this host.",
    ),
    "converged": Words("The hub has what its ledger has.", ""),
    "behind": Words(
        "Its ledger has changes that the hub does not have yet.",
        "Nothing, if it catches up by itself; else run `trueup pg push` on this host.",
    ),
    "diverged": Words(
        "The hub's rows and its ledger's do not add up to the same digest.",
        "Nothing, if its agent runs: it sends what differs by itself. Else run `trueup pg push` on this host.",
    ),
    "forked": Words(
        "Two machines send under the credential of this host.",
        "Find the machine that was copied from the other one and run `trueup agent rekey --code CODE` there.",
    ),
    "silent": Words(
        "It has not been heard of for longer than expected.",
        "See whether the machine and its agent run: `trueup agent status`.",
    ),
    "retired": Words("It was retired; what it sent stays and counts.", ""),
    "forgotten": Words("It is being forgotten: its rows are removed piece by piece.", ""),
    "superseded": Words("Another ledger of this host took its place; what only this one knew stays and counts.", ""),
}
