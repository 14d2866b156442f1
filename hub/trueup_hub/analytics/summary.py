"""`GET /analytics/summary`: the whole range in one answer."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trueup_hub.analytics.buckets import buckets
from trueup_hub.analytics.scope import Named, Scope, open_scope
from trueup_hub.analytics.totals import (
    Coverage,
    Row,
    Totals,
    added,
    added_counts,
    coverage_of,
    peak_of,
    totals_of,
)
from trueup_hub.params import Common
from trueup_hub.trust import Reply, trust_of
from trueup_shared.money import micro

if TYPE_CHECKING:
    from trueup_hub.db import Database


class PerSession(Struct, frozen=True, kw_only=True):
    """Tokens and cost: over the sessions that reported any inside the range. Messages: over the sessions that started
    inside it, of their whole life. Null over nothing. Not additive."""

    messages: float | None
    output_tokens: float | None
    total_tokens: float | None
    cost_microusd: int | None


class Leader(Named, frozen=True, kw_only=True):
    total_tokens: int


class MostActive(Struct, frozen=True, kw_only=True):
    """By `total_tokens`; null where none were reported. The `key` of a day is its date."""

    day: Leader | None = None
    harness: Leader | None = None
    model: Leader | None = None
    project: Leader | None = None
    host: Leader | None = None


class Summary(Reply, frozen=True, kw_only=True):
    """Peaks, active sessions and days, averages and medians are not additive. The flat names are agentsview's."""

    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    unpriced_tokens: int
    peak_context_tokens: int | None
    active_sessions: int  # that used anything
    active_days: int
    averages: PerSession
    medians: PerSession
    most_active: MostActive
    total_sessions: int  # that started inside the range
    total_messages: int
    total_output_tokens: int | None
    token_reporting_sessions: int  # active sessions that reported output tokens
    avg_messages: float | None
    median_messages: float | None
    p90_messages: float | None


async def summary(db: "Database", common: Common) -> Summary:
    async with open_scope(db, common) as scope:
        days = buckets(scope.first, scope.last, scope.zone, "day")
        usage, counts = await scope.usage(days), await scope.counts(days)
        used, counted = added(usage.values()), added_counts(counts.values())
        totals = totals_of(used, counted)
        [sessions] = await scope.fetch("analytics", "sessions_figures")
        [messages] = await scope.fetch("analytics", "messages_figures")
        return Summary(
            events=used["n"] if used else 0,
            totals=totals,
            coverage=coverage_of(used),
            unpriced_tokens=totals.unpriced_tokens,
            peak_context_tokens=peak_of(used),
            active_sessions=sessions["active_sessions"],
            active_days=len({day for day, _ in (*usage, *counts)}),
            averages=_per_session("avg", sessions, messages),
            medians=_per_session("median", sessions, messages),
            most_active=await _most_active(scope, days.starts, usage),
            total_sessions=totals.sessions,
            total_messages=totals.messages,
            total_output_tokens=totals.output_tokens,
            token_reporting_sessions=sessions["token_reporting_sessions"],
            avg_messages=messages["avg_messages"],
            median_messages=messages["median_messages"],
            p90_messages=messages["p90_messages"],
            trust=await trust_of(scope),
            **scope.echo,
        )


def _per_session(kind: str, sessions: Row, messages: Row) -> PerSession:
    cost = sessions[f"{kind}_cost"]
    return PerSession(
        messages=messages[f"{kind}_messages"],
        output_tokens=sessions[f"{kind}_output_tokens"],
        total_tokens=sessions[f"{kind}_total_tokens"],
        cost_microusd=None if cost is None else micro(round(cost)),
    )


async def _most_active(scope: Scope, dates: list[str], usage: dict[tuple[int, int], Row]) -> MostActive:
    leaders: dict[str, Any] = {}
    for by in ("host", "harness", "project", "model"):
        division = await scope.divide(by)
        rows = await scope.usage(scope.whole, division, ("s_total_tokens",))
        if most := _most({key: row["s_total_tokens"] for (_, key), row in rows.items()}):
            number, tokens = most
            name = (await scope.names(division, [number]))[number]
            leaders[by] = Leader(key=name.key, label=name.label, total_tokens=tokens)
    if most := _most({day: row["s_total_tokens"] for (day, _), row in usage.items()}):
        day, tokens = most
        leaders["day"] = Leader(key=dates[day], label=dates[day], total_tokens=tokens)
    return MostActive(**leaders)


def _most(tokens: dict[int, int]) -> tuple[int, int] | None:
    """Who has most, of equals the least number; None where nobody has any."""
    number = min(tokens, key=lambda number: (-tokens[number], number), default=None)
    return None if number is None or not tokens[number] else (number, tokens[number])
