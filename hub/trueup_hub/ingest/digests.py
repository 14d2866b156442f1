"""Digests recomputed from the stored columns: what was stored is what was sent, or the key that differs is named."""

from collections.abc import AsyncIterator
from typing import Any

from msgspec import Struct

from trueup_hub.db import Connection, Database, Record
from trueup_hub.sqlfiles import load
from trueup_shared import keys, wire
from trueup_shared.times import micros

_SQL = load("verify")
_FETCH_ROWS = 5000


class Recomputed(Struct, frozen=True, kw_only=True):
    """`digest` is the sum over the columns; `differing` the (table, key) whose stored digest is another."""

    digest: int
    stored_digest: int
    differing: list[tuple[int, bytes]]

    @property
    def faithful(self) -> bool:
        return not self.differing and self.digest == self.stored_digest


async def recompute_digest(db: Database, host_no: int, ledger_no: int) -> Recomputed:
    """Rebuild every row of a ledger that is not stale from its columns, in one snapshot."""
    total, differing = 0, []
    async with db.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        terms: dict[int, str | None] = {
            n: t or None for n, t in await connection.fetch("SELECT term_no, term FROM terms")
        }
        stored = await connection.fetchval(_SQL["ledger_digest"], host_no, ledger_no)
        for table, block, rebuild in (
            (keys.SESSIONS, "session_rows", _session),
            (keys.MESSAGES, "message_rows", _message),
            (keys.EVENTS, "event_rows", _event),
        ):
            async for record in _rows(connection, _SQL[block], host_no, ledger_no):
                digest = keys.row_digest(table, record["key"], wire.encode_body(rebuild(record, terms)))
                total += digest
                if keys.digest_bytes(digest) != record["row_digest"]:
                    differing.append((table, record["key"]))
    return Recomputed(digest=total % keys.DIGEST_MODULUS, stored_digest=int(stored or 0), differing=differing)


async def _rows(connection: Connection, sql: str, *args: Any) -> AsyncIterator[Record]:
    async for record in connection.cursor(sql, *args, prefetch=_FETCH_ROWS):
        yield record


def _at(record: Record, name: str) -> int | None:
    moment = record[name]
    return None if moment is None else micros(moment)


def _session(r: Record, terms: dict[int, str | None]) -> wire.Body:
    return wire.SessionBody(
        harness=terms[r["harness"]],
        session_id=r["session_id"],
        parent_key=r["parent_key"],
        relationship=terms[r["relationship"]],
        started_at=_at(r, "started_at"),
        project=terms[r["project"]],
        git_branch=r["git_branch"],
        harness_version=r["harness_version"],
        os_user=terms[r["os_user"]],
    )


def _message(r: Record, terms: dict[int, str | None]) -> wire.Body:
    names = r["tool_names"]
    return wire.MessageBody(
        session_key=r["session_key"],
        at=_at(r, "at"),
        role=terms[r["role"]],
        kind=terms[r["kind"]],
        model=terms[r["model"]],
        tool_names=None if names is None else [terms[number] or "" for number in names],
        size_chars=r["size_chars"],
        event_key=r["event_key"],
        project=terms[r["project"]],
        harness=terms[r["harness"]],
    )


_TERMS = (
    "harness",
    "provider",
    "model",
    "project",
    "service_tier",
    "speed",
    "reported_cost_unit",
    "reported_cost_status",
)
_VALUES = tuple(name for name in wire.EventBody.__struct_fields__ if name not in (*_TERMS, "at"))


def _event(r: Record, terms: dict[int, str | None]) -> wire.Body:
    values: dict[str, Any] = {name: r[name] for name in _VALUES} | {name: terms[r[name]] for name in _TERMS}
    return wire.EventBody(at=_at(r, "at"), **values)
