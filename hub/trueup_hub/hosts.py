"""Hosts: the facts that say what state each is in and why, read from the database."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from trueup_hub import sqlfiles
from trueup_hub.analytics.cursors import Cursor, list_id, read_cursor, write_cursor
from trueup_hub.auth import Auth
from trueup_hub.db import Connection, Database
from trueup_hub.directives import DirectiveStatus, directives_by_host
from trueup_hub.flags import HostFacts, flags_of
from trueup_hub.params import HOSTS, Parameter
from trueup_hub.reports import HostReport, LedgerReport
from trueup_hub.states import WORDS, LedgerFacts, counts, host_state, ledger_state
from trueup_hub.versions import stated
from trueup_shared.keys import digest_bytes
from trueup_shared.times import moment

MAX_HOSTS = 10_000  # in an answer, of about 2 kB each
TAKES = (
    *HOSTS,
    Parameter(name="limit", kind="whole", doc="How many at most.", lowest=1, highest=MAX_HOSTS, default=MAX_HOSTS),
    Parameter(name="cursor", kind="text", doc="`next_cursor` of the page before."),
)
_PAUSE_HOSTS = 250  # other requests get on meanwhile: a host takes about 50 µs


async def list_hosts(
    db: Database | Connection,
    host_id: UUID | None = None,
    *,
    host_numbers: list[int] | None = None,
    now: datetime | None = None,
    after: tuple[datetime, int] | None = None,
    limit: int | None = None,
) -> list[HostReport]:
    """Every host in the order of enrolment, or the one or those asked for, or so many after one (when, number)."""
    sql = sqlfiles.load("hosts")
    hosts = await db.fetch(sql["all_hosts"], host_id, host_numbers, *(after or (None, None)), limit)
    if host_id is not None or limit is not None:
        host_numbers = [host["host_no"] for host in hosts]
    ledgers: dict[int, list[Any]] = {}
    for row in await db.fetch(sql["all_ledgers"], host_numbers):
        ledgers.setdefault(row["host_no"], []).append(row)
    rejections = await _rejections(db, [number for number, rows in ledgers.items() if any(r["rejected"] for r in rows)])
    asked = await directives_by_host(db, host_numbers, most=1)
    reports = []
    for host in hosts:
        number = host["host_no"]
        facts = (ledgers.get(number, []), rejections.get(number, {}), asked.get(number, []))
        reports.append(_report(host, *facts, now or datetime.now(UTC)))
        if len(reports) % _PAUSE_HOSTS == 0:
            await asyncio.sleep(0)
    return reports


async def page_of_hosts(
    connection: Connection, host_numbers: list[int] | None, cursor: str | None, limit: int
) -> tuple[list[HostReport], str | None]:
    """So many of these, and where the next page begins; None = that was the last. BadRequest for a cursor of another
    list."""
    this = list_id("hosts", host_numbers)
    place = read_cursor(cursor, this)
    after = None if place is None else (moment(place.value), place.ledger_no)
    found = await list_hosts(connection, host_numbers=host_numbers, after=after, limit=limit + 1)
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    at = round(last.enrolled_at.timestamp() * 1_000_000)
    return found[:limit], write_cursor(Cursor(this, at, last.host_id.bytes, last.host_no))


async def _rejections(db: Database | Connection, host_numbers: list[int]) -> dict[int, dict[str, int]]:
    """By host: how many rows were rejected for each reason."""
    found: dict[int, dict[str, int]] = {}
    if host_numbers:
        for row in await db.fetch(sqlfiles.load("hosts")["rejected_of_hosts"], host_numbers):
            found.setdefault(row["host_no"], {})[row["reason"]] = row["rows"]
    return found


async def live_ledgers(connection: Connection, host_numbers: list[int] | None) -> list[int]:
    """Numbers of the ledgers whose place no other took, of these hosts (None = all)."""
    sql, now = sqlfiles.load("hosts"), datetime.now(UTC)
    ledgers: dict[int, list[Any]] = {}
    for row in await connection.fetch(sql["all_ledgers"], host_numbers):
        ledgers.setdefault(row["host_no"], []).append(row)
    found = []
    for host in await connection.fetch(sql["all_hosts"], None, host_numbers, None, None, None):
        rows = ledgers.get(host["host_no"], [])
        facts = _facts(rows, timedelta(seconds=host["expected_silence_seconds"]), now)
        found += [row["ledger_no"] for row, fact in zip(rows, facts, strict=True) if counts(fact)]
    return found


def _report(
    host: Any, rows: list[Any], rejections: dict[str, int], asked: list[DirectiveStatus], now: datetime
) -> HostReport:
    forgotten = host["forgotten_at"] is not None
    silence = timedelta(seconds=host["expected_silence_seconds"])
    facts = _facts(rows, silence, now)
    numbers = {row["ledger_no"]: UUID(bytes=row["ledger_id"]) for row in rows}
    ledgers = [_ledger_report(row, fact, numbers) for row, fact in zip(rows, facts, strict=True)]
    last_seen_at = max((at for row in rows if (at := _heard_at(row)) is not None), default=None)
    state = host_state(
        retired=host["retired_at"] is not None or forgotten,
        last_seen_at=last_seen_at,
        expected_silence=silence,
        ledgers=facts,
        now=now,
    )
    live = {ledger.ledger_id: ledger for ledger in ledgers if ledger.live}
    flags = flags_of(
        HostFacts(
            state=state,
            ledgers=list(live.values()),
            rejections=rejections,
            directives=[one for one in asked if one.ledger_id in live],
            readmitted=host["readmitted_at"] is not None,
            forgotten=forgotten,
            now=now,
        )
    )
    is_empty = state == "never" and last_seen_at is not None and now - last_seen_at <= silence
    words = WORDS["forgotten" if forgotten else "empty" if is_empty else state]
    same = ("host_no", "label", "labels", "kind", "platform", "enrolled_at", "expected_silence_seconds")
    return HostReport(
        host_id=UUID(bytes=host["host_id"]),
        state=state,
        reason=words.reason,
        action=words.action,
        flags=flags,
        last_seen_at=last_seen_at,
        readmitted_at=host["readmitted_at"],
        retired_at=host["retired_at"],
        forgotten_at=host["forgotten_at"],
        ledgers=ledgers,
        **{name: host[name] for name in same},
    )


def _heard_at(row: Any) -> datetime | None:
    """When anything authentic last came from a ledger."""
    return max((at for at in (row["heard_at"], row["seen_at"], row["last_batch_at"]) if at is not None), default=None)


def _facts(rows: Sequence[Any], silence: timedelta, now: datetime) -> list[LedgerFacts]:
    """Ledgers follow one another on a machine. Two heard of in turn are two machines, until one falls silent."""
    sent = {row["ledger_no"] for row in rows if row["batch_no"]}
    heard = {row["ledger_no"]: at for row in rows if (at := _heard_at(row)) is not None and now - at <= silence}

    def is_shared(row: Any) -> bool:
        """Heard of after another one began, or after its own successor said so."""
        number = row["ledger_no"]
        later = [r for r in rows if r["first_contact_at"] > row["first_contact_at"] and r["ledger_no"] in heard]
        since = [row["replaced_at"] if row["replaced_by"] == r["ledger_no"] else r["first_contact_at"] for r in later]
        return number in heard and any(heard[number] > at for at in since)

    return [
        LedgerFacts(
            acked_seq=row["acked_seq"],
            head_seq=row["head_seq"],
            verdict=row["verdict"] if row["batch_no"] else None,
            replaced=row["replaced_by"] in sent,
            superseded=row["superseded_at"] is not None,
            shared=is_shared(row),
        )
        for row in rows
    ]


def _mended_at(row: Any) -> datetime | None:
    """When what a scrub found was put right: by a repair or full push, or at once where only sums were wrong."""
    if row["verdict"] == "diverged":
        return None
    at: datetime | None = row["mended_at"]
    return row["corrected_at"] if at is None and row["verdict"] == "converged" else at


def _ledger_report(row: Any, facts: LedgerFacts, numbers: dict[int, UUID]) -> LedgerReport:
    stored = ("unstated", "acked_seq", "sessions", "messages", "events", "rejected", "batch_no", "policy", "corrected")
    cursor = ("generation", "open_generation", "full_seq", "full_target")
    times = ("first_contact_at", "last_batch_at", "converged_at", "scrubbed_at", "corrected_at", "superseded_at")
    told = ("seen_at", "head_seq", "skipped_lines", "unknown_records", "old_data", "source_gone", "last_error")
    newer = row["seen_at"] is not None and (row["last_batch_at"] is None or row["seen_at"] >= row["last_batch_at"])
    said = stated(row["agent"], row["parsers"] if newer and row["parsers"] != "{}" else row["batch_parsers"])
    return LedgerReport(
        ledger_id=numbers[row["ledger_no"]],
        state=ledger_state(facts),
        live=counts(facts),
        verdict=facts.verdict,
        digest=digest_bytes(int(row["digest"])).hex(),
        mended_at=_mended_at(row),
        replaces=[UUID(bytes=old) for old in row["replaces"]],
        replaced_by=numbers.get(row["replaced_by"]),
        agent_version=(said.agent and said.agent.version) or row["agent_version"] or None,
        agent=said.agent,
        parsers=said.parsers,
        versions=said.versions,
        clock_skew_seconds=None if row["seen_at"] is None else round((row["sent_at"] - row["seen_at"]).total_seconds()),
        # By what was received since: a heartbeat's own count is out of date as soon as a batch follows it.
        pending=None if row["head_seq"] is None else max(0, row["head_seq"] - row["acked_seq"]),
        drift_suspected=row["drift_suspected"] or [],
        withheld=row["withheld"] or [],
        **{name: row[name] for name in (*stored, *cursor, *times, *told)},
    )


async def expected_silence_seconds(db: Database, host_no: int) -> int:
    seconds: int = await db.fetchval(sqlfiles.load("hosts")["expected_silence"], host_no)
    return seconds


async def change_host(db: Database, host_id: UUID, label: str | None, labels: dict[str, str] | None) -> bool:
    """False when there is no such host. None leaves a field as it is."""
    return await db.fetchval(sqlfiles.load("hosts")["change_host"], host_id, label, labels) is not None


async def retire_host(auth: Auth, host_id: UUID, actor: str) -> None:
    """Its access ends, what it sent stays."""
    auth.revocations.add(host_id)  # first, so that it holds even if the database is lost before the next backup
    await auth.db.execute(sqlfiles.load("hosts")["retire_host"], host_id)
    await auth.note(actor, "host.retire", str(host_id), {})
