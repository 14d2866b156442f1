"""`GET /analytics/summary`: the whole range in one answer."""

from collections import defaultdict
from collections.abc import Iterable
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
    coverage_of_metric,
    peak_of,
    rank,
    totals_of,
)
from trueup_hub.params import Common
from trueup_hub.trust import Reply, trust_of
from trueup_shared.metrics import METRIC
from trueup_shared.money import micro

if TYPE_CHECKING:
    from trueup_hub.db import Database


_UNKNOWN = 0  # the number of a dimension that is not known

_LEADING = ("host", "harness", "project", "model")
_COUNTED = ("harness", "project")
_TOTAL_TOKENS = METRIC["total_tokens"]
_OF_TOTAL = ("n", *(f"{what}_total_tokens" for what in "srld"))


class PerSession(Struct, frozen=True, kw_only=True):
    """Tokens and cost: over the sessions that reported any inside the range. Messages: over the sessions that started
    inside it, of their whole life. Null over nothing. Not additive."""

    messages: float | None
    output_tokens: float | None
    total_tokens: float | None
    cost_microusd: int | None


class Leader(Named, frozen=True, kw_only=True):
    """`coverage`: of `total_tokens`."""

    total_tokens: int
    coverage: Coverage


class MostActive(Struct, frozen=True, kw_only=True):
    """By `total_tokens`; null where none were reported. The `key` of a day is its date."""

    day: Leader | None = None
    harness: Leader | None = None
    model: Leader | None = None
    project: Leader | None = None
    host: Leader | None = None


class HarnessCounts(Named, frozen=True, kw_only=True):
    sessions: int  # that started inside the range
    messages: int


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
    models: list[str]  # that were used; unknown ones have no name
    harnesses: list[HarnessCounts]
    active_projects: int  # with a name and anything in the range
    concentration: float | None  # of messages whose project is known: how many are in the three with most, 0 … 1
    unknown_project: float | None  # of all messages: how many have no project, 0 … 1


async def summary(db: "Database", common: Common) -> Summary:
    async with open_scope(db, common) as scope:
        days = buckets(scope.first, scope.last, scope.zone, "day")
        usage, counts = await scope.usage(days), await scope.counts(days)
        used, counted = added(usage.values()), added_counts(counts.values())
        totals = totals_of(used, counted)
        [sessions] = await scope.fetch("analytics", "sessions_figures")
        [messages] = await scope.fetch("analytics", "messages_figures")
        tokens, messages_of = await _tokens(scope), await _counts(scope)
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
            most_active=await _most_active(scope, tokens, days.starts, usage),
            total_sessions=totals.sessions,
            total_messages=totals.messages,
            total_output_tokens=totals.output_tokens,
            token_reporting_sessions=sessions["token_reporting_sessions"],
            avg_messages=messages["avg_messages"],
            median_messages=messages["median_messages"],
            p90_messages=messages["p90_messages"],
            models=await _models(scope, tokens["model"]),
            harnesses=await _harnesses(scope, messages_of["harness"]),
            **_projects(messages_of["project"], tokens["project"]),
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


async def _tokens(scope: Scope) -> dict[str, dict[int, Row]]:
    """For each dimension, by the number of each group that used anything."""
    found: dict[str, dict[int, list[Row]]] = {by: defaultdict(list) for by in _LEADING}
    for (_, numbers), row in (await scope.usage(scope.whole, scope.jointly(*_LEADING), _OF_TOTAL)).items():
        for by, number in zip(_LEADING, numbers, strict=True):
            found[by][number].append(row)
    return {by: {number: added(rows) or {} for number, rows in groups.items()} for by, groups in found.items()}


async def _counts(scope: Scope) -> dict[str, dict[int, Row]]:
    """For harness and project, by the number of each group."""
    found: dict[str, dict[int, list[Row]]] = {by: defaultdict(list) for by in _COUNTED}
    for (_, numbers), row in (await scope.counts(scope.whole, scope.jointly(*_COUNTED))).items():
        for by, number in zip(_COUNTED, numbers, strict=True):
            found[by][number].append(row)
    return {by: {number: added_counts(rows) or {} for number, rows in groups.items()} for by, groups in found.items()}


async def _most_active(
    scope: Scope, used: dict[str, dict[int, Row]], dates: list[str], usage: dict[tuple[int, int], Row]
) -> MostActive:
    leaders: dict[str, Any] = {}
    for by, groups in used.items():
        if (number := _most(groups)) is not None:
            name = (await scope.names(await scope.divide(by), [number]))[number]
            leaders[by] = _leader(name, groups[number])
    days = {day: row for (day, _), row in usage.items()}
    if (day := _most(days)) is not None:
        leaders["day"] = _leader(Named(key=dates[day], label=dates[day]), days[day])
    return MostActive(**leaders)


def _leader(name: Named, usage: Row) -> Leader:
    coverage = coverage_of_metric(_TOTAL_TOKENS, usage)
    return Leader(key=name.key, label=name.label, total_tokens=usage["s_total_tokens"], coverage=coverage)


async def _models(scope: Scope, used: Iterable[int]) -> list[str]:
    names = await scope.names(await scope.divide("model"), used)
    return sorted(name.key for name in names.values() if name.key is not None)


async def _harnesses(scope: Scope, counts: dict[int, Row]) -> list[HarnessCounts]:
    """Most messages first; the unknown one after its equals."""
    names = await scope.names(await scope.divide("harness"), counts)
    return [
        HarnessCounts(
            key=names[key].key,
            label=names[key].label,
            sessions=counts[key]["sessions"],
            messages=counts[key]["messages"],
        )
        for key in sorted(counts, key=lambda key: rank(None, counts[key], names[key].key))
    ]


def _projects(counts: dict[int, Row], used: Iterable[int]) -> dict[str, Any]:
    messages = {key: row["messages"] for key, row in counts.items()}
    total, unknown = sum(messages.values()), messages.get(_UNKNOWN, 0)
    greatest = sorted((count for key, count in messages.items() if key != _UNKNOWN), reverse=True)[:3]
    return {
        "active_projects": len({*messages, *used} - {_UNKNOWN}),
        "concentration": sum(greatest) / (total - unknown) if total > unknown else None,
        "unknown_project": unknown / total if total else None,
    }


def _most(usage: dict[int, Row]) -> int | None:
    """Who has most, of equals the least number; None where nobody has any."""
    number = min(usage, key=lambda number: (-usage[number]["s_total_tokens"], number), default=None)
    return None if number is None or not usage[number]["s_total_tokens"] else number
