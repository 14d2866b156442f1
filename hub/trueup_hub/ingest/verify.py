"""Compares rollups, sums and ownership with the facts, by SQL that shares nothing with ingest but the rules."""

from typing import Any

from trueup_hub.db import Connection, Database
from trueup_hub.ingest.measures import MEASURES
from trueup_hub.ingest.zones import Zone
from trueup_hub.sqlfiles import load
from trueup_shared.harnesses import DATA_VERSIONS
from trueup_shared.metrics import ADDITIVE_COUNTERS, BIT, GAUGE, TOTAL_BITS

_SQL = load("verify")
_PRICED_BITS = BIT["input_tokens"] | BIT["cache_read_tokens"] | BIT["cache_write_tokens"] | BIT["output_tokens"]
_DIMENSIONS = ("harness", "provider", "model")

Differences = dict[str, list[dict[str, Any]]]


async def verify(db: Database) -> Differences:
    """What differs, by check; {} when everything agrees. One snapshot, so it may run beside ingest."""
    found: Differences = {}
    async with db.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        for table, key in (
            ("usage_slots", ("host_no", "slot", *_DIMENSIONS, "project")),
            ("session_slots", ("host_no", "session_key", "slot", *_DIMENSIONS, "project")),
        ):
            await _check(connection, found, table, _rollup_sql(table, key, key))
        for record in await connection.fetch("SELECT zone_no, zone FROM zones"):
            await _check_days(connection, found, Zone(*record))
        for block in (
            *("activity_differences", "session_differences", "ledger_differences"),
            *("stray_owners", "chosen_differences"),
        ):
            await _check(connection, found, block, _SQL[block])
        caps = {
            await connection.fetchval("SELECT term_no FROM terms WHERE term = $1", harness): version
            for harness, version in DATA_VERSIONS.items()
        }
        caps.pop(None, None)
        sql = _SQL["owner_differences"].format(ranked=_SQL["ranked_events"])
        for name, text in (("owner_differences", sql), ("series_differences", _SQL["series_differences"])):
            await _check(connection, found, name, text, list(caps), list(caps.values()))
    return found


async def _check(connection: Connection, found: Differences, name: str, sql: str, *args: Any) -> None:
    if records := await connection.fetch(sql, *args):
        found[name] = [dict(record) for record in records]


async def _check_days(connection: Connection, found: Differences, zone: Zone) -> None:
    """Days by the database's own rules of time zones, which ingest does not use."""
    key = ("zone_no", "day", "host_no", *_DIMENSIONS)
    expected = (f"{zone.zone_no}", "(at AT TIME ZONE $1)::date", "host_no", *_DIMENSIONS)
    sql = _rollup_sql("usage_days", key, expected) + " ORDER BY 3"
    sql = sql.replace("FROM usage_days", f"FROM usage_days WHERE zone_no = {zone.zone_no}")
    await _check(connection, found, f"usage_days {zone.name}", sql, zone.name)


def _rollup_sql(table: str, key: tuple[str, ...], expected: tuple[str, ...]) -> str:
    spread = ["1 AS n"]
    for name in (*ADDITIVE_COUNTERS, GAUGE):
        bit = BIT[name]
        spread.append(f"{name} AS s_{name}" if name != GAUGE else f"{name} AS max_{name}")
        spread.append(f"({name} IS NOT NULL)::int AS r_{name}")
        spread += [
            f"({name} IS NOT NULL AND coalesce({bits}, 0) & {bit} <> 0)::int AS {kind}_{name}"
            for kind, bits in (("l", "lower_bounds"), ("d", "derived"))
        ]
    measures = _SQL["measures"].format(spread=", ".join(spread), total_bits=TOTAL_BITS, priced_bits=_PRICED_BITS)
    return _SQL["rollup_differences"].format(
        measures=measures,
        key=", ".join(expected),
        sums=", ".join(f"max({m})" if m.startswith("max_") else f"coalesce(sum({m}), 0)" for m in MEASURES),
        groups=", ".join(str(i + 1) for i in range(len(key))),
        columns=", ".join((*key, *MEASURES)),
        table=table,
    )
