"""What people and dashboards ask: decode the parameters, call one function, encode."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from trueup_hub import capabilities, trust
from trueup_hub.analytics import activity, breakdown, heatmap, session, sessions, summary, top_sessions
from trueup_hub.keys import DATABASE, QUERY, SETTINGS
from trueup_hub.params import Common
from trueup_hub.responses import csv_reply, reply, wants_csv


async def get_analytics_summary(request: web.Request) -> web.Response:
    """The whole range in one answer: totals, coverage, averages, medians, most active."""
    found = await summary.summary(request.app[DATABASE], _common(request))
    return _table(request, "summary", [found]) if wants_csv(request) else reply(found)


async def get_analytics_activity(request: web.Request) -> web.Response:
    """Totals over time, a point for every bucket, divided by one dimension or not at all."""
    query, db = request[QUERY], request.app[DATABASE]
    found = await activity.activity(db, _common(request), query["granularity"], query["group_by"])
    if not wants_csv(request):
        return reply(found)
    points = ({"key": one.key, "label": one.label, **_dict(point)} for one in found.series for point in one.points)
    return _table(request, "activity", points)


async def get_analytics_heatmap(request: web.Request) -> web.Response:
    """One metric, day by day, with levels."""
    found = await heatmap.heatmap(request.app[DATABASE], _common(request), request[QUERY]["metric"])
    return _table(request, "heatmap", found.entries) if wants_csv(request) else reply(found)


async def get_analytics_top_sessions(request: web.Request) -> web.Response:
    """The sessions that used most inside the range."""
    query, db = request[QUERY], request.app[DATABASE]
    found = await top_sessions.top_sessions(db, _common(request), query["metric"], query["limit"])
    return _table(request, "top-sessions", found.sessions) if wants_csv(request) else reply(found)


async def get_analytics_breakdown(request: web.Request) -> web.Response:
    """The range divided by one dimension."""
    found = await breakdown.breakdown(request.app[DATABASE], _common(request), request[QUERY]["by"])
    return _table(request, "breakdown", found.rows) if wants_csv(request) else reply(found)


async def get_sessions(request: web.Request) -> web.Response:
    """Sessions that started or used anything in the range, page by page."""
    query, db = request[QUERY], request.app[DATABASE]
    sort, order = query["sort"], query["order"]
    cursor = sessions.read_cursor(query["cursor"], sort, order)
    found = await sessions.list_sessions(db, _common(request), sort, order, query["limit"], cursor)
    return _table(request, "sessions", found.sessions) if wants_csv(request) else reply(found)


async def get_session(request: web.Request) -> web.Response:
    """One session over its whole life, and where its numbers come from."""
    return reply(await session.session(request.app[DATABASE], request[QUERY]["session_id"]))


async def get_trust(request: web.Request) -> web.Response:
    """How far numbers can be trusted: the trust block, and host by host why."""
    found = await trust.trust_report(request.app[DATABASE], _common(request))
    return _table(request, "trust", found.hosts) if wants_csv(request) else reply(found)


async def get_capabilities(request: web.Request) -> web.Response:
    """What this hub can be asked, before anything is."""
    found = await capabilities.capabilities(request.app[DATABASE], request.app[SETTINGS].timezone)
    known = request.if_none_match or ()
    # no-cache: keep it, but ask each time whether it still holds
    headers = {"ETag": f'"{found.hash}"', "Cache-Control": "private, no-cache"}
    if any(tag.value in (found.hash, "*") for tag in known):
        return web.Response(status=304, headers=headers)
    return reply(found, headers=headers)


def _common(request: web.Request) -> Common:
    common: Common = request[QUERY].common(request.app[SETTINGS].timezone)
    return common


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
