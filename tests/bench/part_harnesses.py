"""How fast sources of each harness become rows, in one process: golden data, grown. Writing the ledger is in `scan`.

Golden records are small and dense; real logs are mostly content, which is passed over several times as fast.
"""

import tempfile
from pathlib import Path
from time import process_time

from growing import grow
from table import Line, alone

from golden_homes import golden_home
from trueup_agent.discover import RootArg, discover, source_key
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import SourceFile
from trueup_agent.policy import Policy
from trueup_agent.reading import Job, Reading
from trueup_agent.settings import Places

GROWN_BYTES = 4 << 20


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    return [_harness(name, n) for name in HARNESSES]


def _harness(name: str, n: int) -> Line:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        root = golden_home(name, Path(place))
        files = [path for path in root.rglob("*") if path.is_file()]
        for path in files:
            grow(path, GROWN_BYTES // len(files))
        sources = [found.source for found in discover(Places(homes=[]), [RootArg(name, root)]).found]
        rows, seconds = 0, []
        for _ in range(n):
            started = process_time()
            rows = sum(_rows(source) for source in sources)
            seconds.append(process_time() - started)
        size = sum(path.stat().st_size for path in files) / 1e6
    speed = size / min(seconds)
    per_second = rows / min(seconds)
    return alone(f"{name}, {size:.1f} MB", f"{speed:.0f} MB/s, {per_second:,.0f} rows/s", "")


def _rows(source: SourceFile) -> int:
    job = Job(
        source_key=source_key(source),
        harness=source.harness,
        path=str(source.path),
        identity=source.identity,
        compressed=source.compressed,
        kind=source.kind,
        companions=tuple(map(str, source.companions)),
        known=None,
        policy=Policy(),
    )
    return sum(update.rows for update in Reading(job).updates())
