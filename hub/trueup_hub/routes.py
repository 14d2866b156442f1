"""The one table of all routes: method, path, handler, whom it lets in."""

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from trueup_hub.handlers import agents, analytics, auth, hosts, ledgers, live, pages
from trueup_hub.middleware import Need, guarded


class Route(Struct, frozen=True):
    method: str
    path: str
    handler: Handler
    need: Need
    stream: bool = False  # without a time limit: goes on as long as it takes
    slow: bool = False  # a body that may take minutes on a thin line


_API = "/api/v1"
_LEDGER = f"{_API}/ledgers/{{ledger_id}}"

ROUTES = (
    Route("POST", f"{_API}/enroll", agents.post_enroll, "nobody"),
    Route("POST", f"{_API}/heartbeat", agents.post_heartbeat, "host"),
    Route("GET", _LEDGER, agents.get_ledger, "host"),
    Route("POST", f"{_LEDGER}/batches", agents.post_batch, "host", slow=True),
    Route("POST", f"{_LEDGER}/generations", ledgers.post_generation, "host"),
    Route("POST", f"{_LEDGER}/generations/{{generation}}/commit", ledgers.post_commit, "host", stream=True),
    Route("GET", f"{_LEDGER}/buckets", ledgers.get_buckets, "host", slow=True),
    Route("GET", f"{_LEDGER}/buckets/{{bucket}}", ledgers.get_bucket, "host", slow=True),
    Route("GET", f"{_LEDGER}/sessions/{{session_key}}/rows", ledgers.get_session_rows, "host", slow=True),
    Route("GET", f"{_API}/hosts", hosts.get_hosts, "viewer"),
    Route("GET", f"{_API}/hosts/{{host_id}}", hosts.get_host, "viewer"),
    Route("PATCH", f"{_API}/hosts/{{host_id}}", hosts.patch_host, "admin"),
    Route("DELETE", f"{_API}/hosts/{{host_id}}", hosts.delete_host, "admin"),
    Route("POST", f"{_API}/hosts/{{host_id}}/resync", hosts.post_resync, "admin"),
    Route("GET", f"{_API}/capabilities", analytics.get_capabilities, "anybody"),
    Route("GET", f"{_API}/trust", analytics.get_trust, "viewer"),
    Route("GET", f"{_API}/analytics/summary", analytics.get_analytics_summary, "viewer"),
    Route("GET", f"{_API}/analytics/activity", analytics.get_analytics_activity, "viewer"),
    Route("GET", f"{_API}/analytics/heatmap", analytics.get_analytics_heatmap, "viewer"),
    Route("GET", f"{_API}/analytics/top-sessions", analytics.get_analytics_top_sessions, "viewer"),
    Route("GET", f"{_API}/analytics/breakdown", analytics.get_analytics_breakdown, "viewer"),
    Route("GET", f"{_API}/sessions", analytics.get_sessions, "viewer"),
    Route("GET", f"{_API}/sessions/{{session_id}}", analytics.get_session, "viewer"),
    Route("GET", f"{_API}/events", live.get_events, "viewer", stream=True),
    Route("POST", f"{_API}/login", auth.post_login, "nobody"),
    Route("POST", f"{_API}/logout", auth.post_logout, "nobody"),
    Route("GET", f"{_API}/me", auth.get_me, "viewer"),
    Route("GET", "/login", auth.get_login, "nobody"),
    Route("GET", "/healthz", pages.get_healthz, "nobody"),
    Route("GET", "/readyz", pages.get_readyz, "nobody"),
    Route("GET", "/{path:.*}", pages.get_page, "nobody"),
)


def add_routes(app: web.Application) -> None:
    for route in ROUTES:
        handler = guarded(route.need, route.handler, stream=route.stream, slow=route.slow)
        if route.method == "GET" and not route.stream:
            app.router.add_get(route.path, handler)  # HEAD too: probes use it
        else:
            app.router.add_route(route.method, route.path, handler)
