"""Goose's database: the ledger of requests, what is older than it, and sessions (formats/goose.md)."""

import copy
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from databases import change, golden, seen, subset, write
from scanned import scanned
from trueup_agent.harnesses.base import Facts, Unfinished, Usage
from trueup_agent.harnesses.goose import HARNESS
from trueup_agent.harnesses.tables import Table
from trueup_shared import keys
from trueup_shared.metrics import COUNTERS

DATABASE = ".local/share/goose/sessions/sessions.db"
ACCUMULATED = ("accumulated_input_tokens", "accumulated_output_tokens", "accumulated_total_tokens")


def session(id_: str = "20260701_3", **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = copy.deepcopy(golden("goose", "tables.json")["sessions"][0])
    row |= {name: None for name in row if name.startswith("accumulated_")}
    return row | {"id": id_, "input_tokens": None, "output_tokens": None, "total_tokens": None} | fields


def request(id_: int, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = copy.deepcopy(golden("goose", "tables.json")["usage_ledger"][0])
    return row | {"id": id_} | fields


def tables(*requests: dict[str, Any], **fields: Any) -> dict[str, list[dict[str, Any]]]:
    return {"sessions": [session(**fields)], **({"usage_ledger": list(requests)} if requests else {})}


async def test_the_golden_database_gives_its_figures(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "goose", DATABASE, golden("goose", "tables.json"))
    expected = golden("goose", "expected.json")
    assert subset(scan.totals(), expected) == expected


async def test_a_request_has_the_numbers_and_the_key_of_its_row_in_the_ledger(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "goose", DATABASE, tables(request(41)))
    (event,) = scan.events()
    counters: dict[str, int | None] = {
        "input_tokens": 200,
        "cache_read_tokens": 11000,
        "cache_write_tokens": 1500,
        "output_tokens": 240,
    }
    assert {name: getattr(event, name) for name in COUNTERS} == dict.fromkeys(COUNTERS) | counters | {
        "context_tokens": 12700
    }
    identity = ("20260701_3", "2026-07-01 08:00:00", 41, 1782892809, 12700, 240, 11000, 1500, 12940)
    assert event.key == keys.event_key("goose", *identity)
    assert (event.model, event.provider, event.at) == ("claude-sonnet-4-6", "anthropic", 1782892809_000000)
    assert (event.reported_cost, event.reported_cost_unit, event.reported_cost_status) == ("0.0131", "usd", "estimated")
    assert (event.derived, event.lower_bounds, event.time_quality) == (0, 0, 1)


async def test_what_is_older_than_the_ledger_counts_once_as_the_rest_of_the_total(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "goose", DATABASE, golden("goose", "tables.json"))
    (rest,) = [event for event in scan.events() if event.derived]
    assert (rest.input_undivided_tokens, rest.output_tokens, rest.input_tokens) == (2000, 0, None)
    assert rest.at == 1782892809_000000  # of the first row of the ledger
    assert rest.reported_cost is None  # the requests account for all of it


async def test_a_total_seen_before_the_ledger_is_the_rest_seen_after_it(tmp_path: Path) -> None:
    """The producer writes that total into the ledger itself, as a row that is no request."""
    before = dict(zip(ACCUMULATED, (1000, 50, 1050), strict=True))
    scan, path = await seen(tmp_path, "goose", DATABASE, tables(**before))
    assert (scan.totals()["input_undivided_tokens"], scan.totals()["output_tokens"]) == (1000, 50)
    after = dict(zip(ACCUMULATED, (13700, 290, 13990), strict=True))
    cache = {"accumulated_cache_read_tokens": 11000, "accumulated_cache_write_tokens": 1500}
    carried = {"model": None, "input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050, "cost": None}
    carried |= {"cache_read_tokens": 0, "cache_write_tokens": 0, "cost_source": "carried_forward"}
    later = {"updated_at": "2026-07-01 09:00:00"}
    write(path, tables(request(1, **carried), request(2), **after, **cache, **later))
    await scan.scan()
    totals = scan.totals()
    assert (totals["input_undivided_tokens"], totals["input_tokens"], totals["output_tokens"]) == (1000, 200, 290)
    assert totals["events"] == 2


async def test_without_a_ledger_the_total_counts_by_its_differences(tmp_path: Path) -> None:
    total = dict(zip(ACCUMULATED, (1000, 50, 1050), strict=True))
    cached = {"accumulated_cache_read_tokens": 600, "accumulated_cache_write_tokens": 0, "accumulated_cost": 0.01}
    scan, path = await seen(tmp_path, "goose", DATABASE, tables(**total, **cached))
    grown = dict(zip(ACCUMULATED, (3000, 90, 3090), strict=True)) | {"accumulated_cache_read_tokens": 1600}
    write(path, tables(**(cached | grown | {"accumulated_cost": 0.03, "updated_at": "2026-07-01 09:00:00"})))
    await scan.scan()
    first, second = scan.events()
    assert (first.input_tokens, first.cache_read_tokens, first.output_tokens) == (400, 600, 50)
    assert (second.input_tokens, second.cache_read_tokens, second.output_tokens) == (1000, 1000, 40)
    assert [event.reported_cost for event in (first, second)] == ["0.01", "0.02"]
    assert first.context_tokens is None
    assert first.derived
    assert second.derived


async def test_the_cache_of_a_provider_that_reports_none_is_unknown_and_the_prompt_undivided(tmp_path: Path) -> None:
    unknown = {"cache_read_tokens": None, "cache_write_tokens": None}
    scan, _ = await seen(tmp_path, "goose", DATABASE, tables(request(1, **unknown)))
    (event,) = scan.events()
    assert (event.input_undivided_tokens, event.input_tokens, event.cache_read_tokens) == (12700, None, None)


async def test_a_compaction_is_a_request_like_others(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "goose", DATABASE, tables(request(1, is_compaction=1)))
    assert scan.totals()["output_tokens"] == 240


async def test_a_subagent_is_a_session_of_its_own_below_its_parent(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "goose", DATABASE, golden("goose", "tables.json"))
    parent, child = scan.sessions()
    assert (child.parent_key, child.relationship) == (parent.key, "subagent")
    assert (parent.parent_key, parent.relationship) == (None, None)
    assert [event.output_tokens for event in scan.events() if event.session_key == child.key] == [30]


async def test_a_time_without_a_zone_is_utc_and_milliseconds_are_told_from_seconds(tmp_path: Path) -> None:
    rows = tables(request(1), request(2, created_timestamp=1782892809_500))
    scan, _ = await seen(tmp_path, "goose", DATABASE, rows)
    assert [event.at for event in scan.events()] == [1782892809_000000, 1782892809_500000]
    assert scan.sessions()[0].started_at == 1782892800_000000


async def test_a_session_id_that_is_used_again_is_another_session(tmp_path: Path) -> None:
    scan, path = await seen(tmp_path, "goose", DATABASE, tables(request(1)))
    path.unlink()
    write(path, tables(request(1), created_at="2026-07-01 19:00:00", updated_at="2026-07-01 19:20:00"))
    await scan.scan()
    assert len(scan.sessions()) == 2
    assert scan.totals()["output_tokens"] == 480


@pytest.mark.parametrize("wal", [False, True])
async def test_a_database_is_left_as_it_was_found(tmp_path: Path, wal: bool) -> None:
    _, path = await seen(tmp_path, "goose", DATABASE, tables(request(1)), wal=wal)
    assert [entry.name for entry in path.parent.iterdir()] == ["sessions.db"]


async def test_a_locked_database_gives_what_was_committed_at_once_or_later(tmp_path: Path) -> None:
    path = write(tmp_path / "home" / DATABASE, tables(request(1)))
    writer = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA cache_spill = 1", "PRAGMA cache_size = 1", "BEGIN EXCLUSIVE", "DELETE FROM usage_ledger"):
        writer.execute(statement)
    writer.execute("CREATE TABLE other AS SELECT randomblob(200000) AS content")
    scan = await scanned(tmp_path, "goose", tmp_path / "home", home=True)
    during = scan.totals()["output_tokens"]
    assert during == 240 or scan.sources()[0].error  # what was committed, or nothing yet
    writer.rollback()
    writer.close()
    await scan.scan()
    assert len(scan.events()) == 1


async def test_rows_of_later_passes_are_added_and_earlier_ones_stay_when_they_are_deleted(tmp_path: Path) -> None:
    scan, path = await seen(tmp_path, "goose", DATABASE, tables(request(1)))
    later = {"updated_at": "2026-07-01 09:00:00"}
    write(path, tables(request(2, created_timestamp=1782892999), **later))
    change(path, "DELETE FROM usage_ledger WHERE id = 1")
    await scan.scan(full=True)
    totals = scan.totals()
    assert (totals["events"], totals["output_tokens"], totals["gone"]) == (2, 480, 1)


async def test_without_any_total_the_last_request_is_a_lower_bound(tmp_path: Path) -> None:
    scan, path = await seen(tmp_path, "goose", DATABASE, tables(input_tokens=700, output_tokens=40))
    write(path, tables(input_tokens=300, output_tokens=60, updated_at="2026-07-01 09:00:00"))
    await scan.scan()
    (event,) = scan.events()
    assert (event.input_undivided_tokens, event.output_tokens, event.derived) == (700, 60, 0)
    assert event.lower_bounds


async def test_a_prompt_smaller_than_its_parts_is_unknown_and_counted(tmp_path: Path) -> None:
    scan, _ = await seen(tmp_path, "goose", DATABASE, tables(request(1, input_tokens=5)))
    totals = scan.totals()
    assert (totals["input_tokens"], totals["output_tokens"]) == (None, 240)
    assert totals["skipped"] == {"contradictory_usage": 1}


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"])
async def test_a_counter_that_is_null_is_missing_in_that_event_alone(tmp_path: Path, name: str) -> None:
    whole, _ = await seen(tmp_path / "a", "goose", DATABASE, tables(request(1), request(2)))
    holed, _ = await seen(tmp_path / "b", "goose", DATABASE, tables(request(1), request(2, **{name: None})))
    known = [sum(getattr(e, name) is not None for e in scan.events()) for scan in (whole, holed)]
    assert known == [2, 1]


async def test_a_row_without_any_counter_is_an_unmetered_answer(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"))
    scan, _ = await seen(tmp_path, "goose", DATABASE, tables(request(1), request(2, **nothing)))
    assert scan.totals()["events"] == 2
    assert scan.sources()[0].unmetered == 1


async def test_broken_values_are_skipped_and_the_rest_counts(tmp_path: Path) -> None:
    rows = golden("goose", "tables.json")
    rows["messages"][0] |= {"content_json": "[{"}
    rows["messages"][1] |= {"content_json": b"\xff", "role": 7}
    rows["usage_ledger"][1] |= {"input_tokens": "many", "created_timestamp": "now", "model": b"\x00"}
    rows["usage_ledger"][2] |= {"output_tokens": 1 << 62, "session_id": 5}
    scan, _ = await seen(tmp_path, "goose", DATABASE, rows)
    assert scan.totals()["skipped"] == {"malformed": 2}
    assert scan.totals()["cache_read_tokens"] == 11000


def test_usage_derived_from_raw_is_what_reading_gives() -> None:
    facts = Facts(provider=None, model=None, identity="[]", usage=Usage())
    raw = {"input_tokens": 12700, "output_tokens": 240, "cache_read_tokens": 11000, "cache_write_tokens": 1500}
    usage = HARNESS.usage(json.dumps(raw).encode(), facts)
    assert usage is not None
    assert (usage.input_tokens, usage.context_tokens) == (200, 12700)
    total = HARNESS.usage(json.dumps({f"accumulated_{n}": v for n, v in raw.items()}).encode(), facts)
    assert total is not None
    assert (total.input_tokens, total.context_tokens) == (200, None)
    assert HARNESS.usage(b"[]", facts) is None


async def test_a_database_that_leads_in_circles_ends(tmp_path: Path) -> None:
    class Circle:
        def columns(self, table: str) -> frozenset[str]:
            return frozenset(("id",))

        def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            return [(7, 7)]

    with pytest.raises(Unfinished):
        list(Table(Circle(), "messages", ("id",)).pages())
