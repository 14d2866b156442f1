"""`GET /sessions/{id}`: one session over its whole life."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trueup_hub.analytics.heads import Head, heads_of
from trueup_hub.analytics.places import Place, places
from trueup_hub.analytics.scope import ALL_SLOTS
from trueup_hub.analytics.sources import sql
from trueup_hub.analytics.totals import Coverage, Row, Totals, added, coverage_of, peak_of, totals_of
from trueup_hub.errors import NotFound

if TYPE_CHECKING:
    from trueup_hub.db import Connection, Database


class ModelUsage(Struct, frozen=True, kw_only=True):
    key: str | None  # null = unknown
    events: int
    totals: Totals
    coverage: dict[str, Coverage]


class Copy(Place, frozen=True, kw_only=True):
    """The session as one ledger has it: what of it counts, how it came here, and whether the ledger is all here."""

    chosen: bool  # it supplies project, times and messages
    stale: bool  # a newer version of its row was rejected
    messages: int
    events_counted: int
    events_set_aside: int  # another copy of the same requests counts
    data_version: int | None  # of the parser that read its row; null: its own row has not come
    batch_no: int | None
    received_at: datetime | None  # that batch
    seq: int | None
    source_key: str | None
    source_path: str | None  # where the machine's policy sends it
    source_state: str | None
    generation: int  # of its ledger: the last full push
    verdict: str | None  # of the ledger's last batch
    converged_at: datetime | None
    agent_version: str


class Session(Head, frozen=True, kw_only=True):
    """Totals are of its whole life, whichever ledgers have it."""

    counted: str
    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None
    by_model: list[ModelUsage]  # at most 500, the greatest
    models_total: int
    copies: list[Copy]
    children: list[str]  # at most 1,000
    children_total: int


_MOST_CHILDREN = 1_000
_MOST_MODELS = 500
_NOT_OF_A_COPY = ("host", "ledger_id", "source_key")
_OF_A_COPY = tuple(name for name in Copy.__struct_fields__ if name not in _NOT_OF_A_COPY)


async def session(db: "Database", key: bytes, counted: str) -> Session:
    """NotFound when no ledger has it."""
    async with db.snapshot() as connection:
        copies = await copies_of(connection, key)
        counts = (await counts_of(connection, [key], counted)).get(key)
        models: list[Any] = await connection.fetch(sql("session", "usage_by_model", counted=counted), key)
        children = await connection.fetch(sql("session", "children"), key, _MOST_CHILDREN)
        usage = added(models)
        return Session(
            **(await heads_of(connection, [key]))[key],
            counted=counted,
            events=usage["n"] if usage else 0,
            totals=totals_of(usage, counts),
            coverage=coverage_of(usage),
            peak_context_tokens=peak_of(usage),
            by_model=[
                ModelUsage(key=row["model"], events=row["n"], totals=totals_of(row, None), coverage=coverage_of(row))
                for row in sorted(models, key=lambda row: (-row["s_total_tokens"], row["model"] or ""))[:_MOST_MODELS]
            ],
            models_total=len(models),
            copies=copies,
            children=[row["session_key"].hex() for row in children],
            children_total=children[0]["of"] if children else 0,
        )


async def copies_of(connection: "Connection", key: bytes) -> list[Copy]:
    """Every ledger's, the chosen one first. NotFound when none has the session."""
    rows: list[Any] = await connection.fetch(sql("session", "copies"), key)
    if not rows:
        raise NotFound("This hub has no session with that id.")
    where = await places(connection, [row["ledger_no"] for row in rows])
    return [
        Copy(
            host=where[row["ledger_no"]].host,
            ledger_id=where[row["ledger_no"]].ledger_id,
            source_key=None if row["source_key"] is None else row["source_key"].hex(),
            **{name: row[name] for name in _OF_A_COPY},
        )
        for row in rows
    ]


async def counts_of(connection: "Connection", keys: list[bytes], counted: str) -> dict[bytes, Row]:
    """Messages, tool calls and starts of sessions over their whole life."""
    everything = (*ALL_SLOTS, *[None] * 5, keys)
    rows: list[Any] = await connection.fetch(sql("sessions", "counts_of_sessions", counted=counted), *everything)
    return {row["session_key"]: row for row in rows}
