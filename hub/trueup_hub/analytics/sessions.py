"""`GET /sessions`: sessions that started or used anything in the range, page by page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from trueup_hub.analytics.heads import Head, heads_of
from trueup_hub.analytics.scope import open_scope
from trueup_hub.analytics.totals import Coverage, Totals, coverage_of, peak_of, totals_of
from trueup_hub.params import Common, Parameter, bad
from trueup_hub.trust import Reply, trust_of

if TYPE_CHECKING:
    from trueup_hub.db import Database

Sort = Literal[
    "started_at", "last_active_at", "messages", "total_tokens", "output_tokens", "peak_context_tokens", "cost"
]
SORTS: tuple[Sort, ...] = get_args(Sort)
ORDERS = ("desc", "asc")
MAX_LIMIT = 500
TAKES = (
    Parameter(name="sort", kind="choice", doc="What to sort by.", choices=SORTS, default="started_at"),
    Parameter(name="order", kind="choice", doc="Which way.", choices=ORDERS, default="desc"),
    Parameter(name="limit", kind="whole", doc="How many on a page.", lowest=1, highest=MAX_LIMIT, default=50),
    Parameter(name="cursor", kind="text", doc="Where the page begins: `next_cursor` of the one before."),
)


class SessionItem(Head, frozen=True, kw_only=True):
    """Totals, coverage and peak: inside the range and the filters."""

    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None


class Sessions(Reply, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page. What has no value for `sort` comes last, in either order."""

    sort: Sort
    order: str
    sessions: list[SessionItem]
    next_cursor: str | None


class Cursor(Struct, frozen=True, array_like=True):
    """Where a page ended. It is bound to the order that it was made for."""

    sort: Sort
    order: str
    value: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    key: bytes


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Cursor)


def read_cursor(text: str | None, sort: Sort, order: str) -> Cursor | None:
    """BadRequest for one that this hub did not make, or made for another order."""
    if text is None:
        return None
    try:
        cursor = _decoder.decode(urlsafe_b64decode(text.encode("ascii") + b"=="))
    except (msgspec.MsgspecError, NotBase64, UnicodeError) as error:
        raise bad("cursor", text, "is not a cursor of this route") from error
    if (cursor.sort, cursor.order, len(cursor.key)) != (sort, order, 16):
        raise bad("cursor", text, "belongs to a list with another 'sort' or 'order'")
    return cursor


def _write_cursor(cursor: Cursor) -> str:
    return urlsafe_b64encode(_encoder.encode(cursor)).decode().rstrip("=")


async def list_sessions(
    db: "Database", common: Common, sort: Sort, order: str, limit: int, cursor: Cursor | None
) -> Sessions:
    """One page. Rows that change between pages may move, but none is listed twice for standing still."""
    async with open_scope(db, common) as scope:
        rows = await scope.fetch(
            "sessions",
            "list_sessions",
            sort,
            1 if order == "desc" else -1,
            cursor.value if cursor else None,
            cursor.key if cursor else None,
            limit + 1,
            common.first is None and common.last is None,
        )
        page, last = rows[:limit], rows[limit - 1 : limit] if len(rows) > limit else []
        keys = [row["session_key"] for row in page]
        heads = await heads_of(scope.connection, keys)
        usage = {row["session_key"]: row for row in await scope.fetch("analytics", "usage_of_sessions", keys)}
        counts = {row["session_key"]: row for row in await scope.fetch("sessions", "counts_of_sessions", keys)}
        return Sessions(
            sort=sort,
            order=order,
            sessions=[
                SessionItem(
                    **heads[key],
                    events=usage[key]["n"] if key in usage else 0,
                    totals=totals_of(usage.get(key), counts.get(key)),
                    coverage=coverage_of(usage.get(key)),
                    peak_context_tokens=peak_of(usage.get(key)),
                )
                for key in keys
            ],
            next_cursor=_write_cursor(Cursor(sort, order, last[0]["sort"], last[0]["session_key"])) if last else None,
            trust=await trust_of(scope),
            **scope.echo,
        )
