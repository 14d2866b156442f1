"""Keys are frozen: a release that derives another key for the same request would count it again."""

import json
from pathlib import Path
from typing import Any

import msgspec

from claude_lines import Read

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "claude"
_NOT_OURS = {"seq", "digest", "cost_nanousd", "raw_usage", "fills", "source_key", "position", "data_version", "gone"}


def plain(row: msgspec.Struct) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in row.__struct_fields__ if name not in _NOT_OURS}
    return {name: v.hex() if isinstance(v, bytes) else v for name, v in fields.items() if v not in (None, "")}


def tables() -> dict[str, list[dict[str, Any]]]:
    read = Read().root(GOLDEN)
    by_key = {"sessions": read.sessions, "messages": read.messages, "events": read.events}
    return {name: [plain(table[key]) for key in sorted(table)] for name, table in by_key.items()}


def test_a_session_its_fork_and_its_subagents_give_the_frozen_rows() -> None:
    assert tables() == json.loads((GOLDEN / "rows.json").read_text(encoding="utf-8"))


def test_the_frozen_rows_count_each_request_once() -> None:
    read = Read().root(GOLDEN)
    assert [(event.model, event.output_tokens) for event in read.counted()] == [
        ("claude-sonnet-4-5-20250929", 318),
        ("claude-sonnet-4-5-20250929", 2),
        ("claude-haiku-4-5-20251001", 100),
        ("claude-haiku-4-5-20251001", 3),
        ("gateway-model", 11),
        ("claude-sonnet-4-5-20250929", 77),
        ("claude-opus-4-5-20251101", 40),
    ]
    assert (read.skipped, read.unknown) == ({}, {"brand-new-type": 1})
