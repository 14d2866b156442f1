"""Hosts: what state each is in and why, and the facts that say so.

The state is computed here and nowhere else, from facts; it is never stored (design section 8).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, cast

from msgspec import Struct

State = Literal["never", "converged", "behind", "diverged", "forked", "silent", "retired"]
STATES: tuple[State, ...] = ("never", "converged", "behind", "diverged", "forked", "silent", "retired")

# How long a machine may say nothing before it counts as silent, by its kind. Kept with each host.
EXPECTED_SILENCE = {"server": timedelta(minutes=15), "laptop": timedelta(days=3), "ephemeral": timedelta(days=3)}

# A host is as bad as the worst of its ledgers. Silence wins over behind: who says nothing cannot catch up.
_WORST_FIRST: tuple[State, ...] = ("forked", "diverged", "silent", "behind", "converged")


class LedgerFacts(Struct, frozen=True, kw_only=True):
    """What the hub knows of one ledger. `head_seq`: what its machine said last in a heartbeat, None = nothing yet."""

    acked_seq: int = 0
    head_seq: int | None = None
    verdict: str | None = None  # of the last batch: converged | behind | diverged | forked; None = no batch yet


def ledger_state(ledger: LedgerFacts) -> State:
    """State of one ledger, `never` where nothing of it has arrived."""
    if ledger.verdict is None:
        return "never"
    if ledger.verdict in ("forked", "diverged"):
        return cast(State, ledger.verdict)
    if ledger.verdict == "behind" or (ledger.head_seq is not None and ledger.head_seq > ledger.acked_seq):
        return "behind"
    return "converged"


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
    states = {ledger_state(ledger) for ledger in ledgers} - {"never"}
    if not states:
        return "never"
    if last_seen_at is None or now - last_seen_at > expected_silence:
        states.add("silent")
    return next(state for state in _WORST_FIRST if state in states)
