"""List price of an event, stored beside it so that sums need no price table."""

from typing import TYPE_CHECKING

from trueup_shared import prices

if TYPE_CHECKING:
    from trueup_agent.ledger.rows import StoredEvent


def cost_nanousd(event: "StoredEvent") -> int | None:
    """None where there is no price."""
    return prices.cost_nanousd(
        event.provider,
        event.model,
        event.at,
        event.input_tokens,
        event.cache_read_tokens,
        event.cache_write_tokens,
        event.cache_write_1h_tokens,
        event.output_tokens,
        event.service_tier,
        event.speed,
        event.context_tokens,
        event.web_searches,
        event.input_undivided_tokens,
        event.undivided_tokens,
    )
