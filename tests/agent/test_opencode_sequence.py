"""Version 2 of OpenCode: one table of entries in place of messages and parts, in a database that may have both."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import opencode_store as store
from opencode_store import Json, answer, at, database, session, step, tokens
from scanned import Scanned, scanned

DB = "home/.local/share/opencode/opencode.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS session_v2 (id text PRIMARY KEY, project_id text, parent_id text, fork_session_id text,
    directory text, title text, version text, time_created integer, time_updated integer);
CREATE TABLE IF NOT EXISTS session_message (id text PRIMARY KEY, session_id text NOT NULL, type text NOT NULL,
    seq integer, time_created integer, time_updated integer, data text NOT NULL);
"""
MODEL = {"id": "gpt-5.4", "providerID": "github-copilot", "variant": "high"}


def entries(path: Path, *rows: tuple[str, str, Json], session_id: str = "ses_v2", updated: float = 0) -> Path:
    """Insert or replace: (id, type, data)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    db.executescript(_SCHEMA)
    about = (session_id, "p1", None, None, store.CWD, "Cart", "2.0.14", at(0), at(updated))
    db.execute("INSERT OR REPLACE INTO session_v2 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", about)
    for seq, (id_, kind, data) in enumerate(rows):
        row = (id_, session_id, kind, seq, at(updated), at(updated), json.dumps(data))
        db.execute("INSERT OR REPLACE INTO session_message VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
    return path


def said(seconds: float, usage: Json | None, *content: Json, lasts: float | None = 6, **more: Any) -> Json:
    time = {"created": at(seconds)} | ({} if lasts is None else {"completed": at(seconds + lasts)})
    about = {"agent": "build", "model": MODEL, "content": list(content), "time": time, "tokens": usage, "cost": 0.25}
    return {name: value for name, value in (about | {"finish": "stop"} | more).items() if value is not None}


async def read(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "opencode", tmp_path / "home", home=True)


async def test_an_entry_is_a_request_whose_reasoning_is_apart(tmp_path: Path) -> None:
    call = {"type": "tool", "id": "call_1", "name": "bash", "state": {"status": "completed", "input": {}}}
    shown = said(5, tokens(100, 50, 20, 30), {"type": "text", "text": "done"}, call)
    entries(
        tmp_path / DB, ("msg_u", "user", {"text": "fix", "time": {"created": at(1)}}), ("msg_a", "assistant", shown)
    )
    found = await read(tmp_path)
    (event,) = found.events()
    assert (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens) == (100, 30, None)
    assert (event.output_tokens, event.reasoning_tokens, event.context_tokens) == (70, 20, 130)
    assert (event.provider, event.model, event.project_path) == ("github-copilot", "gpt-5.4", store.CWD)
    assert (event.at, event.reported_cost, json.loads(event.identity)) == (at(5) * 1000, "0.25", ["msg_a", 0])
    kinds = [(m.role, m.kind, m.size_chars, m.tool_names) for m in found.messages()]
    assert kinds == [("user", "prompt", 3, None), ("assistant", "answer", 4, '["bash"]')]
    assert [(s.session_id, s.harness_version) for s in found.sessions()] == [("ses_v2", "2.0.14")]


async def test_entries_that_are_also_messages_count_once(tmp_path: Path) -> None:
    usage = tokens(100, 50, 20, total=170)
    database(tmp_path / DB, session("ses_1", answer("msg_a", 5, usage, step(tokens(7, 1)), step(usage))))
    entries(tmp_path / DB, ("msg_a", "assistant", said(5, tokens(100, 50, 20))), session_id="ses_1")
    found = await read(tmp_path)
    assert (found.totals()["events"], found.totals()["input_tokens"], found.totals()["output_tokens"]) == (2, 107, 71)


async def test_entries_that_a_migration_made_of_messages_count_once(tmp_path: Path) -> None:
    """Under other ids; of several steps a message keeps the last one's tokens."""
    usage = tokens(100, 50, 20, total=170)
    about = {"modelID": "gpt-5.4", "providerID": "github-copilot"}
    old = session("ses_1", answer("msg_a", 5, usage, step(tokens(7, 1)), step(usage), **about))
    database(tmp_path / DB, old)
    entries(tmp_path / DB, ("msg_b", "assistant", said(5, tokens(100, 50, 20))), session_id="ses_1")
    found = await read(tmp_path)
    assert (found.totals()["events"], found.totals()["input_tokens"], len(found.set_aside())) == (2, 107, 1)


async def test_what_was_written_after_the_older_tables_were_left_is_read(tmp_path: Path) -> None:
    database(tmp_path / DB, session("ses_1", answer("msg_a", 5, tokens(100, 50))))
    found = await read(tmp_path)
    entries(tmp_path / DB, ("msg_b", "assistant", said(50, None, lasts=None, finish=None)), updated=60)
    await found.scan()
    assert (found.totals()["events"], found.totals()["messages"]) == (1, 2)
    entries(tmp_path / DB, ("msg_b", "assistant", said(50, tokens(7, 3))), updated=90)
    await found.scan()
    assert (found.totals()["events"], found.totals()["input_tokens"], found.totals()["output_tokens"]) == (2, 107, 53)


async def test_a_compaction_has_usage_of_its_own_and_a_failed_step_may(tmp_path: Path) -> None:
    compaction = {"status": "completed", "model": MODEL, "summary": "all", "tokens": tokens(9, 1), "cost": 0.1}
    failed = said(7, tokens(5, 2), finish="error", error={"type": "provider"})
    rows = [("msg_c", "compaction", compaction | {"time": {"created": at(6)}}), ("msg_f", "assistant", failed)]
    entries(tmp_path / DB, *rows)
    found = await read(tmp_path)
    assert [(e.input_tokens, e.reported_cost) for e in found.events()] == [(9, "0.1"), (5, "0.25")]
    assert [m.kind for m in found.messages()] == ["summary", "answer"]


async def test_an_interrupted_step_is_no_event_and_no_drift_but_a_finished_one_without_tokens_is(
    tmp_path: Path,
) -> None:
    entries(tmp_path / DB, ("msg_1", "assistant", said(5, None, finish=None)))
    found = await read(tmp_path)
    assert found.events() == []
    assert found.sources()[0].unmetered == 0
    entries(tmp_path / DB, ("msg_2", "assistant", said(6, None)), updated=60)
    await found.scan()
    assert [event.input_tokens for event in found.events()] == [None]
    assert found.sources()[0].unmetered == 1


async def test_entries_that_are_no_messages_are_none_and_unknown_ones_are_counted(tmp_path: Path) -> None:
    time = {"time": {"created": at(1)}}
    kinds = ("idle", "shell", "skill", "system", "agent-switched", "model-switched", "location-switched", "hologram")
    entries(
        tmp_path / DB, *((f"msg_{kind}", kind, time) for kind in kinds), ("msg_s", "synthetic", time | {"text": "x"})
    )
    found = await read(tmp_path)
    assert [(m.role, m.kind) for m in found.messages()] == [("user", "meta")]
    assert found.totals()["unknown"] == {"hologram": 1}


async def test_an_export_may_hold_entries(tmp_path: Path) -> None:
    info = session("ses_2")["info"]
    document = {"info": info, "messages": [{"id": "msg_a", "type": "assistant", **said(5, tokens(100, 50, 20))}, {}]}
    found = await scanned(tmp_path, "opencode", store.export(tmp_path / "x" / "s.json", document))
    assert (found.totals()["input_tokens"], found.totals()["output_tokens"]) == (100, 70)
    assert found.totals()["skipped"] == {"malformed": 1}
