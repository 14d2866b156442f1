"""Logs of an invented team, for `trueup up --demo`: two machines, Claude Code and Codex, sixty days that end now.

The same day always gives the same sessions, so that a later start adds what has happened since and changes nothing
else. Among them is what real logs have: outputs that are lower bounds, counters that were not reported, a model without
a price.
"""

import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from msgspec import Struct

DAYS = 60
PROJECTS = ("atlas-api", "checkout", "docs-site", "ledger-import", "mobile-app", "terraform")
PROMPTS = (
    "Why does the total differ by one cent when the cart has a voucher?",
    "Add a retry with backoff to the webhook sender and a test for it.",
    "The importer skips the last line of the file. Find out why.",
    "Write the migration for the new address table.",
    "Make the settings page usable by keyboard.",
    "Summarise what changed in the plan output since yesterday.",
)
TOOLS = ("Read", "Edit", "Bash", "Grep", "Write")
CLAUDE_MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001")
CODEX_MODELS = ("gpt-5.3-codex", "gpt-5.1-codex")


class Machine(Struct, frozen=True):
    """Sessions on a weekday (the mean), the share that Claude has, and the hours (UTC) in which they start."""

    name: str
    sessions: float
    claude: float
    hours: tuple[int, int]


MACHINES = (Machine("studio", 6, 0.75, (7, 18)), Machine("buildbox", 3, 0.35, (0, 23)))


def write_demo(folder: Path, now: datetime, days: int = DAYS) -> int:
    """Write `folder/<machine>/.claude` and `.codex` as of `now`; sessions that have not ended wait. Files written."""
    written = 0
    for machine in MACHINES:
        for age in range(days):
            for path, lines, ended in _sessions(machine, (now - timedelta(days=age)).date()):
                target = folder / machine.name / path
                if ended < now and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    draft = target.with_suffix(".draft")
                    draft.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
                    draft.rename(target)
                    written += 1
    return written


def _sessions(machine: Machine, day: date) -> Iterator[tuple[Path, list[dict[str, Any]], datetime]]:
    """A day's sessions: path below the home, records, when it ended."""
    chance = random.Random(f"trueup demo {machine.name} {day}")
    mean = machine.sessions * (0.25 if day.weekday() > 4 else 1.0)
    for number in range(max(0, round(chance.gauss(mean, mean / 3)))):
        start = datetime(day.year, day.month, day.day, chance.randint(*machine.hours), tzinfo=UTC)
        start += timedelta(seconds=chance.randrange(3600))
        own = random.Random(f"trueup demo {machine.name} {day} {number}")
        session = (_Claude if chance.random() < machine.claude else _Codex)(own, start)
        session.run()
        yield session.path(), session.lines, session.at


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Session:
    """What both have: a clock that only this session moves, a project, ids that look like the producer's."""

    def __init__(self, chance: random.Random, start: datetime) -> None:
        self.chance = chance
        self.at = self.start = start
        self.id = str(UUID(int=chance.getrandbits(128), version=4))
        self.cwd = f"/home/ana/src/{chance.choices(PROJECTS, (6, 5, 2, 4, 3, 1))[0]}"
        self.context = chance.randrange(9_000, 22_000)
        self.lines: list[dict[str, Any]] = []

    def name(self, prefix: str) -> str:
        return prefix + "".join(self.chance.choices("0123456789abcdefghijkmnpqrstuvwxyz", k=24))

    def wait(self, low: float, high: float) -> None:
        self.at += timedelta(seconds=self.chance.uniform(low, high))

    def output(self) -> int:
        return min(12_000, round(self.chance.lognormvariate(5.6, 0.9)) + 5)

    def run(self) -> None:
        """A few prompts, each answered in several requests."""
        for _ in range(1 + min(7, int(self.chance.expovariate(0.45)))):
            self.prompt(self.chance.choice(PROMPTS))
            requests = 2 + min(20, int(self.chance.expovariate(0.18)))
            for left in range(requests - 1, -1, -1):
                self.wait(3, 25)
                self.request(last=left == 0)
            self.wait(20, 400)

    def prompt(self, text: str) -> None:
        raise NotImplementedError

    def request(self, *, last: bool) -> None:
        raise NotImplementedError


class _Claude(_Session):
    """One release in four wrote only the counter from the start of the stream; one project goes through a gateway."""

    def __init__(self, chance: random.Random, start: datetime) -> None:
        super().__init__(chance, start)
        self.old = chance.random() < 0.25
        self.gateway = self.cwd.endswith("terraform")
        self.model = "house-coder-2" if self.gateway else chance.choices(CLAUDE_MODELS, (6, 2, 3))[0]
        self.branch = chance.choice(("main", "fix/rounding", "feature/retry"))
        self.parent: str | None = None
        self.cached = 0

    def path(self) -> Path:
        return Path(".claude", "projects", re.sub(r"[^A-Za-z0-9-]", "-", self.cwd), f"{self.id}.jsonl")

    def record(self, kind: str, **members: Any) -> None:
        own = str(UUID(int=self.chance.getrandbits(128), version=4))
        head = {"type": kind, "uuid": own, "parentUuid": self.parent, "sessionId": self.id, "timestamp": _iso(self.at)}
        about = {"cwd": self.cwd, "gitBranch": self.branch, "version": "2.0.28" if self.old else "2.1.96"}
        self.lines.append({**head, **about, "isSidechain": False, "userType": "external", **members})
        self.parent = own

    def prompt(self, text: str) -> None:
        self.record("user", promptSource="typed", message={"role": "user", "content": text})

    def request(self, *, last: bool) -> None:
        """One request is one record per content block: thinking, then text or a tool call."""
        new, output = self.chance.randrange(200, 4_000), self.output()
        usage: dict[str, Any] = {
            "input_tokens": self.chance.randrange(3, 14),
            "cache_creation_input_tokens": None if self.gateway else self.context - self.cached + new,
            "cache_read_input_tokens": None if self.gateway else self.cached,
            "service_tier": "standard",
        }
        if self.gateway:
            usage["input_tokens"] += self.context + new
        elif not self.old:
            lifetimes = {
                "ephemeral_5m_input_tokens": 0,
                "ephemeral_1h_input_tokens": usage["cache_creation_input_tokens"],
            }
            usage["cache_creation"] = lifetimes
        ids = {"id": self.name("msg_01"), "type": "message", "role": "assistant", "model": self.model}
        request_id, tool = self.name("req_01"), self.name("toolu_01")
        use = {"type": "tool_use", "id": tool, "name": self.chance.choice(TOOLS), "input": {}}
        blocks = [
            {"type": "thinking", "thinking": "…"},
            {"type": "text", "text": "Done, with a test."} if last else use,
        ]
        for block in blocks:
            done = block is blocks[-1] and not self.old
            message = {
                **ids,
                "content": [block],
                "stop_reason": ("end_turn" if last else "tool_use") if done else None,
                "usage": {**usage, "output_tokens": output if done else self.chance.randrange(1, 9)},
            }
            self.record("assistant", requestId=request_id, message=message)
            self.wait(0.5, 4)
        self.cached, self.context = self.context + new, self.context + new + output
        if not last:
            result = {"type": "tool_result", "tool_use_id": tool, "content": "…", "is_error": False}
            self.record("user", toolUseResult={"type": "text"}, message={"role": "user", "content": [result]})


class _Codex(_Session):
    """Running totals, re-emitted now and then. Half of the releases do not report cache writes."""

    def __init__(self, chance: random.Random, start: datetime) -> None:
        super().__init__(chance, start)
        self.writes = chance.random() < 0.5
        self.model = chance.choices(CODEX_MODELS, (3, 1))[0]
        self.total: dict[str, int] = {}
        git = {"commit_hash": self.name(""), "branch": "main"}
        meta = {"id": self.id, "timestamp": _iso(start), "cwd": self.cwd, "originator": "codex_cli_rs", "git": git}
        version = "0.129.0" if self.writes else "0.98.0"
        self.line("session_meta", {**meta, "cli_version": version, "source": "cli", "model_provider": "openai"})

    def path(self) -> Path:
        name = f"rollout-{self.start:%Y-%m-%dT%H-%M-%S}-{self.id}.jsonl"
        return Path(".codex", "sessions", f"{self.start:%Y}", f"{self.start:%m}", f"{self.start:%d}", name)

    def line(self, kind: str, payload: dict[str, Any]) -> None:
        self.lines.append({"timestamp": _iso(self.at), "type": kind, "payload": payload})

    def prompt(self, text: str) -> None:
        turn = str(UUID(int=self.chance.getrandbits(128), version=4))
        self.line("turn_context", {"turn_id": turn, "cwd": self.cwd, "model": self.model, "effort": "high"})
        self.line("event_msg", {"type": "user_message", "message": text})

    def request(self, *, last: bool) -> None:
        new, output = self.chance.randrange(300, 5_000), self.output()
        used = {
            "input_tokens": self.context + new,
            "cached_input_tokens": self.context // 128 * 128,
            "output_tokens": output,
            "reasoning_output_tokens": output * self.chance.randrange(20, 70) // 100,
            "total_tokens": self.context + new + output,
        }
        if self.writes:
            used["cache_write_input_tokens"] = 0
        if last:
            content = [{"type": "output_text", "text": "Done, with a test."}]
            self.line("response_item", {"type": "message", "role": "assistant", "content": content})
        else:
            call = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": self.name("call_")}
            self.line("response_item", call)
        self.total = {name: self.total.get(name, 0) + value for name, value in used.items()}
        info = {"total_token_usage": self.total, "last_token_usage": used, "model_context_window": 258_400}
        for _ in range(2 if self.chance.random() < 0.1 else 1):
            self.line("event_msg", {"type": "token_count", "info": info, "rate_limits": None})
            self.wait(0.5, 3)
        self.context += new + output


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Write the demo's logs below FOLDER, one home per machine."""
    write_demo(folder, datetime.now(UTC))


if __name__ == "__main__":
    main()
