r"""Hub ingest of new rows with everything on, against `psql \copy`: into an empty database and into a large one."""

import asyncio
from pathlib import Path
from typing import Any

import hub_ingest
from table import Line

from trueup_shared import wire

PRELOADED = 5_000_000
WANTED = "must 0.2, aim 0.3"


def rate(series: dict[str, int]) -> str:
    return f"{series['median']:,} rows/s ({series['lowest']:,}–{series['highest']:,}, n={series['batches']})"


def compared(what: str, figures: dict[str, Any]) -> list[Line]:
    """A line for each layout of the yardstick: text is what \\copy does unasked."""
    return [
        Line(f"{what}, {layout}", rate(figures["ingest"]), rate(series), f"{figures['ratio'][layout]:.3f}", WANTED)
        for layout, series in figures["psql_copy"].items()
    ]


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    result = asyncio.run(hub_ingest.run(max(n, 10), wire.MAX_BATCH_ROWS, PRELOADED, check=False))
    commands["yardstick"] = [r"psql \copy,", "one file and one commit a batch, PostgreSQL", result["postgresql"]]
    return [
        *compared(r"ingest into an empty database / \copy into the same keyed table", result["empty"]),
        *compared(rf"ingest beside {result['full']['rows_before']:,} events / \copy", result["full"]),
    ]
