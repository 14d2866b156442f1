"""What people and dashboards ask: decode the parameters, call one function, encode."""

from aiohttp import web

from trueup_hub import trust
from trueup_hub.analytics import (
    activity,
    breakdown,
    heatmap,
    hour_of_week,
    messages,
    session,
    session_usage,
    sessions,
    summary,
    top_sessions,
)
from trueup_hub.keys import DATABASE, QUERY, SETTINGS
from trueup_hub.params import Common
from trueup_hub.responses import answer


async def get_analytics_summary(request: web.Request) -> web.Response:
    """The whole range in one answer: totals, averages, medians, who is most active."""
    found = await summary.summary(request.app[DATABASE], _common(request))
    return await answer(request, found, "summary")


async def get_analytics_activity(request: web.Request) -> web.Response:
    """Every additive metric over time, stacked by one dimension."""
    query, db = request[QUERY], request.app[DATABASE]
    found = await activity.activity(db, _common(request), query["granularity"], query["group_by"], query["series"])
    return await answer(request, found, "activity", activity.lines(found), activity.Line)


async def get_analytics_heatmap(request: web.Request) -> web.Response:
    """One metric, day by day."""
    found = await heatmap.heatmap(request.app[DATABASE], _common(request), request[QUERY]["metric"])
    return await answer(request, found, "heatmap", found.entries, heatmap.Entry)


async def get_analytics_hour_of_week(request: web.Request) -> web.Response:
    """One additive metric by the hours of a local week."""
    found = await hour_of_week.hour_of_week(request.app[DATABASE], _common(request), request[QUERY]["metric"])
    return await answer(request, found, "hour-of-week", found.cells, hour_of_week.Cell)


async def get_analytics_top_sessions(request: web.Request) -> web.Response:
    """The sessions that used most inside the range."""
    query, db = request[QUERY], request.app[DATABASE]
    found = await top_sessions.top_sessions(db, _common(request), query["metric"], query["limit"])
    return await answer(request, found, "top-sessions", found.sessions, top_sessions.TopSession)


async def get_analytics_breakdown(request: web.Request) -> web.Response:
    """The range divided by one dimension."""
    found = await breakdown.breakdown(request.app[DATABASE], _common(request), request[QUERY]["by"])
    return await answer(request, found, "breakdown", found.rows, breakdown.Part)


async def get_sessions(request: web.Request) -> web.Response:
    """Sessions that started or used anything in the range, page by page."""
    query, db = request[QUERY], request.app[DATABASE]
    sort, order, limit, cursor = (query[name] for name in ("sort", "order", "limit", "cursor"))
    quality = sessions.quality_of(query["quality"], query["counter"])
    found = await sessions.list_sessions(db, _common(request), sort, order, limit, cursor, quality)
    return await answer(request, found, "sessions", found.sessions, sessions.SessionItem)


async def get_session(request: web.Request) -> web.Response:
    """One session over its whole life."""
    query, db = request[QUERY], request.app[DATABASE]
    return await answer(request, await session.session(db, query["session_id"], query["counted"]), "session")


async def get_session_messages(request: web.Request) -> web.Response:
    """The messages of a session with what each used, and usage without a message, page by page."""
    key, counted, limit, cursor = (request[QUERY][name] for name in ("session_id", "counted", "limit", "cursor"))
    found = await messages.messages(request.app[DATABASE], key, counted, limit, cursor)
    return await answer(request, found, "messages", found.messages, messages.Message)


async def get_session_usage(request: web.Request) -> web.Response:
    """Where the numbers of a session come from, what was set aside, and what its subagents used."""
    query, db = request[QUERY], request.app[DATABASE]
    found = await session_usage.session_usage(db, query["session_id"], query["counted"])
    return await answer(request, found, "session-usage", found.parts, session_usage.Contribution)


async def get_trust(request: web.Request) -> web.Response:
    """How far numbers can be trusted: the trust block, and host by host why."""
    found = await trust.trust_report(request.app[DATABASE], _common(request))
    return await answer(request, found, "trust", found.hosts, trust.HostTrust)


def _common(request: web.Request) -> Common:
    common: Common = request[QUERY].common(request.app[SETTINGS].timezone)
    return common
