"""`GET /analytics/top-sessions`: the sessions that used most inside the range."""

from typing import TYPE_CHECKING

from trueup_hub.analytics.heads import Head, heads_of
from trueup_hub.analytics.scope import open_scope
from trueup_hub.analytics.totals import Coverage, Totals, coverage_of_metric, totals_of
from trueup_hub.params import Common, Parameter, metric
from trueup_hub.trust import Reply, trust_of
from trueup_shared.metrics import METRIC, METRICS
from trueup_shared.money import micro

if TYPE_CHECKING:
    from trueup_hub.db import Database

SUPPORTED = tuple(m.name for m in METRICS if m.kind != "count")
MAX_LIMIT = 100
TAKES = (
    metric(SUPPORTED, "total_tokens"),
    Parameter(name="limit", kind="whole", doc="How many sessions.", lowest=1, highest=MAX_LIMIT, default=10),
)


class TopSession(Head, frozen=True, kw_only=True):
    """`value`: of the metric, money in microdollars; `coverage`: of the metric. All inside the range."""

    value: int
    coverage: Coverage
    totals: Totals


class TopSessions(Reply, frozen=True, kw_only=True):
    """`not_reported`: sessions of the range that reported nothing for the metric, so they cannot be ranked."""

    metric: str
    sessions: list[TopSession]
    not_reported: int


async def top_sessions(db: "Database", common: Common, metric: str, limit: int) -> TopSessions:
    """Greatest value first, then by id. A session that several hosts have is one."""
    async with open_scope(db, common) as scope:
        rows = await scope.fetch("analytics", "top_sessions", metric, limit)
        values = {row["session_key"]: row["value"] for row in rows if row["session_key"] is not None}
        used = await scope.fetch("analytics", "usage_of_sessions", list(values))
        usage = {row["session_key"]: row for row in used}
        heads = await heads_of(scope.connection, list(values))
        counts = {row["session_key"]: row for row in await scope.fetch("sessions", "counts_of_sessions", list(values))}
        money = METRIC[metric].kind == "money"
        sessions = [
            TopSession(
                **heads[key],
                value=micro(value) if money else value,
                coverage=coverage_of_metric(METRIC[metric], usage.get(key)),
                totals=totals_of(usage.get(key), counts.get(key)),
            )
            for key, value in values.items()
        ]
        return TopSessions(
            metric=metric,
            sessions=sessions,
            not_reported=rows[0]["not_reported"],
            trust=await trust_of(scope),
            **scope.echo,
        )
