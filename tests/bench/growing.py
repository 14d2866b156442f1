"""Golden data grown to a size that can be timed: the same records over and over under other ids, and no content."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

_UUID_TAIL = re.compile(rb"(?<=[0-9a-f]{4}-)[0-9a-f]{12}")
_NAMED = re.compile(rb'("(?:id|key|uuid|messageId|requestId|message_id|tool_call_id)"\s*:\s*")([^"]+)')
_LONGEST = 200_000  # records of one list or table


def grow(path: Path, size: int) -> None:
    """A file of lines, a JSON document or a database, to about `size` bytes; others stay as they are."""
    content = path.read_bytes()
    if content.startswith(b"SQLite format 3"):
        _grow_database(path, max(1, size // len(content)))
    elif not content or content[:4] == b"\x28\xb5\x2f\xfd":
        return
    elif (document := _document(content)) is not None:
        path.write_text(json.dumps(_grown(document, size // len(content))))
    elif content.endswith(b"\n"):
        path.write_bytes(content + b"".join(_renamed(content, n) for n in range(1, size // len(content))))


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _renamed(content: bytes, number: int) -> bytes:
    content = _NAMED.sub(lambda found: b"%s%s-%d" % (found[1], found[2], number), content)
    return _UUID_TAIL.sub(lambda tail: b"%012x" % ((int(tail[0], 16) + (number << 16)) % (1 << 48)), content)


def _grown(document: Any, times: int) -> Any:
    """With the longest list in it that much longer."""
    lists: list[list[Any]] = []
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            lists.append(value)
        waiting += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    longest = max(lists, key=lambda one: len(json.dumps(one)), default=None)
    if longest:
        text = json.dumps(longest, separators=(",", ":")).encode()
        for number in range(1, min(times, _LONGEST // len(longest))):
            longest += json.loads(_renamed(text, number))
    return document


def _grow_database(path: Path, times: int) -> None:
    db = sqlite3.connect(path)
    tables = [
        row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    ]
    columns = {table: [row[1:6] for row in db.execute(f'PRAGMA table_info("{table}")')] for table in tables}
    ids = {
        value
        for table in tables
        for name, _, _, _, is_key in columns[table]
        if is_key or name == "id" or name.endswith("_id")
        for (value,) in db.execute(f'SELECT "{name}" FROM "{table}"')
        if isinstance(value, str)
    }
    for table in tables:
        rows = db.execute(f'SELECT * FROM "{table}"').fetchall()
        marks = ", ".join("?" * len(columns[table]))
        for number in range(1, min(times, _LONGEST // max(1, len(rows)))):
            copies = [
                [
                    f"{value}-{number}"
                    if isinstance(value, str) and value in ids
                    else None
                    if column[4] and isinstance(value, int)
                    else value
                    for column, value in zip(columns[table], row, strict=True)
                ]
                for row in rows
            ]
            db.executemany(f'INSERT OR IGNORE INTO "{table}" VALUES ({marks})', copies)
    db.commit()
    db.close()
