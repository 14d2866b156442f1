"""What leaves the hub: JSON, msgpack for agents that ask for it, CSV for lists, one shape of error (RFC 9457)."""

import csv
import io
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from trueup_shared.wire import CONTENT_TYPE

PROBLEM_TYPE = "application/problem+json"

_WORTH_PACKING = 16 * 1024  # bytes

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
    """`?format=csv` or `Accept: text/csv`."""
    return request.query.get("format") == "csv" or "text/csv" in request.headers.get("Accept", "")


def csv_reply(rows: Iterable[Mapping[str, Any]], columns: list[str], name: str) -> web.Response:
    """A table with a header line. None = not reported = empty, which 0 never is."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({column: _cell(row.get(column)) for column in columns})
    return web.Response(
        text=text.getvalue(),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula is quoted; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
