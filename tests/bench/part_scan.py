"""First ingest and no-change scan of a home, against `agentsview sync` and `ccusage daily`."""

import shutil
import sys
from pathlib import Path

import peers
from measure import Series, series
from table import Line, alone, compare, figure

TRUEUP = str(Path(sys.executable).parent / "trueup")


def find(commands: dict[str, list[str]], name: str) -> list[str] | None:
    return next((command for key, command in commands.items() if key.startswith(name)), None)


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    ours, theirs = folder / "state" / "trueup", folder / "state" / "peers"

    def emptied() -> None:
        shutil.rmtree(ours, ignore_errors=True)
        shutil.rmtree(theirs, ignore_errors=True)
        theirs.mkdir(parents=True)

    env = peers.environment(home, theirs) | {"TRUEUP_DATA_DIR": str(ours)}
    scan = [TRUEUP, "agent", "scan", "--json"]
    first = series(n, scan, env, before=emptied)
    if not first.ok:
        raise SystemExit(f"{' '.join(scan)} failed: {first.runs[-1].errors.decode()}")
    again = series(n, scan, env)
    agentsview, ccusage = find(commands, "agentsview"), find(commands, "ccusage")
    sync: Series | None = None
    resync: Series | None = None
    daily: Series | None = None
    if agentsview:
        sync = series(n, [*agentsview, "sync"], env, before=emptied)
        resync = series(n, [*agentsview, "sync"], env)
    if ccusage:
        daily = series(n, [*ccusage, "daily", "--json", "--offline", "--timezone", "UTC"], env)
    megabytes = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) / 1e6
    return [
        compare(f"first ingest, {megabytes:.0f} MB, CPU / agentsview sync", first, sync, "cpu", "s", "aim 0.067"),
        compare("first ingest, wall / ccusage daily (stores nothing)", first, daily, "wall", "s", "aim < 2.5"),
        compare("no-change scan, wall / agentsview sync", again, resync, "wall", "s", "aim 0.2"),
        compare("no-change scan, CPU / agentsview sync", again, resync, "cpu", "s", "aim 0.2"),
        alone("first ingest, peak memory of all processes", figure(first, "rss", "MB"), "aim 120 MB"),
    ]
