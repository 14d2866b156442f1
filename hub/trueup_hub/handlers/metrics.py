"""`/metrics`: how the hub and its hosts are, for Prometheus, in the format that it asks for."""

from datetime import UTC, datetime

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from trueup_hub import telemetry
from trueup_hub.hosts import list_hosts
from trueup_hub.keys import DATABASE, TELEMETRY, TURNS


async def get_metrics(request: web.Request) -> web.Response:
    """How the hub and its hosts are, for Prometheus."""
    db, app = request.app[DATABASE], request.app
    now = datetime.now(UTC)
    async with db.snapshot() as connection:
        hosts = await list_hosts(connection, now=now)
    parts = (
        telemetry.build(),
        telemetry.fleet(hosts, now),
        telemetry.each_host(hosts, now),
        telemetry.load(db.pools(), app[TURNS]),
        app[TELEMETRY].collect(),
    )
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(telemetry.Exposition(parts)), headers={"Content-Type": content_type})
