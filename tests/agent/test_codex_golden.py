"""Keys are frozen: a release that derives another key for the same request would count it again."""

import json
from pathlib import Path
from typing import Any

import msgspec

from codex_lines import Read

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "codex"


def plain(record: msgspec.Struct) -> dict[str, Any]:
    fields = {f: getattr(record, f) for f in record.__struct_fields__ if f != "raw_usage"}
    return {f: v.hex() if isinstance(v, bytes) else v for f, v in fields.items() if v not in (None, 0, "")}


def test_a_thread_and_its_fork_give_the_frozen_rows() -> None:
    read = Read()
    for path in sorted(GOLDEN.glob("rollout-*.jsonl")):
        read.real(path)
    tables = {"sessions": read.sessions, "messages": read.messages, "events": read.events}
    rows = {name: [plain(table[key]) for key in sorted(table)] for name, table in tables.items()}
    assert rows == json.loads((GOLDEN / "rows.json").read_text(encoding="utf-8"))
