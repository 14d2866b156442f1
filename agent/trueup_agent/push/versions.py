"""Agent and hub may be of different releases (design section 6, Mixed versions): what both know is used."""

from trueup_agent.errors import ProtocolMismatch
from trueup_agent.ledger import Ledger
from trueup_shared import digest_sets, wire


def hub_version(position: wire.Position) -> str:
    """In words."""
    return f"version {position.hub_version}" if position.hub_version else "of an earlier release"


async def agree(ledger: Ledger, position: wire.Position) -> None:
    """Encode and sum rows by the highest digest set that both know. Raises ProtocolMismatch where there is none."""
    number = digest_sets.common(position.digest_sets)
    if number is None:
        (hub_low, hub_high), (low, high) = position.digest_sets, digest_sets.known()
        older = "the hub" if hub_high < low else "this agent"
        raise ProtocolMismatch(
            f"the hub knows digest sets {hub_low} to {hub_high}, this agent {low} to {high}: upgrade {older}"
        )
    if number != ledger.policy.digest_set:
        await ledger.use_digest_set(number)


def could_agree_anew(ledger: Ledger, position: wire.Position) -> bool:
    """The hub knows other digest sets than when we agreed."""
    return digest_sets.common(position.digest_sets) not in (None, ledger.policy.digest_set)


def sums_differ_in_kind(ledger: Ledger, position: wire.Position) -> bool:
    """The hub has sums of another digest set and must hear of ours: by an empty batch, if there is nothing to send."""
    return position.last_batch_id is not None and position.digest_set != ledger.policy.digest_set
