"""Writes conversations of Gemini CLI for tests, laid out as in its home."""

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent / "golden" / "gemini"
SESSION = "7d0c0000-0000-4000-8000-0000000000aa"
HEAD = {"sessionId": SESSION, "projectHash": "ab" * 32, "startTime": "2026-05-01T10:00:00.000Z", "kind": "main"}


def tokens(input: int, output: int, cached: int = 0, thoughts: int = 0, tool: int = 0) -> dict[str, Any]:
    total = input + output + thoughts + tool
    return {"input": input, "output": output, "cached": cached, "thoughts": thoughts, "tool": tool, "total": total}


def answer(id_: str = "g1", **said: Any) -> dict[str, Any]:
    fields = {"id": id_, "timestamp": "2026-05-01T10:00:08.000Z", "type": "gemini", "content": "yes"}
    return fields | {"tokens": tokens(100, 5, 40, 3), "model": "gemini-3-pro-preview"} | said


def journal(tmp_path: Path, *records: Any, name: str = "session-2026-05-01T10-00-7d0c0000.jsonl") -> Path:
    path = tmp_path / "tmp" / ("ab" * 32) / "chats" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records))
    return path


def document(tmp_path: Path, *messages: Any, **head: Any) -> Path:
    path = journal(tmp_path, name="session-2026-05-01T10-00-7d0c0000.json")
    path.write_text(json.dumps(HEAD | head | {"messages": messages}), encoding="utf-8")
    return path
