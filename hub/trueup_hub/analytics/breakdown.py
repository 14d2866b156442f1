"""`GET /analytics/breakdown`: the range divided by one dimension."""

from typing import TYPE_CHECKING

from trueup_hub.analytics.scope import Named, open_scope
from trueup_hub.analytics.totals import Coverage, Totals, coverage_of, peak_of, rank, totals_of
from trueup_hub.errors import BadRequest
from trueup_hub.params import DIMENSIONS, Common, Parameter
from trueup_hub.trust import Reply, trust_of

if TYPE_CHECKING:
    from trueup_hub.db import Database

MAX_PARTS = 20_000  # of 1.4 kB each
TAKES = (Parameter(name="by", kind="dimension", doc="What to divide by.", choices=DIMENSIONS, needed=True),)


class Part(Named, frozen=True, kw_only=True):
    """`share`: this part of all `total_tokens`, 0 … 1; null where it or all of them reported none."""

    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None
    share: float | None


class Breakdown(Reply, frozen=True, kw_only=True):
    """The parts add up to the summary of the same range and filters."""

    by: str
    rows: list[Part]


async def breakdown(db: "Database", common: Common, by: str) -> Breakdown:
    """BadRequest `too_many_points` when there would be more than MAX_PARTS."""
    async with open_scope(db, common) as scope:
        division = await scope.divide(by)
        usage, counts = await scope.usage(scope.whole, division), await scope.counts(scope.whole, division)
        groups = usage.keys() | counts.keys()
        if len(groups) > MAX_PARTS:
            detail = f"That would be {len(groups)} rows of at most {MAX_PARTS}: ask for a shorter range, or filter."
            raise BadRequest("too_many_points", detail, limit=MAX_PARTS)
        names = await scope.names(division, (key for _, key in groups))
        whole = sum(row["s_total_tokens"] for row in usage.values())
        rows = []
        for group in sorted(groups, key=lambda g: rank(usage.get(g), counts.get(g), names[g[1]].key)):
            used, name = usage.get(group), names[group[1]]
            totals = totals_of(used, counts.get(group))
            known = totals.total_tokens is not None and whole > 0
            rows.append(
                Part(
                    key=name.key,
                    label=name.label,
                    events=used["n"] if used else 0,
                    totals=totals,
                    coverage=coverage_of(used),
                    peak_context_tokens=peak_of(used),
                    share=(totals.total_tokens or 0) / whole if known else None,
                )
            )
        return Breakdown(by=by, rows=rows, trust=await trust_of(scope), **scope.echo)
