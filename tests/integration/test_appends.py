"""However a home came to be, ledger and hub end where one clean pass ends."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from given import GEN_CORPUS, needs_given
from processes import Up, environment, start_up, trueup, wait_until
from trueup_shared.metrics import ADDITIVE_COUNTERS

APPENDS = 100
SAME_TOTALS = [*ADDITIVE_COUNTERS, "total_tokens", "cost_microusd", "reported_cost_microusd"]
KILLS = (15, 30, 45, 60, 75, 90)  # after these appends everything is killed, or the agent alone


def pieces_of(home: Path, chance: random.Random) -> list[tuple[Path, bytes]]:
    """The files of a home, cut at random bytes into about APPENDS pieces, files interleaved, each file in its order."""
    files = [path for path in home.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    queues = []
    for path in files:
        content = path.read_bytes()
        cuts = sorted(chance.sample(range(1, len(content)), min(len(content) - 1, APPENDS * len(content) // total)))
        bounds = [0, *cuts, len(content)]
        queues.append([(path.relative_to(home), content[a:b]) for a, b in itertools.pairwise(bounds)])
    result = []
    while queues:
        queue = chance.choice(queues)
        result.append(queue.pop(0))
        if not queue:
            queues.remove(queue)
    return result


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(running: Up, all_of_it: bool) -> None:
    """Everything at once, or the agent alone: then `up` must notice and end by itself."""
    if all_of_it:
        os.killpg(running.process.pid, signal.SIGKILL)
    else:
        for child in children_of(running.process.pid):
            if b"trueup_agent" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
    status = running.process.wait(timeout=30)
    running.process.communicate()
    assert all_of_it or status == 1


def in_step(running: Up, rows: int) -> bool:
    """The one host has come, and the hub holds so many rows of its one ledger, proven equal."""
    hosts = running.get("/hosts")["hosts"]
    stored = [
        ledger["sessions"] + ledger["messages"] + ledger["events"] for host in hosts for ledger in host["ledgers"]
    ]
    return stored == [rows] and hosts[0]["state"] == "converged"


@needs_given
def test_a_hundred_appends_cut_anywhere_with_kills_between_end_as_one_pass_on_both_sides(
    tmp_path: Path, reachable_dir: Path
) -> None:
    chance = random.Random(5)
    made = tmp_path / "made"
    command = [sys.executable, str(GEN_CORPUS), str(made), "--target-mb", "10", "--seed", "5"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    clean = environment(made / "home", tmp_path / "clean")
    assert trueup("agent", "scan", env=clean).status == 0
    expected = trueup("usage", "totals", "--json", "--by", "day,harness,model", env=clean).json
    status = trueup("agent", "status", "--json", env=clean).json

    home = tmp_path / "home"
    env = environment(home, reachable_dir / "appends")
    pieces = pieces_of(made / "home", chance)
    running = start_up(env)
    try:
        for number, (path, piece) in enumerate(pieces):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            with (home / path).open("ab") as log:
                log.write(piece)
            time.sleep(chance.uniform(0, 0.1))  # the kills hit the agent at work, not always before it woke
            if number in KILLS:
                kill(running, all_of_it=KILLS.index(number) % 2 == 0)
                running = start_up(env)
        wait_until(lambda: in_step(running, status["rows"]), "the hub has every row", seconds=60, every=0.2)
        pushed = trueup("pg", "status", "--json", env=env).json
        assert pushed["verdict"] == "converged"
        assert pushed["hub_digest"] == pushed["ledger_digest"] == status["ledger_digest"]
        assert trueup("usage", "totals", "--json", "--by", "day,harness,model", env=env).json == expected
        totals = running.get("/analytics/summary")["totals"]
        assert {name: totals[name] for name in SAME_TOTALS} == {name: expected["totals"][name] for name in SAME_TOTALS}
    finally:
        running.process.send_signal(signal.SIGINT)
        out, err = running.process.communicate(timeout=30)
        assert "Traceback" not in out + err, json.dumps(err)[-2000:]
