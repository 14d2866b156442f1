"""`GET /sessions/{id}/usage`: where a session's numbers come from, what was set aside, and what its subagents used."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trueup_hub.analytics.heads import Head, heads_of
from trueup_hub.analytics.places import Place, places, terms
from trueup_hub.analytics.session import Copy, copies_of, counts_of
from trueup_hub.analytics.sources import sql
from trueup_hub.analytics.totals import Coverage, Row, Totals, added, added_counts, coverage_of, peak_of, totals_of

if TYPE_CHECKING:
    from trueup_hub.db import Connection, Database

MAX_LISTED = 500  # parts, subagents: the greatest; sums are of all


class PriceTable(Struct, frozen=True):
    digest: str
    date: str


class Times(Struct, frozen=True, kw_only=True):
    """Whose time requests have, as counts of them: their record's, only their session's, only their file's."""

    record: int
    session: int
    file: int


class Contribution(Place, frozen=True, kw_only=True):
    """What one ledger has of the session out of one log, by harness, provider and model. `counted` false: set aside,
    because the copy at `counts_at` counts (null: none does yet); `conflicts`: exact there and here, with other numbers.
    """

    counted: bool
    counts_at: Place | None
    conflicts: int
    source_key: str | None
    harness: str | None
    provider: str | None
    model: str | None
    events: int
    totals: Totals  # of usage: messages are not told apart by it
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None
    first_at: datetime
    last_at: datetime
    data_versions: list[int]
    batches: list[int]  # the first and the last
    prices: list[PriceTable]  # that these requests were priced with
    times: Times
    clock_skew: int  # events dated ahead of the machine's clock
    old_data: int  # … read by an older parser, and the log is gone
    unstated: int  # … with counters of 0 that no parser version stands for


class Sum(Struct, frozen=True, kw_only=True):
    sessions: int
    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None


class Subagent(Head, frozen=True, kw_only=True):
    """`share`: of all tokens of `with_subagents`; null where it reported none."""

    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None
    share: float | None


class SessionUsage(Struct, frozen=True, kw_only=True):
    """Totals as those of the session itself: the sum of the parts that count (all parts where all copies do).

    `parts_total` and `with_subagents.sessions` say how many there are where more than 500 are not listed.
    """

    id: str
    counted: str
    events: int
    totals: Totals
    coverage: dict[str, Coverage]
    peak_context_tokens: int | None
    set_aside: Sum  # copies that do not count; sessions: this one, if there are any
    copies: list[Copy]
    parts: list[Contribution]
    parts_total: int
    share: float | None  # of all tokens of `with_subagents`
    with_subagents: Sum
    subagents: list[Subagent]


async def session_usage(db: "Database", key: bytes, counted: str) -> SessionUsage:
    """NotFound when no ledger has the session."""
    async with db.snapshot() as connection:
        copies = await copies_of(connection, key)
        parts: list[Any] = await connection.fetch(sql("session", "parts"), key)
        aside = [row for row in parts if not row["counted"]]
        used = added(parts if counted == "all" else [row for row in parts if row["counted"]])
        keys = [row["session_key"] for row in await connection.fetch(sql("session", "subagents"), key)]
        counts = await counts_of(connection, [key, *keys], counted)
        rows: list[Any] = await connection.fetch(sql("session", "usage_of", counted=counted), keys)
        usage: dict[bytes, Row] = {row["session_key"]: row for row in rows}
        family = _sum([used, *usage.values()], list(counts.values()), 1 + len(keys))
        whole = family.totals.total_tokens
        return SessionUsage(
            id=key.hex(),
            counted=counted,
            events=used["n"] if used else 0,
            totals=totals_of(used, counts.get(key)),
            coverage=coverage_of(used),
            peak_context_tokens=peak_of(used),
            set_aside=_sum(aside, [], 1 if aside else 0),
            copies=copies,
            parts=await _parts(connection, parts),
            parts_total=len(parts),
            share=_share(totals_of(used, None), whole),
            with_subagents=family,
            subagents=await _subagents(connection, keys, usage, counts, whole),
        )


def _sum(usage: list[Row | None], counts: list[Row], sessions: int) -> Sum:
    used = added(row for row in usage if row is not None)
    return Sum(
        sessions=sessions,
        events=used["n"] if used else 0,
        totals=totals_of(used, added_counts(counts)),
        coverage=coverage_of(used),
        peak_context_tokens=peak_of(used),
    )


def _share(totals: Totals, whole: int | None) -> float | None:
    return totals.total_tokens / whole if totals.total_tokens is not None and whole else None


async def _subagents(
    connection: "Connection",
    keys: list[bytes],
    usage: dict[bytes, Row],
    counts: dict[bytes, Row],
    whole: int | None,
) -> list[Subagent]:
    def tokens(key: bytes) -> int:
        return usage[key]["s_total_tokens"] if key in usage else 0

    shown = sorted(keys, key=lambda key: (-tokens(key), key))[:MAX_LISTED]
    heads = await heads_of(connection, shown)
    found = []
    for key in shown:
        used = usage.get(key)
        totals = totals_of(used, counts.get(key))
        found.append(
            Subagent(
                **heads[key],
                events=used["n"] if used else 0,
                totals=totals,
                coverage=coverage_of(used),
                peak_context_tokens=peak_of(used),
                share=_share(totals, whole),
            )
        )
    return found


async def _parts(connection: "Connection", rows: list[Any]) -> list[Contribution]:
    """Those that count first, then the greatest."""
    order = sorted(rows, key=lambda row: (not row["counted"], -row["s_total_tokens"], -row["n"], row["first_at"]))
    shown = order[:MAX_LISTED]
    where = await places(connection, [row[name] for row in shown for name in ("ledger_no", "counting_ledger_no")])
    called = await terms(connection, [row[name] for row in shown for name in ("harness", "provider", "model")])
    numbers = list({number for row in shown for number in row["price_numbers"]})
    tables = {row[0]: PriceTable(*row[1:]) for row in await connection.fetch(sql("session", "price_tables"), numbers)}
    return [
        Contribution(
            host=where[row["ledger_no"]].host,
            ledger_id=where[row["ledger_no"]].ledger_id,
            counts_at=where.get(row["counting_ledger_no"]),
            source_key=None if row["source_key"] is None else row["source_key"].hex(),
            harness=called[row["harness"]],
            provider=called[row["provider"]],
            model=called[row["model"]],
            events=row["n"],
            totals=totals_of(row, None),
            coverage=coverage_of(row),
            peak_context_tokens=peak_of(row),
            batches=[row["first_batch_no"], row["last_batch_no"]],
            prices=[tables[number] for number in sorted(row["price_numbers"]) if number in tables],
            times=Times(record=row["of_record"], session=row["of_session"], file=row["of_file"]),
            **{name: row[name] for name in _SAME},
        )
        for row in shown
    ]


_SAME = ("counted", "conflicts", "first_at", "last_at", "data_versions", "clock_skew", "old_data", "unstated")
