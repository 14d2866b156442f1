"""Crush's sessions: a gauge of tokens, and a running cost that contains the children's (formats/crush.md)."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from databases import change, golden, seen, subset, write
from given import CORPORA, needs_given
from scanned import Scanned, scanned
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.crush import HARNESS
from trueup_shared import keys
from trueup_shared.metrics import ADDITIVE_COUNTERS

DATABASE = ".crush/crush.db"
PARENT, CHILD = "parent", "message$$call"
NOW = 1782892800


def session(id_: str = PARENT, second: int = 0, **fields: Any) -> dict[str, Any]:
    row = {"id": id_, "parent_session_id": None, "title": "t", "prompt_tokens": 100, "completion_tokens": 5}
    return row | {"cost": 0.0, "created_at": NOW, "updated_at": NOW + second} | fields


def message(id_: str, role: str, kind: str, second: int = 0, of: str = PARENT, **data: Any) -> dict[str, Any]:
    parts = json.dumps([{"type": kind, "data": data}], separators=(",", ":"))
    row = {"id": id_, "session_id": of, "role": role, "parts": parts, "model": "m" if role == "assistant" else ""}
    return row | {"provider": "p", "is_summary_message": 0, "created_at": NOW + second, "updated_at": NOW + second}


CALL = message("m1", "assistant", "tool_call", id="call", name="agent", input="{}", finished=True)
ANSWER = message("m2", "assistant", "finish", of=CHILD, reason="end_turn", time=NOW)
RESULT = message("m3", "tool", "tool_result", tool_call_id="call", content="found", is_error=False)


def child(cost: float, second: int = 0, **fields: Any) -> dict[str, Any]:
    return session(CHILD, second, parent_session_id=PARENT, cost=cost, prompt_tokens=7, **fields)


async def of(tmp_path: Path, sessions: list[dict[str, Any]], messages: list[dict[str, Any]]) -> tuple[Scanned, Path]:
    return await seen(tmp_path, "crush", DATABASE, {"sessions": sessions, "messages": messages or [CALL]})


def costs(scan: Scanned) -> dict[str, Decimal]:
    names = {row.key: row.session_id for row in scan.sessions()}
    found: dict[str, Decimal] = {}
    for event in scan.events():
        name = names[event.session_key]
        found[name] = found.get(name, Decimal(0)) + Decimal(event.reported_cost or 0)
    return found


async def test_the_golden_database_gives_its_figures(tmp_path: Path) -> None:
    scan, path = await seen(tmp_path, "crush", DATABASE, golden("crush", "tables.json"), wal=True)
    expected = golden("crush", "expected.json")
    assert subset(scan.totals(), expected) == expected
    await scan.scan(full=True)
    assert subset(scan.totals(), expected) == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["crush.db"]
    kinds = [(m.role, m.kind, m.tool_names, m.size_chars, m.model) for m in scan.messages()]
    assert kinds == [
        ("user", "prompt", None, 12, None),
        ("assistant", "answer", '["agent"]', 2, "claude-sonnet-4-6"),
        ("assistant", "answer", None, 8, "claude-haiku-4-5"),
        ("tool", "tool_result", None, 8, None),
        ("assistant", "summary", None, 8, "claude-sonnet-4-6"),
    ]


async def test_a_session_reports_its_cost_and_the_prompt_of_its_last_request_and_no_tokens(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, [session(cost=0.2143, prompt_tokens=18250, second=600)], [])
    (event,) = scan.events()
    assert [getattr(event, name) for name in ADDITIVE_COUNTERS] == [None] * len(ADDITIVE_COUNTERS)
    assert (event.context_tokens, event.reported_cost, event.reported_cost_unit) == (18250, "0.2143", "usd")
    assert event.at == (NOW + 600) * 1_000_000  # seconds, whatever the schema's comments say
    assert (event.model, event.provider) == ("m", "p")
    assert event.key == keys.event_key("crush", PARENT, "0.2143")
    assert scan.sessions()[0].project_path == str(tmp_path / "home")


async def test_the_gauge_may_fall_between_two_looks_and_the_cost_counts_by_its_differences(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, [session(cost=0.2, prompt_tokens=9000)], [])
    write(path, {"sessions": [session(cost=0.3, prompt_tokens=0, second=5)]})
    await scan.scan()
    write(path, {"sessions": [session(cost=0.35, prompt_tokens=400, second=9)]})
    await scan.scan()
    assert [event.reported_cost for event in scan.events()] == ["0.2", "0.1", "0.05"]
    assert scan.totals()["context_tokens"] == 9000
    assert scan.totals()["lower_bound"] == 0


async def test_a_flat_rate_costs_an_unknown_amount(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, [session(cost=0.0, prompt_tokens=900)], [])
    (event,) = scan.events()
    assert (event.reported_cost, event.context_tokens) == (None, 900)


async def test_a_session_without_cost_and_counters_never_ran(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, [session(prompt_tokens=0)], [])
    assert (scan.events(), len(scan.sessions())) == ([], 1)


async def test_a_title_session_adds_nothing(tmp_path: Path) -> None:
    title = session(f"title-{PARENT}", parent_session_id=PARENT, prompt_tokens=0)
    scan, _ = await of(tmp_path, [session(cost=0.2), title], [])
    assert costs(scan) == {PARENT: Decimal("0.2")}


async def test_a_childs_cost_is_taken_from_its_parent_so_that_the_sum_is_the_parents(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, [session(cost=0.25, second=9), child(0.05)], [CALL, ANSWER, RESULT])
    assert costs(scan) == {PARENT: Decimal("0.2"), CHILD: Decimal("0.05")}
    assert scan.sessions()[0].parent_key == scan.sessions()[1].key
    assert scan.sessions()[0].relationship == "subagent"


async def test_a_child_without_any_trace_of_its_call_is_taken_from_its_parent(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, [session(cost=0.25), child(0.05) | {"id": "older-release"}], [])
    assert costs(scan) == {PARENT: Decimal("0.2"), "older-release": Decimal("0.05")}


@pytest.mark.parametrize("looks", [range(7), range(0, 7, 2), [1, 3, 5, 6], [6], [2, 6], [3, 6], [4, 6]])
async def test_however_often_one_looks_while_a_child_runs_the_sum_is_the_parents(tmp_path: Path, looks: Any) -> None:
    history: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = [
        ([session(cost=0.2143)], [CALL]),
        ([child(0.0, 1)], []),
        ([child(0.03, 5)], [message("m2", "assistant", "finish", of=CHILD, reason="tool_use")]),
        ([child(0.0507, 9)], [ANSWER]),  # it has answered; the parent does not have its cost yet
        ([session(cost=0.2143 + 0.0507, second=9)], []),  # now it has; the result is not written yet
        ([], [RESULT]),
        ([session(cost=0.2143 + 0.0507 + 0.01, second=12)], [message("m4", "assistant", "text", text="Done.")]),
    ]
    path = tmp_path / "home" / DATABASE
    scan: Scanned | None = None
    true_cost = [0.2143, 0.2143, 0.2443, 0.265, 0.265, 0.265, 0.275]
    for step, (sessions, messages) in enumerate(history):
        write(path, {name: rows for name, rows in (("sessions", sessions), ("messages", messages)) if rows})
        if step in looks:
            if scan is None:
                scan = await scanned(tmp_path, "crush", tmp_path / "home", home=True)
            else:
                await scan.scan()
            assert sum(costs(scan).values()) <= Decimal(repr(true_cost[step]))
    assert scan is not None
    assert costs(scan) == {PARENT: Decimal("0.2243"), CHILD: Decimal("0.0507")}
    assert scan.totals()["lower_bound"] == 0


@pytest.mark.parametrize("reason", ["canceled", "error"])
async def test_a_cancelled_childs_cost_never_reaches_the_parent_and_is_not_taken_from_it(
    tmp_path: Path, reason: str
) -> None:
    failed = message("m2", "assistant", "finish", of=CHILD, reason=reason)
    scan, path = await of(tmp_path, [session(cost=0.2), child(0.05)], [CALL, failed])
    assert costs(scan) == {PARENT: Decimal("0.2")}
    error = message("m3", "tool", "tool_result", 1, tool_call_id="call", content="cancelled", is_error=True)
    write(path, {"sessions": [session(cost=0.3, second=9)], "messages": [error]})
    await scan.scan()
    assert costs(scan) == {PARENT: Decimal("0.3")}


async def test_children_that_cost_more_than_the_parent_are_not_taken_from_it(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, [session(cost=0.04, second=9), child(0.05)], [CALL, ANSWER, RESULT])
    assert costs(scan) == {PARENT: Decimal("0.04")}


@pytest.mark.parametrize("name", ["prompt_tokens", "cost"])
async def test_a_value_that_is_null_is_missing_alone(tmp_path: Path, name: str) -> None:
    scan, _ = await of(tmp_path, [session(cost=0.2) | {name: None}], [])
    (event,) = scan.events()
    assert (event.context_tokens, event.reported_cost) == ((None, "0.2") if name == "prompt_tokens" else (100, None))


async def test_a_childs_child_is_taken_from_the_child(tmp_path: Path) -> None:
    below = session("m9$$inner", parent_session_id=CHILD, cost=0.02)
    inner = [
        message("m9", "assistant", "tool_call", of=CHILD, id="inner", name="agent"),
        message("m10", "tool", "tool_result", of=CHILD, tool_call_id="inner", is_error=False),
    ]
    rows = [session(cost=0.25, second=9), child(0.05, 8), below]
    scan, _ = await of(tmp_path, rows, [CALL, ANSWER, RESULT, *inner])
    assert costs(scan) == {PARENT: Decimal("0.2"), CHILD: Decimal("0.03"), "m9$$inner": Decimal("0.02")}


async def test_a_deleted_session_still_counts_and_its_children_do_not_count_twice(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, [session(cost=0.25, second=9), child(0.05)], [CALL, ANSWER, RESULT])
    change(path, f"DELETE FROM sessions WHERE id = '{PARENT}'")
    await scan.scan(full=True)
    assert sum(costs(scan).values()) == Decimal("0.25")
    assert scan.totals()["gone"] > 0


async def test_a_replaced_database_begins_a_new_total(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, [session(cost=0.25)], [])
    write(path, {"sessions": [session(cost=0.1, second=50)]})
    await scan.scan()
    assert sum(costs(scan).values()) == Decimal("0.35")


async def test_broken_rows_are_skipped_and_the_rest_counts(tmp_path: Path) -> None:
    loop = session("loop", parent_session_id="loop", cost=1)
    odd = session("odd", parent_session_id=7, cost="much", prompt_tokens=-4, updated_at="now")
    broken = [message("m7", "user", "text") | {"parts": "{"}, message("m8", "user", "text") | {"parts": b"\xff"}]
    scan, _ = await of(tmp_path, [session(cost=0.2), loop, odd, {**session("x"), "id": b"\xff"}], broken)
    assert costs(scan) == {PARENT: Decimal("0.2")}
    assert scan.totals()["skipped"] == {"malformed": 2}


async def test_the_first_tables_had_no_provider_and_no_summaries(tmp_path: Path) -> None:
    old = {name: CALL[name] for name in ("id", "session_id", "role", "parts", "model", "created_at", "updated_at")}
    scan, _ = await of(tmp_path, [session(cost=0.2)], [old])
    assert (scan.events()[0].model, scan.events()[0].provider, len(scan.messages())) == ("m", None, 1)


@needs_given
async def test_the_real_database_gives_the_sum_of_its_sessions_without_parent(tmp_path: Path) -> None:
    name = "crush/dbos-inc+dbos-transact-golang"
    expected = json.loads((CORPORA / "expected.json").read_text(encoding="utf-8"))[name]
    path = CORPORA / name / DATABASE
    before = sorted(path.parent.iterdir())
    scan = await scanned(tmp_path, "crush", CORPORA / name)
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    (parents,) = db.execute("SELECT sum(cost) FROM sessions WHERE parent_session_id IS NULL").fetchone()
    db.close()
    totals = scan.totals()
    assert float(totals["cost"]["usd"]) == pytest.approx(parents, abs=1e-9)
    assert (totals["sessions"], totals["context_tokens"]) == (expected["sessions"], expected["context_max"])
    assert [totals[name] for name in ADDITIVE_COUNTERS] == [None] * len(ADDITIVE_COUNTERS)
    assert (totals["skipped"], totals["messages"]) == ({}, 82)
    assert sorted(path.parent.iterdir()) == before


def test_usage_derived_from_raw_is_what_reading_gives() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    assert HARNESS.usage(b'{"prompt_tokens":18250,"cost":0.2}', facts) == Usage(context_tokens=18250)
    assert HARNESS.usage(b"{}", facts) == Usage()
    assert HARNESS.usage(b"x", facts) is None
