"""A ledger with made-up rows, enrolled at a real hub, perhaps with a proxy that does harm in between."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from hub_process import Hub
from ledger_rows import NOON, POLICY, event, message, session, update
from trueup_agent.credential import Host, save_host
from trueup_agent.ledger import Ledger
from trueup_agent.push.batches import BatchSize
from trueup_agent.push.hub_client import HubClient
from trueup_agent.push.push import Push, PushResult
from trueup_agent.push.uplink import enroll
from trueup_hub.enrolment import make_enroll_code


class Machine(Struct):
    """One machine's ledger and enrolment."""

    data_dir: Path
    ledger: Ledger
    host: Host

    async def write(self, first: int, last: int, **fields: Any) -> None:
        """Events `first` … `last`, each with a message, in sessions of ten."""
        records = [
            record
            for n in range(first, last + 1)
            for record in (
                session(f"s{n // 10}", started_at=NOON),
                message(f"m{n}", f"s{n // 10}", at=NOON + n * 1_000_000, size_chars=n),
                event(
                    f"e{n}", f"s{n // 10}", **{"at": NOON + n * 1_000_000, "model": "m", "output_tokens": n, **fields}
                ),
            )
        ]
        await self.ledger.write([update(*records, policy=self.ledger.policy)])

    async def push(self, rows: int = 4_000, patience: float = 0.0, **client: Any) -> PushResult:
        """One push in batches of at most `rows`."""
        size = BatchSize(rows)
        size.limit(rows)
        async with HubClient(self.host.hub_url, self.host.credential, **client) as hub:
            return await Push(self.ledger, hub, size).run(patience)

    def through(self, port: int) -> None:
        """From now on the hub is reached by another port of this machine."""
        parts = urlsplit(self.host.hub_url)
        self.host = Host(
            hub_url=f"{parts.scheme}://127.0.0.1:{port}", host_id=self.host.host_id, credential=self.host.credential
        )
        save_host(self.data_dir, self.host)


@contextlib.asynccontextmanager
async def machine(hub: Hub, data_dir: Path, label: str = "ana") -> AsyncIterator[Machine]:
    ledger = await Ledger.open(data_dir, POLICY)
    try:
        code = await make_enroll_code(hub.auth.db)
        host = await enroll(data_dir, hub.url, code, ledger.ledger_id, label, None)
    except BaseException:
        await ledger.close()
        raise
    made = Machine(data_dir, ledger, host)
    try:
        yield made
    finally:
        await made.ledger.close()  # a test may have opened it anew


def port_of(hub: Hub) -> int:
    port = urlsplit(hub.url).port
    assert port is not None
    return port


async def events_at(hub: Hub) -> int:
    """Events that the hub counts."""
    summary = await hub.get("analytics/summary")
    return int(summary["coverage"]["output_tokens"]["events"])
