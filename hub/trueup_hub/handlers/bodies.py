"""Reading what a client sent. Limits count after decompression: aiohttp unpacks as it reads, in small pieces."""

from typing import TypeVar

import msgspec
from aiohttp import web

from trueup_hub.errors import BadRequest, Problem
from trueup_shared import digest_sets
from trueup_shared.wire import CONTENT_TYPE, ENCODINGS, PROTOCOL, AgentInfo

T = TypeVar("T")

SMALL_BODY = 256 * 1024  # for everything but batches and heartbeats
MOST_JSON_VALUES = 2_000_000  # a list of JSON is built before its length is looked at; one of msgpack says it first


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body, unpacked. Problem 413 `too_large`, 415 `unsupported_encoding`."""
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ENCODINGS:
        raise Problem(415, "unsupported_encoding", f"Content-Encoding must be one of {', '.join(ENCODINGS)}.")
    body = bytearray()
    if (request.content_length or 0) <= limit:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise Problem(413, "too_large", f"The body is larger than {limit} bytes.", members={"limit": limit})


async def read(request: web.Request, kind: type[T], *, limit: int = SMALL_BODY) -> T:
    """The body as a Struct, from msgpack or JSON by its Content-Type."""
    packed = is_msgpack(request)
    body = await read_body(request, limit)
    try:
        if packed:
            return msgspec.msgpack.decode(body, type=kind)
        if body.count(b",") > MOST_JSON_VALUES:
            raise Problem(413, "too_large", f"The body has more than {MOST_JSON_VALUES} values.")
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("malformed", f"The body is not what this route takes: {error}") from error


def is_msgpack(request: web.Request) -> bool:
    """Problem 415 when the body is said to be neither msgpack nor JSON."""
    if request.content_type == CONTENT_TYPE:
        return True
    if request.content_type == "application/json":
        return False
    raise Problem(415, "unsupported_media_type", f"Content-Type must be {CONTENT_TYPE} or application/json.")


def check_protocol(agent: AgentInfo) -> None:
    lowest, highest = agent.protocols
    if not lowest <= PROTOCOL <= highest:
        raise BadRequest("unsupported_protocol", "The hub speaks another protocol.", supported=[PROTOCOL, PROTOCOL])


def check_digest_set(number: int) -> None:
    if number not in digest_sets.FIELD_SETS:
        raise BadRequest(
            "unsupported_digest_set", "The hub knows other digest sets.", supported=list(digest_sets.known())
        )
