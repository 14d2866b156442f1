"""`GET /rejections`: rows that the hub could not accept, which are counted nowhere but in `rejected`."""

from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.analytics.cursors import Cursor, list_id, read_cursor, write_cursor
from trueup_hub.analytics.heads import HostName
from trueup_hub.hosts import live_ledgers
from trueup_hub.params import HOSTS, Parameter
from trueup_shared import keys
from trueup_shared.times import micros, moment

if TYPE_CHECKING:
    from trueup_hub.db import Connection

MAX_LIMIT = 1_000
TAKES = (
    *HOSTS,
    Parameter(name="limit", kind="whole", doc="How many on a page.", lowest=1, highest=MAX_LIMIT, default=100),
    Parameter(name="cursor", kind="text", doc="Where the page begins: `next_cursor` of the one before."),
)
Table = Literal["sessions", "messages", "events", "tombstones"]
_TABLES: dict[int, Table] = {
    keys.SESSIONS: "sessions",
    keys.MESSAGES: "messages",
    keys.EVENTS: "events",
    0: "tombstones",
}


class RejectedRow(Struct, frozen=True, kw_only=True):
    """A row as it came last. It is tried again when its agent or the hub changes version, and goes when it is accepted
    or its ledger has it no more."""

    host: HostName
    ledger_id: str
    table: Table  # the list of the batch that it came in
    key: str | None  # hex; null where it could not be read
    seq: int | None
    code: str  # bad_value, bad_row, failed, not_faithful
    reason: str
    rejected_at: datetime
    batch_no: int
    agent_version: str | None  # of the agent that sent it
    older_version: bool  # one of it had been accepted: it left the sums


class Rejections(Struct, frozen=True):
    """The latest first. `next_cursor`: null on the last page."""

    rejections: list[RejectedRow]
    total: int  # on all pages: `rejected` of the trust block under the same filters
    next_cursor: str | None


async def list_rejections(
    connection: "Connection", host_numbers: list[int] | None, limit: int, after: str | None
) -> Rejections:
    """One page of these hosts' (None = all), of ledgers whose place no other took. BadRequest for a cursor of another
    list."""
    this = list_id("rejections", host_numbers)
    cursor = read_cursor(after, this)
    sql, ledgers = sqlfiles.load("rejections"), await live_ledgers(connection, host_numbers)
    place = (moment(cursor.value), cursor.ledger_no, cursor.key, cursor.table_no) if cursor else (None,) * 4
    rows = await connection.fetch(sql["list_rejections"], ledgers, *place, limit + 1)
    page, last = rows[:limit], rows[limit - 1 : limit] if len(rows) > limit else []
    same = ("seq", "code", "reason", "rejected_at", "batch_no", "agent_version", "older_version")
    return Rejections(
        rejections=[
            RejectedRow(
                host=HostName(str(UUID(bytes=row["host_id"])), row["label"]),
                ledger_id=str(UUID(bytes=row["ledger_id"])),
                table=_TABLES[row["table_no"]],
                key=row["row_key"].hex() if row["key_known"] else None,
                **{name: row[name] for name in same},
            )
            for row in page
        ],
        total=await connection.fetchval(sql["count_rejections"], ledgers),
        next_cursor=write_cursor(
            Cursor(this, micros(last[0]["rejected_at"]), last[0]["row_key"], last[0]["ledger_no"], last[0]["table_no"])
        )
        if last
        else None,
    )
