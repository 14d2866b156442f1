"""Kiro: turns without counters, and the credits that they cost (formats/kiro.md)."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from given import SAMPLES, needs_given
from kiro_files import (
    SESSION,
    START,
    answer,
    at,
    cli,
    conversation,
    database,
    execution,
    ide,
    prompt,
    summary,
    turn,
)
from scanned import Scanned, scanned
from trueup_shared.metrics import COUNTERS

SAMPLE = SAMPLES / "kiro" / "agentsview" / "kiro_sqlite"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def seen_of(home: Path) -> Scanned:
    seen = await scanned(home.parent, "kiro", home, home=True)
    assert {seen.totals()[name] for name in COUNTERS} == {None}  # zeros are placeholders
    return seen


async def test_a_turn_has_its_credits_and_no_counters(home: Path) -> None:
    cli(home, [turn(at(20), 0.3, 0.12)], prompt(1, 0), answer(1, "fs_read"))
    seen = await seen_of(home)
    (event,) = seen.events()
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == (
        "0.42",
        "credits",
        "reported",
    )
    assert (event.model, event.at, event.project_path) == ("claude-sonnet-4.5", 1782892820123456, "/home/ana/shop")
    assert event.cost_nanousd is None  # credits are no dollars
    (session,) = seen.sessions()
    assert (session.session_id, session.title, session.project_path) == (SESSION, "Fix the cart", "/home/ana/shop")


async def test_a_turn_under_way_has_no_metering_yet(home: Path) -> None:
    cli(home, [turn(at(20), 0.42), turn(at(40))], prompt(1, 0))
    seen = await seen_of(home)
    assert seen.totals()["events"] == 1
    cli(home, [turn(at(20), 0.42), turn(at(45), 1)])
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal("1.42")}


async def test_clearing_the_chat_begins_the_log_anew_and_not_the_bill(home: Path) -> None:
    clear = {"version": "v1", "kind": "Clear", "data": {}}
    result = {"version": "v1", "kind": "ToolResults", "data": {"message_id": "r1", "content": []}}
    cli(home, [turn(at(20), 1), turn(at(80), 2)], clear, prompt(2, 60), answer(2, "fs_write"), result, answer(3))
    seen = await seen_of(home)
    assert seen.totals()["cost"] == {"credits": Decimal(3)}
    by_time = {event.key: event.at for event in seen.events()}
    answers = [by_time[m.event_key] for m in seen.messages() if m.event_key is not None]
    assert [(when - START * 10**6) // 10**6 for when in answers] == [80, 80]  # by time: the first turn was cleared
    assert sorted((m.role, m.kind, m.tool_names or "") for m in seen.messages()) == [
        ("assistant", "answer", ""),
        ("assistant", "answer", '["fs_write"]'),
        ("system", "meta", ""),
        ("tool", "tool_result", ""),
        ("user", "prompt", ""),
    ]


@pytest.mark.parametrize(
    ("model", "chosen", "named"), [("auto", "claude-x", "claude-x"), (None, "auto", None), ("a", "b", "a")]
)
async def test_auto_is_no_model(home: Path, model: str | None, chosen: str, named: str | None) -> None:
    cli(home, [turn(at(20), 1, model=model)], model=chosen)
    assert [event.model for event in (await seen_of(home)).events()] == [named]


async def test_a_log_or_a_document_alone_is_a_session(home: Path) -> None:
    cli(home, None, prompt(1, 5), "{broken", {"kind": "Dance", "data": {}}, [1], answer(1))
    seen = await seen_of(home)
    assert (seen.totals()["messages"], seen.totals()["events"], len(seen.sessions())) == (2, 0, 1)
    assert seen.sessions()[0].started_at == (START + 5) * 10**6
    assert (seen.totals()["skipped"], seen.totals()["unknown"]) == ({"malformed": 2}, {"Dance": 1})
    cli(home, [turn(at(20), 1)])  # the document comes later
    await seen.scan()
    assert (seen.totals()["events"], len(seen.sessions()), len(seen.sources())) == (1, 1, 1)


@pytest.mark.parametrize(
    "metering",
    [None, 7, "x", [], [{"value": "1", "unit": "credit"}], [{"value": 5, "unit": "token"}], [{"value": -1}], [[]]],
)
async def test_metering_of_another_shape_is_no_bill(home: Path, metering: Any) -> None:
    cli(home, [turn(at(20), 1), turn(at(40)) | {"metering_usage": metering}, "odd"])
    totals = (await seen_of(home)).totals()
    assert (totals["events"], totals["cost"], totals["skipped"]) == (1, {"credits": 1}, {"malformed": 1})


async def test_a_turn_without_a_time_has_the_sessions_or_the_files(home: Path) -> None:
    cli(home, [turn(None, 1)])
    seen = await seen_of(home)
    assert [event.time_quality for event in seen.events()] == [2]
    cli(home, [turn("soon", 2)], created_at=None)
    await seen.scan()
    assert sorted(event.time_quality for event in seen.events()) == [2, 3]


async def test_answers_in_the_database_are_requests_of_unknown_usage(home: Path) -> None:
    used = conversation("c", "m1", "m2") | {"model_info": {"model_id": "claude-haiku-4.5"}}
    used["history"][1]["assistant"] = {
        "ToolUse": {"message_id": "m2", "content": "", "tool_uses": [{"name": "fs_read"}]}
    }
    database(home, ("/home/ana/shop", "c", used, 1))
    seen = await seen_of(home)
    assert [(event.at // 10**6 - START, event.model) for event in seen.events()] == [
        (5, "claude-haiku-4.5"),
        (15, "claude-haiku-4.5"),
    ]
    assert {session.project_path for session in seen.sessions()} == {"/home/ana/shop"}
    assert [m.tool_names for m in seen.messages() if m.tool_names] == ['["fs_read"]']


async def test_of_a_conversation_under_two_folders_the_newest_row_wins(home: Path) -> None:
    rows = [("/old", "c", conversation("c", "m1", "draft"), 5), ("/new", "c", conversation("c", "m1", "m2"), 9)]
    database(home, *rows, ("/old", "d", conversation("d", "m1"), 1))
    seen = await seen_of(home)
    assert {(s.session_id, s.project_path) for s in seen.sessions()} == {("c", "/new"), ("d", "/old")}
    assert {json.loads(event.identity)[1] for event in seen.events()} == {"m1", "m2"}
    assert seen.totals()["events"] == 3


async def test_rows_are_read_again_when_they_were_updated(home: Path) -> None:
    database(home, ("/a", "c", conversation("c", "m1", used=[0.25]), 5), ("/a", "d", conversation("d", "x"), 4))
    seen = await seen_of(home)
    database(home, ("/a", "c", conversation("c", "m1", "m2", used=[0.25, 0.5]), 6))
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal("0.75")}
    database(home, ("/a", "c", conversation("c", "m1", "m2", "m3", used=[0.125], turn_id="c2"), 7))
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal("0.875")}  # another turn


async def test_a_malformed_payload_is_counted_and_the_rest_read(home: Path) -> None:
    rows = [("/a", "b", '{"conversation_id":"broken-session","history":[', 1), ("/a", "e", [1], 2), ("/a", "f", "7", 3)]
    database(home, *rows, ("/a", "c", conversation("c", "m1"), 4))
    totals = (await seen_of(home)).totals()
    assert (totals["events"], totals["skipped"]) == (1, {"malformed": 3})


async def test_amazon_q_kept_one_conversation_per_folder(home: Path) -> None:
    path = database(home, program="amazon-q")
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE conversations_v2")
        db.execute("CREATE TABLE conversations (key TEXT PRIMARY KEY, value TEXT)")
        db.execute("INSERT INTO conversations VALUES ('/home/ana', ?)", (json.dumps(conversation("q", "m1")),))
    db.close()
    seen = await seen_of(home)
    assert [(s.session_id, s.project_path) for s in seen.sessions()] == [("q", "/home/ana")]
    assert seen.totals()["events"] == 1


@needs_given
async def test_the_given_payloads_are_read_as_in_a_database_and_alone(home: Path, tmp_path: Path) -> None:
    """EXPECTED.md has no figures for them: they hold no usage. Three answers, each a request of unknown usage."""
    payloads = {name: (SAMPLE / f"{name}_payload.json").read_text(encoding="utf-8") for name in ("standard", "overlap")}
    malformed = (SAMPLE / "malformed_payload.txt").read_text(encoding="utf-8")
    rows = [("/a", "sqlite-session", payloads["standard"], 1), ("/b", "overlap-session", payloads["overlap"], 2)]
    database(home, *rows, ("/old", "overlap-session", payloads["overlap"], 1), ("/c", "broken-session", malformed, 3))
    totals = (await seen_of(home)).totals()
    assert (totals["events"], totals["sessions"], totals["skipped"]) == (3, 2, {"malformed": 1})
    alone = await scanned(tmp_path / "alone", "kiro", SAMPLE)
    assert (alone.totals()["events"], alone.totals()["sessions"]) == (3, 2)
    assert {s.project_path for s in alone.sessions()} == {"/home/user/code/kiro-app", "/home/user/code/current-kiro"}


async def test_a_session_of_the_ide_has_a_summary_per_turn(home: Path) -> None:
    records = [("u1", {"type": "user", "content": "hi"}), ("a1", {"type": "assistant", "content": [{"text": "Done."}]})]
    records += [("t1", {"type": "tool_call", "toolName": "read_file"}), ("t1-result", {"type": "tool_result"})]
    records += [
        ("s1", summary(0.25, 0.5)),
        ("s2", summary(7, unit="token")),
        ("s3", summary()),
        ("s4", summary(1, unit=None)),
    ]
    ide(home, *records, ("x", {"type": "turn_end"}), ("y", {"type": "dance"}), about=ABOUT)
    seen = await seen_of(home)
    assert [(event.reported_cost, event.model) for event in seen.events()] == [("0.75", "claude-x"), ("1", "claude-x")]
    (session,) = seen.sessions()
    assert (session.session_id, session.title, session.project_path) == ("sess_0a1b", "Cart", "/home/ana/shop")
    assert [(m.role, m.kind, m.size_chars) for m in seen.messages()] == [
        ("user", "prompt", 2),
        ("assistant", "answer", 5),
        ("assistant", "answer", 0),
        ("tool", "tool_result", 0),
    ]
    assert seen.totals()["unknown"] == {"dance": 1}


ABOUT = {"modelId": "claude-x", "title": "Cart", "workspacePaths": ["/home/ana/shop"]}


async def test_a_session_of_the_ide_is_read_on_where_it_grew(home: Path) -> None:
    ide(home, ("s1", summary(0.25)), about="odd")
    seen = await seen_of(home)
    path = ide(home, ("s1", summary(0.25)), ("s2", summary(0.5)))
    path.write_text(path.read_text() + '{"id": "s3", "payload": 7}\n{broken\n')
    await seen.scan()
    totals = seen.totals()
    assert (totals["cost"], totals["skipped"]) == ({"credits": Decimal("0.75")}, {"malformed": 2})


async def test_an_execution_counts_once_beside_its_chat_and_its_stubs(home: Path) -> None:
    facts = {"executionId": "x1", "startTime": START * 1000, "modelId": "claude-x"}
    used = [{"usage": 0.3, "unit": "credit", "usedTools": []}, {"usage": 0.2, "unit": "credit"}]
    running = execution(home, "5e5510/0e0e", **facts, chatSessionId="s1", usageSummary=used[:1])
    execution(home, "5e5510/index", executions=[facts | {"usageSummary": used}])
    chat = [{"role": "human", "content": "fix"}, {"role": "bot", "content": "Done."}, {"role": "odd"}, 7]
    execution(home, "0e0e.chat", executionId="x1", chatSessionId="s1", chat=chat, metadata={"startTime": START * 1000})
    execution(home, "../workspace-sessions/L2hvbWU/s1.json", sessionId="s1", history=[{"executionId": "x1"}])
    seen = await seen_of(home)
    (event,) = seen.events()
    assert (event.reported_cost, event.model, event.at) == (None, "claude-x", START * 10**6)  # it may cost more yet
    execution(
        home, f"5e5510/{running.name}", **facts, chatSessionId="s1", usageSummary=used, endTime=START * 1000 + 9000
    )
    await seen.scan()
    assert seen.totals()["cost"] == {"credits": Decimal("0.5")}
    assert (seen.totals()["events"], [s.session_id for s in seen.sessions()]) == (1, ["s1"])
    assert sorted((m.role, m.size_chars) for m in seen.messages()) == [("assistant", 5), ("user", 3)]


async def test_documents_of_other_shapes_give_nothing(home: Path) -> None:
    for number, content in enumerate(("[1, 2]", "{broken", '"x"', "{}", '{"executionId": 7}')):
        execution(home, f"5e5510/{number}").write_text(content, encoding="utf-8")
    totals = (await seen_of(home)).totals()
    assert (totals["events"], totals["skipped"]) == (0, {"malformed": 2})
