"""The measure columns that the usage rollups share, in order.

s_ sums, r_ counts the events that reported it, l_ those of them that are lower bounds, d_ those that are derived.
"""

from collections.abc import Sequence

from trueup_shared.metrics import ADDITIVE_COUNTERS

SUMMED = (*ADDITIVE_COUNTERS, "total_tokens")
MEASURES = (
    "n",
    *(f"{kind}_{name}" for name in SUMMED for kind in "srld"),
    *("max_context_tokens", "r_context_tokens", "l_context_tokens", "d_context_tokens"),
    *("s_cost", "r_cost", "l_cost", "unpriced_tokens", "s_web_searches", "r_web_searches"),
    *("s_cache_savings", "r_cache_savings", "l_cache_savings"),
    *("s_reported_usd", "r_reported_usd", "s_reported_credits", "r_reported_credits"),
)
# … and what sessions are ranked by: what `session_totals` keeps.
RANKED = (
    "n",
    *(f"{kind}_{name}" for name in ADDITIVE_COUNTERS[:3] for kind in "sr"),
    *("s_output_tokens", "r_output_tokens", "s_reasoning_tokens", "r_reasoning_tokens"),
    *("r_input_undivided_tokens", "r_undivided_tokens", "s_total_tokens", "max_context_tokens", "r_context_tokens"),
    *("s_cost", "r_cost", "s_cache_savings", "r_cache_savings"),
)

COUNTS = ("messages", "user_messages", "tool_calls", "sessions")  # of the rollups of activity


def folded(measures: Sequence[str] = MEASURES) -> str:
    """Select list that adds the measures of several rows up."""
    return ", ".join(f"max({m})" if m.startswith("max_") else f"sum({m})" for m in measures)
