"""Time a command as a whole process tree: wall, CPU of all its processes, peak of their summed resident memory."""

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple


class Run(NamedTuple):
    wall: float  # seconds
    cpu: float  # user + system of the command and all that it started and waited for
    rss: float  # MB, greatest sum over the process tree; shared pages count in each process
    output: bytes
    errors: bytes
    status: int


class Series(NamedTuple):
    """n runs of one command; the median stands, with the spread beside it."""

    runs: list[Run]

    def median(self, what: str) -> float:
        return statistics.median(getattr(run, what) for run in self.runs)

    def spread(self, what: str) -> tuple[float, float]:
        values = [getattr(run, what) for run in self.runs]
        return min(values), max(values)

    @property
    def ok(self) -> bool:
        return all(run.status == 0 for run in self.runs)


def children(root: int) -> dict[int, int]:
    """Resident pages of a process and its descendants, by pid, as /proc shows them now."""
    parents: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        pid = int(entry.name)
        parents.setdefault(int(fields[1]), []).append(pid)
        pages[pid] = int(fields[21])
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        found[pid] = pages.get(pid, 0)
        queue += parents.get(pid, [])
    return found


def tree_rss(root: int) -> float:
    """Resident MB of a process and its descendants."""
    return sum(children(root).values()) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(command: Sequence[str], env: Mapping[str, str], timeout: float = 900) -> Run:
    with tempfile.TemporaryFile() as errors:
        return _run(command, env, timeout, errors)


def _run(command: Sequence[str], env: Mapping[str, str], timeout: float, errors: IO[bytes]) -> Run:
    peak = 0.0
    done = threading.Event()

    def sample(pid: int) -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, tree_rss(pid))

    start = time.perf_counter()
    process = subprocess.Popen(command, env=dict(env), stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL)
    sampler = threading.Thread(target=sample, args=(process.pid,))
    sampler.start()
    assert process.stdout is not None
    killer = threading.Timer(timeout, process.kill)
    killer.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    killer.cancel()
    done.set()
    sampler.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    errors.seek(0)
    return Run(
        wall,
        usage.ru_utime + usage.ru_stime,
        max(peak, usage.ru_maxrss / 1024),
        output,
        errors.read(),
        process.returncode,
    )


def series(n: int, command: Sequence[str], env: Mapping[str, str], before: Callable[[], None] | None = None) -> Series:
    runs = []
    for _ in range(n):
        if before:
            before()
        runs.append(run(command, env))
    return Series(runs)
