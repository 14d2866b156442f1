"""Real transcripts of several harnesses on two machines, scanned and pushed by the command line."""

import asyncio
from pathlib import Path
from typing import NamedTuple

from agent_process import trueup
from given import CORPORA
from hub_process import Hub
from processes import environment
from trueup_hub.enrolment import make_enroll_code

# No transcript is on both, so that the sums of the two ledgers are what the hub counts.
ROOTS = {
    "desk": (
        "claude/EntityProcess+agentv",
        "claude/daaain+claude-code-log",
        "claude/entireio+auth-go",
        "gemini/entireio+cli",
    ),
    "laptop": (
        "claude/Mai0313+VibeCodingTracker",
        "codex/Mai0313+VibeCodingTracker",
        "codex/savekirk+session-bridge",
        "copilot/Mai0313+VibeCodingTracker",
    ),
}


class Corpora(NamedTuple):
    """`ledgers`: data directories, by label of the machine."""

    hub: Hub
    ledgers: dict[str, Path]


async def fill(hub: Hub, folder: Path) -> Corpora:
    ledgers = {label: folder / label / "data" for label in ROOTS}
    envs = {label: environment(folder / label, ledgers[label], TRUEUP_LABEL=label) for label in ROOTS}
    await asyncio.gather(*(_push(hub, env, ROOTS[label]) for label, env in envs.items()))
    return Corpora(hub, ledgers)


async def _push(hub: Hub, env: dict[str, str], groups: tuple[str, ...]) -> None:
    roots = [flag for group in groups for flag in ("--root", f"{group.partition('/')[0]}={CORPORA / group}")]
    code = await make_enroll_code(hub.auth.db)
    for command in (
        ("agent", "scan", *roots),
        ("agent", "enroll", hub.url, "--code", code),
        ("pg", "push", "--json"),
    ):
        done = await trueup(*command, env=env)
        assert done.status == 0, (command, done.err)
    assert done.json["verdict"] == "converged"
