"""What an agent sends when nothing happens, and when very little does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from agent_process import until
from hub_process import Hub
from identities import host_of, push, tells
from ledger_rows import NOON, event, message, update
from pushing import Machine, port_of
from trueup_agent.push import heartbeat
from trueup_agent.push.directives import Directives
from trueup_agent.push.forever import LAST_REPAIR, Pusher, Repaired
from trueup_agent.push.heartbeat import Heartbeats
from trueup_agent.push.uplink import Uplink
from trueup_agent.settings import AgentSettings
from trueup_hub.scrubbing import scrub_all

HOURS = 2


class Meter:
    """Between agent and hub: every byte in either direction, and what was asked for."""

    def __init__(self) -> None:
        self.sent = self.received = self.port = 0
        self.requests: Counter[str] = Counter()

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)

        async def replies() -> None:
            while data := await up_reader.read(1 << 16):
                self.received += len(data)
                writer.write(data)

        answering = asyncio.create_task(replies())
        while data := await reader.read(1 << 16):
            self.sent += len(data)
            if data.startswith((b"GET ", b"POST ")):
                self.requests[data.split(b" HTTP/")[0].decode()] += 1
            up_writer.write(data)
        for end in (up_writer, writer):
            end.close()
            await end.wait_closed()
        await answering


@asynccontextmanager
async def metered(port: int) -> AsyncIterator[Meter]:
    meter = Meter()
    server = await asyncio.start_server(lambda r, w: meter._serve(port, r, w), "127.0.0.1", 0)
    meter.port = server.sockets[0].getsockname()[1]
    yield meter
    server.close()


async def test_an_idle_agent_sends_heartbeats_only_and_few_bytes(
    hub: Hub, ana: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ana.write(1, 400)
    await push(ana)
    settings, stop, slept = AgentSettings(), asyncio.Event(), 0.0

    async def wait_in_no_time(*events: asyncio.Event, seconds: float | None = None) -> None:
        nonlocal slept
        slept += seconds or 0
        if slept >= HOURS * 3600:
            stop.set()
        await asyncio.sleep(0)

    monkeypatch.setattr(heartbeat, "first_of", wait_in_no_time)
    async with metered(port_of(hub)) as meter:
        ana.through(meter.port)
        uplink = Uplink(ana.data_dir, settings, ana.ledger)
        pusher = Pusher(ana.ledger, uplink)
        beats = Heartbeats(ana.ledger, pusher, Directives(ana.ledger, {}), settings.policy, lambda: None)
        pushing = asyncio.create_task(pusher.push_forever(stop))
        await until(lambda: pusher.settled, "it has looked once, at its start")
        meter.sent = meter.received = 0
        meter.requests.clear()
        await asyncio.wait_for(beats.heartbeat_forever(settings.heartbeat_seconds, stop), 60)
        await pushing
        await uplink.close()
    number = HOURS * 3600 / settings.heartbeat_seconds
    assert meter.requests == {"POST /api/v1/heartbeat": number}
    each = (meter.sent + meter.received) / number
    print(
        f"idle: {meter.sent / HOURS:,.0f} bytes/h out, {meter.received / HOURS:,.0f} bytes/h in, "
        f"{each:,.0f} bytes a heartbeat, every {settings.heartbeat_seconds:.0f} s"
    )
    assert each < 3_000


async def test_one_changed_message_sends_one_row(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 400)
    await push(ana)
    await ana.ledger.write([update(message("m7", "s0", at=NOON + 7_000_000, size_chars=70_007))])
    result = await push(ana)
    assert (result.rows_sent, result.updated, result.inserted, result.batches) == (1, 1, 0, 1)
    print(f"one changed message: {result.bytes_sent} bytes")
    assert result.bytes_sent < 1_000
    await tells(hub, range(1, 401))


async def test_a_row_that_the_hub_lost_is_noticed_by_a_heartbeat_and_sent_again(hub: Hub, ana: Machine) -> None:
    await ana.write(1, 40)
    await push(ana)
    stop, settings, db = asyncio.Event(), AgentSettings(), hub.auth.db
    uplink = Uplink(ana.data_dir, settings, ana.ledger)
    pusher = Pusher(ana.ledger, uplink)
    beats = Heartbeats(ana.ledger, pusher, Directives(ana.ledger, {}), settings.policy, lambda: None)
    pushing = asyncio.create_task(pusher.push_forever(stop))
    await until(lambda: pusher.settled, "it has looked once, at its start")
    await db.execute("DELETE FROM events WHERE event_key = $1", event("e7").key)
    await scrub_all(db)
    assert (await host_of(hub, ana))["state"] == "diverged"
    beating = asyncio.create_task(beats.heartbeat_forever(3600, stop))

    async def mended() -> bool:
        return bool((await host_of(hub, ana))["state"] == "converged")

    try:
        await until(mended, "the hub has the event again")
    finally:
        stop.set()
        await asyncio.gather(pushing, beating)
        await uplink.close()
    await tells(hub, range(1, 41))
    repaired = await ana.ledger.get_meta(LAST_REPAIR)
    assert repaired is not None
    assert msgspec.json.decode(repaired, type=Repaired).rows == 1
