"""Damage to bytes, to JSON in them, to rows of a database. Each takes a `random.Random`: a seed says it all."""

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

from backports import zstd

_DEEP = "@deep@"  # put in as text: json cannot write what is nested that deep
_ODD: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, float("nan"),
    float("inf"), -float("inf"), "", "0", "12", "NaN", "\0", "\ud800", "\udfff x", "a" * 5000, "💥" * 300,
    "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60.999999999+23:59", 10**18, 1e300, [], {},
    [[]], [None], {"": None}, [[[{}]]], {"a": {"b": {"c": [1, "x", None]}}}, _DEEP, "../../etc/passwd", "\\u0000",
]  # fmt: skip


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content of a file with one to three things wrong."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        content = chance.choice((_in_json, _in_json, _in_json, _in_bytes, _in_lines))(content, chance)
    return content


def damage_database(path: Path, chance: random.Random) -> None:
    """One to three things wrong in the rows or the schema, or in the bytes."""
    if chance.random() < 0.15:
        path.write_bytes(_in_bytes(path.read_bytes(), chance))
        return
    db = sqlite3.connect(path, isolation_level=None)
    db.text_factory = bytes
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA journal_mode = MEMORY")
    try:
        for _ in range(chance.choice((1, 2, 3))):
            try:
                _in_rows(db, chance)
            except (sqlite3.Error, OverflowError):
                continue  # a constraint of the table
    finally:
        db.close()


def _in_bytes(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    other = chance.randrange(len(content) + 1)
    return chance.choice(
        (
            content[:at],
            content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :],
            content[:at]
            + chance.choice((b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\n", b'"', b"{", b"\\"))
            + content[at:],
            content[:at] + content[at + chance.randrange(1, 40) :],
            content[: max(at, other)] + content[min(at, other) :],
            content[:at] + b"[" * 3000 + content[at:],
        )
    )


def _in_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    what = chance.randrange(4)
    if what == 0:
        lines[at], lines[other] = lines[other], lines[at]
    elif what == 1:
        lines.insert(at, lines[other])
    elif what == 2:
        del lines[at]
    else:
        lines[at] = _in_json(lines[at], chance)
    return b"".join(lines)


def _in_json(content: bytes, chance: random.Random) -> bytes:
    """Of a document, or of one line: a value replaced by another, a key dropped or renamed."""
    try:
        return _written(_changed(json.loads(content), chance))
    except (ValueError, RecursionError):
        pass
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return _in_bytes(content, chance)
    at = chance.randrange(len(lines))
    lines[at] = _in_json(lines[at], chance).rstrip(b"\n") + b"\n"
    return b"".join(lines)


def _written(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=True)
    return text.replace(f'"{_DEEP}"', "[" * 2000 + "]" * 2000).encode()


def _changed(document: Any, chance: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    if not places:
        return chance.choice(_ODD)
    holder, key = chance.choice(places)
    what = chance.randrange(8)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[f"{key}_renamed"] = holder.pop(key)
    elif what == 2:
        other, other_key = chance.choice(places)
        if (other, other_key) != (holder, key) and not _within(holder, other[other_key]):
            holder[key] = other[other_key]
    else:
        holder[key] = chance.choice(_ODD)
    return document


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            _collect(value[key], places)


def _within(holder: Any, value: Any) -> bool:
    if value is holder:
        return True
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_within(holder, one) for one in inside)


def _in_rows(db: sqlite3.Connection, chance: random.Random) -> None:
    tables = [row[0].decode() for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = chance.choice(tables)
    columns = [row[1].decode() for row in db.execute(f'PRAGMA table_info("{table}")')]
    column = chance.choice(columns)
    rowids = [row[0] for row in db.execute(f'SELECT rowid FROM "{table}"')]
    what = chance.randrange(12)
    if what == 0:
        db.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
    elif what == 1:
        db.execute(f'ALTER TABLE "{table}" RENAME TO "{table}_renamed"')
    elif what == 2:
        db.execute(f'DELETE FROM "{table}"')
    elif rowids:
        rowid = chance.choice(rowids)
        [[stored]] = db.execute(f'SELECT "{column}" FROM "{table}" WHERE rowid = ?', (rowid,))
        db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_cell(stored, chance), rowid))


def _cell(stored: Any, chance: random.Random) -> Any:
    """Another value of a cell: most often its own with something wrong."""
    if isinstance(stored, bytes) and stored and chance.random() < 0.7:
        if stored.startswith(b"\x28\xb5\x2f\xfd"):
            return zstd.compress(damaged(zstd.decompress(stored), chance))
        content = damaged(stored, chance)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content
    return chance.choice(
        [None, 0, -1, 1.5, 2**62, 2**63 - 1, "", "x", "NaN", "\0", b"", b"\xff\x00", "[]", "{}", float("inf"), 10**15]
    )
