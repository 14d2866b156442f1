"""A machine that enrols at a hub over HTTP and pushes made-up rows in real batches."""

import secrets
import uuid
from collections.abc import Iterable
from typing import Any

import aiohttp
import msgspec

from trueup_shared import keys, wire

AGENT = wire.AgentInfo(version="0.1.0")
_TABLES = {wire.SessionBody: keys.SESSIONS, wire.MessageBody: keys.MESSAGES, wire.EventBody: keys.EVENTS}


class Machine:
    """One ledger of one host. `push` sends bodies under their keys; the same key again restates the row."""

    def __init__(self, http: aiohttp.ClientSession, url: str, enrolled: wire.EnrollReply) -> None:
        self.host_id = enrolled.host_id
        self._http, self._url = http, url
        self._headers = {"Authorization": f"Bearer {enrolled.credential}"}
        self._ledger_id = str(uuid.uuid4())
        self._seq = self._batch_no = 0
        self._previous: bytes | None = None
        self._digests: dict[bytes, int] = {}

    @classmethod
    async def enroll(cls, http: aiohttp.ClientSession, url: str, code: str, label: str) -> "Machine":
        request = wire.EnrollRequest(code=code, secret=secrets.token_bytes(32), label=label, agent=AGENT)
        return cls(http, url, await _post(http, f"{url}/api/v1/enroll", request, wire.EnrollReply, {}))

    async def push(self, rows: Iterable[tuple[bytes, wire.Body]]) -> wire.Receipt:
        """One batch that ends at the ledger's head, so its receipt says whether the hub has the same."""
        tables: dict[str, list[msgspec.Raw]] = {"sessions": [], "messages": [], "events": []}
        first = self._seq
        for key, body in rows:
            self._seq += 1
            number = _TABLES[type(body)]
            self._digests[key] = keys.row_digest(number, key, wire.encode_body(body))
            raw = msgspec.msgpack.encode([key, self._seq, None, body])
            tables[("sessions", "messages", "events")[number - 1]].append(msgspec.Raw(raw))
        batch_id, self._batch_no = secrets.token_bytes(16), self._batch_no + 1
        batch = wire.Batch(
            batch_id=batch_id,
            previous_batch_id=self._previous,
            batch_no=self._batch_no,
            from_seq=first,
            to_seq=self._seq,
            head_digest=keys.digest_bytes(sum(self._digests.values())),
            agent=AGENT,
            **tables,
        )
        receipt = await _post(
            self._http, f"{self._url}/api/v1/ledgers/{self._ledger_id}/batches", batch, wire.Receipt, self._headers
        )
        assert receipt.verdict == "converged", receipt
        self._previous = batch_id
        return receipt


async def _post(http: aiohttp.ClientSession, url: str, body: Any, kind: Any, headers: dict[str, str]) -> Any:
    packed = {**headers, "Content-Type": wire.CONTENT_TYPE, "Accept": wire.CONTENT_TYPE}
    async with http.post(url, data=msgspec.msgpack.encode(body), headers=packed) as reply:
        content = await reply.read()
        assert reply.status == 200, f"{reply.status}: {content!r}"
        return msgspec.msgpack.decode(content, type=kind)
