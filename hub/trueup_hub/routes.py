"""The one table of all routes: method, path, handler, whom it lets in."""

from aiohttp import web

from trueup_hub import capabilities, trust
from trueup_hub.analytics import activity, breakdown, heatmap, session, sessions, summary, top_sessions
from trueup_hub.handlers import agents, analytics, auth, hosts, ledgers, live, pages
from trueup_hub.middleware import guarded
from trueup_hub.params import COMMON, FORMAT, Parameter
from trueup_hub.route import Route

_API = "/api/v1"
_LEDGER = f"{_API}/ledgers/{{ledger_id}}"
_ANALYTICS = f"{_API}/analytics"
_TABLE = (*COMMON, FORMAT)
_DEEP = (
    Parameter(name="deep", kind="choice", doc="1: recompute digests from columns.", choices=("0", "1"), default="0"),
)

ROUTES = (
    Route("POST", f"{_API}/enroll", agents.post_enroll, "nobody"),
    Route("POST", f"{_API}/heartbeat", agents.post_heartbeat, "host"),
    Route("GET", _LEDGER, agents.get_ledger, "host"),
    Route("POST", f"{_LEDGER}/batches", agents.post_batch, "host", slow=True),
    Route("POST", f"{_LEDGER}/generations", ledgers.post_generation, "host"),
    Route("POST", f"{_LEDGER}/generations/{{generation}}/commit", ledgers.post_commit, "host", stream=True),
    Route("GET", f"{_LEDGER}/buckets", ledgers.get_buckets, "host", _DEEP, slow=True),
    Route("GET", f"{_LEDGER}/buckets/{{bucket}}", ledgers.get_bucket, "host", _DEEP, slow=True),
    Route("GET", f"{_LEDGER}/sessions/{{session_key}}/rows", ledgers.get_session_rows, "host", _DEEP, slow=True),
    Route("GET", f"{_API}/hosts", hosts.get_hosts, "viewer", (FORMAT,)),
    Route("GET", f"{_API}/hosts/{{host_id}}", hosts.get_host, "viewer"),
    Route("PATCH", f"{_API}/hosts/{{host_id}}", hosts.patch_host, "admin"),
    Route("DELETE", f"{_API}/hosts/{{host_id}}", hosts.delete_host, "admin"),
    Route("POST", f"{_API}/hosts/{{host_id}}/resync", hosts.post_resync, "admin"),
    Route("GET", f"{_API}/capabilities", analytics.get_capabilities, "anybody", (), capabilities.Capabilities),
    Route("GET", f"{_API}/trust", analytics.get_trust, "viewer", _TABLE, trust.TrustReport),
    Route("GET", f"{_ANALYTICS}/summary", analytics.get_analytics_summary, "viewer", _TABLE, summary.Summary),
    Route(
        "GET",
        f"{_ANALYTICS}/activity",
        analytics.get_analytics_activity,
        "viewer",
        (*activity.TAKES, *_TABLE),
        activity.Activity,
    ),
    Route(
        "GET",
        f"{_ANALYTICS}/heatmap",
        analytics.get_analytics_heatmap,
        "viewer",
        (*heatmap.TAKES, *_TABLE),
        heatmap.Heatmap,
    ),
    Route(
        "GET",
        f"{_ANALYTICS}/top-sessions",
        analytics.get_analytics_top_sessions,
        "viewer",
        (*top_sessions.TAKES, *_TABLE),
        top_sessions.TopSessions,
    ),
    Route(
        "GET",
        f"{_ANALYTICS}/breakdown",
        analytics.get_analytics_breakdown,
        "viewer",
        (*breakdown.TAKES, *_TABLE),
        breakdown.Breakdown,
    ),
    Route("GET", f"{_API}/sessions", analytics.get_sessions, "viewer", (*sessions.TAKES, *_TABLE), sessions.Sessions),
    Route("GET", f"{_API}/sessions/{{session_id}}", analytics.get_session, "viewer", (), session.Session),
    Route("GET", f"{_API}/events", live.get_events, "viewer", stream=True),
    Route("POST", f"{_API}/login", auth.post_login, "nobody"),
    Route("POST", f"{_API}/logout", auth.post_logout, "nobody"),
    Route("GET", f"{_API}/me", auth.get_me, "viewer"),
    Route("GET", "/login", auth.get_login, "nobody", None),
    Route("GET", "/healthz", pages.get_healthz, "nobody", None),
    Route("GET", "/readyz", pages.get_readyz, "nobody", None),
    Route("GET", "/{path:.*}", pages.get_page, "nobody", None),
)


def add_routes(app: web.Application) -> None:
    for route in ROUTES:
        handler = guarded(route)
        if route.method == "GET" and not route.stream:
            app.router.add_get(route.path, handler)  # HEAD too: probes use it
        else:
            app.router.add_route(route.method, route.path, handler)
