"""`GET /sessions`: sessions that started or used anything in the range, page by page."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trueup_hub.analytics.cursors import Cursor, list_id, read_cursor, write_cursor
from trueup_hub.analytics.heads import Head, heads_of
from trueup_hub.analytics.scope import open_scope
from trueup_hub.analytics.sources import OF_COUNTER, QUALITIES, Quality
from trueup_hub.analytics.totals import Coverage, Totals, coverage_of, peak_of, totals_of
from trueup_hub.params import Common, Parameter
from trueup_hub.trust import Reply, trust_of
from trueup_shared.metrics import COUNTERS, METRICS
from trueup_shared.times import first_slot

if TYPE_CHECKING:
    from trueup_hub.db import Database

SORTS = ("started_at", "last_active_at", "messages", *(metric.name for metric in METRICS if metric.kind != "count"))
ORDERS = ("desc", "asc")
MAX_LIMIT = 500
TAKES = (
    Parameter(
        name="quality",
        kind="choice",
        doc="Only sessions that have such requests, inside the range and filters.",
        choices=QUALITIES,
    ),
    Parameter(
        name="counter",
        kind="choice",
        doc="What is unreported, a lower_bound or derived.",
        choices=(*COUNTERS, "total_tokens"),
        default="total_tokens",
    ),
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
    of_quality: int | None  # its requests that `quality` asks for (of unpriced: tokens); null where nothing is asked


class Sessions(Reply, frozen=True, kw_only=True):
    """`next_cursor`: null on the last page. What has no value for `sort` comes last, in either order. Sorted by what
    was used inside the range; by messages: of the whole life, which each session's `messages` says."""

    sort: str
    order: str
    quality: str | None
    counter: str | None  # where `quality` is of one
    sessions: list[SessionItem]
    next_cursor: str | None


async def list_sessions(
    db: "Database",
    common: Common,
    sort: str,
    order: str,
    limit: int,
    after: str | None,
    quality: Quality | None = None,
) -> Sessions:
    """One page, after the cursor of the one before. Rows that change between pages may move, but none is listed twice
    for standing still."""
    this = list_id("sessions", sort, order, quality, *_asked(common))
    cursor = read_cursor(after, this)
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
            quality=quality,
        )
        page, last = rows[:limit], rows[limit - 1 : limit] if len(rows) > limit else []
        keys = [row["session_key"] for row in page]
        heads = await heads_of(scope.connection, keys)
        usage = {row["session_key"]: row for row in await scope.fetch("analytics", "usage_of_sessions", keys)}
        counts = {row["session_key"]: row for row in await scope.fetch("sessions", "counts_of_sessions", keys)}
        return Sessions(
            sort=sort,
            order=order,
            quality=quality and quality.name,
            counter=quality and quality.counter,
            sessions=[
                SessionItem(
                    **heads[key],
                    events=usage[key]["n"] if key in usage else 0,
                    totals=totals_of(usage.get(key), counts.get(key)),
                    coverage=coverage_of(usage.get(key)),
                    peak_context_tokens=peak_of(usage.get(key)),
                    of_quality=row["of_quality"],
                )
                for key, row in zip(keys, page, strict=True)
            ],
            next_cursor=write_cursor(Cursor(this, last[0]["sort"], last[0]["session_key"])) if last else None,
            trust=await trust_of(scope),
            **scope.echo,
        )


def quality_of(name: str | None, counter: str) -> Quality | None:
    """As a request asks for it; None = every session."""
    return None if name is None else Quality(name, counter if name in OF_COUNTER else None)


def _asked(common: Common) -> tuple[Any, ...]:
    """What is counted, however it is said: ends that were not asked for may move from page to page."""
    first = None if common.first is None else first_slot(common.first, common.zone)
    end = None if common.last is None else first_slot(common.last + timedelta(1), common.zone)
    return first, end, common.filters, common.labels, common.counted
