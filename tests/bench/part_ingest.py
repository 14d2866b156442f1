r"""Hub ingest of new rows with everything on, against `psql \copy`: into an empty database and into a large one."""

import asyncio
from pathlib import Path
from typing import Any

import hub_ingest
from table import Line

from trueup_shared import wire

PRELOADED = 5_000_000


def line(what: str, figures: dict[str, Any]) -> Line:
    def rate(series: dict[str, int]) -> str:
        return f"{series['median']:,} rows/s ({series['lowest']:,}–{series['highest']:,}, n={series['batches']})"

    return Line(
        what, rate(figures["ingest"]), rate(figures["psql_copy"]), f"{figures['ratio']:.3f}", "must 0.2, aim 0.3"
    )


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    result = asyncio.run(hub_ingest.run(max(n, 10), wire.MAX_BATCH_ROWS, PRELOADED, check=False))
    commands["yardstick"] = [r"psql \copy,", "one file and one commit a batch, PostgreSQL", result["postgresql"]]
    return [
        line(r"ingest into an empty database / \copy into the same keyed table", result["empty"]),
        line(f"ingest beside {result['full']['rows_before']:,} events / the same", result["full"]),
    ]
