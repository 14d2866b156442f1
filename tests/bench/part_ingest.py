"""Hub ingest of new rows with everything on, against `psql \\copy` of the same rows into the same keyed table."""

import asyncio
from pathlib import Path
from typing import Any

import hub_ingest
from table import Line

from trueup_shared.wire import MAX_BATCH_ROWS

BATCHES = 10
FULL = 5_000_000


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    result = asyncio.run(hub_ingest.run(max(n, BATCHES), MAX_BATCH_ROWS, FULL, check=False))
    return [line(result[name]) for name in ("empty", "full")]


def line(part: dict[str, Any]) -> Line:
    what = f"hub ingest into {part['rows_before']:,} events / psql \\copy ({MAX_BATCH_ROWS:,} rows a batch)"
    return Line(what, rate(part["ingest"]), rate(part["psql_copy"]), f"{part['ratio']:.3f}", "≥ 0.2, aim 0.3")


def rate(part: dict[str, int]) -> str:
    return f"{part['median']:,} rows/s ({part['lowest']:,}–{part['highest']:,}, n={part['batches']})"
