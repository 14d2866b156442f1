"""`trueup hub verify`: what does not agree with the rows, by check and host, in words."""

from uuid import UUID

from msgspec import Struct

from trueup_hub.db import Database
from trueup_hub.ingest.scrub import count_altered
from trueup_hub.ingest.verify import count_differences
from trueup_hub.sqlfiles import load

_SQL = load("verify")

_ROWS, _COSTS = "altered_rows", "altered_costs"
_WORDS = {
    _ROWS: "rows whose columns are not what their ledger sent",
    _COSTS: "requests cost, or saved, something else than the price table that they name says",
    "impossible_rows": "rows hold values that no agent can have sent, or are of no ledger",
    "usage_slots": "cells of usage by quarter of an hour are not what the counted requests say",
    "session_slots": "cells of usage by session are not what the counted requests say",
    "usage_days": "cells of usage by day are not what the counted requests say",
    "session_totals": "sums of sessions' usage are not what the counted requests say",
    "project_days": "cells of usage by day and project are not what the counted requests say",
    "activity_days": "cells of messages, tool calls and starts by day are not what messages and sessions say",
    "measures": "kinds of counters are in cells but not among those that are added up",
    "activity_differences": "cells of messages, tool calls and starts are not what messages and sessions say",
    "session_differences": "sums of sessions are not those of their rows",
    "ledger_differences": "sums of ledgers are not those of their sessions",
    "stray_owners": "decisions about which copy counts stand for no copy",
    "owner_differences": "copies of requests count, or do not, against the rule",
    "conflict_differences": "copies of requests are said to conflict, or not to, against the rule",
    "series_differences": "series of requests count from another ledger than the rule says",
    "chosen_differences": "copies of sessions are shown against the rule",
}


class Difference(Struct, frozen=True):
    """`host_id` and `label` are null where rows stand for no host."""

    check: str
    host_id: UUID | None
    label: str | None
    count: int
    what: str


class Waiting(Struct, frozen=True):
    """A ledger whose rows at the hub are not what it has: its agent brings them by itself."""

    ledger_id: UUID
    host_id: UUID
    label: str


async def differences(db: Database) -> list[Difference]:
    """Nothing is changed, and ingest goes on meanwhile."""
    counts = dict(await count_differences(db))
    for host_no, ledger_no in await db.fetch(_SQL["all_ledgers"]):
        altered = await count_altered(db, host_no, ledger_no)
        for check, rows in zip((_ROWS, _COSTS), altered, strict=True):
            if rows:
                by_host = counts.setdefault(check, {})
                by_host[host_no] = by_host.get(host_no, 0) + rows
    hosts = {record["host_no"]: record for record in await db.fetch(_SQL["labels"])}
    return [
        Difference(
            check=check,
            host_id=UUID(bytes=host["host_id"]) if (host := hosts.get(host_no)) else None,
            label=host["label"] if host else None,
            count=count,
            what=_words(check),
        )
        for check, by_host in sorted(counts.items())
        for host_no, count in sorted(by_host.items())
    ]


def _words(check: str) -> str:
    name, _, zone = check.partition(" ")
    return f"{_WORDS[name]}, in {zone}" if zone else _WORDS[name]


async def waiting(db: Database) -> list[Waiting]:
    return [
        Waiting(UUID(bytes=record["ledger_id"]), UUID(bytes=record["host_id"]), record["label"])
        for record in await db.fetch(_SQL["diverged_ledgers"])
    ]
