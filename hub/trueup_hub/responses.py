"""What leaves the hub: JSON, msgpack for agents that ask for it, CSV for lists, one shape of error (RFC 9457)."""

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from trueup_hub.tables import csv_text
from trueup_shared.wire import CONTENT_TYPE

PROBLEM_TYPE = "application/problem+json"

_WORTH_PACKING = 16 * 1024  # bytes
_WORTH_A_THREAD = 1024 * 1024  # 5 ms to hash

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON for people and scripts. Bytes would become base64, so what they read has hex strings instead."""
    body = _json.encode(value)
    response = web.Response(body=body, status=status, content_type="application/json", headers=headers)
    if len(body) >= _WORTH_PACKING:
        response.enable_compression()  # where the client takes it; points of a chart shrink to a twentieth and less
    return response


def agent_reply(request: web.Request, value: object, *, status: int = 200) -> web.Response:
    """msgpack when Accept says so, else JSON, where bytes are base64."""
    if CONTENT_TYPE in request.headers.get("Accept", ""):
        return web.Response(body=_msgpack.encode(value), status=status, content_type=CONTENT_TYPE)
    return reply(value, status=status)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The shape of every error. `code` is stable; `members` are further facts, such as `position`."""
    document = {
        "type": f"urn:trueup:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **(members or {}),
    }
    return web.Response(body=_json.encode(document), status=status, content_type=PROBLEM_TYPE, headers=headers)


def wants_csv(request: web.Request) -> bool:
    """`format=csv`; `Accept: text/csv` where no format is asked for."""
    asked = request.query.get("format")
    return asked == "csv" or (asked is None and "text/csv" in request.headers.get("Accept", ""))


def _days(found: Struct) -> str:
    """Of an answer about a range: part of the name of its file."""
    first, last = getattr(found, "first", None), getattr(found, "last", None)
    return f"_{first}_{last}" if first and last else ""


async def answer(
    request: web.Request,
    found: Struct,
    name: str,
    items: Iterable[Struct] | None = None,
    kind: type[Struct] | None = None,
) -> web.Response:
    """What a viewer asked for: JSON, or CSV with a line for each of `items` (of type `kind`; None: of `found` itself).

    304 without a body where the client has this very answer: a page that asks every few seconds moves next to nothing.
    """
    if wants_csv(request):
        response = web.Response(text=await csv_text(found, items, kind), content_type="text/csv", charset="utf-8")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}{_days(found)}.csv"'
    else:
        response = web.Response(body=_json.encode(found), content_type="application/json")
    body = response.body
    assert isinstance(body, bytes)
    as_of = getattr(getattr(found, "trust", None), "as_of", None)
    tag = _tag(body, as_of) if len(body) < _WORTH_A_THREAD else await asyncio.to_thread(_tag, body, as_of)
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        response = web.Response(status=304)
    elif len(body) >= _WORTH_PACKING:
        response.enable_compression()
    response.headers["ETag"] = f'W/"{tag}"'
    # keep it, but ask each time whether it still holds
    response.headers.update(
        {"Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding, Authorization, Cookie"}
    )
    return response


def _tag(body: bytes, as_of: Any) -> str:
    """Of everything but when it was asked for."""
    if as_of is not None:
        body = body.replace(_json.encode(as_of).strip(b'"'), b"")
    return blake2b(body, digest_size=12).hexdigest()
