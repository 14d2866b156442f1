"""A machine that enrols at a hub over HTTP, pushes made-up rows in real batches and sends heartbeats."""

import secrets
import time
import uuid
from collections.abc import Iterable
from typing import Any

import aiohttp
import msgspec

from ledgers import AGENT, Rows
from trueup_shared import wire


class Machine:
    """One ledger of one host. `push` sends bodies under their keys; the same key again restates the row."""

    def __init__(self, http: aiohttp.ClientSession, url: str, enrolled: wire.EnrollReply) -> None:
        self.host_id, self.credential = enrolled.host_id, enrolled.credential
        self.rows = Rows(str(uuid.uuid4()))
        self._http, self._api, self._enrolled = http, f"{url}/api/v1", enrolled
        self._headers = {"Authorization": f"Bearer {enrolled.credential}"}

    @classmethod
    async def enroll(cls, http: aiohttp.ClientSession, url: str, code: str, label: str, **about: Any) -> "Machine":
        """`about`: further fields of the request."""
        request = wire.EnrollRequest(code=code, secret=secrets.token_bytes(32), label=label, agent=AGENT, **about)
        return cls(http, url, await _post(http, f"{url}/api/v1/enroll", request, wire.EnrollReply, {}))

    def beside(self) -> "Machine":
        """Another ledger under the same credential."""
        return Machine(self._http, self._api.removesuffix("/api/v1"), self._enrolled)

    async def push(self, rows: Iterable[tuple[bytes, wire.Body]]) -> wire.Receipt:
        """One batch that ends at the ledger's head, so its receipt says whether the hub has the same."""
        for key, body in rows:
            self.rows.put(key, body)
        receipt = await self.send(self.rows.batch())
        assert receipt.verdict == "converged", receipt
        return receipt

    async def send(self, batch: wire.Batch) -> wire.Receipt:
        batches = f"{self._api}/ledgers/{self.rows.ledger_id}/batches"
        receipt: wire.Receipt = await _post(self._http, batches, batch, wire.Receipt, self._headers)
        self.rows.applied(receipt)
        return receipt

    async def beat(self, **told: Any) -> wire.HeartbeatReply:
        """A heartbeat: that it has what it pushed, and whatever else is `told`."""
        said: dict[str, Any] = {"head_seq": self.rows.seq, "rows": len(self.rows.seqs), "pending": 0}
        said |= {"sent_at": time.time_ns() // 1_000, "agent": AGENT, "parsers": self.rows.versions}
        heartbeat = wire.Heartbeat(ledger_id=self.rows.ledger_id, **(said | told))
        reply: wire.HeartbeatReply = await _post(
            self._http, f"{self._api}/heartbeat", heartbeat, wire.HeartbeatReply, self._headers
        )
        return reply


async def _post(http: aiohttp.ClientSession, url: str, body: Any, kind: Any, headers: dict[str, str]) -> Any:
    packed = {**headers, "Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}
    async with http.post(url, data=msgspec.msgpack.encode(body), headers=packed) as reply:
        content = await reply.read()
        assert reply.status == 200, f"{reply.status}: {content!r}"
        return msgspec.msgpack.decode(content, type=kind)
