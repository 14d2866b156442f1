"""Other programs' databases as tests write them: tables as JSON, {table: [row, …]}."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scanned import Scanned, scanned

GOLDEN = Path(__file__).resolve().parent / "golden"
Tables = Mapping[str, Sequence[Mapping[str, Any]]]


def write(path: Path, tables: Tables, wal: bool = False) -> Path:
    """Create the tables where they are missing, and insert or replace the rows. Columns are those of the rows.

    A column `id` is the key; one that holds a number is the rowid, as in a table that numbers its rows. With `wal` the
    file says in its header that it has a write-ahead log, but none lies beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    try:
        for table, rows in tables.items():
            columns = list(dict.fromkeys(name for row in rows for name in row))
            types = [_declared(name, rows) for name in columns]
            db.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({", ".join(types)})')
            for row in rows:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" * len(row))
                db.execute(f'INSERT OR REPLACE INTO "{table}" ({names}) VALUES ({marks})', list(row.values()))
        db.commit()
        if wal:
            db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    return path


def change(path: Path, sql: str, *parameters: Any) -> None:
    db = sqlite3.connect(path)
    try:
        db.execute(sql, parameters)
        db.commit()
    finally:
        db.close()


def _declared(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if name != "id":
        return f'"{name}"'
    return '"id" INTEGER PRIMARY KEY' if type(rows[0]["id"]) is int else '"id" TEXT PRIMARY KEY'


def golden(harness: str, name: str) -> Any:
    return json.loads((GOLDEN / harness / name).read_text(encoding="utf-8"))


def subset(totals: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Of the totals what `expected` names, money as text."""
    found = {name: totals[name] for name in expected}
    if "cost" in found:
        found["cost"] = {unit: str(cost.normalize()) for unit, cost in found["cost"].items()}
    return found


async def seen(tmp_path: Path, harness: str, database: str, tables: Tables, **options: Any) -> tuple[Scanned, Path]:
    """A home with that database (path in the home) scanned; for more passes, the path of the database."""
    path = write(tmp_path / "home" / database, tables, **options)
    return await scanned(tmp_path, harness, tmp_path / "home", home=True), path
