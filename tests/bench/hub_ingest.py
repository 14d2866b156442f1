"""Hub ingest against `psql \\copy` of the same events into the same keyed table; prints JSON, in rows a second.

`python -m tests.bench.hub_ingest --batches 10 --preload 5000000`. Timed for ingest: msgpack decoding and all of
`apply_batch` (digests, prices, ownership, sums, four rollups, commit). Timed for \\copy: psql with one file and one
commit for each batch, into a table with the columns, keys and indexes of `events`. Both on a durable cluster.
"""

import argparse
import asyncio
import json
import random
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Raw

from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.ingest import apply_batch
from trueup_hub.ingest.verify import verify
from trueup_hub.migrate import migrate
from trueup_shared import wire

MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-1-20250805", "claude-haiku-4-5-20251001")
PROJECTS = tuple(f"project-{i}" for i in range(12))
SESSION_EVENTS = 50
LAYOUTS = ("text", "binary")  # text is what \\copy does when nothing is said
START = 1_764_547_200_000_000  # 2025-12-01
_encode = msgspec.msgpack.encode


def bodies(random_: random.Random, rows: int) -> Iterator[tuple[wire.EventBody, bytes]]:
    """Sessions of 50 requests, some half a minute apart, as Claude Code logs them."""
    for _ in range(rows // SESSION_EVENTS):
        session, source, project = random_.randbytes(16), random_.randbytes(16), random_.choice(PROJECTS)
        at = START + random_.randrange(180 * 86_400) * 1_000_000
        model, context = random_.choice(MODELS), 12_000
        for _ in range(SESSION_EVENTS):
            at += random_.randrange(2_000_000, 70_000_000)
            write, fresh = random_.randrange(200, 4000), random_.randrange(3, 40)
            body = wire.EventBody(
                session_key=session,
                at=at,
                time_quality=1,
                harness="claude",
                provider="anthropic",
                model=model,
                service_tier="standard",
                project=project,
                input_tokens=fresh,
                cache_read_tokens=context,
                cache_write_tokens=write,
                cache_write_1h_tokens=0,
                output_tokens=random_.randrange(1, 3000),
                context_tokens=context + write + fresh,
            )
            context += write
            yield body, source


def batches(seed: int, count: int, rows: int) -> list[bytes]:
    """Encoded batches of one ledger."""
    random_ = random.Random(seed)
    encoded: list[bytes] = []
    previous: bytes | None = None
    seq = 0
    for number in range(1, count + 1):
        events = []
        first = seq
        for body, source in bodies(random_, rows):
            seq += 1
            events.append(Raw(_encode(wire.EventRow(random_.randbytes(16), seq, source, body))))
        batch = wire.Batch(
            batch_id=random_.randbytes(16),
            previous_batch_id=previous,
            batch_no=number,
            from_seq=first,
            to_seq=seq,
            events=events,
            agent=wire.AgentInfo(version="bench"),
            parsers={"claude": wire.ParserVersion(1, 1)},
        )
        previous = batch.batch_id
        encoded.append(_encode(batch))
    return encoded


async def add_host(db: Database) -> tuple[int, str]:
    host_id = str(uuid4())
    host_no = await db.fetchval(
        "INSERT INTO hosts (host_id, label, enrolled_at, credential_hash)"
        " VALUES ($1, 'bench', $2, '') RETURNING host_no",
        host_id,
        datetime.now(UTC),
    )
    return host_no, host_id


async def ingest(db: Database, encoded: list[bytes]) -> list[float]:
    """Seconds of each batch, from its bytes to its receipt."""
    host_no, host_id = await add_host(db)
    ledger_id, seconds = str(uuid4()), []
    for data in encoded:
        started = time.perf_counter()
        batch = msgspec.msgpack.decode(data, type=wire.Batch)
        await apply_batch(db, host_no, host_id, ledger_id, batch)
        seconds.append(time.perf_counter() - started)
    return seconds


async def export(db: Database, folder: Path, ledgers_from: int, layout: str) -> list[Path]:
    """The events of the newest ledger as COPY files (text or binary), one for each batch."""
    files = []
    async with db.connection() as connection:
        numbers = await connection.fetch(
            "SELECT ledger_no, batch_no FROM batches WHERE ledger_no >= $1 ORDER BY 1, 2", ledgers_from
        )
        for ledger_no, batch_no in numbers:
            files.append(folder / f"{ledger_no}-{batch_no}.copy")
            await connection.copy_from_query(
                f"SELECT * FROM events WHERE ledger_no = {ledger_no} AND batch_no = {batch_no}",
                output=files[-1],
                format=layout,
            )
    return files


def psql_copy(pg: EmbeddedPg, url: str, files: list[Path], layout: str) -> list[float]:
    """Seconds of each \\copy, psql's own start and connection not counted."""
    script = "\n".join(["\\timing on", *(f"\\copy yardstick FROM '{file}' (FORMAT {layout})" for file in files)])
    command = [str(pg.bin_dir / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-d", url]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    times = [float(line.split()[1]) / 1000 for line in done.stdout.splitlines() if line.startswith("Time:")]
    assert len(times) == len(files), done.stdout
    return times


async def preload(db: Database, rows: int) -> None:
    """Fill the database by ingest itself, two ledgers at a time."""
    at: int = await db.fetchval("SELECT count(*) FROM events")
    while at < rows:
        count = min(5, -(-(rows - at) // (2 * wire.MAX_BATCH_ROWS)))
        await asyncio.gather(*(ingest(db, batches(secrets.randbits(32), count, wire.MAX_BATCH_ROWS)) for _ in range(2)))
        at += 2 * count * wire.MAX_BATCH_ROWS


def figures(rows: int, seconds: list[float]) -> dict[str, int]:
    """Rows a second of each batch: median and spread."""
    return {
        "median": round(rows / statistics.median(seconds)),
        "lowest": round(rows / max(seconds)),
        "highest": round(rows / min(seconds)),
        "batches": len(seconds),
    }


async def compare(pg: EmbeddedPg, db: Database, url: str, count: int, rows: int, folder: Path) -> dict[str, Any]:
    """Ingest `count` new batches, then \\copy the same events into a keyed table with as many rows before."""
    before = await db.fetchval("SELECT count(*) FROM events")
    newest = await db.fetchval("SELECT coalesce(max(ledger_no), 0) + 1 FROM ledgers")
    encoded = batches(secrets.randbits(32), count, rows)
    await db.execute("DROP TABLE IF EXISTS yardstick")
    await db.execute("CREATE TABLE yardstick (LIKE events INCLUDING ALL) WITH (fillfactor = 90)")
    await db.execute("INSERT INTO yardstick SELECT * FROM events")
    await db.execute("VACUUM ANALYZE")  # else autovacuum does it while one of the two is timed
    await db.execute("CHECKPOINT")
    seconds = await ingest(db, encoded)
    copied = {}
    for layout in LAYOUTS:
        files = await export(db, folder, newest, layout)
        await db.execute("CHECKPOINT")
        copied[layout] = figures(rows, psql_copy(pg, url, files, layout))
        for file in files:
            file.unlink()
        await db.execute("DELETE FROM yardstick WHERE ledger_no >= $1", newest)
        await db.execute("VACUUM yardstick")
    ours = figures(rows, seconds)
    ratios = {layout: round(ours["median"] / copied[layout]["median"], 3) for layout in LAYOUTS}
    return {"rows_before": before, "ingest": ours, "psql_copy": copied, "ratio": ratios}


async def run(count: int, rows: int, preloaded: int, check: bool) -> dict[str, Any]:
    root = make_root()
    pg = EmbeddedPg(root / "pg")
    result: dict[str, Any] = {"rows_per_batch": rows}
    try:
        await pg.start()
        db = await Database.open(pg.url(), query_timeout=3600)
        await migrate(db)
        result["postgresql"] = await db.fetchval("SHOW server_version")
        result["empty"] = await compare(pg, db, pg.url(), count, rows, root)
        if preloaded:
            await preload(db, preloaded)
            result["full"] = await compare(pg, db, pg.url(), count, rows, root)
        if check:
            result["differences"] = list(await verify(db))
        await db.close()
    finally:
        await pg.stop()
        shutil.rmtree(root, ignore_errors=True)
    return result


def make_root() -> Path:
    """A directory that the server's user can pass."""
    root = Path(tempfile.mkdtemp(prefix="trueup-bench-"))
    root.chmod(0o711)
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--rows", type=int, default=wire.MAX_BATCH_ROWS)
    parser.add_argument("--preload", type=int, default=0)
    parser.add_argument("--verify", action="store_true")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options.batches, options.rows, options.preload, options.verify)), indent=2))


if __name__ == "__main__":
    main()
