"""`make bench`: trueup beside its peers, in one run, on one corpus. `--only PART` runs one part, `--n` sets repeats.

Cold means an empty data directory. The corpus is in the page cache for everybody: its files are warm.
"""

import argparse
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent)]

import peers  # noqa: E402
import table  # noqa: E402

from given import GEN_CORPUS  # noqa: E402

PARTS = ("scan", "harnesses", "daemon", "ingest", "push", "converge", "analytics", "page")


def corpus(folder: Path, megabytes: int) -> Path:
    """The home of a generated corpus, made once. Every byte is read once, so that all start from a warm page cache."""
    target = folder / f"corpus-{megabytes}"
    if not (target / "truth.json").exists():
        shutil.rmtree(target, ignore_errors=True)
        command = [sys.executable, str(GEN_CORPUS), str(target), "--target-mb", str(megabytes), "--seed", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for path in target.rglob("*"):
        if path.is_file():
            path.read_bytes()
    return target / "home"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--n", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000, help="of the year that part analytics asks for")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    if not GEN_CORPUS.exists():
        sys.exit("The corpus generator is not beside this checkout; the benchmarks need it.")
    folder = ROOT / ".bench"
    home = corpus(folder, options.mb)
    commands: dict[str, list[str]] = {}
    if not options.no_peers:
        commands = {
            name: command
            for name, command in (
                (f"agentsview {peers.AGENTSVIEW}", peers.agentsview(folder / "peers")),
                (f"ccusage {peers.CCUSAGE}", peers.ccusage(folder / "peers")),
            )
            if command
        }
    lines: list[table.Line] = []
    for part in options.only or PARTS:
        print(f"… {part}", file=sys.stderr, flush=True)
        sizes = {"events": options.events} if part == "analytics" else {}
        measured = importlib.import_module(f"part_{part}").measure(folder, home, options.n, commands, **sizes)
        for line in measured:
            print(*line, sep=" | ", file=sys.stderr, flush=True)  # minutes of work are not lost to a later failure
        lines += measured
    table.show(lines, commands, {})


main()
