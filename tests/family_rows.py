"""Hypothesis strategies for events of families: running totals, legs, deletions, alternatives."""

from hypothesis import strategies as st

from ledger_rows import NOON, event
from trueup_agent.records import DELETIONS, LEGS, SERIES, EventRecord
from trueup_shared import keys

PARENT, CHILD, GRANDCHILD = (keys.series_key("fake", name) for name in ("parent", "child", "grandchild"))
BEFORE = {CHILD: PARENT, GRANDCHILD: CHILD}
few = st.integers(0, 3)
vectors = st.fixed_dictionaries(
    {"output_tokens": few},
    optional={
        "input_tokens": few,
        "cache_read_tokens": few,
        "input_undivided_tokens": few,
        "undivided_tokens": few,
        "context_tokens": few,
    },
)


@st.composite
def observations(draw: st.DrawFn) -> EventRecord:
    family = draw(st.sampled_from([PARENT, CHILD, GRANDCHILD]))
    counters, at = draw(vectors), NOON + draw(st.integers(0, 4))
    cost = draw(st.sampled_from([None, "0.1", "0.25"]))
    # As parsers make them: the key holds what was seen, so one key never has two vectors.
    name = f"{family.hex()} {sorted(counters.items())} {cost}"
    fields = {"family": family, "owner_key": family, "after": BEFORE.get(family), "rule": SERIES, "at": at}
    return event(name, reported_cost=cost, reported_cost_unit=cost and "usd", **counters, **fields)


@st.composite
def parts_of_sessions(draw: st.DrawFn) -> EventRecord:
    """Requests, legs and answers; requests and sums of deleted ones; alternatives."""
    rule = draw(st.sampled_from([LEGS, DELETIONS, None]))
    number, rank = draw(st.integers(0, 5)), draw(st.integers(0, 2))
    fields = {"family": keys.key("family", "fake", rule), "rule": rule, "rank": rank, "at": NOON + number}
    fields["since"] = NOON + draw(few) - 2 if rule == LEGS and rank == 1 else None
    fields["model"] = draw(st.sampled_from(["m", "n"]))
    return event(f"{rule} {number} {rank} {fields['since']}", output_tokens=draw(st.none() | few), **fields)
