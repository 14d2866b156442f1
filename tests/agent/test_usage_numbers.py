"""`trueup usage`: sums, coverage and money of a real ledger, as interface.md has them."""

from pathlib import Path

import pytest

from trueup_shared.metrics import BIT, COUNTERS
from usage_ledger import CLAUDE, HOUR, NOON, event, full, keyed, report, session, write

CODEX = {"harness": "codex", "provider": "openai", "model": "gpt-5.1-codex", "project_path": "/home/ana/tools"}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two days of Claude, one request of Codex, one of a model that nobody named."""
    events = [
        full("a", lower_bounds=BIT["output_tokens"]),
        full("b", at=NOON + 24 * HOUR, session="s2", cache_write_1h_tokens=3000),
        event("c", session="s3", **CODEX, input_tokens=500, cache_read_tokens=0, output_tokens=50, reasoning_tokens=20),
        event("d", model=None, provider=None, project_path=None, output_tokens=7, derived=BIT["output_tokens"]),
    ]
    return write(tmp_path, events, [session("s1"), session("s2"), session("s3", "codex")])


def test_totals_add_what_was_reported(ledger: Path) -> None:
    document = report(ledger, "totals")
    assert document["totals"] == {
        "input_tokens": 2500,
        "cache_read_tokens": 40000,
        "cache_write_tokens": 6000,
        "cache_write_1h_tokens": 3000,
        "output_tokens": 857,
        "reasoning_tokens": 20,
        "input_undivided_tokens": None,
        "undivided_tokens": None,
        "total_tokens": 49357,
        "peak_context_tokens": 24000,
        "cost_microusd": document["totals"]["cost_microusd"],
        "reported_cost_microusd": None,
        "reported_credits": None,
    }
    assert (document["from"], document["to"], document["timezone"]) == ("2026-05-04", "2026-05-05", "UTC")
    assert (document["events"], document["rows"]) == (4, [])


def test_every_counter_has_its_coverage(ledger: Path) -> None:
    coverage = report(ledger, "totals")["coverage"]
    assert set(coverage) == {*COUNTERS, "total_tokens"}
    assert coverage["output_tokens"] == {"events": 4, "reported": 4, "lower_bound": 1, "derived": 1}
    assert coverage["reasoning_tokens"] == {"events": 4, "reported": 1, "lower_bound": 0, "derived": 0}
    assert coverage["undivided_tokens"] == {"events": 4, "reported": 0, "lower_bound": 0, "derived": 0}
    # Output alone is no total of a request, but it is in the sum.
    assert coverage["total_tokens"] == {"events": 4, "reported": 3, "lower_bound": 1, "derived": 1}


def test_a_reported_zero_is_zero_and_an_unreported_counter_null(ledger: Path) -> None:
    document = report(ledger, "totals", "--by", "harness", "--harness", "codex")
    totals = document["rows"][0]["totals"]
    assert (totals["cache_read_tokens"], totals["cache_write_tokens"]) == (0, None)


def test_each_dimension_groups_and_unknown_is_null(ledger: Path) -> None:
    expected = {
        "harness": {"claude": 48807, "codex": 550},
        "provider": {"anthropic": 48800, "openai": 550, None: 7},
        "model": {CLAUDE: 48800, "gpt-5.1-codex": 550, None: 7},
        "project": {"shop": 48800, "tools": 550, None: 7},
        "day": {"2026-05-04": 24957, "2026-05-05": 24400},
        "session": {"s1": 24407, "s2": 24400, "s3": 550},
    }
    for dimension, rows in expected.items():
        assert keyed(report(ledger, "totals", "--by", dimension), "total_tokens") == rows


def test_several_dimensions_make_an_array_in_the_order_asked_for(ledger: Path) -> None:
    document = report(ledger, "totals", "--by", "model,day", "--by", "harness")
    assert [row["key"] for row in document["rows"]] == [
        [CLAUDE, "2026-05-04", "claude"],
        ["gpt-5.1-codex", "2026-05-04", "codex"],
        [None, "2026-05-04", "claude"],
        [CLAUDE, "2026-05-05", "claude"],
    ]


def test_rows_add_up_to_the_totals(ledger: Path) -> None:
    for dimensions in ("harness", "day,model", "session,project"):
        document = report(ledger, "totals", "--by", dimensions)
        for name, total in document["totals"].items():
            parts = [row["totals"][name] for row in document["rows"]]
            if name.endswith("_tokens") and name != "peak_context_tokens" and total is not None:
                assert sum(part or 0 for part in parts) == total
        for name, coverage in document["coverage"].items():
            for kind, count in coverage.items():
                assert sum(row["coverage"][name][kind] for row in document["rows"]) == count


def test_daily_has_a_row_for_each_day_in_order(ledger: Path) -> None:
    assert list(keyed(report(ledger, "daily"), "output_tokens").items()) == [("2026-05-04", 457), ("2026-05-05", 400)]
    by_model = keyed(report(ledger, "daily", "--by", "harness"), "output_tokens")
    assert by_model[("2026-05-04", "codex")] == 50


def test_money_is_rounded_once_and_unpriced_tokens_are_counted(tmp_path: Path) -> None:
    """One token of Codex costs 1.25 micro-dollars: three cost 3.75, so 4 and not 3 times 1."""
    tiny = [event(str(n), at=NOON + n, **CODEX, input_tokens=1) for n in range(3)]
    nobody = event("x", **{**CODEX, "model": "no-such-model"}, input_tokens=70, output_tokens=7)
    document = report(write(tmp_path, [*tiny, nobody]), "totals", "--by", "model")
    assert document["totals"]["cost_microusd"] == 4
    assert document["unpriced_tokens"] == 77
    assert keyed(document, "cost_microusd") == {"gpt-5.1-codex": 4, "no-such-model": None}


def test_undivided_counters_are_in_the_total_and_never_priced(tmp_path: Path) -> None:
    events = [event("a", input_undivided_tokens=900, output_tokens=9), event("b", undivided_tokens=50)]
    document = report(write(tmp_path, events), "totals")
    assert (document["totals"]["total_tokens"], document["totals"]["cost_microusd"]) == (959, None)
    assert (document["unpriced_tokens"], document["coverage"]["total_tokens"]["reported"]) == (959, 2)


def test_a_reported_cost_stands_apart_from_ours(tmp_path: Path) -> None:
    def paid(name: str, amount: str, unit: str) -> object:
        return full(name, reported_cost=amount, reported_cost_unit=unit, reported_cost_status="reported")

    events = [paid("a", "1.02", "usd"), paid("b", "0.0000005", "usd"), paid("c", "2.5", "credits"), full("d")]
    totals = report(write(tmp_path, events), "totals")["totals"]
    assert (totals["reported_cost_microusd"], totals["reported_credits"]) == (1_020_001, 2.5)
    assert totals["cost_microusd"] > 0


def test_a_day_is_a_day_of_the_time_zone(tmp_path: Path) -> None:
    """23:30 UTC is the next day in Kathmandu (+05:45) and the same one in New York."""
    ledger = write(tmp_path, [full("a", at=NOON + 11 * HOUR + HOUR // 2)])
    days = {
        zone: report(ledger, "daily", "--timezone", zone)["from"] for zone in ("Asia/Kathmandu", "America/New_York")
    }
    assert days == {"Asia/Kathmandu": "2026-05-05", "America/New_York": "2026-05-04"}
    assert report(ledger, "daily", TZ="Asia/Kathmandu")["rows"][0]["key"] == "2026-05-05"


def test_since_and_until_are_days_of_the_time_zone_both_included(tmp_path: Path) -> None:
    events = [full(str(n), at=NOON + n * HOUR // 2) for n in range(-48, 48)]
    ledger = write(tmp_path, events)
    for zone in ("UTC", "Asia/Kathmandu", "America/St_Johns"):
        whole = keyed(report(ledger, "daily", "--timezone", zone), "output_tokens")
        document = report(ledger, "daily", "--timezone", zone, "--since", "2026-05-04", "--until", "2026-05-05")
        assert keyed(document, "output_tokens") == {d: n for d, n in whole.items() if "2026-05-04" <= d <= "2026-05-05"}
        assert (document["from"], document["to"]) == ("2026-05-04", "2026-05-05")


def test_filters_select_by_name_path_and_list(ledger: Path) -> None:
    def total(*arguments: str) -> int | None:
        amount: int | None = report(ledger, "totals", *arguments)["totals"]["total_tokens"]
        return amount

    assert total("--project", "shop") == total("--project", "/home/ana/shop") == 48800
    assert total("--model", f"{CLAUDE},gpt-5.1-codex") == total("--model", CLAUDE, "--model", "gpt-5.1-codex") == 49350
    assert total("--harness", "claude") == 48807
    assert total("--model", "gpt-0") is None


def test_a_worktree_belongs_to_its_project(tmp_path: Path) -> None:
    ledger = write(tmp_path, [full("a"), full("b", project_path="/home/ana/shop/.claude/worktrees/fix")])
    assert keyed(report(ledger, "totals", "--by", "project"), "output_tokens") == {"shop": 800}
    assert report(ledger, "totals", "--project", "shop")["totals"]["output_tokens"] == 800
