"""A database of many events, made in SQL within minutes, as ingest would have left it: `verify` finds nothing in it.

`python tests/bench/many_events.py --events 100000` says whether that is so.
"""

import argparse
import asyncio
import contextlib
import hashlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from trueup_hub.db import Connection, Database, create_database, drop_database
from trueup_hub.embedded_pg import DATABASE, EmbeddedPg
from trueup_hub.ingest.cells import KEYS
from trueup_hub.ingest.measures import MEASURES
from trueup_hub.ingest.verify import MEASURES_OF, counted_events, sums_of, verify
from trueup_hub.migrate import migrate, migrations
from trueup_hub.sqlfiles import load

HOSTS, DAYS, REQUESTS = 50, 365, 40  # hosts, days, requests of a session on average
FIRST, LAST = date(2025, 11, 21), date(2026, 11, 20)
ZONES = ("UTC", "Europe/Berlin")  # in use
FACTS = ("events", "messages", "sessions", "event_owners", "event_claims", "session_owners")
_RANDOM = ("hour", "minute", "size", "gap", "copied", "harness", "model", "project", "there", "odd")

_SQL = Path(__file__).with_suffix(".sql")
_HEADER = re.compile(r"^-- ([a-z]+): .+$", re.MULTILINE)


def blocks(events: int) -> dict[str, str]:
    """SQL by name. {u_NAME} becomes a number from 0 up to 1, made of the column `seed`."""
    _, *parts = _HEADER.split(_SQL.read_text(encoding="utf-8"))
    random = {
        f"u_{name}": f"((hashtextextended(seed, {n}) & 1048575) / 1048576.0::float8)" for n, name in enumerate(_RANDOM)
    }
    rate = events / (HOSTS * DAYS * REQUESTS)  # sessions a host and day
    values = {"hosts": HOSTS, "days": DAYS, "rate": rate, "first": f"{FIRST} 00:00:00+00", **random}
    return {name: text.format(**values) for name, text in zip(parts[::2], parts[1::2], strict=True)}


async def make(db: Database, events: int) -> None:
    """Fill a migrated, empty database with about so many events."""
    async with db.ingest() as connection:
        await connection.execute(
            "SET statement_timeout = 0; SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'"
        )
        async with without_indexes(connection):
            for sql in blocks(events).values():
                await connection.execute(sql)
        await connection.execute("VACUUM ANALYZE")
        await fill_rollups(connection)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")


@contextlib.asynccontextmanager
async def without_indexes(connection: Connection) -> AsyncIterator[None]:
    """Indexes and keys of the facts are made at the end, of what is there then."""
    keys = await connection.fetch(
        "SELECT conrelid::regclass::text AS t, conname, pg_get_constraintdef(oid) AS made FROM pg_constraint"
        " WHERE contype = 'p' AND conrelid::regclass::text = ANY ($1)",
        FACTS,
    )
    for t, name, _ in keys:
        await connection.execute(f"ALTER TABLE {t} DROP CONSTRAINT {name}")
    indexes = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY ($1)", FACTS)
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    yield
    for t, name, made in keys:
        await connection.execute(f"ALTER TABLE {t} ADD CONSTRAINT {name} {made}")
    for _, made in indexes:
        await connection.execute(made)


async def fill_rollups(connection: Connection) -> None:
    """Each from the one that it is made of, as `verify` reads them; in the order of time, as ingest writes them."""
    await _fill(connection, "session_slots", counted_events("true"))
    await _fill(connection, "session_totals", "SELECT * FROM session_slots")
    await _fill(connection, "usage_slots", "SELECT * FROM session_slots")
    await _fill(connection, "activity_slots", load("verify")["activity_parts"].replace("$1", "null"))
    for zone in ZONES:
        zone_no = await connection.fetchval(
            "INSERT INTO zones (zone) VALUES ($1) ON CONFLICT (zone) DO UPDATE SET zone = $1 RETURNING zone_no", zone
        )
        key = {"zone_no": str(zone_no), "day": f"(to_timestamp(slot * 900.0) AT TIME ZONE '{zone}')::date"}
        await _fill(connection, "usage_days", "SELECT * FROM usage_slots", key)
        await _fill(connection, "project_days", "SELECT * FROM usage_slots", key)
        await _fill(connection, "activity_days", "SELECT * FROM activity_slots", key)
    unnoted = load("verify")["unnoted_measures"].format(sums=sums_of(MEASURES), condition="true")
    await connection.execute(f"INSERT INTO measures SELECT DISTINCT measure FROM ({unnoted}) u")


async def _fill(connection: Connection, table: str, source: str, key: dict[str, str] | None = None) -> None:
    names, measures = KEYS[table], MEASURES_OF.get(table, MEASURES)
    made = ", ".join(f"{(key or {}).get(name, name)} AS {name}" for name in names)
    groups = ", ".join(str(n + 1) for n in range(len(names)))
    order = next(name for name in ("day", "slot", "last_slot") if name in (*names, *measures))
    await connection.execute(
        f"INSERT INTO {table} ({', '.join((*names, *measures))})"
        f" SELECT {made}, {sums_of(measures)} FROM ({source}) s GROUP BY {groups} ORDER BY {order}"
    )


def stamp(events: int) -> str:
    """Changes with whatever the database is made by."""
    parts = [_SQL.read_text(encoding="utf-8"), Path(__file__).read_text(encoding="utf-8"), str(events)]
    return hashlib.sha256("".join([*parts, *(text for _, _, text in migrations())]).encode()).hexdigest()


@contextlib.contextmanager
def database(folder: Path, events: int) -> Iterator[EmbeddedPg]:
    """A running cluster with so many events. It is kept below `folder` for as long as it would be made the same."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"events-{events}.made"
    pg = EmbeddedPg(folder / f"events-{events}")
    made = mark.exists() and mark.read_text() == stamp(events)
    asyncio.run(pg.start())
    try:
        if not made:
            mark.unlink(missing_ok=True)
            asyncio.run(_make_anew(pg, events))
            mark.write_text(stamp(events))
        yield pg
    finally:
        asyncio.run(pg.stop())


async def _make_anew(pg: EmbeddedPg, events: int) -> None:
    await drop_database(pg.url("postgres"), DATABASE)
    await create_database(pg.url("postgres"), DATABASE)
    db = await Database.open(pg.url(), query_timeout=3600)
    await migrate(db)
    await make(db, events)
    await db.close()


async def differences(pg: EmbeddedPg) -> dict[str, list[dict[str, Any]]]:
    db = await Database.open(pg.url(), query_timeout=3600)
    found = await verify(db)
    await db.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    place = Path(tempfile.mkdtemp(prefix="trueup-bench-"))
    place.chmod(0o711)
    try:
        with database(place, parser.parse_args().events) as server:
            for name, rows in asyncio.run(differences(server)).items():
                print(name, len(rows), rows[0])
    finally:
        shutil.rmtree(place, ignore_errors=True)
