"""Rows of the database, and what they make of the totals in the logs (formats/copilot.md, Choosing the source)."""

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from copilot_files import COLUMNS, MODEL, SESSION, START, Log, row, store
from scanned import Scanned, scanned
from trueup_agent.harnesses.base import Unfinished
from trueup_agent.harnesses.marked import MarkedRows, Row
from trueup_agent.records import Parsed


async def seen_of(tmp_path: Path) -> Scanned:
    return await scanned(tmp_path, "copilot", tmp_path / "home")


def inputs(seen: Scanned) -> list[tuple[int, int | None]]:
    return [(event.rank, event.input_tokens) for event in seen.events()]


async def test_a_row_is_a_request_with_its_caches_taken_out_of_the_prompt(tmp_path: Path) -> None:
    store(tmp_path / "home", [row(9.5, 15000, 120, 12000, 2000, reasoning_tokens=30, total_nano_aiu=5_000_000)])
    seen = await seen_of(tmp_path)
    (event,) = seen.events()
    told = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens)
    assert (told, event.reasoning_tokens, event.context_tokens) == ((1000, 12000, 2000, 120), 30, 15000)
    assert (event.lower_bounds, event.derived, event.model) == (0, 0, MODEL)
    assert (event.reported_cost, event.reported_cost_unit) == ("0.005", "aiu")
    assert event.reported_cost_status == "reported"


async def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    zoned = row(70, 1, 1) | {"created_at": "2026-07-01T10:01:20+02:00"}
    store(tmp_path / "home", [row(60, 1, 1), zoned])
    assert [e.at for e in (await seen_of(tmp_path)).events()] == [START + 60_000_000, START + 80_000_000]


async def test_rows_count_instead_of_totals_and_answers(tmp_path: Path) -> None:
    Log().start().answer(9, output=100).answer(19, output=50).shutdown(60, 3000, 150, 1000).write(tmp_path / "home")
    store(tmp_path / "home", [row(9, 1000, 100, 0), row(19, 2000, 50, 1000)])
    seen = await seen_of(tmp_path)
    assert inputs(seen) == [(0, 1000), (0, 1000)]
    assert seen.totals()["output_tokens"] == 150
    assert len(seen.set_aside()) == 3


async def test_a_database_adopted_within_a_run_leaves_a_remainder_of_its_total(tmp_path: Path) -> None:
    Log().start().answer(9, output=100).answer(19, output=50).shutdown(60, 3000, 150, 1000).write(tmp_path / "home")
    store(tmp_path / "home", [row(19, 2000, 50, 1000)])
    seen = await seen_of(tmp_path)
    assert inputs(seen) == [(0, 1000), (1, 1000)]
    remainder = seen.events()[1]
    assert (remainder.output_tokens, remainder.cache_read_tokens, remainder.derived > 0) == (100, 0, True)
    assert remainder.at == START + 60_000_000


async def test_rows_of_one_run_do_not_cover_another(tmp_path: Path) -> None:
    log = Log().start().answer(9).shutdown(60, 1000, 100).resume(100).answer(110).shutdown(160, 2500, 200)
    log.write(tmp_path / "home")
    store(tmp_path / "home", [row(110, 1500, 100)])
    assert inputs(await seen_of(tmp_path)) == [(1, 1000), (0, 1500)]


async def test_a_total_after_a_compaction_is_covered_by_the_rows_after_it_alone(tmp_path: Path) -> None:
    log = Log().start().answer(9).add(30, "session.compaction_complete", {"success": True}).answer(40)
    log.shutdown(60, 800, 70).write(tmp_path / "home")
    rows = [row(9, 5000, 100), row(29, 9000, 500, initiator="compaction"), row(40, 800, 70)]
    store(tmp_path / "home", rows)
    seen = await seen_of(tmp_path)
    assert inputs(seen) == [(0, 5000), (0, 9000), (0, 800)]


async def test_the_order_of_log_and_database_does_not_matter(tmp_path: Path) -> None:
    store(tmp_path / "home", [row(19, 2000, 50, 1000)])
    seen = await seen_of(tmp_path)
    Log().start().answer(9, output=100).shutdown(60, 3000, 150, 1000).write(tmp_path / "home")
    await seen.scan()
    assert inputs(seen) == [(0, 1000), (1, 1000)]
    store(tmp_path / "home", [row(9, 1000, 100)])
    await seen.scan()
    assert sorted(inputs(seen)) == [(0, 1000), (0, 1000)]


async def test_columns_that_a_build_does_not_have_are_unknown(tmp_path: Path) -> None:
    few = ("id", "session_id", "model", "input_tokens", "output_tokens", "cache_read_tokens", "created_at")
    store(tmp_path / "home", [row(9, 1000, 100, 800)], few)
    (event,) = (await seen_of(tmp_path)).events()
    told = (event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.reasoning_tokens)
    assert (told, event.reported_cost) == ((200, 800, None, None), None)


@pytest.mark.parametrize("missing", ["cache_read_tokens", "created_at", "model"])
async def test_null_in_a_column_is_unknown(tmp_path: Path, missing: str) -> None:
    with_session = store(tmp_path / "home", [row(9, 1000, 100, 800) | {missing: None}])
    with sqlite3.connect(with_session) as db:
        db.execute("INSERT INTO sessions VALUES (?, '/home/ana/shop', 'main', '2026-07-01 08:00:00')", (SESSION,))
    db.close()
    seen = await seen_of(tmp_path)
    (event,) = seen.events()
    if missing == "cache_read_tokens":
        assert (event.input_tokens, event.input_undivided_tokens, event.cache_read_tokens) == (None, 1000, None)
    elif missing == "created_at":
        assert (event.at, event.time_quality) == (START, 2)
    else:
        assert (event.model, event.input_tokens) == (None, 200)
    (session,) = seen.sessions()
    assert (session.project_path, session.git_branch, event.project_path) == (
        "/home/ana/shop",
        "main",
        "/home/ana/shop",
    )


async def test_a_row_without_any_time_is_dated_by_its_file(tmp_path: Path) -> None:
    store(tmp_path / "home", [row(9, 1000, 100) | {"created_at": "yesterday"}])
    assert [event.time_quality for event in (await seen_of(tmp_path)).events()] == [3]


async def test_a_database_that_was_made_anew_adds_its_rows_though_their_ids_are_used(tmp_path: Path) -> None:
    path = store(tmp_path / "home", [row(9, 1000, 100), row(19, 2000, 200)])
    seen = await seen_of(tmp_path)
    path.unlink()
    store(tmp_path / "home", [row(109, 30, 3), row(119, 40, 4), row(129, 50, 5)])
    await seen.scan()
    assert sorted(event.input_tokens or 0 for event in seen.events()) == [30, 40, 50, 1000, 2000]


async def test_rows_replaced_in_place_are_noticed_at_the_watermark(tmp_path: Path) -> None:
    path = store(tmp_path / "home", [row(9, 1000, 100), row(19, 2000, 200)])
    seen = await seen_of(tmp_path)
    with sqlite3.connect(path) as db:  # as a restore into the same file does
        db.execute("DELETE FROM assistant_usage_events")
        db.execute("DELETE FROM sqlite_sequence")
    db.close()
    store(tmp_path / "home", [row(109, 30, 3), row(119, 40, 4)])
    await seen.scan()
    assert sorted(event.input_tokens or 0 for event in seen.events()) == [30, 40, 1000, 2000]


async def test_new_rows_alone_are_read_the_next_time(tmp_path: Path) -> None:
    store(tmp_path / "home", [row(9, 1000, 100)])
    seen = await seen_of(tmp_path)
    store(tmp_path / "home", [row(19, 2000, 200)])
    await seen.scan()
    assert (seen.totals()["events"], seen.result.harnesses["copilot"].events) == (2, 2)
    assert [source.lines for source in seen.sources()] == [2]


async def test_rows_that_were_pruned_stay_and_are_marked(tmp_path: Path) -> None:
    path = store(tmp_path / "home", [row(9, 1000, 100), row(19, 2000, 200)])
    seen = await seen_of(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM assistant_usage_events WHERE id = 1")
    db.close()
    await seen.scan(full=True)
    assert [(event.input_tokens, event.gone) for event in seen.events()] == [(1000, 1), (2000, 0)]


async def test_a_locked_database_is_tried_again(tmp_path: Path) -> None:
    path = store(tmp_path / "home", [row(9, 1000, 100)])
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("PRAGMA journal_mode = WAL")
    locked.execute("INSERT INTO sessions VALUES ('x', NULL, NULL, NULL)")
    locked.execute("PRAGMA locking_mode = EXCLUSIVE")
    locked.execute("BEGIN EXCLUSIVE")
    seen = await seen_of(tmp_path)
    assert (seen.totals()["events"], [source.error is None for source in seen.sources()]) == (0, [False])
    locked.execute("COMMIT")
    locked.close()
    await seen.scan()
    assert (seen.totals()["events"], [source.error for source in seen.sources()]) == (1, [None])


async def test_rows_that_are_still_in_the_write_ahead_log_are_seen(tmp_path: Path) -> None:
    path = store(tmp_path / "home", [])
    live = sqlite3.connect(path, isolation_level=None)
    live.execute("PRAGMA journal_mode = WAL")
    store(tmp_path / "home", [row(9, 1000, 100)])
    seen = await seen_of(tmp_path)
    assert seen.totals()["input_tokens"] == 1000
    live.close()


@pytest.mark.parametrize(
    ("column", "value", "skipped"),
    [
        ("input_tokens", -5, {"malformed": 1}),
        ("output_tokens", "many", {"malformed": 1}),
        ("cache_read_tokens", 5000, {"contradictory_usage": 1}),
        ("session_id", None, {"usage_without_identity": 1}),
    ],
)
async def test_what_cannot_be_taken_of_a_row_is_counted(
    tmp_path: Path, column: str, value: Any, skipped: dict[str, int]
) -> None:
    store(tmp_path / "home", [row(9, 1000, 100, 800) | {column: value}, row(19, 50, 5)])
    totals = (await seen_of(tmp_path)).totals()
    assert totals["skipped"] == skipped
    assert totals["events"] == (1 if column == "session_id" else 2)


async def test_money_of_rows_and_totals_is_told_once(tmp_path: Path) -> None:
    Log().start().answer(9).shutdown(60, 3000, 150, totalNanoAiu=900).write(tmp_path / "home")
    store(tmp_path / "home", [row(19, 2000, 50, total_nano_aiu=500)])
    assert (await seen_of(tmp_path)).totals()["cost"] == {"aiu": Decimal("9E-7")}


def test_rows_out_of_order_in_a_damaged_database_do_not_lead_round_and_round() -> None:
    class Damaged(MarkedRows):
        def ready(self) -> bool:
            return True

        def page(self, where: str, id_: int, limit: int) -> list[Row]:
            return [{"rowid": 2}, {"rowid": 1}]

        def digest(self, row: Row) -> str:
            return ""

        def rows(self, rows: Sequence[Row], parsed: Parsed) -> None:
            pass

    with pytest.raises(Unfinished):
        list(Damaged(None).read(everything=True))


async def test_a_database_of_another_shape_is_no_error(tmp_path: Path) -> None:
    path = store(tmp_path / "home", [], [name for name in COLUMNS if name != "session_id"])
    seen = await seen_of(tmp_path)
    assert (seen.totals()["events"], [source.error for source in seen.sources()]) == (0, [None])
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    await seen.scan()
    assert [source.error is not None for source in seen.sources()] == [True]
