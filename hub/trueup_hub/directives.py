"""What the hub asks agents to do, each of it once: `full_push`, `push`, `repair`, `rescan` (design section 6).

A directive travels in every receipt and heartbeat reply of its ledger until its agent says that it is done or failed.
That it came to nothing is never stored but seen in the facts: an agent that cannot do it, a host that is gone, silence.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from msgspec import Struct

from trueup_hub import sqlfiles
from trueup_hub.db import Connection, Database
from trueup_hub.errors import NotFound, Problem
from trueup_shared import wire

KINDS = ("full_push", "push", "repair", "rescan")
PATIENCE = timedelta(days=1)  # or as long as the host may be silent, where that is more
MOST_SHOWN = 20  # of each ledger
_MOST_REPORTS = 100  # of one heartbeat: more than an agent can have been asked

DirectiveState = Literal["open", "running", "done", "failed", "given_up"]


class DirectiveStatus(Struct, frozen=True, kw_only=True):
    """For people. `note`: what its agent says, or why it was given up. `done` of `of` steps, 0 = unknown."""

    directive_id: UUID
    ledger_id: UUID
    kind: str
    state: DirectiveState
    asked_by: str
    reason: str
    asked_at: datetime
    heard_at: datetime | None
    done: int
    of: int
    note: str


async def ask(db: Database, host_id: UUID, kind: str, asked_by: str, reason: str = "") -> list[DirectiveStatus]:
    """Ask the agent of every live ledger of a host; an open directive of the same kind is given back.

    NotFound, Problem 409 `retired` `forgotten` `no_ledger` `agent_too_old`.
    """
    sql = sqlfiles.load("directives")
    async with db.transaction() as connection:
        host = await connection.fetchrow(sql["host_to_ask"], host_id)
        if host is None:
            raise NotFound("There is no such host.")
        if host["forgotten_at"] is not None:
            raise Problem(409, "forgotten", "This host is being forgotten: it cannot be asked for anything.")
        if host["retired_at"] is not None or host["revoked_at"] is not None:
            raise Problem(409, "retired", "This host was retired: its agent has no access, so it cannot be asked.")
        ledgers = await connection.fetch(sql["ledgers_to_ask"], host["host_no"])
        if not ledgers:
            raise Problem(409, "no_ledger", "This host has not sent anything yet: start `trueup agent run` there.")
        able = [ledger["ledger_no"] for ledger in ledgers if not too_old(ledger["agent"])]
        if not able:
            detail = "The agent of this host is too old to be asked: run `trueup pg push --full` there, or update it."
            raise Problem(409, "agent_too_old", detail)
        asked = {await _ask_once(connection, host["host_no"], number, kind, asked_by, reason) for number in able}
        return [d for d in await directives_of(connection, host["host_no"]) if d.directive_id in asked]


async def _ask_once(connection: Connection, host_no: int, ledger_no: int, kind: str, asked_by: str, why: str) -> UUID:
    sql, now = sqlfiles.load("directives"), datetime.now(UTC)
    for row in await connection.fetch(sql["unfinished"], host_no, ledger_no):
        if row["kind"] != kind:
            continue
        lost = given_up(row, now)
        if lost is None:
            return UUID(bytes=row["directive_id"])
        await connection.execute(sql["give_up"], host_no, ledger_no, row["directive_id"], lost)
    made = uuid4()
    await connection.execute(sql["add_directive"], host_no, ledger_no, made, kind, asked_by, why)
    return made


async def open_directives(
    connection: Connection | Database, host_no: int, ledger_no: int, features: Sequence[str]
) -> list[wire.Directive]:
    """What a ledger's agent is still to do, for its receipts and heartbeat replies. `features`: of that agent."""
    if wire.DIRECTIVES not in features:
        return []
    now = datetime.now(UTC)
    rows = await connection.fetch(sqlfiles.load("directives")["unfinished"], host_no, ledger_no)
    return [
        wire.Directive(id=str(UUID(bytes=row["directive_id"])), kind=row["kind"])
        for row in rows
        if given_up(row, now) is None
    ]


async def record_reports(
    connection: Connection, host_no: int, ledger_no: int, reports: Iterable[wire.DirectiveReport]
) -> bool:
    """Keep how far an agent is. True when that is news. Reports of what this ledger was never asked are passed over."""
    latest = {_uuid(report.id): report for report in reports}
    latest.pop(None, None)
    if not latest:
        return False
    ids = list(latest)[:_MOST_REPORTS]
    told = [latest[id_] for id_ in ids]
    changed = await connection.fetch(
        sqlfiles.load("directives")["record_reports"],
        host_no,
        ledger_no,
        ids,
        [report.state for report in told],
        [report.done for report in told],
        [report.of for report in told],
        [report.note for report in told],
    )
    return bool(changed)


async def directives_of(db: Database | Connection, host_no: int) -> list[DirectiveStatus]:
    """What a host was asked, the newest first, MOST_SHOWN of each ledger at most."""
    return (await directives_by_host(db, [host_no])).get(host_no, [])


async def directives_by_host(
    db: Database | Connection, host_numbers: list[int] | None, *, most: int = MOST_SHOWN
) -> dict[int, list[DirectiveStatus]]:
    """The same for several hosts, by number. None = all."""
    now = datetime.now(UTC)
    found: dict[int, list[DirectiveStatus]] = {}
    for row in await db.fetch(sqlfiles.load("directives")["directives_of_hosts"], host_numbers, most):
        found.setdefault(row["host_no"], []).append(_status(row, now))
    return found


def _status(row: Any, now: datetime) -> DirectiveStatus:
    state, note = row["state"], row["note"]
    if state in ("open", "running"):
        lost = given_up(row, now)
        if lost is None and too_old(row["agent"]):
            lost = "Its agent is too old to be asked: update it, or run `trueup pg push --full` on the host."
        if lost is not None:
            state, note = "given_up", lost
    same = ("kind", "asked_by", "reason", "asked_at", "heard_at", "done", "of")
    return DirectiveStatus(
        directive_id=UUID(bytes=row["directive_id"]),
        ledger_id=UUID(bytes=row["ledger_id"]),
        state=state,
        note=note,
        **{name: row[name] for name in same},
    )


def given_up(row: Any, now: datetime) -> str | None:
    """Why nobody waits for an unfinished directive any more; None = it is waited for."""
    if row["forgotten_at"] is not None:
        return "The host is being forgotten."
    if row["retired_at"] is not None:
        return "The host was retired."
    if row["replaced_by"] is not None:
        return "Its ledger was replaced by another one."
    patience = max(PATIENCE, timedelta(seconds=row["expected_silence_seconds"]))
    if now - (row["heard_at"] or row["asked_at"]) > patience:
        return f"Nothing was heard of it for {patience.days} {'day' if patience.days == 1 else 'days'}."
    return None


def too_old(agent: dict[str, Any] | None) -> bool:
    """True when an agent said what it can, and this is not in it. One that said nothing yet may be able to."""
    return bool(agent) and wire.DIRECTIVES not in (agent or {}).get("features", [])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
