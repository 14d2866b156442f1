"""Rows rebuilt from their stored columns, and the digests of what is there. Read-only; scrub.py corrects sums by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from trueup_hub.db import Connection, Database, Record
from trueup_hub.sqlfiles import load
from trueup_shared import digest_sets, keys, wire
from trueup_shared.metrics import BIT
from trueup_shared.times import micros

_SQL = load("verify")
_POSSIBLE = {name: _SQL[name] for name in ("possible_event", "possible_message", "possible_session")}
_CHUNK_ROWS = 200  # other requests get on after each

# Tables of facts by number, and what their keys are called; in the order in which ingest locks their rows.
FACTS = {
    keys.EVENTS: ("events", "event_key"),
    keys.MESSAGES: ("messages", "message_key"),
    keys.SESSIONS: ("sessions", "session_key"),
}

FIRST, LAST = bytes(keys.KEY_BYTES), bytes([255] * keys.KEY_BYTES)  # of keys


def following(key: bytes) -> bytes | None:
    """The key after this one; None after the last."""
    return None if key == LAST else (int.from_bytes(key, "big") + 1).to_bytes(keys.KEY_BYTES, "big")


class Rebuilt(Struct, gc=False):
    """A stored row that is possible and not stale. `stored`: its digest in the sums, `digest`: of its columns."""

    table: int
    key: bytes
    session_key: bytes
    digest: bytes
    stored: bytes
    record: Record
    body: Any


class Recomputed(Struct, frozen=True, kw_only=True):
    """`digest` is the sum over the columns; `differing` the (table, key) whose stored digest is another."""

    digest: int
    stored_digest: int
    differing: list[tuple[int, bytes]]

    @property
    def faithful(self) -> bool:
        return not self.differing and self.digest == self.stored_digest


class Sums(Struct, gc=False):
    """Of one session of one ledger: all its rows, and the messages among them. `digest` is not yet modulo 2^128."""

    rows: int = 0
    messages: int = 0
    digest: int = 0

    def add(self, row: Rebuilt) -> None:
        self.rows += 1
        self.messages += row.table == keys.MESSAGES
        self.digest += int.from_bytes(row.digest, "big")


async def recompute_digest(db: Database, host_no: int, ledger_no: int) -> Recomputed:
    """A whole ledger, in one snapshot."""
    total, differing = 0, []
    async with db.snapshot() as connection:
        stored = await connection.fetchval(_SQL["ledger_digest"], host_no, ledger_no)
        async for rows in rebuilt_rows(connection, host_no, ledger_no):
            total += sum(int.from_bytes(row.digest, "big") for row in rows)
            differing += [(row.table, row.key) for row in rows if row.digest != row.stored]
    return Recomputed(digest=total % keys.DIGEST_MODULUS, stored_digest=int(stored or 0), differing=differing)


async def recomputed_buckets(connection: Connection, host_no: int, ledger_no: int) -> list[int]:
    """Sums modulo 2^128 of the rows' digests, from columns, by the first byte of the session key. In a transaction."""
    sums = [0] * 256
    async for rows in rebuilt_rows(connection, host_no, ledger_no):
        for row in rows:
            sums[row.session_key[0]] += int.from_bytes(row.digest, "big")
    return [total % keys.DIGEST_MODULUS for total in sums]


async def recomputed_sessions(
    connection: Connection, host_no: int, ledger_no: int, bucket: int
) -> list[wire.SessionSum]:
    """The sessions of a bucket that have rows, by key; sums from columns. In a transaction."""
    sums: dict[bytes, Sums] = {}
    low, high = bytes([bucket]) + FIRST[1:], bytes([bucket]) + LAST[1:]
    async for rows in rebuilt_rows(connection, host_no, ledger_no, low, high):
        for row in rows:
            sums.setdefault(row.session_key, Sums()).add(row)
    return [wire.SessionSum(key, found.rows, keys.digest_bytes(found.digest)) for key, found in sorted(sums.items())]


async def recomputed_rows(
    connection: Connection, host_no: int, ledger_no: int, session_key: bytes
) -> list[wire.RowDigest]:
    """The rows of a session, digests from columns. In a transaction."""
    return [
        wire.RowDigest(row.table, row.key, row.record["seq"] or 0, row.digest)
        async for rows in rebuilt_rows(connection, host_no, ledger_no, session_key, session_key)
        for row in rows
    ]


async def rebuilt_rows(
    connection: Connection, host_no: int, ledger_no: int, low: bytes = FIRST, high: bytes = LAST
) -> AsyncIterator[list[Rebuilt]]:
    """The rows of a ledger's sessions `low` … `high` (both included) in chunks; the event loop gets on in between.

    In a transaction, for cursors. Tables come in the order in which ingest locks their rows.
    """
    digest_set = await connection.fetchval(_SQL["digest_set_of"], host_no, ledger_no) or digest_sets.newest()
    terms = {number: term or None for number, term in await connection.fetch(_SQL["all_terms"])}
    for table, block, rebuild in _TABLES:
        prefix, encode = bytes((digest_set, table)), digest_sets.encoder(table, digest_set)
        cursor = await connection.cursor(_SQL[block].format(**_POSSIBLE), host_no, ledger_no, low, high)
        while records := await cursor.fetch(_CHUNK_ROWS):
            rows = []
            for record in records:
                key, session_key, stored = record["key"], record["session_key"], record["row_digest"]
                body = rebuild(record, terms)
                digest = blake2b(prefix + key + encode(body), digest_size=keys.KEY_BYTES).digest()
                rows.append(Rebuilt(table, key, session_key, digest, stored, record, body))
            yield rows
            await asyncio.sleep(0)


Terms = dict[int, str | None]  # a number that the dictionary has lost reads as unknown, and so differs


def _at(record: Record, name: str) -> int | None:
    moment = record[name]
    return None if moment is None else micros(moment)


def _session(r: Record, terms: Terms) -> wire.Body:
    return wire.SessionBody(
        harness=terms.get(r["harness"]),
        session_id=r["session_id"],
        parent_key=r["parent_key"],
        relationship=terms.get(r["relationship"]),
        started_at=_at(r, "started_at"),
        project=terms.get(r["project"]),
        git_branch=r["git_branch"],
        harness_version=r["harness_version"],
        os_user=terms.get(r["os_user"]),
    )


def _message(r: Record, terms: Terms) -> wire.Body:
    names = r["tool_names"]
    return wire.MessageBody(
        session_key=r["session_key"],
        at=_at(r, "at"),
        role=terms.get(r["role"]),
        kind=terms.get(r["kind"]),
        model=terms.get(r["model"]),
        tool_names=None if names is None else [terms.get(number) or "" for number in names],
        size_chars=r["size_chars"],
        event_key=r["event_key"],
        project=terms.get(r["project"]),
        harness=terms.get(r["harness"]),
    )


def _event(r: Record, terms: Terms) -> wire.Body:
    body = wire.EventBody(
        owner_key=r["owner_key"],
        session_key=r["session_key"],
        at=_at(r, "at"),
        time_quality=r["time_quality"],
        harness=terms.get(r["harness"]),
        provider=terms.get(r["provider"]),
        model=terms.get(r["model"]),
        service_tier=terms.get(r["service_tier"]),
        speed=terms.get(r["speed"]),
        project=terms.get(r["project"]),
        input_tokens=r["input_tokens"],
        cache_read_tokens=r["cache_read_tokens"],
        cache_write_tokens=r["cache_write_tokens"],
        cache_write_1h_tokens=r["cache_write_1h_tokens"],
        output_tokens=r["output_tokens"],
        reasoning_tokens=r["reasoning_tokens"],
        input_undivided_tokens=r["input_undivided_tokens"],
        undivided_tokens=r["undivided_tokens"],
        context_tokens=r["context_tokens"],
        lower_bounds=r["lower_bounds"],
        derived=r["derived"],
        web_searches=r["web_searches"],
        reported_cost=r["reported_cost"],
        reported_cost_unit=terms.get(r["reported_cost_unit"]),
        reported_cost_status=terms.get(r["reported_cost_status"]),
        flags=r["flags"],
    )
    return body if not r["unstated"] else _with_zeros(body, r["unstated"])


def _with_zeros(body: wire.EventBody, unstated: int) -> wire.EventBody:
    """Counters that came as 0 and are kept as unknown."""
    zeros = {name: 0 for name, bit in BIT.items() if unstated & bit and getattr(body, name) is None}
    values = {name: getattr(body, name) for name in body.__struct_fields__}
    return wire.EventBody(**(values | zeros))


_TABLES: tuple[tuple[int, str, Callable[[Record, Terms], Any]], ...] = (
    (keys.EVENTS, "event_rows", _event),
    (keys.MESSAGES, "message_rows", _message),
    (keys.SESSIONS, "session_rows", _session),
)
