"""The only HTTP out. Every failure becomes a class of our error tree; the callers never see aiohttp."""

import asyncio
import os
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from trueup_agent.errors import (
    Busy,
    HubFailed,
    HubUnreachable,
    NotAHub,
    PositionMismatch,
    ProtocolMismatch,
    PushError,
    Refused,
    TooLarge,
    Unauthorized,
    WrongHubAddress,
)
from trueup_shared import __version__, wire

T = TypeVar("T")

CONNECT_SECONDS = 10.0
# The hub answers only after commit: a large batch into a busy database takes its time.
ANSWER_SECONDS = 120.0
# Unpacked. No answer of a hub comes near; rows of a session take 40 bytes each.
MOST_ANSWER_BYTES = 64 * 1024 * 1024
# So many times as long where it goes through all rows.
THOROUGH_TIMES = 5
DEFAULT_BUSY_SECONDS = 5.0
LONGEST_BUSY_SECONDS = 3600.0  # whoever says more may be mistaken, and could not take it back
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Problem(msgspec.Struct):
    """RFC 9457, as far as the agent looks at it."""

    title: str = ""
    detail: str | None = None
    code: str = ""


def hub_address(text: str) -> str:
    """The hub's address in one spelling, without a trailing slash; a path prefix stays. Raises WrongHubAddress."""
    try:
        url = URL(text.strip())
        if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
            raise ValueError
    except ValueError:
        raise WrongHubAddress(f"'{text}' is not the address of a hub: write it as https://HOST[:PORT][/PATH]") from None
    return str(url.with_path(url.path.rstrip("/"))).rstrip("/")


def is_loopback(address: str) -> bool:
    return URL(address).host in _LOOPBACK


class HubClient:
    """One hub, one credential. Use as `async with`; cheap to make, it connects with the first request.

    `ca_file` adds a private authority to the system's. Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
    """

    def __init__(
        self,
        address: str,
        credential: str | None,
        ca_file: Path | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.address = address
        self._credential = credential
        self._ca_file = ca_file
        self._answer_seconds = answer_seconds
        self._session: aiohttp.ClientSession | None = None
        self.bytes_received = 0  # of answers, unpacked

    async def __aenter__(self) -> Self:
        tls: ssl.SSLContext | bool = True
        if self._ca_file is not None:
            try:
                tls = ssl.create_default_context()
                tls.load_verify_locations(self._ca_file)
            except OSError as error:
                raise WrongHubAddress(f"setting hub_ca: {self._ca_file}: {error.strerror or error}") from error
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=4),
            # A proxy is for the way out; nothing listens for us on its loopback.
            trust_env=not is_loopback(self.address),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": f"trueup-agent/{__version__}",
                "Accept": wire.CONTENT_TYPE,
                "Prefer": wire.PAGES,
            },
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def enroll(self, request: wire.EnrollRequest) -> wire.EnrollReply:
        return await self._call("POST", "enroll", wire.EnrollReply, msgspec.msgpack.encode(request))

    async def position(self, ledger_id: str) -> wire.Position:
        """Where the hub is with our ledger: the only position there is. Raises ProtocolMismatch if we share none."""
        position = await self._call("GET", f"ledgers/{ledger_id}", wire.Position)
        lowest, highest = position.protocols
        if not lowest <= wire.PROTOCOL <= highest:
            older = "the hub" if highest < wire.PROTOCOL else "this agent"
            raise ProtocolMismatch(
                f"the hub speaks protocol {lowest} to {highest}, this agent {wire.PROTOCOL}: upgrade {older}"
            )
        return position

    async def send_batch(self, ledger_id: str, body: bytes) -> wire.Receipt:
        """`body` is a zstd-compressed msgpack `wire.Batch`."""
        return await self._call("POST", f"ledgers/{ledger_id}/batches", wire.Receipt, body, "zstd")

    async def open_generation(self, ledger_id: str, opening: wire.OpenGeneration) -> wire.Position:
        body = msgspec.msgpack.encode(opening)
        return await self._call("POST", f"ledgers/{ledger_id}/generations", wire.Position, body)

    async def commit_generation(self, ledger_id: str, number: int, commit: wire.CommitGeneration) -> wire.Committed:
        """The hub removes and recomputes before it answers; asked again, it goes on or gives the same answer."""
        route, body = f"ledgers/{ledger_id}/generations/{number}/commit", msgspec.msgpack.encode(commit)
        return await self._call("POST", route, wire.Committed, body, thorough=True)

    async def buckets(self, ledger_id: str, deep: bool = False, after: str = "") -> wire.Buckets:
        """`deep`, here and below: recomputed from the stored columns, which takes as long as there are rows.

        `after`: `more` of the page before; then without sums.
        """
        route = f"ledgers/{ledger_id}/buckets"
        if after:
            return await self._call("GET", f"{route}?rejected_after={quote(after, safe='')}", wire.Buckets)
        return await self._compared(route, wire.Buckets, deep)

    async def bucket_sessions(self, ledger_id: str, bucket: int, deep: bool = False) -> wire.BucketSessions:
        return await self._compared(f"ledgers/{ledger_id}/buckets/{bucket}", wire.BucketSessions, deep)

    async def session_rows(self, ledger_id: str, session_key: bytes, deep: bool = False) -> wire.SessionRows:
        route = f"ledgers/{ledger_id}/sessions/{session_key.hex()}/rows"
        return await self._compared(route, wire.SessionRows, deep)

    async def _compared(self, route: str, kind: type[T], deep: bool) -> T:
        return await self._call("GET", f"{route}?deep=1" if deep else route, kind, thorough=deep)

    async def heartbeat(self, heartbeat: wire.Heartbeat) -> wire.HeartbeatReply:
        return await self._call("POST", "heartbeat", wire.HeartbeatReply, msgspec.msgpack.encode(heartbeat))

    async def _call(
        self,
        method: str,
        route: str,
        kind: type[T],
        body: bytes | None = None,
        encoding: str | None = None,
        thorough: bool = False,
    ) -> T:
        assert self._session is not None
        headers = {}
        seconds = self._answer_seconds * (THOROUGH_TIMES if thorough else 1)
        if body is not None:
            headers["Content-Type"] = wire.CONTENT_TYPE
        if encoding:
            headers["Content-Encoding"] = encoding
        if self._credential:
            headers["Authorization"] = f"Bearer {self._credential}"
        try:
            # Never follow: a redirected POST would arrive as a GET, and the credential elsewhere.
            async with self._session.request(
                method,
                f"{self.address}/api/v1/{route}",
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            ) as answer:
                content = await self._content(answer, route)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise HubUnreachable(f"the hub at {self.address} cannot be reached: {_reason(error)}") from error
        if answer.status // 100 == 2:
            try:
                return _decode(content, answer.content_type, kind)
            except msgspec.DecodeError as error:
                raise NotAHub(f"{self.address} answers, but not as a trueup hub: {error}") from error
        raise self._failure(
            answer.status,
            answer.headers.get("Retry-After"),
            answer.headers.get("Location"),
            _problem(content, answer.content_type),
        )

    async def _content(self, answer: aiohttp.ClientResponse, route: str) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > MOST_ANSWER_BYTES:
                answer.close()
                most = f"{MOST_ANSWER_BYTES // 1024**2} MiB"
                raise NotAHub(f"{self.address} answers {route.partition('?')[0]} with more than {most}: not read")
        self.bytes_received += len(content)
        return bytes(content)

    def _failure(self, status: int, retry_after: str | None, location: str | None, problem: Problem) -> PushError:
        said = problem.detail or problem.title or f"HTTP status {status}"
        where = f"the hub at {self.address}"
        if status // 100 == 3:
            return NotAHub(f"{self.address} redirects to {location}: enroll with that address")
        if status == 401:
            said = f"{said.rstrip('.')}; `trueup agent enroll {self.address} --code CODE` gets another"
            return Unauthorized(f"{where} does not accept this machine's credential: {said}", problem.code)
        if status == 403:
            return Unauthorized(f"{where} refuses: {said}", problem.code)
        if status == 409 and problem.code == "position_mismatch":
            return PositionMismatch(f"{where} is at another position: {said}")
        if status == 413:
            return TooLarge(f"{where} finds the batch too large: {said}")
        if status in (429, 503):
            return Busy(f"{where} is busy: {said}", min(_seconds(retry_after), LONGEST_BUSY_SECONDS))
        if problem.code == "unsupported_protocol":
            return ProtocolMismatch(f"{where} speaks another protocol: upgrade the older of the two")
        if status in (502, 504):
            return HubUnreachable(f"the hub behind {self.address} cannot be reached: {said}")
        if status >= 500:
            return HubFailed(f"{where} failed: {said}")
        if not problem.code:
            return NotAHub(f"{self.address} answers, but not as a trueup hub (status {status})")
        return Refused(f"{where} refuses: {said}", problem.code)


def _decode(content: bytes, content_type: str, kind: type[T]) -> T:
    if content_type == wire.CONTENT_TYPE:
        return msgspec.msgpack.decode(content, type=kind)
    return msgspec.json.decode(content, type=kind)


def _problem(content: bytes, content_type: str) -> Problem:
    """A proxy in between answers in HTML: then there is only the status."""
    try:
        return _decode(content, content_type, Problem)
    except msgspec.DecodeError:
        return Problem()


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds: a number, or a date."""
    if retry_after is None:
        return DEFAULT_BUSY_SECONDS
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except ValueError:
        return DEFAULT_BUSY_SECONDS


def _reason(error: Any) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error}); for a private authority set hub_ca"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy does not answer ({_reason(error.os_error)})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _reason(error.os_error)
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({(error.reason or str(error)).replace('_', ' ').lower()})"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, TimeoutError):
        return "it took too long to answer"
    return str(error) or type(error).__name__
