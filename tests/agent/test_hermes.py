"""Hermes's sessions: running totals that are now and then overwritten (formats/hermes.md)."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from databases import change, golden, seen, subset, write
from scanned import Scanned, scanned
from trueup_agent.harnesses.base import Facts, Usage
from trueup_agent.harnesses.hermes import HARNESS
from trueup_shared import keys
from trueup_shared.metrics import BIT

DATABASE = ".hermes/state.db"
ONE = "20260701_081500_ab12"


def session(**fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = copy.deepcopy(golden("hermes", "tables.json")["sessions"][0])
    return row | fields


def message(id_: int, at: float, session_id: str = ONE, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = copy.deepcopy(golden("hermes", "tables.json")["messages"][0])
    return row | {"id": id_, "session_id": session_id, "timestamp": at} | fields


async def of(tmp_path: Path, *sessions: dict[str, Any], **tables: Any) -> tuple[Scanned, Path]:
    messages = tables.pop("messages", [message(1, 1782893701.5)])
    return await seen(tmp_path, "hermes", DATABASE, {"sessions": sessions, "messages": messages, **tables})


async def later(scan: Scanned, path: Path, number: int, **fields: Any) -> None:
    """Another pass, after another message and with another row."""
    write(path, {"sessions": [session(**fields)], "messages": [message(number, 1782893800.0 + number)]})
    await scan.scan()


async def test_the_golden_database_gives_its_figures(tmp_path: Path) -> None:
    scan, path = await seen(tmp_path, "hermes", DATABASE, golden("hermes", "tables.json"), wal=True)
    expected = golden("hermes", "expected.json")
    assert subset(scan.totals(), expected) == expected
    await scan.scan(full=True)
    assert subset(scan.totals(), expected) == expected
    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]


async def test_a_session_reports_its_total_at_the_time_of_its_last_message(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "hermes", DATABASE, golden("hermes", "tables.json"))
    event = scan.events()[0]
    counters = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens)
    assert counters == (1400, 98000, 12000, 3100)
    assert event.key == keys.event_key("hermes", ONE, 1400, 98000, 12000, 3100, 700)
    assert event.at == 1782893999_750000
    assert (event.reported_cost, event.reported_cost_status, event.provider) == ("0.1213", "estimated", "anthropic")
    assert json.loads(event.raw_usage or b"")["source"] == "cli"
    kinds = [(m.role, m.kind, m.tool_names, m.size_chars) for m in scan.messages()]
    assert kinds == [
        ("user", "prompt", None, 12),
        ("assistant", "answer", '["terminal"]', 2),
        ("tool", "tool_result", None, 7),
        ("assistant", "answer", None, 5),
    ]


async def test_reasoning_is_part_of_the_output_and_not_added_to_it(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, session(output_tokens=3100, reasoning_tokens=3000))
    assert (scan.totals()["output_tokens"], scan.totals()["reasoning_tokens"]) == (3100, 3000)


async def test_a_grown_total_counts_by_the_difference_under_the_model_of_that_time(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, session())
    await later(scan, path, 2, output_tokens=3500, model="gpt-5.4", estimated_cost_usd=0.2)
    assert [(e.model, e.output_tokens, e.reported_cost) for e in scan.events()] == [
        ("claude-sonnet-4-6", 3100, "0.1213"),
        ("gpt-5.4", 400, "0.0787"),
    ]


async def test_a_total_overwritten_with_a_greater_one_counts_by_the_difference(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, session())
    await later(scan, path, 2, input_tokens=9000, output_tokens=9000)
    assert (scan.totals()["input_tokens"], scan.totals()["output_tokens"]) == (9000, 9000)


async def test_a_total_that_shrank_began_anew_and_may_have_lost_something(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, session())
    await later(scan, path, 2, input_tokens=100, output_tokens=200, cache_read_tokens=0, cache_write_tokens=0)
    totals = scan.totals()
    assert (totals["input_tokens"], totals["output_tokens"], totals["cache_read_tokens"]) == (1500, 3300, 98000)
    assert scan.events()[1].lower_bounds & BIT["output_tokens"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"actual_cost_usd": 0.1, "cost_status": "actual"}, ("0.1", "reported")),
        ({"actual_cost_usd": 0.0, "cost_status": "actual"}, ("0", "reported")),
        ({"cost_status": "included", "cost_source": "none", "estimated_cost_usd": 0.0}, (None, None)),
        ({"cost_status": "included", "cost_source": "plan", "estimated_cost_usd": 0.0}, ("0", "included")),
        ({"cost_status": "unknown", "estimated_cost_usd": 0.0}, (None, None)),
        ({"estimated_cost_usd": None}, (None, None)),
        ({"estimated_cost_usd": "much"}, (None, None)),
    ],
)
async def test_the_actual_cost_goes_before_the_estimate_and_a_placeholder_is_no_price(
    tmp_path: Path, fields: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    scan, _ = await of(tmp_path, session(**fields))
    (event,) = scan.events()
    assert (event.reported_cost, event.reported_cost_status) == expected


async def test_profiles_have_databases_of_their_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    tables = golden("hermes", "tables.json")
    write(home / ".hermes/profiles/work/state.db", {"sessions": [session(id="20260701_111500_aa11")]})
    (home / ".hermes/profiles/empty").mkdir()
    scan, _ = await seen(tmp_path, "hermes", DATABASE, tables)
    assert scan.totals()["output_tokens"] == 3120 + 3100
    assert len(scan.sources()) == 2


async def test_a_session_in_two_databases_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "home/.hermes/profiles/copy/state.db", {"sessions": [session()]})
    scan, _ = await of(tmp_path, session())
    assert scan.totals()["output_tokens"] == 3100


async def test_after_compression_the_conversation_goes_on_in_a_session_that_counts_from_zero(tmp_path: Path) -> None:
    child = session(id="20260701_121500_bb22", parent_session_id=ONE, started_at=1782907300.0, output_tokens=4000)
    fork = session(id="20260701_131500_cc33", parent_session_id="20260701_121500_bb22", output_tokens=10)
    scan, _ = await of(tmp_path, session(end_reason="compression"), child, fork)
    parent, first, second = scan.sessions()
    assert (first.parent_key, first.relationship) == (parent.key, "resume")
    assert (second.parent_key, second.relationship) == (first.key, "fork")
    assert scan.totals()["output_tokens"] == 3100 + 4000 + 10


async def test_times_are_seconds_with_fractions(tmp_path: Path) -> None:
    scan, _ = await of(tmp_path, session())
    assert scan.sessions()[0].started_at == 1782893700_210000
    no_messages, _ = await of(tmp_path / "b", session(ended_at=1782893900.5), messages=[message(1, 1.0, "other")])
    assert (no_messages.events()[0].at, no_messages.events()[0].time_quality) == (1782893900_500000, 1)
    running, _ = await of(tmp_path / "c", session(), messages=[message(1, 1.0, "other")])
    assert (running.events()[0].at, running.events()[0].time_quality) == (1782893700_210000, 2)


async def test_columns_that_a_release_lacks_are_unknown(tmp_path: Path) -> None:
    names = ("id", "model", "started_at", "ended_at", "input_tokens", "output_tokens")
    old = {name: value for name, value in session().items() if name in names}
    scan, _ = await seen(tmp_path, "hermes", DATABASE, {"sessions": [old]})
    (event,) = scan.events()
    assert (event.input_tokens, event.output_tokens, event.cache_read_tokens) == (1400, 3100, None)
    assert (event.reported_cost, event.project_path) == (None, None)


async def test_a_database_with_other_tables_says_nothing(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "hermes", DATABASE, {"notes": [{"id": 1, "text": "x"}]})
    assert (scan.events(), scan.sources()[0].error) == ([], None)


async def test_the_directory_of_older_sessions_is_what_the_model_was_told(tmp_path: Path) -> None:
    told = session(cwd=None, system_prompt="You are Hermes.\n- Current working directory: `/srv/app`\nBe brief.")
    scan, _ = await of(tmp_path, told)
    assert scan.sessions()[0].project_path == "/srv/app"


async def test_side_calls_count_besides_their_sessions_total(tmp_path: Path) -> None:
    main: dict[str, Any] = {"session_id": ONE, "model": "claude-sonnet-4-6", "billing_provider": "anthropic"}
    main |= {"billing_base_url": "", "billing_mode": "", "task": "", "input_tokens": 1400, "output_tokens": 3100}
    side = main | {"task": "vision", "model": "gemini-3-flash", "billing_provider": "google", "last_seen": 1782893950.0}
    side |= {"input_tokens": 17, "output_tokens": 8, "estimated_cost_usd": 0.003, "actual_cost_usd": 0.0}
    scan, path = await of(tmp_path, session(), session_model_usage=[main, side])
    assert (scan.totals()["input_tokens"], scan.totals()["output_tokens"]) == (1417, 3108)
    change(path, "UPDATE session_model_usage SET output_tokens = 30, last_seen = 1782893960.0 WHERE task = 'vision'")
    await scan.scan()
    assert scan.totals()["output_tokens"] == 3130
    (vision, more) = [event for event in scan.events() if event.model == "gemini-3-flash"]
    assert (vision.reported_cost, vision.provider, more.output_tokens) == ("0.003", "google", 22)


async def test_a_session_that_ended_long_ago_is_read_again_by_a_full_pass(tmp_path: Path) -> None:
    scan, path = await of(tmp_path, session(ended_at=1782893999.0), messages=[message(1, 1782993999.0, "x")])
    change(path, "UPDATE sessions SET output_tokens = 3200, started_at = started_at + 1")
    await scan.scan()
    await scan.scan(full=True)
    assert scan.totals()["output_tokens"] == 3200


async def test_a_renamed_counter_is_an_unmetered_answer_and_the_row_stays(tmp_path: Path) -> None:
    renamed = {name.replace("_tokens", "_toks"): value for name, value in session().items()}
    scan, _ = await of(tmp_path, renamed)
    assert (scan.events(), len(scan.sessions()), scan.sources()[0].unmetered) == ([], 1, 1)


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"])
async def test_a_counter_that_is_null_is_missing_alone(tmp_path: Path, name: str) -> None:
    whole, _ = await of(tmp_path / "a", session())
    holed, _ = await of(tmp_path / "b", session(**{name: None}))
    counters = [{n: whole_or.totals()[n] for n in HARNESS.about.counters} for whole_or in (whole, holed)]
    assert {n for n in counters[0] if counters[0][n] != counters[1][n]} == {name}


async def test_broken_values_do_no_harm(tmp_path: Path) -> None:
    odd = session(id="odd", started_at="now", ended_at=b"\xff", input_tokens=1 << 62, output_tokens=-5, model=7)
    broken = message(5, 1782893702.0, role=b"x", content=b"\xff", tool_calls="[{")
    scan, _ = await of(tmp_path, session(), odd, messages=[message(1, 1782893701.5), broken])
    assert (scan.totals()["input_tokens"], len(scan.messages())) == (1400, 2)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_its_folder_on_each_platform(platform: str) -> None:
    assert HARNESS.data_folders(Path("/h"), {}, platform) == [Path("/h/.hermes")]
    assert HARNESS.data_folders(Path("/h"), {"HERMES_HOME": "/named"}, platform) == [Path("/named")]


@pytest.mark.parametrize("below", [".hermes", "", "profiles/work", "backup/old"])
async def test_a_root_is_a_home_hermes_home_a_profile_or_any_other(tmp_path: Path, below: str) -> None:
    write(tmp_path / "root" / below / "state.db", {"sessions": [session()]})
    assert len((await scanned(tmp_path, "hermes", tmp_path / "root")).events()) == 1


def test_usage_derived_from_raw_is_what_reading_gives() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    assert HARNESS.usage(b'{"input_tokens":1,"output_tokens":null}', facts) == Usage(input_tokens=1)
    assert HARNESS.usage(b"[]", facts) is None
