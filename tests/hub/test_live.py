"""An open page hears what changed, soon, and lets the hub stop."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientResponse

from hub_client import API, HubClient, start_hub
from ledgers import Ledger, event
from trueup_hub.handlers import live as handler
from trueup_hub.keys import LIVE, STOPPING
from trueup_hub.live import Live, Update, announce_host
from trueup_hub.settings import HubSettings
from trueup_shared import keys


@contextlib.asynccontextmanager
async def page(hub: HubClient) -> AsyncIterator[ClientResponse]:
    async with hub.http.get(f"{API}/events", headers=await hub.token()) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert await line(response) == "retry: 1000"
        yield response


async def line(response: ClientResponse) -> str:
    """The next line that is not empty."""
    async with asyncio.timeout(5):
        while True:
            content = await response.content.readline()
            assert content, "the stream ended"
            if content.strip():
                return content.decode().strip()


async def update(response: ClientResponse) -> Any:
    assert await line(response) == "event: hub.update"
    return json.loads((await line(response)).removeprefix("data: "))


async def push_event(hub: HubClient, n: int) -> str:
    """One event of a new host, through ingest; the host's id."""
    enrolled = await hub.host(f"host {n}")
    host_no = await hub.db.fetchval("SELECT max(host_no) FROM hosts")
    ledger = Ledger(hub.db, (host_no, enrolled.host_id))
    ledger.put(keys.event_key("test", n), event())
    await ledger.push()
    return enrolled.host_id


@contextlib.asynccontextmanager
async def hearing(live: Live, db: Any) -> AsyncIterator[None]:
    """Its two tasks, as `serving` runs them; ready when a notice gets through."""
    tasks = [asyncio.create_task(work(db)) for work in (live.listen_forever, live.notify_forever)]
    try:
        with live.subscribed() as subscription:
            async with asyncio.timeout(5):
                await live.hearing.wait()
                live.host_changed("ready")
                await subscription.wait()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_committed_batch_reaches_the_open_page(hub: HubClient) -> None:
    live = hub.http.app[LIVE]  # type: ignore[union-attr]
    async with hearing(live, hub.db), page(hub) as stream:
        host_id = await push_event(hub, 1)
        assert await update(stream) == {"changed": ["usage"], "hosts": [host_id]}


async def test_a_renamed_host_reaches_the_page_even_when_the_database_is_not_heard(hub: HubClient) -> None:
    host = await hub.host()
    async with page(hub) as stream:
        path = f"{API}/hosts/{host.host_id}"
        assert (await hub.http.patch(path, json={"label": "x"}, headers=await hub.token("admin"))).status == 200
        assert await update(stream) == {"changed": ["hosts"], "hosts": [host.host_id]}


async def test_what_a_command_changes_about_a_host_reaches_the_page(hub: HubClient) -> None:
    live = hub.http.app[LIVE]  # type: ignore[union-attr]
    async with hearing(live, hub.db), page(hub) as stream:
        await announce_host(hub.db, "h")
        assert await update(stream) == {"changed": ["hosts"], "hosts": ["h"]}


async def test_a_page_at_another_replica_hears_it_too(hub: HubClient, aiohttp_client: Any, tmp_path: Any) -> None:
    other = await start_hub(aiohttp_client, hub.db, HubSettings(data_dir=tmp_path))
    lives = [one.http.app[LIVE] for one in (hub, other)]  # type: ignore[union-attr]
    async with hearing(lives[0], hub.db), hearing(lives[1], hub.db), page(hub) as here, page(other) as there:
        lives[0].host_changed("h")
        expected = {"changed": ["hosts"], "hosts": ["h"]}
        assert await update(here) == expected
        assert await update(there) == expected


async def test_many_changes_are_joined_and_too_many_hosts_are_named_as_any() -> None:
    live = Live()
    with live.subscribed() as subscription:
        live.usage_changed("b")
        live.host_changed("a")
        live.usage_changed("b")
        await subscription.wait()
        assert subscription.take() == Update(changed=["hosts", "usage"], hosts=["a", "b"])
        for n in range(101):
            live.usage_changed(str(n))
        assert subscription.take() == Update(changed=["usage"], hosts=[])


async def test_a_quiet_stream_is_kept_alive(hub: HubClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(handler, "KEEP_ALIVE_SECONDS", 0.05)
    async with page(hub) as stream:
        assert await line(stream) == ": keep-alive"


async def test_open_pages_do_not_keep_the_hub_from_stopping(hub: HubClient) -> None:
    async with page(hub) as stream:
        app = hub.http.app
        assert app is not None
        async with asyncio.timeout(2):
            await app.shutdown()
            assert app[STOPPING].is_set()
            assert (await stream.content.read()).strip() == b""


async def test_a_lost_connection_is_made_again_and_pages_are_told_to_look(hub: HubClient, monkeypatch: Any) -> None:
    monkeypatch.setattr("trueup_hub.live._RETRY_SECONDS", (0.01, 0.1))
    live = hub.http.app[LIVE]  # type: ignore[union-attr]
    async with hearing(live, hub.db), page(hub) as stream:
        await hub.db.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
        )
        assert await update(stream) == {"changed": ["hosts", "usage"], "hosts": []}


async def test_a_stream_ends_soon_after_its_token_is_revoked(hub: HubClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(handler, "KEEP_ALIVE_SECONDS", 0.05)
    async with page(hub) as stream:
        assert await line(stream) == ": keep-alive"
        [token] = await hub.auth.tokens()
        assert await hub.auth.revoke_token(token.token_no, "test")
        async with asyncio.timeout(5):
            while await stream.content.readline():
                pass
