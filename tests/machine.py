"""A machine that enrols at a hub over HTTP and pushes made-up rows in real batches."""

import secrets
import uuid
from collections.abc import Iterable
from typing import Any

import aiohttp
import msgspec

from ledgers import Rows
from trueup_shared import wire

AGENT = wire.AgentInfo(version="0.1.0")


class Machine:
    """One ledger of one host. `push` sends bodies under their keys; the same key again restates the row."""

    def __init__(self, http: aiohttp.ClientSession, url: str, enrolled: wire.EnrollReply) -> None:
        self.host_id, self.credential = enrolled.host_id, enrolled.credential
        self._http = http
        self._headers = {"Authorization": f"Bearer {enrolled.credential}"}
        self._rows = Rows(str(uuid.uuid4()))
        self._batches = f"{url}/api/v1/ledgers/{self._rows.ledger_id}/batches"

    @classmethod
    async def enroll(cls, http: aiohttp.ClientSession, url: str, code: str, label: str) -> "Machine":
        request = wire.EnrollRequest(code=code, secret=secrets.token_bytes(32), label=label, agent=AGENT)
        return cls(http, url, await _post(http, f"{url}/api/v1/enroll", request, wire.EnrollReply, {}))

    async def push(self, rows: Iterable[tuple[bytes, wire.Body]]) -> wire.Receipt:
        """One batch that ends at the ledger's head, so its receipt says whether the hub has the same."""
        for key, body in rows:
            self._rows.put(key, body)
        receipt: wire.Receipt = await _post(self._http, self._batches, self._rows.batch(), wire.Receipt, self._headers)
        assert receipt.verdict == "converged", receipt
        self._rows.applied(receipt)
        return receipt


async def _post(http: aiohttp.ClientSession, url: str, body: Any, kind: Any, headers: dict[str, str]) -> Any:
    packed = {**headers, "Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}
    async with http.post(url, data=msgspec.msgpack.encode(body), headers=packed) as reply:
        content = await reply.read()
        assert reply.status == 200, f"{reply.status}: {content!r}"
        return msgspec.msgpack.decode(content, type=kind)
