"""What stands beside the numbers is of the same rows: copies set aside, conflicts, old data, tokens without a price."""

import statistics

from hypothesis import given, settings
from hypothesis import strategies as st

import population_fleet as fleet
from population import Facts, Record, Rows, chosen, usage_of
from population_fleet import asked
from trueup_hub.analytics.breakdown import breakdown
from trueup_hub.analytics.heatmap import heatmap
from trueup_hub.analytics.sessions import list_sessions
from trueup_hub.analytics.summary import summary
from trueup_hub.analytics.top_sessions import top_sessions
from trueup_hub.db import Database
from trueup_hub.params import Common
from trueup_hub.trust import trust_report
from trueup_shared.metrics import BIT, COUNTERS, MAX_COUNTER, METRICS, Metric
from trueup_shared.wire import OLD_DATA
from usage_data import event, machine

read_only = settings(max_examples=fleet.EXAMPLES, deadline=None, suppress_health_check=fleet.SHARED)
NOON = "2026-11-04T12:00Z"
COUNTED = ("set_aside_duplicates", "old_data", "conflicting_copies", "unpriced_tokens", "hosts", "rejected")


@read_only
@given(fleet.queries)
async def test_the_trust_block_is_filtered_like_the_numbers_beside_it(facts: Facts, query: dict[str, str]) -> None:
    common = asked(query)
    whole = await summary(facts.db, common)
    copies = chosen(facts.rows, asked(query | {"counted": "all"}), whole.first, whole.last).events
    once, aside = ([row for row in copies if row["once"] is counts] for counts in (True, False))
    trust = whole.trust
    assert trust.set_aside_duplicates == len(aside)
    assert trust.old_data == sum(is_old(row) for row in once)
    assert trust.conflicting_copies == len(conflicts(facts.rows, aside))
    counted = once if common.counted == "once" else copies
    assert trust.unpriced_tokens == whole.unpriced_tokens == usage_of(counted)["unpriced_tokens"]
    report = await trust_report(facts.db, common)
    assert {host.label for host in report.hosts} == hosts_of(common)
    assert trust.hosts.total + trust.hosts.retired == len(report.hosts)
    assert trust.rejected == 5 * sum(2 if label == "bob" else 1 for label in hosts_of(common))
    assert [getattr(report.trust, name) for name in COUNTED] == [getattr(trust, name) for name in COUNTED]


def hosts_of(common: Common) -> set[str]:
    return {
        label
        for label, labels in fleet.HOSTS.items()
        if label != "forgotten"
        and label in common.filters.get("host", [label])
        and all(labels.get(name, "") in values for name, values in common.labels.items())
    }


def is_old(row: Record) -> bool:
    return bool((row["flags"] or 0) & OLD_DATA)


def conflicts(rows: Rows, aside: list[Record]) -> set[bytes]:
    """Requests of which a copy is exact, as is the one that counts, at the same data version, with other numbers."""
    winners = {row["event_key"]: row for row in rows.events if row["once"] and row["owner_key"] is None}
    return {
        row["event_key"]
        for row in aside
        if row["owner_key"] is None
        and (winner := winners.get(row["event_key"])) is not None
        and is_exact(row)
        and is_exact(winner)
        and version_of(row) == version_of(winner)
        and any(row[name] != winner[name] for name in COUNTERS)
    }


def is_exact(row: Record) -> bool:
    bits = (row["lower_bounds"] or 0) | (row["derived"] or 0)
    return row["output_tokens"] is not None and not bits & BIT["output_tokens"]


def version_of(row: Record) -> int:
    """In the fleet every parser that has a version has re-derived everything at 1, but for what is flagged."""
    version: int = row["data_version"]
    return version if is_old(row) or row["harness"] == "gemini" else max(version, 1)


@read_only
@given(fleet.queries)
async def test_averages_and_medians_are_those_of_the_rows(facts: Facts, query: dict[str, str]) -> None:
    common = asked(query)
    whole = await summary(facts.db, common)
    rows = chosen(facts.rows, common, whole.first, whole.last)
    used = [usage_of(held.events) for held in rows.split(lambda row: row["session_key"]).values() if held.events]
    for name in ("output_tokens", "total_tokens"):
        values = [one[name] for one in used if one[name] is not None]
        mean, median = (statistics.mean(values), statistics.median(values)) if values else (None, None)
        assert close(getattr(whole.averages, name), mean), name
        assert close(getattr(whole.medians, name), median), name
    assert whole.token_reporting_sessions == sum(one["output_tokens"] is not None for one in used)
    counts = [row["messages"] for row in rows.starts if row["once"]]
    assert close(whole.avg_messages, statistics.mean(counts) if counts else None)
    assert close(whole.median_messages, statistics.median(counts) if counts else None)
    for by in ("harness", "model", "project", "host"):
        parts = (await breakdown(facts.db, common, by)).rows
        leader = getattr(whole.most_active, by)
        greatest = max((one.totals.total_tokens or 0 for one in parts), default=0)
        assert (leader and leader.total_tokens) == (greatest or None)
        if leader:
            assert (leader.key, leader.total_tokens, leader.coverage) in {
                (one.key, one.totals.total_tokens, one.coverage["total_tokens"]) for one in parts
            }


def close(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return abs(found - expected) <= 1e-9 * max(1.0, abs(expected))


@read_only
@given(fleet.queries, st.sampled_from(METRICS))
async def test_the_level_of_a_day_is_the_quarter_in_which_it_lies(
    facts: Facts, query: dict[str, str], metric: Metric
) -> None:
    calendar = await heatmap(facts.db, asked(query), metric.name)
    positive = [entry.value for entry in calendar.entries if entry.value is not None and entry.value > 0]
    for entry in calendar.entries:
        at_most = sum(value <= entry.value for value in positive) if entry.value is not None else 0
        assert entry.level == (-(-4 * at_most // len(positive)) if entry.value and entry.value > 0 else 0)
    levels = [getattr(calendar.levels, f"l{level}") for level in (1, 2, 3, 4)]
    if not positive:
        assert levels == [None] * 4
        return
    assert levels == sorted(levels)
    assert max(entry.level for entry in calendar.entries) == 4
    for entry in calendar.entries:
        assert entry.level == sum(entry.value >= bound for bound in levels) if entry.level else True
    if len(set(positive)) <= 4 and len(positive) == len(set(positive)):  # one to four days differ as far as they can
        assert sorted(entry.level for entry in calendar.entries if entry.level) == sorted(
            -(-4 * place // len(positive)) for place in range(1, len(positive) + 1)
        )


async def test_sums_end_where_64_bits_do_and_all_panels_end_there(db: Database) -> None:
    """No agent that counts comes near; what one claims must not make an answer fail for everybody."""
    hosts = [await machine(db, label) for label in ("ana", "bob")]
    for n, sender in enumerate(hosts):
        rows = [
            event(f"{n} {m}", "s", f"2026-11-{3 + n:02}T10:{m % 60:02}Z", model="m", output_tokens=MAX_COUNTER)
            for m in range(600)
        ]
        rows += [event(f"{n} t", "t", "2026-11-04T10:00Z", model="m", output_tokens=5), event(f"{n} u", "u", NOON)]
        assert (await sender.send(*rows)).rejected == []
    common = asked({"timezone": "UTC"})
    greatest = 2**63 - 1
    whole = await summary(db, common)
    assert whole.totals.output_tokens == whole.totals.total_tokens == greatest
    assert whole.unpriced_tokens == whole.trust.unpriced_tokens == greatest
    part = (await breakdown(db, common, "model")).rows[0]
    assert part.totals.output_tokens == greatest
    hosts_shown = (await breakdown(db, common, "host")).rows
    assert [one.totals.output_tokens for one in hosts_shown] == [600 * MAX_COUNTER + 5] * 2
    for order, expected in (("desc", [greatest, 10, None]), ("asc", [10, greatest, None])):
        listed, cursor = [], None
        for _ in expected:
            page = await list_sessions(db, common, "output_tokens", order, 1, cursor)
            listed, cursor = [*listed, page.sessions[0].totals.output_tokens], page.next_cursor
        assert (listed, cursor) == (expected, None)
    assert [one.value for one in (await top_sessions(db, common, "output_tokens", 9)).sessions] == [greatest, 10]
    every = await summary(db, asked({"timezone": "UTC", "counted": "all"}))
    assert every.totals == whole.totals
