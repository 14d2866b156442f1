"""What people and dashboards ask: decode the parameters, call one function, encode."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from trueup_hub import capabilities, trust
from trueup_hub.analytics import activity, breakdown, heatmap, session, sessions, summary, top_sessions
from trueup_hub.analytics.buckets import GRANULARITIES, Granularity
from trueup_hub.keys import DATABASE, SETTINGS
from trueup_hub.params import Common, Query
from trueup_hub.responses import csv_reply, reply, wants_csv

UNSUPPORTED = "unsupported_metric"


async def get_analytics_summary(request: web.Request) -> web.Response:
    _, common = _asked(request)
    found = await summary.summary(request.app[DATABASE], common)
    return _table(request, "summary", [found]) if wants_csv(request) else reply(found)


async def get_analytics_activity(request: web.Request) -> web.Response:
    query, common = _asked(request, "granularity", "group_by")
    granularity: Granularity = query.choice("granularity", GRANULARITIES, "day")
    group_by = query.choice("group_by", activity.GROUPS, "") or None  # "" = not divided
    found = await activity.activity(request.app[DATABASE], common, granularity, group_by)
    if not wants_csv(request):
        return reply(found)
    points = ({"key": one.key, "label": one.label, **_dict(point)} for one in found.series for point in one.points)
    return _table(request, "activity", points)


async def get_analytics_heatmap(request: web.Request) -> web.Response:
    query, common = _asked(request, "metric")
    metric = query.choice("metric", heatmap.METRIC_NAMES, "total_tokens", UNSUPPORTED)
    found = await heatmap.heatmap(request.app[DATABASE], common, metric)
    return _table(request, "heatmap", found.entries) if wants_csv(request) else reply(found)


async def get_analytics_top_sessions(request: web.Request) -> web.Response:
    query, common = _asked(request, "metric", "limit")
    metric = query.choice("metric", top_sessions.METRIC_NAMES, "total_tokens", UNSUPPORTED)
    limit = query.whole("limit", 10, 1, top_sessions.MAX_LIMIT)
    found = await top_sessions.top_sessions(request.app[DATABASE], common, metric, limit)
    return _table(request, "top-sessions", found.sessions) if wants_csv(request) else reply(found)


async def get_analytics_breakdown(request: web.Request) -> web.Response:
    query, common = _asked(request, "by")
    by = query.choice("by", breakdown.BY, None)
    found = await breakdown.breakdown(request.app[DATABASE], common, by)
    return _table(request, "breakdown", found.rows) if wants_csv(request) else reply(found)


async def get_sessions(request: web.Request) -> web.Response:
    query, common = _asked(request, "sort", "order", "limit", "cursor")
    sort: sessions.Sort = query.choice("sort", sessions.SORTS, "started_at")
    order = query.choice("order", sessions.ORDERS, "desc")
    limit = query.whole("limit", 50, 1, sessions.MAX_LIMIT)
    cursor = sessions.read_cursor(query.text("cursor"), sort, order)
    found = await sessions.list_sessions(request.app[DATABASE], common, sort, order, limit, cursor)
    return _table(request, "sessions", found.sessions) if wants_csv(request) else reply(found)


async def get_session(request: web.Request) -> web.Response:
    Query(request.query.items(), common=False)
    return reply(await session.session(request.app[DATABASE], request.match_info["session_id"]))


async def get_trust(request: web.Request) -> web.Response:
    _, common = _asked(request)
    found = await trust.trust_report(request.app[DATABASE], common)
    return _table(request, "trust", found.hosts) if wants_csv(request) else reply(found)


async def get_capabilities(request: web.Request) -> web.Response:
    """304 without a body where the client has this very answer."""
    Query(request.query.items(), common=False)
    found = await capabilities.capabilities(request.app[DATABASE], request.app[SETTINGS].timezone)
    known = request.if_none_match or ()
    # no-cache: keep it, but ask each time whether it still holds
    headers = {"ETag": f'"{found.hash}"', "Cache-Control": "private, no-cache"}
    if any(tag.value in (found.hash, "*") for tag in known):
        return web.Response(status=304, headers=headers)
    return reply(found, headers=headers)


def _asked(request: web.Request, *own: str) -> tuple[Query, Common]:
    query = Query(request.query.items(), (*own, "format"))
    query.choice("format", ("json", "csv"), "json")
    return query, query.common(request.app[SETTINGS].timezone)


def _table(request: web.Request, name: str, items: Iterable[Any]) -> web.Response:
    """CSV: one line for each item, `totals` and how many events reported each of them as columns of their own."""
    rows = [_flat(item if isinstance(item, dict) else _dict(item)) for item in items]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return csv_reply(rows, columns, name)


def _dict(item: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(item)
    return found


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in item.items():
        if name == "totals":
            row |= value
        elif name == "coverage" and "events" in value:
            row |= {"events": value["events"], "reported": value["reported"]}
        elif name == "coverage":
            row |= {f"{counter}_reported": covered["reported"] for counter, covered in value.items()}
        elif isinstance(value, list):
            row[name] = " ".join(map(str, value))
        elif isinstance(value, Mapping):
            row |= {f"{name}_{part}": inner for part, inner in value.items() if not isinstance(inner, list | Mapping)}
        else:
            row[name] = value
    return row
