"""The one table of all routes: method, path, handler, whom it lets in, what it takes and answers."""

from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from trueup_hub import capabilities, enrolment, keys, rejections, sources, trust
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
from trueup_hub.handlers import about, agents, analytics, auth, docs, hosts, ledgers, live, metrics, pages
from trueup_hub.hosts import TAKES
from trueup_hub.ingest import forgetting
from trueup_hub.middleware import expected, guarded
from trueup_hub.params import COMMON, FORMAT, Parameter
from trueup_hub.route import Route
from trueup_shared import wire

_API = "/api/v1"
_LEDGER = f"{_API}/ledgers/{{ledger_id}}"
_TABLE = (*COMMON, FORMAT)
_SESSION = (*(parameter for parameter in COMMON if parameter.name == "counted"), FORMAT)  # its whole life
_DEEP = (
    Parameter(name="deep", kind="choice", doc="1: recompute digests from columns.", choices=("0", "1"), default="0"),
)
_REJECTED_AFTER = Parameter(name="rejected_after", kind="text", doc="`more` of the page of rejected rows before.")
_BUSY = ("busy", "too_many_requests")  # what is as much work as a batch
_PUSH = (*_BUSY, "unsupported_protocol", "position_mismatch", "too_many_ledgers")


def _read(
    path: str, handler: Handler, takes: tuple[Parameter, ...], answers: Any, *, refuses: tuple[str, ...] = ()
) -> Route:
    """What viewers ask: JSON or CSV, 304 where they have that very answer."""
    return Route("GET", f"{_API}/{path}", handler, "viewer", takes, answers, refuses=refuses, etag=True)


ROUTES = (
    Route(
        *("POST", f"{_API}/enroll", agents.post_enroll, "nobody", ()),
        answers=wire.EnrollReply,
        sent=wire.EnrollRequest,
        refuses=("bad_label", "bad_secret", "unknown_code", "code_expired", "revoked", "code_used"),
    ),
    Route(
        *("POST", f"{_API}/heartbeat", agents.post_heartbeat, "host", ()),
        answers=wire.HeartbeatReply,
        sent=wire.Heartbeat,
        refuses=("not_found", "too_many_ledgers"),
    ),
    Route("GET", _LEDGER, agents.get_ledger, "host", (), wire.Position),
    Route(
        *("POST", f"{_LEDGER}/batches", agents.post_batch, "host", ()),
        answers=wire.Receipt,
        sent=wire.Batch,
        refuses=(*_PUSH, "too_many_rows", "unsupported_digest_set"),
        slow=True,
    ),
    Route(
        *("POST", f"{_LEDGER}/generations", ledgers.post_generation, "host", ()),
        answers=wire.Position,
        sent=wire.OpenGeneration,
        refuses=_PUSH,
    ),
    Route(
        *("POST", f"{_LEDGER}/generations/{{generation}}/commit", ledgers.post_commit, "host", ()),
        answers=wire.Committed,
        sent=wire.CommitGeneration,
        refuses=_PUSH,
        stream=True,
    ),
    Route(
        *("GET", f"{_LEDGER}/buckets", ledgers.get_buckets, "host", (*_DEEP, _REJECTED_AFTER)),
        answers=wire.Buckets,
        refuses=(*_BUSY, "too_many_rejected"),
        slow=True,
    ),
    Route(
        *("GET", f"{_LEDGER}/buckets/{{bucket}}", ledgers.get_bucket, "host", _DEEP),
        answers=wire.BucketSessions,
        refuses=_BUSY,
        slow=True,
    ),
    Route(
        *("GET", f"{_LEDGER}/sessions/{{session_key}}/rows", ledgers.get_session_rows, "host", _DEEP),
        answers=wire.SessionRows,
        refuses=_BUSY,
        slow=True,
    ),
    _read("hosts", hosts.get_hosts, (*TAKES, FORMAT), hosts.Hosts),
    Route("GET", f"{_API}/hosts/{{host_id}}", hosts.get_host, "viewer", (), hosts.Host),
    _read("rejections", hosts.get_rejections, (*rejections.TAKES, FORMAT), rejections.Rejections),
    _read("sources", hosts.get_sources, (*sources.TAKES, FORMAT), sources.Sources),
    Route(
        *("PATCH", f"{_API}/hosts/{{host_id}}", hosts.patch_host, "admin", ()),
        answers=hosts.Host,
        sent=hosts.HostChange,
        refuses=("bad_label", "bad_parameter"),
    ),
    Route(
        *("DELETE", f"{_API}/hosts/{{host_id}}", hosts.delete_host, "admin", ()),
        answers=forgetting.Forgotten,
        statuses=(200, 202),
    ),
    Route(
        *("POST", f"{_API}/hosts/{{host_id}}/resync", hosts.post_resync, "admin", ()),
        answers=hosts.Asked,
        sent=hosts.Resync | None,
        statuses=(202,),
        refuses=("bad_label", "unknown_value", "retired", "forgotten", "no_ledger", "agent_too_old"),
    ),
    Route(
        *("POST", f"{_API}/enroll-codes", hosts.post_enroll_code, "admin", ()),
        answers=enrolment.EnrollCode,
        sent=hosts.NewEnrollCode | None,
        statuses=(201,),
        refuses=("bad_label", "bad_parameter"),
    ),
    Route("GET", f"{_API}/capabilities", about.get_capabilities, "anybody", (), capabilities.Capabilities, etag=True),
    _read("trust", analytics.get_trust, _TABLE, trust.TrustReport, refuses=("too_many_points",)),
    _read("analytics/summary", analytics.get_analytics_summary, _TABLE, summary.Summary),
    _read(
        *("analytics/activity", analytics.get_analytics_activity, (*activity.TAKES, *_TABLE), activity.Activity),
        refuses=("too_many_points",),
    ),
    _read("analytics/heatmap", analytics.get_analytics_heatmap, (*heatmap.TAKES, *_TABLE), heatmap.Heatmap),
    _read(
        *("analytics/hour-of-week", analytics.get_analytics_hour_of_week, (*hour_of_week.TAKES, *_TABLE)),
        answers=hour_of_week.HourOfWeek,
    ),
    _read(
        *("analytics/top-sessions", analytics.get_analytics_top_sessions, (*top_sessions.TAKES, *_TABLE)),
        answers=top_sessions.TopSessions,
    ),
    _read(
        *("analytics/breakdown", analytics.get_analytics_breakdown, (*breakdown.TAKES, *_TABLE), breakdown.Breakdown),
        refuses=("too_many_points",),
    ),
    _read("sessions", analytics.get_sessions, (*sessions.TAKES, *_TABLE), sessions.Sessions),
    _read("sessions/{session_id}", analytics.get_session, _SESSION, session.Session),
    _read(
        *("sessions/{session_id}/messages", analytics.get_session_messages, (*messages.TAKES, *_SESSION)),
        answers=messages.Messages,
    ),
    _read("sessions/{session_id}/usage", analytics.get_session_usage, _SESSION, session_usage.SessionUsage),
    Route("GET", f"{_API}/events", live.get_events, "viewer", (), "text/event-stream", stream=True),
    Route(
        *("POST", f"{_API}/login", auth.post_login, "nobody", ()),
        answers=auth.LoggedIn,
        sent=auth.Login,
        refuses=("unauthorized",),
    ),
    Route("POST", f"{_API}/logout", auth.post_logout, "nobody", (), statuses=(204,)),
    Route("GET", f"{_API}/me", auth.get_me, "viewer", (), auth.Me),
    Route("GET", "/api/openapi.json", docs.get_openapi, "nobody", (), "application/json", etag=True),
    Route("GET", "/api/docs", docs.get_docs, "nobody", (), "text/html", etag=True),
    Route("GET", "/api/docs.css", docs.get_docs_style, "nobody", (), "text/css", etag=True),
    Route("GET", "/login", auth.get_login, "nobody", None),
    Route("GET", "/healthz", pages.get_healthz, "nobody", None, "text/plain"),
    Route("GET", "/readyz", pages.get_readyz, "nobody", None, "text/plain", refuses=("stopping",)),
    Route("GET", "/metrics", metrics.get_metrics, "viewer", (), "text/plain, application/openmetrics-text"),
    Route("GET", "/{path:.*}", pages.get_page, "nobody", None),
)


def add_routes(app: web.Application) -> None:
    app[keys.ROUTES] = ROUTES
    for route in ROUTES:
        handler = guarded(route)
        if route.method == "GET" and not route.stream:
            app.router.add_get(route.path, handler, expect_handler=expected)  # HEAD too: probes use it
        else:
            app.router.add_route(route.method, route.path, handler, expect_handler=expected)
