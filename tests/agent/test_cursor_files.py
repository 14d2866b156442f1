"""Where Cursor's files are found, its transcripts and chats, and what its server exports."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cursor_files import COMPOSER, GOLDEN, STARTED, bubble, composer, editor, golden_home, transcript, workspace
from given import SAMPLES, needs_given
from read_sources import Read
from scanned import scanned
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Unfinished, Usage
from trueup_shared import keys

CURSOR = HARNESSES["cursor"]
TALK = Path(".cursor/projects/home-ana-shop/agent-transcripts")
BASES = {"linux": ".config", "darwin": "Library/Application Support", "win32": "AppData/Roaming"}
SAID = {"role": "user", "message": {"content": [{"type": "text", "text": "go on"}]}}
DONE = {
    "role": "assistant",
    "message": {"content": [{"type": "text", "text": "ok"}, {"type": "tool_use", "name": "Shell"}]},
}
EVENT = {
    "timestamp": "1748700000000",
    "model": "claude-4.6-opus",
    "kind": "USAGE_EVENT_KIND_USAGE_BASED",
    "tokenUsage": {
        "inputTokens": 10,
        "outputTokens": 5,
        "cacheWriteTokens": 2,
        "cacheReadTokens": 100,
        "totalCents": 1,
    },
    "userId": "152",
    "userEmail": "ana@example.com",
    "chargedCents": 1.25,
}


def page(path: Path, *events: Any) -> Path:
    path.write_text(json.dumps({"totalUsageEventsCount": len(events), "usageEventsDisplay": events}))
    return path


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_store_is_found_on_every_platform(tmp_path: Path, platform: str) -> None:
    base = tmp_path / BASES[platform] / "Cursor/User"
    assert CURSOR.data_folders(tmp_path, {}, platform) == [
        base / "globalStorage",
        base / "workspaceStorage",
        tmp_path / ".cursor/projects",
        tmp_path / ".cursor/chats",
        tmp_path / ".config/cursor/chats",
    ]
    workspace(tmp_path, "w1", "file:///home/ana/shop", COMPOSER, base=BASES[platform])
    editor(tmp_path, composer(COMPOSER, bubble("b1")), base=BASES[platform])
    for root in (tmp_path, base.parent, base, base / "globalStorage"):
        assert [row.project_path for row in Read("cursor").root(root).events] == ["/home/ana/shop"]


def test_variables_name_other_places(tmp_path: Path) -> None:
    named = {"XDG_CONFIG_HOME": "/x", "CURSOR_CONFIG_DIR": "/c", "CURSOR_DATA_DIR": "/d"}
    folders = CURSOR.data_folders(tmp_path, named, "linux")
    assert {Path("/x/Cursor/User/globalStorage"), Path("/c/chats"), Path("/d/chats"), Path("/x/cursor/chats")} <= set(
        folders
    )
    assert Path("/r/Cursor/User/globalStorage") in CURSOR.data_folders(tmp_path, {"APPDATA": "/r"}, "win32")


def test_folders_of_these_names_that_hold_nothing_of_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "projects/-home-ana/x").mkdir(parents=True)
    (tmp_path / "chats/a/b").mkdir(parents=True)
    assert CURSOR.folders_of_root(tmp_path) == []


async def test_the_golden_home_gives_what_was_worked_out_by_hand(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "cursor", golden_home(tmp_path / "home"), home=True)
    expected = json.loads((GOLDEN / "expected.json").read_text())
    totals = seen.totals()
    assert {name: totals[name] for name in expected["totals"]} == expected["totals"]
    assert sorted(row.session_id for row in seen.sessions()) == expected["sessions"]
    names = ("input_undivided_tokens", "output_tokens", "context_tokens", "model", "project_path")
    assert [[getattr(row, name) for name in names] for row in seen.events()] == expected["events"]
    told = sorted([row.role, row.kind, json.loads(row.tool_names or "[]"), row.size_chars] for row in seen.messages())
    assert told == expected["messages"]


@pytest.mark.parametrize("name", ["u1.jsonl", "u1/u1.jsonl"])
def test_a_transcript_lies_flat_or_nested(tmp_path: Path, name: str) -> None:
    transcript(tmp_path / TALK / name, SAID, DONE, {"type": "turn_ended", "status": "success"})
    got = Read("cursor").root(tmp_path)
    assert [row.session_id for row in got.sessions] == ["u1"]
    assert {row.project_path for row in (*got.sessions, *got.messages)} == {"home-ana-shop"}
    assert (len(got.messages), got.events, got.unknown) == (2, [], {})


def test_a_subagents_transcript_names_its_parent(tmp_path: Path) -> None:
    transcript(tmp_path / TALK / "u1/u1.jsonl", SAID)
    transcript(tmp_path / TALK / "u1/subagents/u2.jsonl", SAID)
    child = Read("cursor").root(tmp_path).sessions[1]
    assert (child.session_id, child.parent_key) == ("u2", keys.session_key("cursor", "u1"))
    assert child.relationship == "subagent"


def test_what_the_editors_store_has_is_not_read_from_a_transcript_again(tmp_path: Path) -> None:
    editor(tmp_path, composer(COMPOSER, bubble("b1")))
    transcript(tmp_path / TALK / f"{COMPOSER}.jsonl", SAID, DONE)
    transcript(tmp_path / TALK / "of-the-terminal/of-the-terminal.jsonl", SAID, DONE)
    (tmp_path / ".cursor/chats/ab12/of-the-terminal").mkdir(parents=True)
    assert len(Read("cursor").root(tmp_path).messages) == 3


def test_a_transcript_of_free_text_cut_anywhere_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / TALK / "u3.txt"
    path.parent.mkdir(parents=True)
    text = "user:\n<user_query>\nfix it\n</user_query>\n\nassistant:\nfine\n[Tool call] Shell\n  command: ls\n\n"
    text += "assistant:\ndone\n"
    path.write_text(text)
    whole = Read("cursor").file(path)
    tools = [json.loads(row.tool_names or "[]") for row in whole.messages]
    assert sorted((row.role, row.kind) for row in whole.messages) == [("assistant", "answer")] * 2 + [
        ("user", "prompt")
    ]
    assert sorted(tools) == [[], [], ["Shell"]]
    for cut in range(1, text.count("\n")):
        assert Read("cursor").file(path, {cut}).same() == whole.same()


def test_bad_lines_of_a_transcript_cost_themselves(tmp_path: Path) -> None:
    blocks = [{"type": [5], "text": 7, "name": {}}, 5, {"type": "tool_use", "name": 5}]
    bad = [{"role": role, "message": m} for role in ("user", [5]) for m in (5, {"content": blocks}, {"content": 5})]
    path = transcript(tmp_path / TALK / "u1.jsonl", SAID, *bad, [1], {"type": "tea"}, {"type": ["turn_ended"]}, DONE)
    got = Read("cursor").file(path)
    assert (len(got.messages), got.skipped, got.unknown) == (5, {"malformed": 1}, {"(none)": 4, "tea": 1})


@needs_given
def test_the_samples_of_transcripts_are_read_and_none_of_another_harness(tmp_path: Path) -> None:
    told = {}
    for path in sorted((SAMPLES / "cursor").rglob("*.jsonl")):
        got = Read("cursor").file(path)
        told[path.name] = (len(got.messages), got.skipped, got.unknown)
    assert told["large.jsonl"] == (10, {}, {})
    assert told["schema_drift.jsonl"] == (4, {}, {})
    for folder in (
        "claude",
        "codex",
        "gemini",
        "qwen",
        "iflow",
        "pi",
        "openclaw",
        "kimi",
        "droid",
        "gptme",
        "antigravity",
    ):
        for path in sorted((SAMPLES / folder).rglob("*.json*")):
            assert CURSOR.recognise(path, path.read_bytes()[: 1 << 16]) is None, path


@needs_given
def test_the_terminal_agents_chat_gives_its_session() -> None:
    got = Read("cursor").file(SAMPLES / "cursor/agent-sessions/cli/test-store.db")
    (session,) = got.sessions
    assert (session.session_id, session.title) == ("a1b2c3d4-e5f6-7890-abcd-ef1234567890", "Test Session")
    assert session.started_at == 1_775_522_590_321_000
    assert (got.events, got.messages) == ([], [])


def test_the_terminal_agents_chats_are_found(tmp_path: Path) -> None:
    path = tmp_path / ".cursor/chats/ab12/u1/store.db"
    path.parent.mkdir(parents=True)
    values = [json.dumps({"agentId": "u1", "createdAt": STARTED}).encode().hex(), "zz", "5b5d", None]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        db.executemany("INSERT INTO meta VALUES (?, ?)", enumerate(values))
    got = Read("cursor").root(tmp_path)
    assert ([row.session_id for row in got.sessions], got.skipped) == (["u1"], {"malformed": 3})


def test_tabs_of_the_first_generation_have_messages_and_no_requests(tmp_path: Path) -> None:
    bubbles = [{"type": "user", "text": "hi"}, {"type": "ai", "rawText": "hello", "modelType": "gpt-4"}, 5, {"type": 7}]
    tabs = {"tabs": [{"tabId": "t1", "chatTitle": "Hi", "bubbles": bubbles}, {"tabId": "t2", "bubbles": []}, 3]}
    workspace(tmp_path, "w1", "file:///home/ana/shop", **{"workbench.panel.aichat.view.aichat.chatdata": tabs})
    got = Read("cursor").root(tmp_path)
    assert [(row.session_id, row.project_path, row.title) for row in got.sessions] == [("t1", "/home/ana/shop", "Hi")]
    assert sorted((row.role, row.model or "") for row in got.messages) == [("assistant", "gpt-4"), ("user", "")]
    assert (got.events, got.skipped) == ([], {"malformed": 2})


@needs_given
async def test_the_page_of_the_admin_api_gives_the_expected_figures(tmp_path: Path) -> None:
    seen = await scanned(tmp_path, "cursor", SAMPLES / "cursor/agentsview/admin_usage_page.json")
    totals = seen.totals()
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    assert [totals["events"], *(totals[name] for name in names)] == [2, 1276, 8909, 4, 585, None]
    events = seen.events()
    assert [(row.reported_cost, row.reported_cost_status) for row in events] == [
        ("0.1566", "reported"),
        ("0", "included"),
    ]
    assert events[0].at == datetime(2025, 5, 31, 14, tzinfo=UTC).timestamp() * 1_000_000
    assert b"example.com" not in b"".join(bytes(str(row), "utf-8") for row in (*events, *seen.sessions()))


def test_two_equal_events_of_one_page_are_two_and_of_two_pages_one(tmp_path: Path) -> None:
    one = page(tmp_path / "page-1.json", EVENT, EVENT, EVENT | {"userId": "153"}, EVENT | {"chargedCents": 2})
    two = page(tmp_path / "page-2.json", EVENT, EVENT | {"timestamp": "1748700000001"})
    assert len(Read("cursor").file(one).events) == 4
    assert len(Read("cursor").file(one).file(two).events) == 5


def test_an_event_of_the_server_is_derived_again_from_its_raw_usage_alone(tmp_path: Path) -> None:
    (event,) = Read("cursor").file(page(tmp_path / "page.json", EVENT)).events
    assert event.raw_usage is not None
    usage = CURSOR.usage(event.raw_usage, Facts(provider=None, model=None, identity="", usage=Usage()))
    assert usage == Usage(input_tokens=10, cache_read_tokens=100, cache_write_tokens=2, output_tokens=5)


def test_bad_events_of_a_page_cost_themselves(tmp_path: Path) -> None:
    bad = [EVENT | {"timestamp": "soon"}, 5, EVENT | {"tokenUsage": [1]}, EVENT | {"tokenUsage": {"inputTokens": "x"}}]
    got = Read("cursor").file(page(tmp_path / "page.json", EVENT, *bad))
    assert (got.skipped, got.lines) == ({"usage_without_time": 1, "malformed": 1}, 5)
    assert got.coverage()["input_tokens"] == 1
    (tmp_path / "page.json").write_text('{"usageEventsDisplay":[{"timestamp":')
    with pytest.raises(Unfinished):
        Read("cursor").file(tmp_path / "page.json")


HEAD = (
    "Date,Kind,Model,Max Mode,Input (w/ Cache Write),Input (w/o Cache Write),Cache Read,Output Tokens,Total Tokens,Cost"
)


@pytest.mark.parametrize(("kind", "cost"), [("Usage-based", "$0.12"), ("Included", "Included"), (None, "0.12")])
def test_the_dashboards_csv_is_read_with_and_without_its_kind(tmp_path: Path, kind: str | None, cost: str) -> None:
    head = HEAD if kind else HEAD.replace("Kind,", "")
    row = f'"2026-05-02T10:00:00.000Z",{f"{kind}," if kind else ""}auto,No,"1,200",30,5000,70,6300,{cost}'
    path = tmp_path / "usage.csv"
    path.write_text(f"\ufeff{head}\n{row}\n{row}\nsoon{',' * 9}\n", encoding="utf-8")
    got = Read("cursor").file(path)
    assert len(got.events) == 2
    event = got.events[0]
    assert (event.input_tokens, event.cache_write_tokens, event.cache_read_tokens) == (30, 1200, 5000)
    assert (event.output_tokens, event.model, event.at) == (70, None, STARTED * 1000)
    assert event.reported_cost == (None if cost == "Included" else "0.12")
    assert got.skipped == {"usage_without_time": 1}
