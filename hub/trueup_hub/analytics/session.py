"""`GET /sessions/{id}`: one session over its whole life, and where its numbers come from."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct

from trueup_hub.analytics.heads import Head, HostName, heads_of
from trueup_hub.analytics.scope import ALL_SLOTS
from trueup_hub.analytics.sources import sql
from trueup_hub.analytics.totals import Coverage, Totals, added, coverage_of, peak_of, totals_of
from trueup_hub.errors import NotFound

if TYPE_CHECKING:
    from trueup_hub.db import Database


class ModelUsage(Struct, frozen=True, kw_only=True):
    key: str | None  # null = unknown
    events: int
    totals: Totals
    coverage: dict[str, Coverage]


class Copy(Struct, frozen=True, kw_only=True):
    """The session as one ledger has it: what of it counts, and how it came here."""

    host: HostName
    ledger_id: str
    chosen: bool  # it supplies project, times and messages
    stale: bool  # a newer version of its row was rejected
    messages: int
    events_counted: int
    events_set_aside: int  # another copy of the same requests counts
    data_version: int | None  # null: its own row has not come
    batch_no: int | None
    seq: int | None
    generation: int
    agent_version: str


_SAME = (
    *("chosen", "stale", "messages", "events_counted", "events_set_aside"),
    *("data_version", "batch_no", "seq", "generation", "agent_version"),
)


class Session(Head, frozen=True, kw_only=True):
    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None
    by_model: list[ModelUsage]
    copies: list[Copy]
    children: list[str]


async def session(db: "Database", key: bytes) -> Session:
    """NotFound when no ledger has it."""
    async with db.snapshot() as connection:
        copies = await connection.fetch(sql("sessions", "copies"), key)
        if not copies:
            raise NotFound("This hub has no session with that id.")
        everything = (*ALL_SLOTS, *[None] * 5, [key])
        counts: Any = await connection.fetchrow(sql("sessions", "counts_of_sessions"), *everything)
        models: list[Any] = await connection.fetch(sql("sessions", "usage_by_model"), key)
        children = await connection.fetch(sql("sessions", "children"), key)
        usage = added(models)
        return Session(
            **(await heads_of(connection, [key]))[key],
            events=usage["n"] if usage else 0,
            totals=totals_of(usage, counts),
            coverage=coverage_of(usage),
            peak_context_tokens=peak_of(usage),
            by_model=[
                ModelUsage(key=row["model"], events=row["n"], totals=totals_of(row, None), coverage=coverage_of(row))
                for row in sorted(models, key=lambda row: (-row["s_total_tokens"], row["model"] or ""))
            ],
            copies=[
                Copy(
                    host=HostName(str(UUID(bytes=row["host_id"])), row["label"]),
                    ledger_id=str(UUID(bytes=row["ledger_id"])),
                    **{name: row[name] for name in _SAME},
                )
                for row in copies
            ],
            children=[row["session_key"].hex() for row in children],
        )
