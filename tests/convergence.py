"""Machines, a hub and all that may go wrong between them, with the truth beside it: what the logs that were read say.

`World` runs in a loop of its own, so that the plain functions of a state machine may drive it.
"""

import asyncio
import contextlib
import itertools
import os
import random
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from claude_home import loaded
from growing_logs import Logs, output_of
from hub_process import Hub, running_hub
from trueup_agent.collect import scan
from trueup_agent.credential import load_host
from trueup_agent.errors import HubUnreachable, PushError
from trueup_agent.ledger import Ledger
from trueup_agent.policy import Policy
from trueup_agent.push.forever import Pusher
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import PushResult
from trueup_agent.push.uplink import Uplink, enroll
from trueup_agent.resync import resync
from trueup_agent.settings import AgentSettings
from trueup_hub.db import create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.ingest.jobs import settle_pending
from trueup_hub.ingest.superseding import supersede_pending
from trueup_hub.ingest.verify import verify
from trueup_hub.scrubbing import scrub_all

T = TypeVar("T")
FAULTS = ("request_lost", "receipt_lost", "sent_twice", "stale_replay", "killed_before", "killed_after")
Request = tuple[str, tuple[Any, ...]]  # route, body and its encoding
_databases = itertools.count()

# By hand, behind the hub's back: whatever lies in one eighth of the keys.
DAMAGE = {
    "events lost": "DELETE FROM events WHERE get_byte(uuid_send(event_key), 15) % 8 = $1",
    "messages lost": "DELETE FROM messages WHERE get_byte(uuid_send(message_key), 15) % 8 = $1",
    "sessions lost": "DELETE FROM sessions WHERE get_byte(uuid_send(session_key), 15) % 8 = $1",
    "owners lost": "DELETE FROM event_owners WHERE get_byte(uuid_send(owner_key), 15) % 8 = $1",
    "claims lost": "DELETE FROM event_claims WHERE get_byte(uuid_send(owner_key), 15) % 8 = $1",
    "session owners lost": "DELETE FROM session_owners WHERE get_byte(uuid_send(session_key), 15) % 8 = $1",
    "cells lost": "DELETE FROM usage_slots WHERE slot % 8 = $1",
    "tokens altered": "UPDATE events SET output_tokens = 9 WHERE get_byte(uuid_send(event_key), 15) % 8 = $1",
    "times altered": "UPDATE events SET at = at + interval '1 h' WHERE get_byte(uuid_send(event_key), 15) % 8 = $1",
    "counting altered": "UPDATE events SET counted = NOT counted WHERE get_byte(uuid_send(event_key), 15) % 8 = $1",
    "sums altered": "UPDATE sessions SET digest = 5, rows = 3 WHERE get_byte(uuid_send(session_key), 15) % 8 = $1",
    "cells altered": "UPDATE session_slots SET s_output_tokens = 1, n = n + 1 WHERE slot % 8 = $1",
    "days altered": "UPDATE usage_days SET s_output_tokens = s_output_tokens + 1 WHERE harness % 8 = $1",
    "totals altered": "UPDATE session_totals SET n = n + 1, first_slot = 5, host_no = -1 WHERE last_slot % 8 = $1",
    "days of projects lost": "DELETE FROM project_days WHERE project % 8 = $1",
    "activity altered": "UPDATE activity_slots SET messages = messages + 1 WHERE slot % 8 = $1",
}


class Killed(BaseException):
    """The agent is gone, in the middle of whatever it did."""


class FaultyHub(HubClient):
    """The way to the hub, on which requests that change something meet the faults planned for them."""

    def __init__(self, address: str, credential: str, faults: list[str], sent: list[Request]) -> None:
        super().__init__(address, credential)
        self._faults = faults
        self._sent = sent  # all requests of this machine so far, for replays

    async def _call(self, method: str, route: str, kind: type[T], *body: Any, **how: Any) -> T:
        if method == "GET" or not self._faults:
            return await super()._call(method, route, kind, *body, **how)
        fault = self._faults.pop(0)
        if fault == "request_lost":
            raise HubUnreachable("lost on the way there")
        if fault == "killed_before":
            raise Killed
        if fault == "stale_replay" and self._sent:
            old_route, old_body = random.Random(len(self._sent)).choice(self._sent)
            with contextlib.suppress(PushError):
                await super()._call("POST", old_route, dict, *old_body)
        if fault == "sent_twice":
            await super()._call(method, route, kind, *body, **how)
        reply = await super()._call(method, route, kind, *body, **how)
        self._sent.append((route, body))
        if fault == "receipt_lost":
            raise HubUnreachable("lost on the way back")
        if fault == "killed_after":
            raise Killed
        return reply


class FaultyUplink(Uplink):
    """The way to the hub of `host.json`, through the faults of its machine."""

    def __init__(self, data_dir: Path, ledger: Ledger, faults: list[str], sent: list[Request]) -> None:
        super().__init__(data_dir, AgentSettings(), ledger)
        self._faults, self._sent = faults, sent

    async def hub(self) -> HubClient | None:
        await self.close()
        self.host = host = load_host(self._data_dir)
        assert host is not None
        client = FaultyHub(host.hub_url, host.credential, self._faults, self._sent)
        self._client = await client.__aenter__()
        return self._client


class Machine(Struct):
    name: str
    data_dir: Path
    logs: Logs
    ledger: Ledger
    sent: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def scan(self, **how: Any) -> None:
        await scan(self.ledger, loaded(self.logs.home, self.data_dir), **how)
        self.logs.was_read()

    async def push(self, *, full: bool = False) -> PushResult | None:
        """None when it came to nothing; whoever is killed is started again."""
        uplink = FaultyUplink(self.data_dir, self.ledger, self.faults, self.sent)
        pusher = Pusher(self.ledger, uplink)
        try:
            if not full:
                return await pusher.push()
            where = loaded(self.logs.home, self.data_dir)
            result = await resync(where, self.ledger, pusher, lambda _: None, 0.0)
            self.logs.was_read()
            return result
        except PushError:
            return None
        except Killed:
            await self.restart()
            return None
        finally:
            await uplink.close()
            self.faults.clear()

    async def restart(self) -> None:
        await self.ledger.close()
        self.ledger = await Ledger.open(self.data_dir, Policy())


class World:
    """`run` drives it. A hub, and machines by name."""

    def __init__(self, pg: EmbeddedPg, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.machines: dict[str, Machine] = {}
        self._pg = pg
        self._folder = folder
        self._database = self._backup = ""
        self._hub: Hub | None = None
        self._port = 0
        self._serving = contextlib.AsyncExitStack()
        self._numbers = itertools.count(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def hub(self) -> Hub:
        assert self._hub is not None
        return self._hub

    def next_numbers(self, count: int) -> list[int]:
        return [next(self._numbers) for _ in range(count)]

    async def start(self, *names: str) -> None:
        self._database = await self._new_database("template_trueup")
        await self._serve()
        for name in names:
            await self._add(name)

    async def close(self) -> None:
        for machine in self.machines.values():
            await machine.ledger.close()
        await self._serving.aclose()
        for name in (self._database, self._backup):
            if name:
                await drop_database(self._pg.url("postgres"), name)
        shutil.rmtree(self._folder)

    async def _new_database(self, template: str) -> str:
        name = f"world_{os.getpid()}_{next(_databases)}"
        await create_database(self._pg.url("postgres"), name, template)
        return name

    async def _serve(self) -> None:
        serving = running_hub(self._pg.url(self._database), self._folder / "hub", self._port)
        self._hub = await self._serving.enter_async_context(serving)
        self._port = int(self._hub.url.rpartition(":")[2])

    async def _add(self, name: str) -> None:
        data_dir, home = self._folder / name / "data", self._folder / name / "home"
        home.mkdir(parents=True)
        ledger = await Ledger.open(data_dir, Policy())
        code = await make_enroll_code(self.hub.auth.db)
        await enroll(data_dir, self.hub.url, code, ledger.ledger_id, name, None)
        self.machines[name] = Machine(name, data_dir, Logs(home), ledger)

    async def clone(self, name: str, new: str) -> None:
        """The machine's disk is copied as it is, credential and ledger included."""
        old = self.machines[name]
        await old.ledger.close()
        shutil.copytree(old.data_dir.parent, self._folder / new)
        old.ledger = await Ledger.open(old.data_dir, Policy())
        data_dir = self._folder / new / "data"
        logs = msgspec.structs.replace(
            old.logs,
            home=self._folder / new / "home",
            on_disk={session: list(numbers) for session, numbers in old.logs.on_disk.items()},
            totals=dict(old.logs.totals),
            known=set(old.logs.known),
            known_totals=dict(old.logs.known_totals),
        )
        self.machines[new] = Machine(new, data_dir, logs, await Ledger.open(data_dir, Policy()))

    async def back_up_hub(self) -> None:
        await self._serving.aclose()
        if self._backup:
            await drop_database(self._pg.url("postgres"), self._backup)
        self._backup = await self._new_database(self._database)
        await self._serve()

    async def restore_hub(self) -> None:
        if self._backup:
            await self._serving.aclose()
            await drop_database(self._pg.url("postgres"), self._database)
            self._database = await self._new_database(self._backup)
            await self._serve()

    async def damage(self, what: str, part: int) -> None:
        await self.hub.auth.db.execute(DAMAGE[what], part)

    async def keep_house(self) -> None:
        """What the hub does by itself sooner or later."""
        db = self.hub.auth.db
        await scrub_all(db)
        await settle_pending(db)
        await supersede_pending(db)

    async def shown(self) -> dict[str, Any]:
        """Output tokens and events by harness, as the hub shows them."""
        rows = (await self.hub.get("analytics/breakdown", by="harness"))["rows"]
        return {row["key"]: (row["totals"]["output_tokens"], row["events"]) for row in rows if row["events"]}

    def truth(self) -> dict[str, Any]:
        """Output tokens by harness, as the logs that were read say."""
        answers = set().union(*(machine.logs.known for machine in self.machines.values()))
        series: dict[int, int] = {}
        for machine in self.machines.values():
            for session, total in machine.logs.known_totals.items():
                series[session] = max(total, series.get(session, 0))
        told = {"claude": sum(map(output_of, answers)), "droid": sum(series.values())}
        return {harness: tokens for harness, tokens in told.items() if tokens}

    async def verified(self) -> dict[str, Any]:
        return await verify(self.hub.auth.db)
