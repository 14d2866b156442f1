"""Sessions of OpenCode and Kilo as tests write them: the same entries into a database, the older tree or an export."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NOW = 1_782_892_800_000  # 2026-07-01T08:00:00Z in milliseconds
CWD = "/home/ana/shop"
Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (id text PRIMARY KEY, project_id text NOT NULL, parent_id text, slug text,
    directory text NOT NULL, title text NOT NULL, version text NOT NULL, time_created integer NOT NULL,
    time_updated integer NOT NULL, time_archived integer);
CREATE TABLE IF NOT EXISTS message (id text PRIMARY KEY,
    session_id text NOT NULL REFERENCES session(id) ON DELETE CASCADE,
    time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
CREATE TABLE IF NOT EXISTS part (id text PRIMARY KEY,
    message_id text NOT NULL REFERENCES message(id) ON DELETE CASCADE,
    session_id text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
"""


def tokens(input: int = 0, output: int = 0, reasoning: int = 0, read: int = 0, write: int = 0, **more: Any) -> Json:
    """`total` where a release writes it; None leaves it out."""
    counts = {"input": input, "output": output, "reasoning": reasoning, "cache": {"read": read, "write": write}}
    return {name: value for name, value in (more | counts).items() if value is not None}


def user(id: str, seconds: float = 0, text: str = "fix the cart", **part: Any) -> Json:
    info = {"role": "user", "time": {"created": at(seconds)}, "agent": "build"}
    info["model"] = {"providerID": "anthropic", "modelID": "claude-sonnet-4-6"}
    return {"info": {"id": id, **info}, "parts": [{"id": f"prt_{id}_1", "type": "text", "text": text, **part}]}


def answer(id: str, seconds: float, usage: Json | None, *parts: Json, lasts: float | None = 6, **info: Any) -> Json:
    """Of the model, without a step unless `parts` has one. `lasts` None: not completed. An info of None is left out."""
    time = {"created": at(seconds)} | ({} if lasts is None else {"completed": at(seconds + lasts)})
    fields: Json = {
        "role": "assistant", "parentID": "msg_u", "modelID": "claude-sonnet-4-6", "providerID": "anthropic",
        "mode": "build", "path": {"cwd": CWD, "root": CWD}, "time": time, "cost": 0.25, "tokens": usage,
        "finish": "stop",
    }  # fmt: skip
    named = [{"id": f"prt_{id}_{i}", **part} for i, part in enumerate(parts, 1)]
    return {"info": {"id": id, **{n: v for n, v in (fields | info).items() if v is not None}}, "parts": named}


def step(usage: Json | None, cost: float | None = 0.25, **more: Any) -> Json:
    part = {"type": "step-finish", "reason": "stop", "cost": cost, "tokens": usage} | more
    return {name: value for name, value in part.items() if value is not None}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def tool(name: str, ends: float = 1, **state: Any) -> Json:
    times = {"start": at(ends - 1), "end": at(ends)}
    return {"type": "tool", "tool": name, "callID": "c1", "state": {"status": "completed", "time": times} | state}


def session(id: str, *messages: Json, began: float = 0, **info: Any) -> Json:
    fields = {"id": id, "slug": "s", "projectID": "p1", "directory": CWD, "title": "Cart", "version": "1.4.3"}
    fields["time"] = {"created": at(began), "updated": at(began + 60)}
    return {"info": fields | info, "messages": list(messages)}


def at(seconds: float) -> int:
    return NOW + round(seconds * 1000)


def database(path: Path, *sessions: Json, updated: float | None = None, row_times: Json | None = None) -> Path:
    """Insert or replace. `updated`: the row's time, else when its message was created; `row_times`: of parts, by id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    db.executescript(_SCHEMA)
    for entry in sessions:
        info = entry["info"]
        created, stamp = info["time"]["created"], info["time"]["updated"] if updated is None else at(updated)
        row = (info["id"], info["projectID"], info.get("parentID"), "s", info["directory"], info["title"])
        db.execute(
            "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, info["version"], created, stamp, info["time"].get("archived")),
        )
        for message in entry["messages"]:
            data = dict(message["info"])
            id_, made = data.pop("id"), message["info"].get("time", {}).get("created", created)
            stamp = made if updated is None else at(updated)
            row = (id_, info["id"], made, stamp, json.dumps(data))
            db.execute("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)", row)
            for part in message["parts"]:
                body = {name: value for name, value in part.items() if name != "id"}
                stored = (row_times or {}).get(part["id"], made)
                row = (part["id"], id_, info["id"], stored, stamp, json.dumps(body))
                db.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
    return path


def change(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA foreign_keys = ON")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def tree(storage: Path, *sessions: Json) -> Path:
    for entry in sessions:
        info = entry["info"]
        _write(storage / "session" / info["projectID"] / f"{info['id']}.json", info)
        for message in entry["messages"]:
            id_ = message["info"]["id"]
            about = {"sessionID": info["id"], **message["info"]}
            _write(storage / "message" / info["id"] / f"{id_}.json", about)
            for part in message["parts"]:
                full = {"sessionID": info["id"], "messageID": id_, **part}
                _write(storage / "part" / id_ / f"{part['id']}.json", full)
    return storage


def export(path: Path, entry: Json) -> Path:
    _write(path, entry)
    return path


def renamed(entry: Json, id: str, suffix: str, began: float, **info: Any) -> Json:
    """A fork: everything again under new ids, without a link."""
    copied = json.loads(json.dumps(entry))
    for message in copied["messages"]:
        message["info"]["id"] += suffix
        for part in message["parts"]:
            part["id"] += suffix
    title = {"title": f"{entry['info']['title']} (fork #1)"}
    times = {"time": {"created": at(began), "updated": at(began + 60)}}
    return {"info": entry["info"] | title | times | info | {"id": id}, "messages": copied["messages"]}


def identities(events: Iterable[Any]) -> list[list[Any]]:
    return [json.loads(event.identity) for event in events]


def _write(path: Path, value: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
