"""A home with Claude Code sessions for tests of whole passes: streamed answers, forks, subagents that replay."""

import random
from pathlib import Path

from claude_lines import answer, prompt, tool_use, usage
from trueup_agent.collect import PassMemory, scan
from trueup_agent.glance import ScanResult
from trueup_agent.ledger import Head, Ledger
from trueup_agent.policy import Policy
from trueup_agent.settings import AgentSettings, Loaded, Places

FOLDER = ".claude/projects/-home-ana-shop"


def session_id(number: int) -> str:
    return f"5e551000-0000-4000-8000-{number:012d}"


def make_logs(sessions: int = 6, answers: int = 12, seed: int = 1, pad: int = 300) -> dict[str, bytes]:
    """Path below the home -> content. Every third session forks the one before, every fourth has a subagent."""
    chance = random.Random(seed)
    logs: dict[str, bytes] = {}
    own: list[bytes] = []
    for number in range(sessions):
        id_ = session_id(number)
        before, own = own, _session(chance, number, answers, pad)
        copied = before[: len(before) // 2] if number % 3 == 2 else []
        lines = [line.replace(session_id(number - 1).encode(), id_.encode()) for line in copied] + own
        logs[f"{FOLDER}/{id_}.jsonl"] = b"".join(line + b"\n" for line in lines)
        if number % 4 == 3:
            replayed = [line.replace(b'"isSidechain":false', b'"isSidechain":true') for line in own[-6:]]
            logs[f"{FOLDER}/{id_}/subagents/agent-a{number:04d}.jsonl"] = b"".join(line + b"\n" for line in replayed)
    return logs


def _session(chance: random.Random, number: int, answers: int, pad: int) -> list[bytes]:
    lines = []
    for turn in range(answers):
        message = number * 1000 + turn
        record = number * 10_000 + turn * 10
        seconds = number * 400 + turn * 9.5
        common = {"sessionId": session_id(number), "cwd": f"/home/ana/shop{number % 2}"}
        lines.append(prompt(seconds, record, "x" * chance.randrange(pad), **common))
        final = chance.randrange(50, 4000)
        for block, output in enumerate((1, final // 2, final)[chance.randrange(3) :]):
            content = [tool_use(f"toolu_{message}_{block}", chance.choice(["Read", "Edit", "Bash"]))]
            lines.append(
                answer(
                    seconds + 2 + block,
                    record + 1 + block,
                    message,
                    message,
                    content=content,
                    usage=usage(output, input=chance.randrange(90)),
                    **common,
                )
            )
    return lines


def write_logs(home: Path, logs: dict[str, bytes]) -> None:
    for name, content in logs.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def loaded(home: Path, data_dir: Path) -> Loaded:
    places = Places(homes=[home], own_home=home, environ={}, platform="linux")
    return Loaded(agent=AgentSettings(), places=places, data_dir=data_dir)


async def scan_home(
    home: Path, data_dir: Path, memory: PassMemory | None = None, policy: Policy | None = None
) -> tuple[ScanResult, Head]:
    """One pass as a process of its own would do it."""
    ledger = await Ledger.open(data_dir, policy or Policy())
    try:
        return await scan(ledger, loaded(home, data_dir), memory=memory), await ledger.head()
    finally:
        await ledger.close()
