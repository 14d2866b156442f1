"""A machine's logs that grow, shrink and are copied, and the truth of what was read of them."""

import json
import shutil
from pathlib import Path

from msgspec import Struct, field

from claude_lines import answer, prompt, usage


class Logs(Struct):
    """A machine's logs, and what of them its ledger has read: Claude answers by number, Droid's running totals."""

    home: Path
    on_disk: dict[int, list[int]] = field(default_factory=dict)  # session -> answers
    totals: dict[int, int] = field(default_factory=dict)  # session -> output
    known: set[int] = field(default_factory=set)
    known_totals: dict[int, int] = field(default_factory=dict)

    def claude(self, session: int) -> Path:
        return self.home / f".claude/projects/-home-ana-shop/5e551000-0000-4000-8000-{session:012d}.jsonl"

    def droid(self, session: int) -> Path:
        return self.home / f".factory/sessions/-home-ana-shop/a1b20000-0000-4000-8000-{session:012d}.jsonl"

    def append(self, session: int, numbers: list[int]) -> None:
        path = self.claude(session)
        path.parent.mkdir(parents=True, exist_ok=True)
        common = {"sessionId": path.stem}
        with path.open("ab") as file:
            for n in numbers:
                file.write(prompt(n * 7.0, n * 10, **common) + b"\n")
                file.write(answer(n * 7.0 + 2, n * 10 + 1, n, n, usage=usage(output_of(n), input=n), **common) + b"\n")
        self.on_disk.setdefault(session, []).extend(numbers)

    def cut(self, session: int, keep: int) -> None:
        """The log is written anew with fewer answers."""
        numbers = self.on_disk.pop(session, [])[:keep]
        self.claude(session).unlink(missing_ok=True)
        if numbers:
            self.append(session, numbers)

    def take_copy(self, other: "Logs", session: int) -> None:
        """The other machine's log takes the place of ours: a home that is synchronised."""
        if session in other.on_disk:
            self.claude(session).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(other.claude(session), self.claude(session))
            self.on_disk[session] = list(other.on_disk[session])

    def run_on(self, session: int, more: int) -> None:
        """A running total grows."""
        total = self.totals.get(session, 0) + more
        self.totals[session] = total
        log = self.droid(session)
        log.parent.mkdir(parents=True, exist_ok=True)
        if not log.exists():
            start = {"type": "session_start", "id": log.stem, "title": "Cart", "cwd": "/home/ana/shop", "version": 2}
            log.write_text(json.dumps(start) + "\n")
        stamp = f"2025-06-01T08:{total // 60 % 60:02d}:{total % 60:02d}.000Z"
        said = {"role": "assistant", "content": [{"type": "text", "text": "ok"}]}
        with log.open("a") as file:
            file.write(json.dumps({"type": "message", "id": f"m{total}", "timestamp": stamp, "message": said}) + "\n")
        tokens = {"inputTokens": 5, "outputTokens": total, "cacheCreationTokens": 0, "cacheReadTokens": 0}
        settings = {"model": "claude-sonnet-4-5", "providerLock": "anthropic", "tokenUsage": tokens}
        log.with_name(f"{log.stem}.settings.json").write_text(json.dumps(settings))

    def was_read(self) -> None:
        self.known.update(n for numbers in self.on_disk.values() for n in numbers)
        self.known_totals |= self.totals


def output_of(number: int) -> int:
    return 7 * number + 1
