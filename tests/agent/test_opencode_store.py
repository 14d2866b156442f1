"""Reading OpenCode's database and tree pass by pass, and what is broken in them."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import opencode_store as store
from opencode_store import Json, answer, database, session, step, tokens, tool, user
from scanned import Scanned, scanned

HOME = ".local/share/opencode"
DB = f"home/{HOME}/opencode.db"


async def seen(tmp_path: Path, *sessions: Json) -> Scanned:
    database(tmp_path / DB, *sessions)
    return await scanned(tmp_path, "opencode", tmp_path / "home", home=True)


def entry(number: int, input: int, seconds: float = 5, **info: Any) -> Json:
    return session(f"ses_{number}", answer(f"msg_{number}", seconds, tokens(input, 1)), **info)


def kept(path: Path, sql: str) -> sqlite3.Connection:
    """A writer that has not closed yet: what it wrote is in the write-ahead log alone."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(sql)
    db.commit()
    return db


async def test_a_pass_reads_what_came_after_the_watermark_and_changed_rows_again(tmp_path: Path) -> None:
    found = await seen(tmp_path, entry(1, 100), entry(2, 10))
    database(tmp_path / DB, entry(2, 20), entry(3, 7), updated=500)
    await found.scan()
    assert found.totals()["input_tokens"] == 127
    # A row that changed without a newer time is found by the daily reading.
    store.change(tmp_path / DB, "UPDATE message SET data = replace(data, '100', '999') WHERE id = 'msg_1'")
    await found.scan()
    assert found.totals()["input_tokens"] == 127
    await found.scan(full=True)
    assert found.totals()["input_tokens"] == 20 + 7 + 999


async def test_a_part_that_came_alone_reads_its_message_again(tmp_path: Path) -> None:
    found = await seen(tmp_path, session("ses_1", answer("msg_a", 5, tokens(9, 1), step(tokens(9, 1)))))
    late = json.dumps(step(tokens(30, 3)))
    store.change(tmp_path / DB, f"INSERT INTO part VALUES ('prt_z', 'msg_a', 'ses_1', 1, {store.at(400)}, '{late}')")
    await found.scan()
    assert found.totals()["input_tokens"] == 39


async def test_rows_dated_ahead_of_the_clock_hide_nothing(tmp_path: Path) -> None:
    store.database(tmp_path / DB, entry(1, 100), updated=10**9)
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    store.change(tmp_path / DB, "UPDATE message SET time_updated = strftime('%s', 'now') * 1000")
    database(tmp_path / DB, entry(2, 7))
    store.change(tmp_path / DB, "UPDATE message SET time_updated = strftime('%s', 'now') * 1000 WHERE id = 'msg_2'")
    await found.scan()
    assert found.totals()["input_tokens"] == 107


async def test_a_deleted_session_keeps_its_events_as_gone(tmp_path: Path) -> None:
    found = await seen(tmp_path, entry(1, 100), entry(2, 7))
    store.change(tmp_path / DB, "DELETE FROM session WHERE id = 'ses_1'")
    await found.scan(full=True)
    assert {event.input_tokens: event.gone for event in found.events()} == {100: 1, 7: 0}


async def test_the_write_ahead_log_is_read_and_nothing_is_left_behind(tmp_path: Path) -> None:
    database(tmp_path / DB, entry(1, 100))
    writer = kept(tmp_path / DB, "UPDATE message SET data = replace(data, '100', '300')")
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    assert found.totals()["input_tokens"] == 300
    writer.close()
    assert sorted(path.name for path in (tmp_path / DB).parent.iterdir()) == ["opencode.db"]


async def test_a_locked_database_is_read_as_it_was_and_again_when_it_is_free(tmp_path: Path) -> None:
    database(tmp_path / DB, entry(1, 100))
    writer = sqlite3.connect(tmp_path / DB, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("UPDATE message SET data = replace(data, '100', '300')")
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    assert found.totals()["input_tokens"] == 100
    writer.execute("COMMIT")
    writer.close()
    await found.scan()
    assert found.totals()["input_tokens"] == 300


async def test_a_database_without_our_tables_gives_nothing_and_one_with_fewer_columns_what_it_has(
    tmp_path: Path,
) -> None:
    path = tmp_path / DB
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (id)")
    db.commit()
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    assert (found.events(), found.sources()[0].error) == ([], None)
    db.execute("CREATE TABLE message (id text, session_id text, data text)")
    data = json.dumps(answer("msg_1", 5, tokens(100, 1))["info"])
    db.execute("INSERT INTO message VALUES ('msg_1', 'ses_1', ?)", (data,))
    db.commit()
    db.close()
    await found.scan()
    assert (found.totals()["input_tokens"], found.sessions()[0].session_id) == (100, "ses_1")


async def test_bad_rows_are_skipped_and_counted_one_by_one(tmp_path: Path) -> None:
    database(tmp_path / DB, *(entry(i, 1) for i in range(1, 6)))
    for i, bad in enumerate(("{", "[1]", '{"role": 5}', '{"role": "oracle"}'), 1):
        store.change(tmp_path / DB, f"UPDATE message SET data = '{bad}' WHERE id = 'msg_{i}'")
    store.change(
        tmp_path / DB,
        "INSERT INTO part VALUES ('p1', 'msg_5', 'ses_5', 1, 1, '{\"type\": \"hologram\"}')",
        "INSERT INTO part VALUES ('p2', 'msg_5', 'ses_5', 1, 1, x'80')",
    )
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    assert found.totals()["input_tokens"] == 1
    assert found.totals()["skipped"] == {"malformed": 3}
    assert found.totals()["unknown"] == {"(none)": 1, "oracle": 1, "hologram": 1}


async def test_large_outputs_stay_where_they_are_and_change_nothing(tmp_path: Path) -> None:
    usage = tokens(100, 50)
    shown = answer("msg_a", 5, usage, tool("bash", output="x" * 100_000), step(usage))
    asked = user("msg_u", 1, "y" * 50_000)
    asked["info"]["summary"] = {"diffs": ["z" * 50_000]}
    found = await seen(tmp_path, session("ses_1", asked, shown))
    assert found.totals()["input_tokens"] == 100
    assert [(m.size_chars, m.tool_names) for m in found.messages()] == [(50_000, None), (0, '["bash"]')]


async def test_sessions_say_whose_subagent_they_are_and_archived_ones_count(tmp_path: Path) -> None:
    parent = entry(1, 100, time={"created": store.at(0), "updated": store.at(9), "archived": store.at(99)})
    child = entry(2, 7, parentID="ses_1", title="Explore")
    found = await seen(tmp_path, parent, child)
    first, second = found.sessions()
    assert (second.parent_key, second.relationship, second.title) == (first.key, "subagent", "Explore")
    assert (first.parent_key, first.relationship, first.harness_version) == (None, None, "1.4.3")
    assert first.started_at == store.at(0) * 1000
    assert found.totals()["input_tokens"] == 107


async def test_a_session_outside_of_a_repository_has_its_directory(tmp_path: Path) -> None:
    message = answer("msg_1", 5, tokens(1, 1), path={"cwd": "/", "root": "/"})
    found = await seen(tmp_path, session("ses_1", user("msg_u"), message, projectID="global"))
    assert {event.project_path for event in found.events()} == {store.CWD}
    assert {message.project_path for message in found.messages()} == {store.CWD}


@pytest.mark.parametrize(
    ("time", "began", "told"),
    [(None, 3, (3, 2)), ({"created": "soon"}, 3, (3, 2)), ({"created": 10**18}, 3, (3, 2)), (None, None, (None, 3))],
)
async def test_a_message_without_a_time_takes_its_sessions_else_the_files(
    tmp_path: Path, time: Any, began: float | None, told: tuple[int | None, int]
) -> None:
    message = answer("msg_1", 5, tokens(1, 1), step(tokens(1, 1)), time=time)
    found = session("ses_1", message, began=began or 0)
    if began is None:
        del found["info"]["time"]
    seen = await scanned(tmp_path, "opencode", store.export(tmp_path / "x" / "s.json", found))
    (event,) = seen.events()
    assert event.time_quality == told[1]
    if told[0] is not None:
        assert event.at == store.at(told[0]) * 1000


async def test_a_file_of_the_tree_that_changes_is_read_again(tmp_path: Path) -> None:
    usage = tokens(9, 1)
    first = session("ses_1", answer("msg_a", 5, usage, step(usage)))
    storage = store.tree(tmp_path / "home" / HOME / "storage", first)
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    store.tree(storage, session("ses_1", answer("msg_a", 5, tokens(30, 3), step(usage), step(tokens(30, 3)))))
    await found.scan()
    assert found.totals()["input_tokens"] == 39
    (storage / "message/ses_1/msg_b.json").write_text('{"id": "msg_b", "role": "assis')
    await found.scan()
    assert (found.totals()["input_tokens"], found.totals()["skipped"]) == (39, {"malformed": 1})
    store.tree(storage, session("ses_1", answer("msg_b", 9, tokens(1, 1))))
    await found.scan()
    assert (found.totals()["input_tokens"], found.totals()["skipped"]) == (40, {})


async def test_the_first_tree_had_a_folder_per_project_and_what_was_migrated_counts_once(tmp_path: Path) -> None:
    first, data = session("ses_1", answer("msg_a", 5, tokens(9, 1), step(tokens(9, 1)), step(tokens(30, 3)))), HOME
    top = tmp_path / "home" / data / "project" / "home-ana-shop" / "storage" / "session"
    new = store.tree(tmp_path / "new", first)
    for old, place in (("session/p1", "info"), ("message", "message"), ("part", "part/ses_1")):
        shutil.copytree(new / old, top / place)
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    assert (found.totals()["input_tokens"], found.sessions()[0].title) == (39, "Cart")
    shutil.copytree(new, tmp_path / "home" / data / "storage")
    await found.scan()
    assert (found.totals()["events"], found.totals()["input_tokens"], len(found.sources())) == (2, 39, 2)


async def test_a_message_of_before_parts_had_files_holds_them_itself(tmp_path: Path) -> None:
    usage = tokens(100, 50)
    about = {"modelID": "claude-sonnet-4", "providerID": "anthropic", "cost": 0.1, "tokens": usage}
    message = {
        "id": "msg_a", "role": "assistant", "parts": [store.text("done")],
        "metadata": {"time": {"created": store.at(5), "completed": store.at(9)}, "assistant": about},
    }  # fmt: skip
    storage = store.tree(tmp_path / "home" / HOME / "storage", session("ses_1"))
    folder = storage / "message/ses_1"
    folder.mkdir(parents=True)
    (folder / "msg_a.json").write_text(json.dumps(message))
    found = await scanned(tmp_path, "opencode", tmp_path / "home", home=True)
    (event,) = found.events()
    assert (event.input_tokens, event.model, event.at) == (100, "claude-sonnet-4", store.at(5) * 1000)
    assert found.messages()[0].size_chars == 4


async def test_a_half_written_export_is_tried_again(tmp_path: Path) -> None:
    path = store.export(tmp_path / "x" / "s.json", entry(1, 100))
    whole = path.read_text()
    path.write_text(whole[:-200])
    found = await scanned(tmp_path, "opencode", tmp_path / "x")
    assert (found.events(), found.sources()[0].error) == ([], "half-written JSON")
    path.write_text(whole)
    await found.scan()
    assert (found.totals()["input_tokens"], found.sources()[0].error) == (100, None)
