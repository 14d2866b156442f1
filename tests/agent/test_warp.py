"""Warp's conversations: one total per model and payer (formats/warp.md)."""

import json
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from databases import change, golden, seen, subset, write
from scanned import Scanned, scanned
from trueup_agent.guest import GuestDatabase
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.warp import HARNESS
from trueup_shared import keys
from trueup_shared.metrics import BIT

DATABASE = ".local/state/warp-terminal/warp.sqlite"
ONE = "c0000000-0000-4000-8000-000000000001"


def conversation(usage: Any, minute: int = 10, **fields: Any) -> dict[str, Any]:
    """`usage`: {model: (Warp's tokens, own key's tokens)}, or what stands in its place."""
    if isinstance(usage, dict):
        usage = [{"model_id": name, "warp_tokens": warp, "byok_tokens": byok} for name, (warp, byok) in usage.items()]
    data = json.dumps({"conversation_usage_metadata": {"token_usage": usage}})
    row = {"id": 1, "conversation_id": ONE, "last_modified_at": f"2026-07-01 08:{minute:02}:00"}
    return row | {"conversation_data": data} | fields


async def of(tmp_path: Path, *conversations: dict[str, Any], **tables: Any) -> tuple[Scanned, Path]:
    return await seen(tmp_path, "warp", DATABASE, {"agent_conversations": conversations, **tables})


async def test_the_golden_database_gives_its_figures(tmp_path: Path) -> None:
    scan, path = await seen(tmp_path, "warp", DATABASE, golden("warp", "tables.json"), wal=True)
    expected = golden("warp", "expected.json")
    assert subset(scan.totals(), expected) == expected
    await scan.scan(full=True)
    assert subset(scan.totals(), expected) == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["warp.sqlite"]


async def test_a_total_is_undivided_and_the_plan_and_an_own_key_are_kept_apart(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, conversation({"claude-sonnet-4-6": (48210, 90)}))
    warp, byok = sorted(scan.events(), key=lambda event: -(event.undivided_tokens or 0))
    assert (warp.undivided_tokens, warp.service_tier, warp.model) == (48210, "warp", "claude-sonnet-4-6")
    assert (byok.undivided_tokens, byok.service_tier, byok.model) == (90, "byok", "claude-sonnet-4-6")
    assert warp.key == keys.event_key("warp", ONE, "claude-sonnet-4-6", "warp", 48210)
    assert warp.at == 1782893400_000000  # text without a zone is UTC
    assert (warp.input_tokens, warp.output_tokens) == (None, None)


async def test_growth_counts_by_the_difference_per_model(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, conversation({"a": (1000, 0)}))
    write(path, {"agent_conversations": [conversation({"a": (1500, 0), "b": (7, 0)}, 20)]})
    await scan.scan()
    assert sorted((e.model, e.undivided_tokens) for e in scan.events()) == [("a", 500), ("a", 1000), ("b", 7)]


async def test_a_total_that_shrank_began_anew(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, conversation({"a": (1000, 0)}))
    write(path, {"agent_conversations": [conversation({"a": (300, 0)}, 20)]})
    await scan.scan()
    assert scan.totals()["undivided_tokens"] == 1300
    assert scan.events()[-1].lower_bounds == BIT["undivided_tokens"]


async def test_completed_queries_are_requests_of_unknown_usage_with_or_without_quotes(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "warp", DATABASE, golden("warp", "tables.json"))
    requests = [event for event in scan.events() if event.undivided_tokens is None and not event.reported_cost]
    assert [(event.model, event.at) for event in requests] == [
        ("auto", 1782889140_000000),
        ("auto-efficient", 1782892800_250000),
    ]
    messages = [(m.role, m.kind, m.size_chars, m.project_path, m.event_key is not None) for m in scan.messages()]
    assert messages == [
        ("user", "prompt", 0, None, True),
        ("user", "prompt", 12, "/home/ana/shop", True),
        ("user", "prompt", 5, "/home/ana/lib", False),
    ]


async def test_a_query_that_completes_later_becomes_a_request(tmp_path: Path) -> None:
    tables = golden("warp", "tables.json")
    scan, path = await seen(tmp_path, "warp", DATABASE, tables)
    change(path, "UPDATE ai_queries SET output_status = 'Completed' WHERE exchange_id = 'e-2'")
    change(path, "UPDATE agent_conversations SET last_modified_at = '2026-07-01 08:30:00' WHERE id = 1")
    await scan.scan()
    assert scan.totals()["events"] == 7


async def test_a_router_is_the_model_as_logged(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, conversation({"auto-powerful": (5, 0)}))
    assert [event.model for event in scan.events()] == ["auto-powerful"]


@pytest.mark.parametrize("data", ["{}", '{"conversation_usage_metadata":null}', None])
async def test_missing_usage_is_unknown(tmp_path: Path, data: str | None) -> None:
    scan, _ = await of(tmp_path, conversation({}, conversation_data=data))
    assert (scan.events(), len(scan.sessions()), scan.totals()["skipped"]) == ([], 1, {})


async def test_only_two_tables_are_read_and_of_the_data_only_the_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    statements: list[str] = []
    real = GuestDatabase.rows

    def rows(self: GuestDatabase, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        statements.append(sql)
        result = real(self, sql, parameters)
        found.append(repr(result))
        return result

    monkeypatch.setattr(GuestDatabase, "rows", rows)
    await seen(tmp_path, "warp", DATABASE, golden("warp", "tables.json"))
    tables = {name for sql in statements for name in re.findall(r'FROM "?(\w+)', sql)}
    assert tables - {"sqlite_master", "pragma_table_info"} == {"agent_conversations", "ai_queries"}
    assert not [text for text in found if "secret" in text]


async def test_a_busy_database_gives_what_was_committed_at_once_or_later(tmp_path: Path) -> None:
    path = write(tmp_path / "home" / DATABASE, {"agent_conversations": [conversation({"a": (1000, 0)})]})
    writer = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA cache_size = 1", "BEGIN EXCLUSIVE", "DELETE FROM agent_conversations"):
        writer.execute(statement)
    writer.execute("CREATE TABLE other AS SELECT randomblob(200000) AS content")
    scan = await scanned(tmp_path, "warp", tmp_path / "home", home=True)
    assert scan.totals()["undivided_tokens"] == 1000 or scan.sources()[0].error
    writer.rollback()
    writer.close()
    await scan.scan()
    assert scan.totals()["undivided_tokens"] == 1000


async def test_a_renamed_counter_is_an_unmetered_answer(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, conversation([{"model_id": "a", "tokens": 5}]))
    assert (scan.events(), scan.sources()[0].unmetered) == ([], 1)


async def test_broken_rows_are_skipped_and_the_rest_counts(tmp_path: Path) -> None:
    rows = [
        conversation({"a": (1000, 0)}),
        conversation({}, id=2, conversation_id="x", conversation_data="{"),
        conversation({}, id=3, conversation_id=b"\xff"),
        conversation(["?", {"model_id": 5, "warp_tokens": -1, "byok_tokens": "many"}], id=4, conversation_id="y"),
        conversation({"b": (7, 0)}, id=5, conversation_id="z", last_modified_at="now"),
    ]
    query = golden("warp", "tables.json")["ai_queries"][0]
    queries = [query | {"id": 1, "exchange_id": None}, query | {"id": 2, "input": "[{", "start_ts": "now"}]
    scan, _ = await of(tmp_path, *rows, ai_queries=queries)
    assert scan.totals()["undivided_tokens"] == 1007
    assert scan.totals()["skipped"] == {"malformed": 3}
    assert [(m.size_chars, m.at) for m in scan.messages()] == [(None, None)]
    assert {event.model: event.time_quality for event in scan.events()} == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, ".local/state/warp-terminal"),
        ("linux", {"XDG_STATE_HOME": "/state"}, "/state/warp-terminal"),
        ("win32", {}, "AppData/Local/warp/Warp/data"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/warp/Warp/data"),
        (
            "darwin",
            {},
            "Library/Group Containers/2BBY89MBSN.dev.warp/Library/Application Support/dev.warp.Warp-Stable",
        ),
    ],
)
def test_its_folder_on_each_platform(platform: str, environ: dict[str, str], expected: str) -> None:
    assert HARNESS.data_folders(Path("/home/ana"), environ, platform)[0] == Path("/home/ana") / expected


@pytest.mark.parametrize("below", [".local/state/warp-terminal", "", "backup/old"])
async def test_a_root_is_a_home_warps_folder_or_any_other(tmp_path: Path, below: str) -> None:
    write(tmp_path / "root" / below / "warp.sqlite", {"agent_conversations": [conversation({"a": (5, 0)})]})
    assert len((await scanned(tmp_path, "warp", tmp_path / "root")).events()) == 1


def test_usage_derived_from_raw_is_what_reading_gives() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    assert HARNESS.usage(b'{"byok_tokens":7}', facts) == Usage(undivided_tokens=7)
    assert HARNESS.usage(b"x", facts) is None
