"""Builds Cursor's stores and transcripts for tests."""

import json
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent / "golden" / "cursor"
COMPOSER, REQUEST = "c0000000-0000-4000-8000-000000000001", "4e400000-0000-4000-8000-000000000007"
SECRETS = {"cursorAuth/accessToken": "SECRET-access", "cursorAuth/refreshToken": "SECRET-refresh"}
USER = "Cursor/User"
STARTED = 1_777_716_000_000  # 2026-05-02T10:00:00Z, milliseconds


def composer(id_: str = COMPOSER, *bubbles: Any, **said: Any) -> dict[str, Any]:
    """Rows of a conversation: key -> value."""
    headers = [{"bubbleId": bubble["bubbleId"], "type": bubble["type"]} for bubble in bubbles if "bubbleId" in bubble]
    data = {"composerId": id_, "createdAt": STARTED, "lastUpdatedAt": STARTED + 9000, "name": "Cart"}
    rows: dict[str, Any] = {f"composerData:{id_}": data | {"fullConversationHeadersOnly": headers} | said}
    for bubble in bubbles:
        rows[f"bubbleId:{id_}:{bubble['bubbleId']}"] = bubble
    return rows


def bubble(id_: str, type_: int = 2, input: int = 0, output: int = 0, **said: Any) -> dict[str, Any]:
    counts = {"inputTokens": input, "outputTokens": output}
    fields = {"_v": 3, "type": type_, "bubbleId": id_, "createdAt": "2026-05-02T10:00:07.000Z", "requestId": REQUEST}
    return fields | {"text": f"text of {id_}", "tokenCount": counts} | said


def store(path: Path, rows: Mapping[str, Any], items: Mapping[str, Any] | None = None) -> Path:
    """Adds rows to `cursorDiskKV` and `ItemTable`. Text values are stored as they are, None deletes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        for table, news in (("cursorDiskKV", rows), ("ItemTable", items or {})):
            db.execute(f"CREATE TABLE IF NOT EXISTS {table} (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)")
            for key, value in news.items():
                if value is None:
                    db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
                else:
                    text = value if isinstance(value, str | bytes) else json.dumps(value)
                    db.execute(f"INSERT INTO {table} VALUES (?, ?)", (key, text))
    return path


def editor(home: Path, *conversations: Mapping[str, Any], base: str = ".config") -> Path:
    """The global store of that home's editor, with credentials in it."""
    rows = {key: value for conversation in conversations for key, value in conversation.items()}
    return store(home / base / USER / "globalStorage/state.vscdb", rows, SECRETS)


def workspace(home: Path, name: str, folder: str, *composers: str, base: str = ".config", **items: Any) -> Path:
    path = home / base / USER / "workspaceStorage" / name / "state.vscdb"
    headers = {"allComposers": [{"composerId": id_, "name": "Cart"} for id_ in composers]}
    store(path, {}, SECRETS | {"composer.composerData": headers} | items)
    path.with_name("workspace.json").write_text(json.dumps({"folder": folder}))
    return path


def transcript(path: Path, *records: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def golden_home(root: Path) -> Path:
    """What lies in the golden folder, and the stores that it describes."""
    shutil.copytree(GOLDEN / "files", root)
    said = json.loads((GOLDEN / "stores.json").read_text(encoding="utf-8"))
    editor(root, said["editor"])
    for name, one in said["workspaces"].items():
        workspace(root, name, one["folder"], *one["composers"])
    for name, meta in said["chats"].items():
        path = root / ".cursor/chats/ab12" / name / "store.db"
        path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
            db.execute("INSERT INTO meta VALUES ('0', ?)", (json.dumps(meta).encode().hex(),))
    return root
