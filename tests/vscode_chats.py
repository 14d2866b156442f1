"""Writes what VS Code stores of chats with Copilot: journals, documents, and the database of spans."""

import json
import sqlite3
from pathlib import Path
from typing import Any

SESSION = "4a8f0000-0000-4000-8000-000000000001"
START = 1_782_892_800_000  # 2026-07-01T08:00:00Z, milliseconds
USER = Path(".config/Code/User")


def request(number: int, prompt: Any = None, output: Any = None, **more: Any) -> dict[str, Any]:
    """A turn. With a prompt or an output it is finished, and tells of them."""
    told: dict[str, Any] = {
        "requestId": f"request_{number}",
        "timestamp": START + number * 1000,
        "modelId": "copilot/claude-sonnet-4.6",
        "message": {"text": "fix the cart", "parts": [{"text": "…"}]},
        "response": [{"value": "Done."}],
    }
    if prompt is not None or output is not None:
        metadata = {"promptTokens": prompt, "outputTokens": output, "resolvedModel": "claude-sonnet-4-6"}
        told["result"] = {"timings": {"totalElapsed": 9100}, "metadata": metadata}
    return told | more


def state(*requests: Any, session: str = SESSION) -> dict[str, Any]:
    return {"version": 3, "sessionId": session, "creationDate": START, "requests": list(requests)}


def initial(*requests: Any) -> dict[str, Any]:
    return {"kind": 0, "v": state(*requests)}


def put(value: Any, *path: Any) -> dict[str, Any]:
    return {"kind": 1, "k": list(path), "v": value}


def push(*items: Any, path: tuple[Any, ...] = ("requests",), at: int | None = None) -> dict[str, Any]:
    return {"kind": 2, "k": list(path), "v": list(items)} | ({} if at is None else {"i": at})


def delete(*path: Any) -> dict[str, Any]:
    return {"kind": 3, "k": list(path)}


def journal(home: Path, *entries: Any, name: str = SESSION, folder: str = "workspaceStorage/aa11/chatSessions") -> Path:
    path = home / USER / folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def document(home: Path, content: Any, name: str = SESSION) -> Path:
    path = home / USER / "workspaceStorage/aa11/chatSessions" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def workspace(home: Path, **content: str) -> None:
    path = home / USER / "workspaceStorage/aa11/workspace.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def span(number: int, prompt: Any = 1000, output: Any = 50, cached: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "span_id": f"s{number}",
        "trace_id": "t1",
        "name": "chat claude-sonnet-4.6",
        "start_time_ms": START + number * 1000,
        "end_time_ms": START + number * 1000 + 500,
        "status_code": 1,
        "operation_name": "chat",
        "provider_name": "github",
        "conversation_id": "c1",
        "request_model": "claude-sonnet-4.6",
        "response_model": "claude-sonnet-4-6",
        "input_tokens": prompt,
        "output_tokens": output,
        "cached_tokens": cached,
        "reasoning_tokens": None,
        "chat_session_id": SESSION,
    } | more


def spans(home: Path, *rows: dict[str, Any], attributes: tuple[tuple[str, str, str], ...] = ()) -> Path:
    path = home / USER / "globalStorage/github.copilot-chat/agent-traces.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        columns = ", ".join(name if name != "span_id" else "span_id TEXT PRIMARY KEY" for name in span(0))
        db.execute(f"CREATE TABLE IF NOT EXISTS spans ({columns})")
        db.execute("CREATE TABLE IF NOT EXISTS span_attributes (span_id TEXT, key TEXT, value TEXT)")
        for row in rows:
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT OR REPLACE INTO spans ({', '.join(row)}) VALUES ({marks})", [*row.values()])
        db.executemany("INSERT INTO span_attributes VALUES (?, ?, ?)", attributes)
    db.close()
    return path
