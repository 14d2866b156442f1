"""Cursor's stores: the rules of formats/cursor.md, one test each."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cursor_files import COMPOSER, REQUEST, STARTED, bubble, composer, editor, store, workspace
from read_sources import Read
from scanned import scanned
from trueup_agent.files import DiskFiles
from trueup_agent.guest import GuestDatabase
from trueup_agent.harnesses import HARNESSES
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.cursor import store as stores
from trueup_shared import keys
from trueup_shared.metrics import COUNTERS

CURSOR = HARNESSES["cursor"]
CLONE = "c0000000-0000-4000-8000-000000000002"


def read(home: Path, *conversations: dict[str, Any]) -> Read:
    editor(home, *conversations)
    return Read("cursor").root(home)


def test_a_placeholder_of_zeros_is_unknown_and_its_request_is_counted(tmp_path: Path) -> None:
    got = read(
        tmp_path, composer(COMPOSER, bubble("b1", 1), bubble("b2"), bubble("b3"), modelConfig={"modelName": "m"})
    )
    assert got.coverage() == dict.fromkeys(COUNTERS, 0)
    assert [(row.model, json.loads(row.identity)) for row in got.events] == [("m", [REQUEST])]
    assert sorted((row.role, row.kind) for row in got.messages) == [("assistant", "answer")] * 2 + [("user", "prompt")]
    assert got.unmetered == 0


def test_counters_that_are_no_placeholders_are_an_undivided_prompt_and_an_output(tmp_path: Path) -> None:
    got = read(tmp_path, composer(COMPOSER, bubble("b1", 2, 1200, 80), bubble("b2")))
    (event,) = got.events
    assert (event.input_undivided_tokens, event.output_tokens, event.context_tokens) == (1200, 80, 1200)
    assert (event.input_tokens, event.cache_read_tokens) == (None, None)
    facts = Facts(provider=None, model=None, identity=event.identity, usage=Usage())
    assert event.raw_usage is not None
    usage = CURSOR.usage(event.raw_usage, facts)
    assert usage == Usage(input_undivided_tokens=1200, output_tokens=80, context_tokens=1200)


def test_one_zero_beside_a_number_is_unknown_too(tmp_path: Path) -> None:
    (event,) = read(tmp_path, composer(COMPOSER, bubble("b1", 2, 0, 80))).events
    assert (event.input_undivided_tokens, event.output_tokens, event.context_tokens) == (None, 80, None)


def test_a_bubble_without_a_request_is_a_request_only_if_it_bears_counters(tmp_path: Path) -> None:
    old = [bubble("b1", 2, 10, 5, requestId=None), bubble("b2", requestId=None), bubble("b3", 1, requestId=None)]
    got = read(tmp_path, composer(COMPOSER, *old))
    assert [json.loads(row.identity) for row in got.events] == [[COMPOSER, "b1"]]
    assert len(got.messages) == 3


async def test_a_counter_that_is_filled_in_later_restates_the_request(tmp_path: Path) -> None:
    path = editor(tmp_path / "home", composer(COMPOSER, bubble("b1")))
    seen = await scanned(tmp_path, "cursor", tmp_path / "home", home=True)
    assert [row.output_tokens for row in seen.events()] == [None]
    store(path, {f"bubbleId:{COMPOSER}:b1": bubble("b1", 2, 1200, 80)})
    await seen.scan()
    assert [(row.input_undivided_tokens, row.output_tokens) for row in seen.events()] == [(1200, 80)]
    assert len(seen.messages()) == 1


def test_a_cloned_chat_repeats_requests_that_stay_with_the_first(tmp_path: Path) -> None:
    first = composer(
        COMPOSER, bubble("b1", 1), bubble("b2", 2, 9, 1), bubble("b3", toolFormerData={"toolCallId": "t1"})
    )
    again = [bubble("x1", 1, text="text of b1"), bubble("x2", 2, 9, 1, text="text of b2")]
    again.append(bubble("x3", toolFormerData={"toolCallId": "t1"}))
    own = bubble("x4", requestId="4e400000-0000-4000-8000-000000000008")
    clone = composer(CLONE, *again, own, createdAt=STARTED + 60_000)
    got = read(tmp_path, clone, first)
    owner = {json.loads(row.identity)[0]: row.session_key for row in got.events}
    assert owner[REQUEST] == keys.session_key("cursor", COMPOSER)
    assert (len(got.events), len(got.messages), got.total("output_tokens")) == (2, 4, 1)


def test_a_checkpoint_that_was_restored_repeats_bubbles_of_one_conversation(tmp_path: Path) -> None:
    got = read(tmp_path, composer(COMPOSER, bubble("b1", 2, 9, 1), bubble("b9", 2, 9, 1, text="text of b1")))
    assert (len(got.events), len(got.messages)) == (1, 1)


def test_bubbles_without_a_time_take_the_conversations(tmp_path: Path) -> None:
    (event,) = read(tmp_path, composer(COMPOSER, bubble("b1", createdAt=None))).events
    assert (event.at, event.time_quality) == (STARTED * 1000, 2)


def test_where_nothing_has_a_time_the_store_has(tmp_path: Path) -> None:
    got = read(tmp_path, composer(COMPOSER, bubble("b1", createdAt=None), createdAt=None))
    path = tmp_path / ".config/Cursor/User/globalStorage/state.vscdb"
    assert [(row.at, row.time_quality) for row in got.events] == [(path.stat().st_mtime_ns // 1000, 3)]


def test_the_size_of_the_context_goes_with_the_last_request_and_is_no_spend(tmp_path: Path) -> None:
    two = [bubble("b1"), bubble("b2", requestId="r2", createdAt="2026-05-02T10:01:00.000Z")]
    got = read(tmp_path, composer(COMPOSER, *two, contextTokensUsed=41_000, contextTokenLimit=200_000))
    assert [(row.context_tokens, row.input_undivided_tokens) for row in got.events] == [(None, None), (41_000, None)]
    other = read(tmp_path / "b", composer(COMPOSER, *two, promptTokenBreakdown={"totalUsedTokens": 17}))
    assert [row.context_tokens for row in other.events] == [None, 17]


def test_cents_of_old_builds_are_a_running_cost_per_model(tmp_path: Path) -> None:
    usage = {"gpt-4": {"costInCents": 12.5, "amount": 3}, "free": {"costInCents": 0}}
    got = read(tmp_path, composer(COMPOSER, bubble("b1", requestId=None), usageData=usage))
    (event,) = got.events
    assert (event.reported_cost, event.reported_cost_unit, event.model) == ("0.125", "usd", "gpt-4")
    assert (event.rule, event.family) == ("series", keys.series_key("cursor", f"{COMPOSER} gpt-4"))


async def test_a_running_cost_that_grows_counts_its_differences(tmp_path: Path) -> None:
    path = editor(tmp_path / "home", composer(COMPOSER, bubble("b1"), usageData={"gpt-4": {"costInCents": 10}}))
    seen = await scanned(tmp_path, "cursor", tmp_path / "home", home=True)
    more = composer(COMPOSER, bubble("b1"), usageData={"gpt-4": {"costInCents": 25}}, lastUpdatedAt=STARTED + 99_000)
    store(path, more)
    await seen.scan()
    assert str(seen.totals()["cost"]["usd"]) == "0.25"


@pytest.mark.parametrize("name", ["default", "auto", None, 5])
def test_a_model_that_the_server_chose_is_unknown(tmp_path: Path, name: Any) -> None:
    (event,) = read(tmp_path, composer(COMPOSER, bubble("b1", modelInfo={"modelName": name}))).events
    assert event.model is None


def test_the_folder_is_that_of_the_workspace_which_lists_the_conversation(tmp_path: Path) -> None:
    workspace(tmp_path, "w1", "file:///home/ana/shop", COMPOSER)
    workspace(tmp_path, "w2", "vscode-remote://ssh-remote%2Bbox/srv/other", "another")
    got = read(tmp_path, composer(COMPOSER, bubble("b1", workspaceUris=["file:///elsewhere"])))
    assert {row.project_path for row in (*got.events, *got.messages, *got.sessions)} == {"/home/ana/shop"}


def test_a_conversation_in_two_workspaces_has_the_same_folder_in_any_order(tmp_path: Path) -> None:
    for number, names in enumerate((("a", "b"), ("b", "a"))):
        home = tmp_path / str(number)
        workspace(home, names[0], "file:///c%3A/src/shop", COMPOSER)
        workspace(home, names[1], "file:///c%3A/src/cart", COMPOSER)
        assert read(home, composer(COMPOSER, bubble("b1"))).events[0].project_path == "c:/src/cart"


def test_without_a_workspace_the_folder_is_the_bubbles(tmp_path: Path) -> None:
    got = read(tmp_path, composer(COMPOSER, bubble("b1"), bubble("b2", workspaceUris=["file:///home/ana/shop/"])))
    assert got.events[0].project_path == "/home/ana/shop"


def test_a_conversation_names_its_subagents(tmp_path: Path) -> None:
    got = read(tmp_path, composer(COMPOSER, bubble("b1"), subComposerIds=[CLONE]), composer(CLONE, bubble("s1")))
    child = next(row for row in got.sessions if row.session_id == CLONE)
    assert (child.parent_key, child.relationship) == (keys.session_key("cursor", COMPOSER), "subagent")
    assert child.started_at == STARTED * 1000


def test_bubbles_inside_of_a_conversation_are_read_as_those_with_keys_are(tmp_path: Path) -> None:
    inline = [bubble("b1", 1, requestId=None), bubble("b2", 2, 700, 30, requestId=None)]
    got = read(tmp_path, {f"composerData:{COMPOSER}": {"createdAt": STARTED, "conversation": inline}})
    assert (got.total("input_undivided_tokens"), len(got.messages)) == (700, 2)


def test_a_draft_is_no_session(tmp_path: Path) -> None:
    got = read(tmp_path, composer(COMPOSER))
    assert (got.sessions, got.messages, got.events) == ([], [], [])


def test_a_huge_bubble_is_read_without_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = bubble("b1", 2, 1200, 80, text="x" * (stores.MAX_VALUE + 1), modelInfo={"modelName": "m"})
    (event,) = read(tmp_path, composer(COMPOSER, huge)).events
    assert (event.output_tokens, event.model, event.at) == (80, "m", (STARTED + 7000) * 1000)


async def test_deleting_a_chat_keeps_its_events_as_gone(tmp_path: Path) -> None:
    rows = composer(COMPOSER, bubble("b1", 2, 1200, 80))
    path = editor(tmp_path / "home", rows, composer(CLONE, bubble("y1", requestId="r2")))
    seen = await scanned(tmp_path, "cursor", tmp_path / "home", home=True)
    store(path, dict.fromkeys(rows))
    await seen.scan(full=True)
    assert (len(seen.events()), seen.totals()["output_tokens"]) == (2, 80)
    assert [json.loads(row.identity) for row in seen.events() if row.gone] == [[REQUEST]]


async def test_of_a_large_store_only_conversations_that_changed_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SMALL_STORE", 0)
    asked: list[str] = []
    rows = GuestDatabase.rows

    def spied(self: GuestDatabase, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        asked.extend(str(value) for value in parameters)
        return rows(self, sql, parameters)

    monkeypatch.setattr(GuestDatabase, "rows", spied)
    path = editor(tmp_path / "home", composer(COMPOSER, bubble("b1")), composer(CLONE, bubble("y1", requestId="r2")))
    seen = await scanned(tmp_path, "cursor", tmp_path / "home", home=True)
    asked.clear()
    store(path, composer(CLONE, bubble("y1", 2, 5, 6, requestId="r2"), lastUpdatedAt=STARTED + 99_000))
    await seen.scan()
    assert seen.totals()["output_tokens"] == 6
    assert f"composerData:{CLONE}" in asked
    assert f"composerData:{COMPOSER}" not in asked


def test_credentials_are_never_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every query on the two tables names keys, and no key that it names is one of theirs."""
    queries: list[tuple[str, tuple[Any, ...]]] = []
    results: list[Any] = []
    rows = GuestDatabase.rows

    def spied(self: GuestDatabase, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found = rows(self, sql, parameters)
        queries.append((sql, tuple(parameters)))
        results.extend(found)
        return found

    monkeypatch.setattr(GuestDatabase, "rows", spied)
    workspace(tmp_path, "w1", "file:///home/ana/shop", COMPOSER)
    got = read(tmp_path, composer(COMPOSER, bubble("b1", 2, 9, 1)))
    assert len(got.events) == 1
    of_tables = [(sql, parameters) for sql, parameters in queries if "cursorDiskKV" in sql or "ItemTable" in sql]
    assert of_tables
    assert all("key = ?" in sql or "key > ? AND key < ?" in sql for sql, _ in of_tables)
    assert not any("LIKE" in sql or "*" in sql for sql, _ in of_tables)
    assert "SECRET" not in repr(results)
    assert "cursorAuth" not in repr(queries)
    ranges = [parameters[:2] for sql, parameters in of_tables if "key > ?" in sql]
    assert all(low.split(":")[0] in ("composerData", "bubbleId") and high > low for low, high in ranges)
    assert all(high <= low.split(":")[0] + ";" or high.startswith("bubbleId:") for low, high in ranges)


async def test_a_locked_store_is_tried_again(tmp_path: Path) -> None:
    path = editor(tmp_path / "home", composer(COMPOSER, bubble("b1")))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO ItemTable VALUES ('x', 'y')")
        seen = await scanned(tmp_path, "cursor", tmp_path / "home", home=True)
        db.rollback()
    await seen.scan()
    assert len(seen.events()) == 1
    assert all(source.error is None for source in seen.sources())


@pytest.mark.parametrize("value", ["{broken", "[]", "7", b"\xff\xfe", "null", '{"type": 2', "[" * 10_000])
def test_a_bad_value_costs_itself(tmp_path: Path, value: Any) -> None:
    rows = composer(COMPOSER, bubble("b1")) | {f"bubbleId:{COMPOSER}:b2": value, f"composerData:{CLONE}": value}
    got = read(tmp_path, rows)
    assert (len(got.events), got.skipped) == (1, {"malformed": 2})


def test_values_of_the_wrong_types_cost_nothing_but_themselves(tmp_path: Path) -> None:
    names = ("type", "bubbleId", "createdAt", "requestId", "text", "tokenCount", "modelInfo", "toolFormerData")
    names += ("workspaceUris", "composerId", "lastUpdatedAt", "name", "fullConversationHeadersOnly", "usageData")
    names += ("contextTokensUsed", "promptTokenBreakdown", "subComposerIds", "conversation", "modelConfig")
    rows = composer(COMPOSER, bubble("b1"))
    for n, name in enumerate(names):
        for m, value in enumerate((5, -1, 10**30, True, "x", [], {}, [5], [[]], {"a": [1]}, 1.5)):
            id_ = f"d{n:03d}-{m}"
            one = bubble("b", requestId=f"{n}-{m}") | {name: value}
            data = {"createdAt": STARTED, "conversation": [one]} | {name: value}
            rows |= {f"composerData:{id_}": data, f"bubbleId:{id_}:b": one}
    got = read(tmp_path, rows)
    assert len(got.events) >= (len(names) - 2) * 11


def test_a_store_of_another_program_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / ".config/Cursor/User/globalStorage/state.vscdb"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE other (a)")
    assert Read("cursor").root(tmp_path).events == []
    (source,) = CURSOR.sources(path.parent, [])
    files = DiskFiles(source)
    assert CURSOR.parser(source, None, files).state()
    files.close()
