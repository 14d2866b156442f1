"""Builds conversations of Antigravity for tests."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent / "golden" / "antigravity"
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"
NOON = 1_782_907_200  # 2026-07-01T12:00:00Z


def varint(n: int) -> bytes:
    return bytes((n,)) if n < 128 else bytes((n & 0x7F | 0x80,)) + varint(n >> 7)


def pb(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A message of (number, value)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def row(*usage: tuple[int, int | str], model: str | None = "Gemini 3 Pro", at: int | None = NOON) -> bytes:
    chat: list[tuple[int, Any]] = [(4, pb(*usage))] if usage else []
    chat += [(9, pb((4, pb((1, at)))))] if at is not None else []
    chat += [(21, model)] if model is not None else []
    return pb((1, pb(*chat)), (2, b"\x02\x03"))


def store(home: Path, *rows: Any, steps: Any = (), name: str = CONVERSATION, folder: str = "conversations") -> Path:
    path = home / ".gemini/antigravity-cli" / folder / f"{name}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS steps (idx INTEGER PRIMARY KEY, step_type INTEGER, step_payload BLOB)")
        db.execute("CREATE TABLE IF NOT EXISTS gen_metadata (idx INTEGER PRIMARY KEY, data BLOB)")
        db.executemany("INSERT OR REPLACE INTO gen_metadata VALUES (?, ?)", enumerate(rows))
        db.executemany("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", steps)
    return path


def sidecar(home: Path, *generations: Any, name: str = CONVERSATION) -> Path:
    path = home / ".gemini/antigravity-cli/conversations" / f"{name}.trajectory.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"generatorMetadata": generations}))
    return path


def transcript(home: Path, *steps: Any, name: str = CONVERSATION) -> Path:
    path = home / ".gemini/antigravity-cli/brain" / name / ".system_generated/logs/transcript.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return path


def step(index: int, kind: str, seconds: int, **said: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(NOON + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"step_index": index, "source": "MODEL", "type": kind, "status": "DONE", "created_at": at, **said}


def generation(**usage: Any) -> dict[str, Any]:
    started = {"createdAt": "2026-07-01T12:00:00Z"}
    return {"stepIndices": [2], "chatModel": {"model": "MODEL_M16", "chatStartMetadata": started, "usage": usage}}


def golden_home(root: Path) -> Path:
    """What lies in the golden folder, and a database of its generations and steps."""
    shutil.copytree(GOLDEN / "files", root)
    said = json.loads((GOLDEN / "database.json").read_text(encoding="utf-8"))
    steps = [(index, kind, bytes.fromhex(payload)) for index, kind, payload in said["steps"]]
    store(root, *(bytes.fromhex(one) for one in said["generations"]), steps=steps, name=said["conversation"])
    return root
