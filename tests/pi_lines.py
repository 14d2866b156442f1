"""Writes session files of pi and OpenClaw for tests."""

import json
from pathlib import Path
from typing import Any

SESSION = "5a000000-0000-4000-8000-000000000001"
FORK = "5a000000-0000-4000-8000-000000000002"
FOLDER = Path("/home/ana/.pi/agent/sessions/--home-ana-shop--")
FILE = FOLDER / f"2026-05-01T08-00-00-000Z_{SESSION}.jsonl"
START_MS = 1777622400000  # 2026-05-01T08:00:00Z


def at(seconds: float) -> str:
    return f"2026-05-01T08:{int(seconds) // 60:02d}:{int(seconds) % 60:02d}.{round(seconds % 1 * 1000):03d}Z"


def line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def header(session: str = SESSION, seconds: float = 0, version: int | None = 3, **more: Any) -> bytes:
    fields = {"type": "session", "version": version, "id": session, "timestamp": at(seconds), "cwd": "/home/ana/shop"}
    return line(**{name: value for name, value in (fields | more).items() if value is not None})


def usage(input: int = 14, output: int = 230, read: int = 8800, write: int = 1900, cost: float = 0.0132) -> Any:
    total = input + output + read + write
    counters = {"input": input, "output": output, "cacheRead": read, "cacheWrite": write, "totalTokens": total}
    return counters | {"cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": cost}}


def message(entry: str | None, seconds: float, role: str, parent: str | None = None, **fields: Any) -> bytes:
    inner = {"role": role, "content": [{"type": "text", "text": "abc"}], "timestamp": START_MS + int(seconds * 1000)}
    outer = {"id": entry, "parentId": parent} if entry is not None else {}
    return line(type="message", **outer, timestamp=at(seconds), message=inner | fields)


def prompt(entry: str | None, seconds: float, parent: str | None = None) -> bytes:
    return message(entry, seconds, "user", parent)


def answer(entry: str | None, seconds: float, parent: str | None = None, used: Any = None, **fields: Any) -> bytes:
    inner = {"api": "anthropic-messages", "provider": "anthropic", "model": "claude-sonnet-4-6", "stopReason": "stop"}
    return message(entry, seconds, "assistant", parent, **inner | {"usage": used or usage()} | fields)


def session() -> list[bytes]:
    """A header, two prompts and three answers, of which one is in another branch."""
    return [
        header(),
        prompt("aa000002", 3),
        answer("aa000003", 9, "aa000002"),
        answer("aa000004", 15, "aa000003", usage(3, 40, 10700, 200, 0.01)),
        prompt("aa000005", 30, "aa000003"),
        answer("aa000006", 38, "aa000005", usage(5, 60, 10800, 300, 0.02)),
    ]
