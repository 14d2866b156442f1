"""Rules of formats/piebald.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from databases import change, golden, seen, subset, write
from scanned import scanned
from trueup_agent.harnesses import HARNESSES

PIEBALD = HARNESSES["piebald"]
DB = ".local/share/piebald/app.db"
Json = dict[str, Any]
COUNTERS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def at(second: int) -> str:
    return f"2026-06-10T15:55:{second:02d}.819321712+00:00"


def message(id: int, model: str | None, *counts: int | None, role: str = "assistant", **more: Any) -> Json:
    """`counts` as COUNTERS names them."""
    about = {"id": id, "parent_chat_id": 31, "parent_message_id": None, "enabled": 1, "role": role, "model": model}
    about |= {"created_at": at(id), "updated_at": at(id + 1), "status": "completed", "config_id": None}
    return about | dict(zip(COUNTERS, counts or (None,) * 5, strict=True)) | more


def chat(id: int = 31, **more: Any) -> Json:
    about = {"id": id, "title": "Cart", "model": "gpt-5.3", "project_id": 4, "current_directory": "/home/ana/shop"}
    return about | {"worktree_path": None, "branch_name": "fix", "is_deleted": 0, "created_at": at(0)} | more


def tables(*messages: Json, chats: tuple[Json, ...] = (), **more: Any) -> Json:
    projects = [{"id": 4, "directory": "/home/ana", "name": "ana"}]
    return {"projects": projects, "chats": [*(chats or (chat(),))], "messages": [*messages]} | more


PAGE = message(12, "gpt-5.3", 9000, 6000, None, 300, 500)


async def test_the_example_of_the_page_has_openai_semantics(tmp_path: Path) -> None:
    found, _ = await seen(tmp_path, "piebald", DB, tables(PAGE))
    (event,) = found.events()
    assert tuple(getattr(event, name) for name in COUNTERS) == (3000, 6000, None, 800, 500)
    assert (event.context_tokens, event.model, event.project_path) == (9000, "gpt-5.3", "/home/ana/shop")
    assert event.at == 1_781_106_912_819_321
    (session,) = found.sessions()
    assert (session.session_id, session.git_branch, session.title) == (f"31@{at(0)}", "fix", "Cart")


@pytest.mark.parametrize(
    ("row", "figures", "context"),
    [
        (message(1, "claude-sonnet-4-6", 100, 6000, 700, 300, None), (100, 6000, 700, 300, None), 6800),
        (message(1, "claude-sonnet-4-6", 100, None, None, 300, 80), (100, None, None, 300, 80), 100),
        (message(1, "gpt-5.3", 9000, 6000, 7000, 300, 0), (2000, 6000, 7000, 300, 0), 9000),  # they overlap
        (message(1, "openai/o4-mini", 9000, None, None, 300, None), (9000, None, None, 300, None), 9000),
        (message(1, "gpt-5.3", 10, 6000, None, 3, None), (None, 6000, None, 3, None), 10),  # it contradicts itself
        (message(1, None, 9000, 6000, None, 300, 500), (3000, 6000, None, 800, 500), 9000),  # the chat's model
    ],
)
async def test_input_and_reasoning_mean_what_the_interface_makes_of_them(
    tmp_path: Path, row: Json, figures: tuple[int | None, ...], context: int
) -> None:
    found, _ = await seen(tmp_path, "piebald", DB, tables(row))
    (event,) = found.events()
    assert tuple(getattr(event, name) for name in COUNTERS) == figures
    assert event.context_tokens == context
    contradicts = figures[0] is None
    assert found.totals()["skipped"] == ({"contradictory_usage": 1} if contradicts else {})


async def test_a_configuration_says_more_of_the_interface_than_the_models_name(tmp_path: Path) -> None:
    row = message(1, "my-gateway-model", 9000, 6000, None, 300, 500, config_id=7)
    configs = [{"gen_cfg_id": 7, "service_tier": " Priority "}]
    found, _ = await seen(tmp_path, "piebald", DB, tables(row, override_gen_cfg_data_openai_responses=configs))
    (event,) = found.events()
    assert (event.input_tokens, event.output_tokens, event.service_tier) == (3000, 800, "priority")
    assert json.loads(event.raw_usage or b"{}")["api"] == "openai"


async def test_branches_that_were_left_and_chats_that_were_deleted_count(tmp_path: Path) -> None:
    left = message(2, "claude-sonnet-4-6", 7, 0, 0, 3, None, enabled=0, parent_message_id=1)
    kept = message(3, "claude-sonnet-4-6", 5, 0, 0, 2, None, parent_message_id=1)
    found, _ = await seen(tmp_path, "piebald", DB, tables(left, kept, chats=(chat(is_deleted=1),)))
    assert (found.totals()["events"], found.totals()["input_tokens"]) == (2, 12)


async def test_counters_that_arrive_while_a_message_is_streamed_replace_each_other(tmp_path: Path) -> None:
    running = message(1, "claude-sonnet-4-6", status="streaming")
    found, path = await seen(tmp_path, "piebald", DB, tables(running))
    assert (found.events(), len(found.messages())) == ([], 1)
    for second, output in ((20, 10), (30, 90)):
        change(path, "UPDATE messages SET input_tokens = 5, output_tokens = ?, updated_at = ?", output, at(second))
        await found.scan()
    change(path, "UPDATE messages SET status = 'completed'")
    await found.scan(full=True)
    assert [(e.input_tokens, e.output_tokens, e.at) for e in found.events()] == [(5, 90, 1_781_106_901_819_321)]


async def test_equal_ids_of_two_installations_are_two_requests(tmp_path: Path) -> None:
    write(tmp_path / "home" / DB, tables(PAGE))
    other = PAGE | {"created_at": at(40)}
    write(tmp_path / "home/.local/share/other.db", tables(other, chats=(chat(created_at=at(39)),)))
    found = await scanned(tmp_path, "piebald", tmp_path / "home/.local/share")
    again = await scanned(tmp_path, "piebald", tmp_path / "home/.local/share/other.db")
    assert again.ledger_path == found.ledger_path
    assert (found.totals()["events"], found.totals()["sessions"]) == (2, 2)


async def test_a_message_is_no_event_unless_it_ended_or_was_counted(tmp_path: Path) -> None:
    rows = [message(i, "gpt-5.3", status=status) for i, status in enumerate(("running", "failed", "completed"), 1)]
    found, _ = await seen(tmp_path, "piebald", DB, tables(*rows, message(9, None, role="user")))
    assert [event.input_tokens for event in found.events()] == [None]
    assert found.sources()[0].unmetered == 1
    assert {(m.role, m.kind) for m in found.messages()} == {("user", "prompt"), ("assistant", "answer")}


async def test_directories_are_the_worktrees_else_the_chats_else_the_projects(tmp_path: Path) -> None:
    nowhere = {"current_directory": None}
    chats = (chat(1, worktree_path="/w"), chat(2), chat(3, **nowhere), chat(4, project_id=9, **nowhere))
    found, _ = await seen(tmp_path, "piebald", DB, tables(PAGE, chats=chats))
    assert [session.project_path for session in found.sessions()] == ["/w", "/home/ana/shop", "/home/ana", None]
    assert found.totals()["skipped"] == {"usage_without_identity": 1}  # of a chat that is not there


async def test_tools_are_those_of_the_messages_parts(tmp_path: Path) -> None:
    parts = [{"id": i, "parent_chat_message_id": 12, "part_type": "tool_call", "part_index": 9 - i} for i in (1, 2)]
    calls = [{"message_part_id": 1, "tool_name": "bash"}, {"message_part_id": 2, "tool_name": "read"}]
    found, _ = await seen(tmp_path, "piebald", DB, tables(PAGE, message_parts=parts, message_part_tool_call=calls))
    assert found.messages()[0].tool_names == '["read","bash"]'


async def test_rows_of_other_types_do_no_harm(tmp_path: Path) -> None:
    bad = [message(1, "gpt-5.3", created_at=5), message(2, "gpt-5.3", role=7), message(3, "gpt-5.3", created_at="soon")]
    bad.append(message(4, "gpt-5.3", -1, 2**60, None, None, None, status=9, updated_at=3))
    found, _ = await seen(tmp_path, "piebald", DB, tables(*bad, PAGE))
    assert found.totals()["skipped"] == {"usage_without_identity": 1}
    assert found.totals()["unknown"] == {"(none)": 1}
    assert found.totals()["input_tokens"] == 3000


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, ".local/share/piebald"),
        ("linux", {"XDG_DATA_HOME": "{home}/x"}, "x/piebald"),
        ("darwin", {}, "Library/Application Support/piebald"),
        ("win32", {}, "AppData/Roaming/piebald"),
        ("win32", {"APPDATA": "{home}/R"}, "R/piebald"),
    ],
)
async def test_the_database_is_found_on_every_platform(
    tmp_path: Path, platform: str, environ: dict[str, str], expected: str
) -> None:
    home = tmp_path / "home"
    named = {name: value.format(home=home) for name, value in environ.items()}
    assert PIEBALD.data_folders(home, named, platform) == [home / expected]
    write(home / expected / "app.db", tables(PAGE))
    found = await scanned(tmp_path, "piebald", home, home=True, environ=named, platform=platform)
    assert found.totals()["input_tokens"] == 3000


@pytest.mark.parametrize("root", ["", ".local/share", ".local/share/piebald", DB])
async def test_a_root_may_be_a_home_a_folder_or_the_database(tmp_path: Path, root: str) -> None:
    write(tmp_path / "home" / DB, tables(PAGE))
    found = await scanned(tmp_path, "piebald", tmp_path / "home" / root)
    assert found.totals()["input_tokens"] == 3000


async def test_the_golden_database_gives_the_frozen_rows(tmp_path: Path) -> None:
    expected = golden("piebald", "expected.json")
    found, _ = await seen(tmp_path, "piebald", DB, golden("piebald", "tables.json"))
    assert subset(found.totals(), expected["totals"]) == expected["totals"]
    assert [[e.key.hex(), e.at, json.loads(e.identity)] for e in found.events()] == expected["events"]
