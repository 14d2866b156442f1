"""Zed's threads: a running total, and per prompt the last request (formats/zed.md)."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from databases import change, golden, seen, subset, write
from given import SAMPLES, needs_given
from scanned import Scanned, scanned
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.zed import HARNESS, parser
from trueup_shared import keys
from trueup_shared.metrics import BIT

DATABASE = ".local/share/zed/threads/threads.db"
ONE = "a1b2c3d4-0000-4000-8000-000000000001"
TOTAL = {"input_tokens": 40, "output_tokens": 900, "cache_creation_input_tokens": 5000}
TOTAL |= {"cache_read_input_tokens": 30000}


def stored(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the producer stores it."""
    data = json.dumps(row["data"]).encode()
    return row | {"data": zstd.compress(data) if row["data_type"] == "zstd" else data}


def thread(document: dict[str, Any] | None = None, **columns: Any) -> dict[str, Any]:
    """The first thread of the golden database with another document's fields, and other columns."""
    row: dict[str, Any] = copy.deepcopy(golden("zed", "threads.json")[0])
    row["data"] |= document or {}
    return row | columns


async def threads(tmp_path: Path, *rows: dict[str, Any]) -> tuple[Scanned, Path]:
    return await seen(tmp_path, "zed", DATABASE, {"threads": [stored(row) for row in rows]})


async def again(scan: Scanned, path: Path, minute: int, document: dict[str, Any], **columns: Any) -> None:
    row = thread(document, **({"updated_at": f"2026-06-01T08:{minute:02}:00.5Z"} | columns))
    write(path, {"threads": [stored(row)]})
    await scan.scan()


async def test_the_golden_threads_give_their_figures(tmp_path: Path) -> None:
    scan, path = await threads(tmp_path, *golden("zed", "threads.json"))
    expected = golden("zed", "expected.json")
    assert subset(scan.totals(), expected) == expected
    await scan.scan(full=True)
    assert subset(scan.totals(), expected) == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["threads.db"]


async def test_the_total_counts_and_the_last_request_gives_the_context(tmp_path: Path) -> None:
    scan, _ = await threads(tmp_path, thread())
    (event,) = scan.events()
    counters = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens)
    assert (*counters, event.context_tokens) == (40, 30000, 5000, 900, 11012)
    assert event.key == keys.event_key("zed", ONE, 40, 900, 5000, 30000)
    assert event.owner_key == keys.series_key("zed", ONE)
    assert (event.provider, event.model) == ("zed.dev", "claude-sonnet-4-6")
    assert (event.at, event.project_path, event.lower_bounds) == (1780300920_120000, "/home/ana/shop", 0)
    (session,) = scan.sessions()
    assert (session.git_branch, session.title, session.started_at) == ("fix/cart", "Cart total", 1780300800_000000)
    assert [(m.role, m.kind, m.tool_names, m.size_chars, m.at) for m in scan.messages()] in (
        [("user", "prompt", None, 12, None), ("assistant", "answer", '["read_file"]', 2, None)],
        [("assistant", "answer", '["read_file"]', 2, None), ("user", "prompt", None, 12, None)],
    )


async def test_a_grown_total_counts_by_the_difference_under_the_model_of_that_time(tmp_path: Path) -> None:
    scan, path = await threads(tmp_path, thread())
    other = {"provider": "openai", "model": "gpt-5.4"}
    await again(scan, path, 9, {"cumulative_token_usage": TOTAL | {"output_tokens": 1000}, "model": other})
    assert [(e.model, e.output_tokens, e.input_tokens) for e in scan.events()] == [
        ("claude-sonnet-4-6", 900, 40),
        ("gpt-5.4", 100, 0),
    ]


async def test_a_total_that_was_not_kept_up_to_date_gives_way_to_the_sum_and_is_a_lower_bound(tmp_path: Path) -> None:
    prompts = {"u-1": {"input_tokens": 100, "output_tokens": 5}, "u-2": {"input_tokens": 50, "output_tokens": 2000}}
    scan, _ = await threads(tmp_path, thread({"request_token_usage": prompts}))
    (event,) = scan.events()
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens) == (150, 2005, 30000)
    assert event.lower_bounds & BIT["input_tokens"]


async def test_a_list_of_requests_is_what_first_releases_wrote(tmp_path: Path) -> None:
    requests = [{"input_tokens": 700, "output_tokens": 40}, {"input_tokens": 800, "output_tokens": 60}]
    old = {"cumulative_token_usage": {"input_tokens": 9000, "output_tokens": 100}, "request_token_usage": requests}
    old["messages"] = [
        {"id": 0, "role": "user", "segments": [{"type": "text", "text": "hi"}], "tool_uses": [], "tool_results": []},
        {"id": 1, "role": "assistant", "segments": [], "tool_uses": [{"id": "t", "name": "grep", "input": {}}]},
    ]
    scan, _ = await threads(tmp_path, thread(old))
    (event,) = scan.events()
    assert (event.input_tokens, event.output_tokens, event.context_tokens) == (9000, 100, 800)
    assert {(m.role, m.tool_names, m.size_chars) for m in scan.messages()} == {
        ("user", None, 2),
        ("assistant", '["grep"]', 0),
    }


async def test_truncating_a_thread_takes_nothing_away(tmp_path: Path) -> None:
    scan, path = await threads(tmp_path, thread())
    await again(scan, path, 9, {"messages": [], "request_token_usage": {}})
    assert scan.totals()["output_tokens"] == 900
    # Where only the map is kept the sum shrinks; that is a new beginning, and may have lost something.
    only_map = {"cumulative_token_usage": {}, "request_token_usage": {"u-1": {"output_tokens": 300}}}
    await again(scan, path, 10, only_map)
    assert scan.totals()["output_tokens"] == 1200
    assert scan.events()[-1].lower_bounds & BIT["output_tokens"]


async def test_a_subagent_is_counted_below_its_parent(tmp_path: Path) -> None:
    scan, _ = await threads(tmp_path, *golden("zed", "threads.json"))
    parent, child = scan.sessions()
    assert (child.parent_key, child.relationship, child.project_path) == (parent.key, "subagent", "/home/ana/shop")
    assert [e.input_tokens for e in scan.events() if e.session_key == child.key] == [300]
    column = thread({"subagent_context": {"parent_thread_id": "p", "depth": 1}})
    other, _ = await threads(tmp_path / "b", column)
    assert other.sessions()[0].parent_key == keys.session_key("zed", "p")


async def test_an_imported_thread_is_someone_elses(tmp_path: Path) -> None:
    scan, _ = await threads(tmp_path, thread({"imported": True}))
    assert (scan.events(), scan.sessions(), scan.totals()["skipped"]) == ([], [], {})


@needs_given
async def test_the_first_table_with_five_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "home" / DATABASE
    path.parent.mkdir(parents=True)
    change(path, (SAMPLES / "zed/agentsview/zed-legacy-threads.sql").read_text(encoding="utf-8"))
    row = stored(thread())
    five = {name: row[name] for name in ("id", "summary", "updated_at", "data_type", "data")}
    write(path, {"threads": [five]})
    scan = await scanned(tmp_path, "zed", tmp_path / "home", home=True)
    assert scan.totals()["output_tokens"] == 900
    (session,) = scan.sessions()
    assert (session.project_path, session.started_at) == ("/home/ana/shop", 1780300801_000000)


async def test_empty_objects_are_unknown_and_no_event(tmp_path: Path) -> None:
    scan, _ = await threads(tmp_path, thread({"cumulative_token_usage": {}, "request_token_usage": {}}))
    assert (scan.events(), len(scan.sessions()), scan.sources()[0].unmetered) == ([], 1, 0)


async def test_zeros_are_left_out_by_the_producer(tmp_path: Path) -> None:
    scan, _ = await threads(tmp_path, thread({"cumulative_token_usage": {"output_tokens": 5}}))
    (event,) = scan.events()
    assert (event.output_tokens, event.cache_write_tokens) == (250, 0)


async def test_a_counter_that_is_no_number_is_unknown_and_the_others_count(tmp_path: Path) -> None:
    broken = {"cumulative_token_usage": TOTAL | {"output_tokens": None}, "request_token_usage": {}}
    scan, _ = await threads(tmp_path, thread(broken))
    (event,) = scan.events()
    assert (event.output_tokens, event.input_tokens, event.context_tokens) == (None, 40, None)


async def test_a_thread_whose_usage_has_another_name_is_an_unmetered_answer(tmp_path: Path) -> None:
    row = thread()
    row["data"]["token_totals"] = row["data"].pop("cumulative_token_usage")
    del row["data"]["request_token_usage"]
    scan, _ = await threads(tmp_path, row)
    assert scan.sources()[0].unmetered == 1


async def test_what_cannot_be_unpacked_is_skipped_and_the_rest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parser, "MAX_DOCUMENT_BYTES", 100_000)
    bomb = zstd.compress(b'{"title":"' + b"x" * 1_000_000 + b'"}')
    cut = zstd.compress(json.dumps(thread()["data"]).encode())[:-8]
    rows = [stored(thread())]
    rows += [rows[0] | {"id": f"t{n}", "data": data} for n, data in enumerate((bomb, cut, b"", b"\xff", None, 7))]
    rows += [rows[0] | {"id": "t9", "data_type": "json", "data": b"[]"}]
    rows += [rows[0] | {"id": id_} for id_ in (None, b"\xff", "\x00")]
    scan, _ = await seen(tmp_path, "zed", DATABASE, {"threads": rows})
    assert scan.totals()["skipped"] == {"too_large": 1, "malformed": 6}
    assert scan.totals()["output_tokens"] == 900


async def test_messages_of_unknown_shape_are_counted(tmp_path: Path) -> None:
    scan, _ = await threads(tmp_path, thread({"messages": ["Pause", {"Robot": {}}, 7, {"User": {"id": 5}}]}))
    totals = scan.totals()
    assert (totals["unknown"], totals["skipped"], totals["messages"]) == ({"Pause": 1, "Robot": 1}, {"malformed": 1}, 1)


async def test_a_deleted_thread_still_counts(tmp_path: Path) -> None:
    scan, path = await threads(tmp_path, thread())
    await again(scan, path, 9, {"cumulative_token_usage": TOTAL | {"output_tokens": 1000}})
    await scan.scan(full=True)
    assert scan.totals()["gone"] == 0  # a later total shows what went into it
    change(path, "DELETE FROM threads")
    await scan.scan(full=True)
    assert (scan.totals()["output_tokens"], scan.totals()["gone"]) == (1000, 2)


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, ".local/share/zed/threads"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/zed/threads"),
        ("darwin", {}, "Library/Application Support/Zed/threads"),
        ("win32", {}, "AppData/Local/Zed/threads"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/Zed/threads"),
    ],
)
def test_its_folder_on_each_platform(platform: str, environ: dict[str, str], expected: str) -> None:
    assert HARNESS.data_folders(Path("/home/ana"), environ, platform)[0] == Path("/home/ana") / expected


def test_a_sandboxed_zed_is_found() -> None:
    assert Path("/h/.var/app/dev.zed.Zed/data/zed/threads") in HARNESS.data_folders(Path("/h"), {}, "linux")


@pytest.mark.parametrize("below", [".local/share/zed/threads", "threads", "", "backup/old"])
async def test_a_root_is_a_home_zeds_folder_or_any_other(tmp_path: Path, below: str) -> None:
    write(tmp_path / "root" / below / "threads.db", {"threads": [stored(thread())]})
    scan = await scanned(tmp_path, "zed", tmp_path / "root")
    assert len(scan.events()) == 1


def test_usage_derived_from_raw_is_what_reading_gives() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    usage = HARNESS.usage(json.dumps({"total": TOTAL, "last": {"input_tokens": 3}}).encode(), facts)
    assert usage is not None
    assert (usage.output_tokens, usage.context_tokens) == (900, 3)
    assert HARNESS.usage(b"7", facts) is None
