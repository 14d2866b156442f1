"""Compares rollups, sums and ownership with the facts, by SQL that shares nothing with ingest but the rules."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from trueup_hub.db import Connection, Database
from trueup_hub.ingest.cells import KEYS, PLACE, SEVERAL
from trueup_hub.ingest.measures import COUNTS, MEASURES
from trueup_hub.ingest.session_totals import COLUMNS
from trueup_hub.sqlfiles import load
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, GAUGE, TOTAL_BITS

_SQL = load("verify")
_PRICED_BITS = BIT["input_tokens"] | BIT["cache_read_tokens"] | BIT["cache_write_tokens"] | BIT["output_tokens"]
_CACHED_BITS = BIT["cache_read_tokens"] | BIT["cache_write_tokens"]

OF_A_HOST = "($1::int4 IS NULL OR host_no = $1)"  # null: of all
_SESSIONS_OF_A_HOST = "($1::int4 IS NULL OR session_key IN (SELECT s.session_key FROM sessions s WHERE s.host_no = $1))"

MEASURES_OF = {"session_totals": COLUMNS, "activity_slots": COUNTS, "activity_days": COUNTS}

Differences = dict[str, list[dict[str, Any]]]


async def verify(db: Database, host_no: int | None = None) -> Differences:
    """What differs, by check; {} when everything agrees. One snapshot, so it may run beside ingest."""
    found: Differences = {}
    async with db.snapshot() as connection:
        async for name, sql, args in _checks(connection, host_no):
            if records := await connection.fetch(sql, *args):
                found[name] = [dict(record) for record in records]
    return found


async def count_differences(db: Database, host_no: int | None = None) -> dict[str, dict[int, int]]:
    """How many differ, by check and host."""
    found: dict[str, dict[int, int]] = {}
    async with db.snapshot() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")
        async for name, sql, args in _checks(connection, host_no):
            counts = await connection.fetch(_SQL["count_by_host"].format(differences=sql), *args)
            if counts:
                found[name] = {record["host_no"]: record["rows"] for record in counts}
    return found


async def _checks(connection: Connection, host_no: int | None) -> AsyncIterator[tuple[str, str, list[Any]]]:
    """(name, SQL, arguments) of each check; every difference has a host_no."""
    for table in ("usage_slots", "session_slots"):
        yield table, cells_sql(table, counted_events(OF_A_HOST), OF_A_HOST), [host_no]
    totals = cells_sql("session_totals", counted_events(_SESSIONS_OF_A_HOST), _SESSIONS_OF_A_HOST)
    yield "session_totals", totals, [host_no]
    yield "measures", _SQL["unnoted_measures"].format(sums=sums_of(MEASURES), condition=OF_A_HOST), [host_no]
    for zone_no, zone in await connection.fetch("SELECT zone_no, zone FROM zones"):
        # Days by the database's own rules of time zones, which ingest does not use
        await connection.execute(_SQL["set_zone"], zone)
        day = {"zone_no": str(zone_no), "day": "at::date"}
        here = f"{OF_A_HOST} AND zone_no = {zone_no}"
        for table in ("usage_days", "project_days"):
            yield f"{table} {zone}", cells_sql(table, counted_events(OF_A_HOST), here, day), [host_no]
        yield f"activity_days {zone}", cells_sql("activity_days", _SQL["activity_parts"], here, day), [host_no]
    yield "activity_differences", cells_sql("activity_slots", _SQL["activity_parts"], OF_A_HOST), [host_no]
    possible = {kind: _SQL[f"possible_{kind}"] for kind in ("event", "message", "session")}
    impossible = _SQL["impossible_rows"].format(**possible)
    yield "impossible_rows", _SQL["of_a_host"].format(differences=impossible), [host_no]
    for block in ("session_differences", "ledger_differences", "stray_owners", "chosen_differences"):
        yield block, _SQL["of_a_host"].format(differences=_SQL[block]), [host_no]
    caps = {
        await connection.fetchval("SELECT term_no FROM terms WHERE term = $1", harness): version
        for harness, version in DATA_VERSIONS.items()
    }
    caps.pop(None, None)
    for block in ("series_differences", "owner_differences", "conflict_differences"):
        parts = {name: _SQL[name] for name in ("version_and_total", "quality")}
        differences = _SQL[block].format(ranked=_SQL["ranked_events"].format(**parts), **parts)
        yield block, _SQL["of_a_host_3"].format(differences=differences), [list(caps), list(caps.values()), host_no]


def counted_events(condition: str) -> str:
    """SELECT of every counted event that meets the condition, spread out."""
    return spread_events(f"counted AND ({condition})")


def spread_events(condition: str) -> str:
    """SELECT of events, each spread out to what it adds to a rollup cell: one column for each measure."""
    spread = ["1 AS n"]
    for name in (*ADDITIVE_COUNTERS, GAUGE):
        bit = BIT[name]
        spread.append(f"{name} AS s_{name}" if name != GAUGE else f"{name} AS max_{name}")
        spread.append(f"({name} IS NOT NULL)::int AS r_{name}")
        spread += [
            f"({name} IS NOT NULL AND coalesce({bits}, 0) & {bit} <> 0)::int AS {kind}_{name}"
            for kind, bits in (("l", "lower_bounds"), ("d", "derived"))
        ]
    return _SQL["measures"].format(
        spread=", ".join(spread),
        total_bits=TOTAL_BITS,
        priced_bits=_PRICED_BITS,
        cached_bits=_CACHED_BITS,
        possible=_SQL["possible_event"],
        condition=condition,
    )


def cells_sql(
    table: str, source: str, condition: str, key: dict[str, str] | None = None, limit: int | None = None
) -> str:
    """SELECT of the cells of `table` (those for which `condition` holds) that are not what `source` says.

    Columns: the key, `expected` and `actual` as JSON. `key`: how a part of it is made from a row of `source`, if it is
    not a column there.
    """
    names, measures = KEYS[table], MEASURES_OF.get(table, MEASURES)
    return _SQL["differing_cells"].format(
        source=source,
        key=", ".join(f"{(key or {}).get(name, name)} AS {name}" for name in names),
        sums=sums_of(measures),
        groups=", ".join(str(i + 1) for i in range(len(names))),
        names=", ".join(names),
        whose="" if "host_no" in names else _SQL["host_of_session"],
        columns=", ".join((*names, *measures)),
        table=table,
        condition=condition,
        expected=", ".join(f"e.{m}" for m in measures),
        actual=", ".join(f"a.{m}" for m in measures),
        limit="ALL" if limit is None else limit,
    )


def sums_of(measures: Sequence[str]) -> str:
    """Select list: the columns of a rollup's cell, added up from rows of what it is made of."""
    return ", ".join(f"{_sum(m)} AS {m}" for m in measures)


def _sum(column: str) -> str:
    if column in PLACE:
        return f"CASE WHEN min({column}) = max({column}) THEN min({column}) ELSE {SEVERAL} END"
    if column in ("first_slot", "last_slot"):
        return "min(slot)" if column == "first_slot" else "max(slot)"
    return f"max({column})" if column.startswith("max_") else f"coalesce(sum({column}), 0)"
