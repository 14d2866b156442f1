"""Writes what Kiro keeps: sessions of the CLI and the IDE, and the database of conversations."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SESSION = "9c0e0000-0000-4000-8000-000000000001"
START = 1_782_892_800  # 2026-07-01T08:00:00Z, seconds


def turn(end: str | None, *credits: Any, **more: Any) -> dict[str, Any]:
    metering = [{"value": value, "unit": "credit", "unitPlural": "credits"} for value in credits]
    zeros = {"input_token_count": 0, "output_token_count": 0, "cache_read_input_token_count": 0}
    return {"end_timestamp": end, "total_request_count": 3, "metering_usage": metering, **zeros, **more}


def at(second: int) -> str:
    return f"2026-07-01T08:{second // 60:02d}:{second % 60:02d}.123456789Z"


def prompt(number: int, second: int | None, text: str = "fix the cart") -> dict[str, Any]:
    meta = {} if second is None else {"meta": {"timestamp": START + second}}
    data = {"message_id": f"p{number}", "content": [{"kind": "text", "data": text}], **meta}
    return {"version": "v1", "kind": "Prompt", "data": data}


def answer(number: int, tool: str | None = None) -> dict[str, Any]:
    content: list[Any] = [{"kind": "text", "data": "Done."}]
    if tool is not None:
        content.append({"kind": "toolUse", "data": {"toolUseId": "t1", "name": tool, "input": {"path": "cart.py"}}})
    return {"version": "v1", "kind": "AssistantMessage", "data": {"message_id": f"a{number}", "content": content}}


def cli(home: Path, turns: Iterable[Any] | None, *lines: Any, model: str = "claude-sonnet-4.5", **more: Any) -> Path:
    """`turns` None: no document beside the log."""
    path = home / ".kiro/sessions/cli" / f"{SESSION}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if turns is not None:
        state = {
            "rts_model_state": {"model_info": {"model_id": model}},
            "conversation_metadata": {"user_turn_metadatas": list(turns)},
        }
        facts = {"session_id": SESSION, "cwd": "/home/ana/shop", "created_at": at(0), "title": "Fix the cart"}
        path.write_text(json.dumps(facts | {"session_state": state} | more), encoding="utf-8")
    if lines:
        log = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        path.with_suffix(".jsonl").write_text(log, encoding="utf-8")
    return path


def database(home: Path, *rows: tuple[str, str, Any, int], program: str = "kiro-cli") -> Path:
    """Rows of (folder, conversation, value, updated_at in ms)."""
    path = home / ".local/share" / program / "data.sqlite3"
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS conversations_v2 (key TEXT, conversation_id TEXT, value TEXT,"
            " created_at INTEGER, updated_at INTEGER, PRIMARY KEY (key, conversation_id))"
        )
        for folder, conversation, value, updated in rows:
            content = value if isinstance(value, str) else json.dumps(value)
            db.execute(
                "INSERT OR REPLACE INTO conversations_v2 VALUES (?, ?, ?, ?, ?)",
                (folder, conversation, content, START * 1000, updated),
            )
    db.close()
    return path


def conversation(id_: str, *answers: str, used: Iterable[float] = (), turn_id: str = "c1") -> dict[str, Any]:
    history = [
        {
            "user": {"content": {"Prompt": {"prompt": "fix"}}, "timestamp": at(10 * number)},
            "assistant": {"Response": {"message_id": name, "content": "Done."}},
            "request_metadata": {"stream_end_timestamp_ms": (START + 10 * number + 5) * 1000, "model_id": "auto"},
        }
        for number, name in enumerate(answers)
    ]
    usage = [{"value": value, "unit": "credit", "unit_plural": "credits"} for value in used]
    metadata = {"continuation_id": turn_id, "requests": [], "usage_info": usage}
    return {"conversation_id": id_, "history": history, "user_turn_metadata": metadata}


def ide(home: Path, *records: tuple[str, dict[str, Any]], about: Any = None) -> Path:
    """Records of (id, payload), ten seconds apart."""
    path = home / ".kiro/sessions/9f3c1d0b7a4e2856/sess_0a1b/messages.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"id": id_, "timestamp": at(10 * number), "payload": payload})
        for number, (id_, payload) in enumerate(records)
    ]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if about is not None:
        path.with_name("session.json").write_text(json.dumps(about), encoding="utf-8")
    return path


def summary(*credits: Any, unit: str | None = "credit") -> dict[str, Any]:
    return {"type": "usage_summary", "promptTurnSummaries": [{"usage": value, "unit": unit} for value in credits]}


def execution(home: Path, name: str, **content: Any) -> Path:
    path = home / ".config/Kiro/User/globalStorage/kiro.kiroagent/aabbcc" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
