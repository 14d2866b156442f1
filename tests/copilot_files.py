"""Writes what Copilot CLI leaves in its home: a session's log line by line, and the database beside the logs."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SESSION = "c0ffee00-0000-4000-8000-000000000001"
MODEL = "claude-sonnet-4.6"
START = 1_782_892_800_000_000  # 2026-07-01T08:00:00Z, microseconds

COLUMNS = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "session_id": "TEXT",
    "turn_index": "INTEGER",
    "model": "TEXT",
    "input_tokens": "INTEGER",
    "output_tokens": "INTEGER",
    "cache_read_tokens": "INTEGER",
    "cache_write_tokens": "INTEGER",
    "reasoning_tokens": "INTEGER",
    "created_at": "TEXT",
    "total_nano_aiu": "INTEGER",
    "initiator": "TEXT",
}


def stamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"2026-07-01T{8 + int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{rest:06.3f}Z"


class Log:
    """A log that grows. Every event has its own id."""

    def __init__(self, session: str = SESSION) -> None:
        self.session = session
        self.lines: list[str] = []

    def add(self, seconds: float, kind: str, data: Mapping[str, Any], **more: Any) -> "Log":
        number = len(self.lines) + 1
        parent = f"e{number - 1}" if number > 1 else None
        event = {"type": kind, "data": data, "id": f"e{number}", "timestamp": stamp(seconds), "parentId": parent}
        self.lines.append(json.dumps(event | more))
        return self

    def start(self, seconds: float = 0, kind: str = "session.start", **more: Any) -> "Log":
        context = {"cwd": "/home/ana/shop", "gitRoot": "/home/ana/shop", "branch": "fix/cart"}
        named = {"sessionId": self.session, "version": 1, "producer": "copilot-agent", "copilotVersion": "1.0.80"}
        started = named | {"startTime": stamp(seconds)} if kind == "session.start" else {"eventCount": 9}
        return self.add(seconds, kind, started | {"selectedModel": MODEL, "context": context} | more)

    def resume(self, seconds: float) -> "Log":
        return self.start(seconds, "session.resume")

    def answer(self, seconds: float, output: int | None = 120, **more: Any) -> "Log":
        data = {"messageId": f"m{len(self.lines)}", "model": MODEL, "content": "Done.", "toolRequests": []}
        return self.add(
            seconds, "assistant.message", data | ({} if output is None else {"outputTokens": output}) | more
        )

    def shutdown(self, seconds: float, *totals: Any, model: str = MODEL, **more: Any) -> "Log":
        """Totals: input (both caches included), output, read, written, reasoning."""
        metric = {"requests": {"count": 2, "cost": 1}, "usage": usage(*totals)}
        return self.add(
            seconds, "session.shutdown", {"shutdownType": "routine", "modelMetrics": {model: metric}, **more}
        )

    def write(self, home: Path) -> Path:
        path = home / ".copilot" / "session-state" / self.session / "events.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in self.lines), encoding="utf-8")
        return path


def usage(prompt: int, output: int, read: int = 0, write: int = 0, reasoning: int = 0) -> dict[str, int]:
    return {
        "inputTokens": prompt,
        "outputTokens": output,
        "cacheReadTokens": read,
        "cacheWriteTokens": write,
        "reasoningTokens": reasoning,
    }


def row(seconds: float, prompt: Any, output: Any, read: Any = 0, write: Any = 0, **more: Any) -> dict[str, Any]:
    """A request of the session; `created_at` without a zone, as the database makes it."""
    counters = {"input_tokens": prompt, "output_tokens": output, "cache_read_tokens": read, "cache_write_tokens": write}
    at = stamp(seconds)[:19].replace("T", " ")
    return {"session_id": SESSION, "model": MODEL, **counters, "reasoning_tokens": 0, "created_at": at, **more}


def store(home: Path, rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = COLUMNS) -> Path:
    """Adds rows to the database of that home; makes it, with those columns, where there is none."""
    path = home / ".copilot" / "session-store.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        declared = ", ".join(f"{name} {COLUMNS[name]}" for name in columns)
        db.execute(f"CREATE TABLE IF NOT EXISTS assistant_usage_events ({declared})")
        db.execute("CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, cwd TEXT, branch TEXT, created_at TEXT)")
        for values in rows:
            kept = {name: value for name, value in values.items() if name in tuple(columns)}
            marks = ", ".join("?" * len(kept))
            db.execute(f"INSERT INTO assistant_usage_events ({', '.join(kept)}) VALUES ({marks})", [*kept.values()])
    db.close()
    return path
