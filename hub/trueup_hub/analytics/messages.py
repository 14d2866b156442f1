"""`GET /sessions/{id}/messages`: a session's messages with what each used, page by page."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from trueup_hub.analytics.cursors import Cursor, list_id, read_cursor, write_cursor
from trueup_hub.analytics.places import Place, places, terms
from trueup_hub.analytics.sources import sql
from trueup_hub.errors import NotFound
from trueup_hub.params import Parameter
from trueup_shared.metrics import BIT, COUNTERS, TOTAL_PARTS, total_tokens
from trueup_shared.money import micro
from trueup_shared.wire import CLOCK_SKEW, OLD_DATA

if TYPE_CHECKING:
    from trueup_hub.db import Connection, Database

MAX_LIMIT = 1000
TAKES = (
    Parameter(name="limit", kind="whole", doc="How many on a page.", lowest=1, highest=MAX_LIMIT, default=200),
    Parameter(name="cursor", kind="text", doc="Where the page begins: `next_cursor` of the one before."),
)

TimeQuality = Literal["record", "session", "file"]  # whose time it is
TIME_QUALITY: dict[int | None, TimeQuality | None] = {1: "record", 2: "session", 3: "file", None: None}


class Usage(Struct, frozen=True, kw_only=True):
    """One request. Counters are null where not reported; `lower_bounds`, `derived` and `unstated` name counters:
    at least so much, got by subtraction, sent as 0 by nobody knows which parser. Cost is at list price."""

    event_id: str
    at: datetime
    time_quality: TimeQuality | None
    counted: bool
    counts_at: Place | None  # set aside: where the copy is that counts instead
    place: Place
    harness: str | None
    provider: str | None
    model: str | None
    service_tier: str | None
    speed: str | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    input_undivided_tokens: int | None
    undivided_tokens: int | None
    context_tokens: int | None  # prompt size: never summed
    total_tokens: int | None
    web_searches: int | None
    lower_bounds: list[str]
    derived: list[str]
    unstated: list[str]
    cost_microusd: int | None
    cache_savings_microusd: int | None
    reported_cost: str | None  # a decimal number in its unit
    reported_cost_unit: str | None
    reported_cost_status: str | None
    old_data: bool
    clock_skew: bool
    data_version: int
    batch_no: int


class Message(Struct, frozen=True, kw_only=True):
    """`id` null: usage that belongs to no message. `event_id`: the request that the message is part of; the first of
    several messages of one request has its usage, and none where it counts in another session."""

    id: str | None
    at: datetime | None
    place: Place
    role: str | None
    kind: str | None
    model: str | None
    tool_names: list[str]
    size_chars: int | None
    event_id: str | None
    usage: Usage | None


class Messages(Struct, frozen=True, kw_only=True):
    """In the order of their times, those without one last. The usage of all pages adds up to the session's totals."""

    id: str
    counted: str
    messages: list[Message]
    next_cursor: str | None


async def messages(db: "Database", key: bytes, counted: str, limit: int, after: str | None) -> Messages:
    """NotFound when no ledger has the session."""
    this = list_id("messages", key.hex(), counted)
    cursor = read_cursor(after, this)
    position = (cursor.value, cursor.key, cursor.ledger_no) if cursor else (None, None, None)
    async with db.snapshot() as connection:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM sessions WHERE session_key = $1)", key):
            raise NotFound("This hub has no session with that id.")
        rows = await connection.fetch(sql("session", "entries"), key, counted == "all", *position, limit + 1)
        page, last = rows[:limit], rows[limit - 1] if len(rows) > limit else None
        return Messages(
            id=key.hex(),
            counted=counted,
            messages=await _messages(connection, page),
            next_cursor=write_cursor(Cursor(this, last["micros"], last["key"], last["ledger_no"])) if last else None,
        )


_EVENT_TERMS = ("harness", "provider", "model", "service_tier", "speed", "reported_cost_unit", "reported_cost_status")


async def _messages(connection: "Connection", page: Sequence[Any]) -> list[Message]:
    used = [row for row in page if row["event_key"] is not None]
    keys = [[row[name] for row in used] for name in ("event_host_no", "event_ledger_no", "event_key")]
    events = {
        (row["ledger_no"], row["event_key"]): row
        for row in await connection.fetch(sql("session", "events_of_entries"), *keys)
    }
    numbers = {row[name] for row in page for name in ("role", "kind", "said_model")}
    numbers.update(number for row in page for number in row["tool_names"] or ())
    numbers.update(row[name] for row in events.values() for name in _EVENT_TERMS)
    called = await terms(connection, numbers)
    ledgers = {row["ledger_no"] for row in page} | {row["ledger_no"] for row in events.values()}
    where = await places(connection, ledgers | {row["counting_ledger_no"] for row in events.values()})
    found = []
    for row in page:
        event = events.get((row["event_ledger_no"], row["event_key"]))
        usage = None if event is None else _usage(event, called, where)
        found.append(_message(row, usage, called, where))
    return found


def _message(
    row: Any, usage: Usage | None, called: dict[int | None, str | None], where: dict[int | None, Place]
) -> Message:
    at, model, event_key = row["said_at"], called[row["said_model"]], row["said_event_key"]
    if usage is not None and row["message_key"] is None:
        at, model, event_key = usage.at, usage.model, row["event_key"]
    return Message(
        id=_hex(row["message_key"]),
        at=at,
        place=where[row["ledger_no"]],
        role=called[row["role"]],
        kind=called[row["kind"]],
        model=model,
        tool_names=[name for number in row["tool_names"] or () if (name := called[number]) is not None],
        size_chars=row["size_chars"],
        event_id=_hex(event_key),
        usage=usage,
    )


def _usage(row: Any, called: dict[int | None, str | None], where: dict[int | None, Place]) -> Usage:
    flags = row["flags"] or 0
    fields: dict[str, Any] = {name: row[name] for name in (*COUNTERS, *_SAME)}
    fields |= {name: called[row[name]] for name in _EVENT_TERMS}
    fields |= {name: _counters(row[name]) for name in ("lower_bounds", "derived", "unstated")}
    return Usage(
        event_id=row["event_key"].hex(),
        time_quality=TIME_QUALITY[row["time_quality"]],
        counts_at=None if row["counted"] else where.get(row["counting_ledger_no"]),
        place=where[row["ledger_no"]],
        total_tokens=total_tokens(*(row[name] for name in TOTAL_PARTS)),
        cost_microusd=_money(row["cost_nanousd"]),
        cache_savings_microusd=_money(row["cache_savings_nanousd"]),
        old_data=bool(flags & OLD_DATA),
        clock_skew=bool(flags & CLOCK_SKEW),
        **fields,
    )


_SAME = ("at", "counted", "web_searches", "reported_cost", "data_version", "batch_no")


def _counters(bits: int | None) -> list[str]:
    return [name for name in COUNTERS if bits and bits & BIT[name]]


def _money(nano: int | None) -> int | None:
    return None if nano is None else micro(nano)


def _hex(key: bytes | None) -> str | None:
    return None if key is None else key.hex()
