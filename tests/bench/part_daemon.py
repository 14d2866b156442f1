"""The idle daemon's memory: the agent that `trueup up` starts, with the whole home read and pushed."""

import os
import shutil
import time
from pathlib import Path

from measure import tree_rss
from table import Line, alone

from processes import environment, up, wait_until


def agent_pid(parent: int) -> int:
    """The child of `up` that is the agent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat[1]) == parent and b"agent" in command and b"run" in command:
                return int(entry.name)
    raise LookupError("up has no agent")


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    state = folder / "state" / "daemon"
    shutil.rmtree(state, ignore_errors=True)
    env = environment(home, state) | {"PATH": os.environ["PATH"]}
    with up(env) as running:
        wait_until(lambda: running.get("/trust")["trust"]["hosts"]["converged"] == 1, "converged", seconds=300)
        time.sleep(20)  # idle: the first ingest's workers have ended
        pid = agent_pid(running.process.pid)
        samples = []
        for _ in range(n):
            samples.append(tree_rss(pid))
            time.sleep(1)
        hub = tree_rss(running.process.pid) - samples[-1]
    low, high = min(samples), max(samples)
    return [
        alone(
            "idle daemon, all its processes",
            f"{sorted(samples)[n // 2]:.1f} MB ({low:.1f}–{high:.1f}, n={n})",
            "aim 60 MB",
        ),
        alone("beside it: hub and PostgreSQL, shared pages counted in each process", f"{hub:.0f} MB", ""),
    ]
