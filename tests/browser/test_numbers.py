"""End to end, on real transcripts of two machines: the numbers on the page are the API's, the API's the ledgers'."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from hub_process import Hub
from opened_pages import Opener
from shown import dollars, exact, may_be_more, tile, tokens
from usage_corpora import Corpora
from usage_ledger import report

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TILES = {
    "Total tokens": "total_tokens",
    "Input": "input_tokens",
    "Cache read": "cache_read_tokens",
    "Cache write": "cache_write_tokens",
    "Output": "output_tokens",
    "Reasoning": "reasoning_tokens",
}
NOT_ADDED_UP = {"peak_context_tokens", "cost_microusd", "reported_cost_microusd", "reported_credits"}
Document = dict[str, Any]


def assert_same(hub: Document, ledger: Document, what: object) -> None:
    names = ledger["totals"].keys() - {"peak_context_tokens"}
    assert {name: hub["totals"][name] for name in names} == {name: ledger["totals"][name] for name in names}, what
    assert {name: hub["coverage"][name] for name in ledger["coverage"]} == ledger["coverage"], what


async def test_what_the_api_says_of_each_machine_is_what_its_ledger_says(corpora: Corpora) -> None:
    summed: dict[str, int] = {}
    active = 0
    for label, ledger in corpora.ledgers.items():
        told = report(ledger, "totals")
        summary = await corpora.hub.get("analytics/summary", host=label)
        assert_same(summary, told, label)
        active += len(report(ledger, "sessions")["rows"])
        for name in told["totals"].keys() - NOT_ADDED_UP:
            summed[name] = summed.get(name, 0) + (told["totals"][name] or 0)
        for by in ("harness", "model"):
            rows = {row["key"]: row for row in report(ledger, "totals", "--by", by)["rows"]}
            parts = (await corpora.hub.get("analytics/breakdown", by=by, host=label))["rows"]
            used = {part["key"]: part for part in parts if part["events"]}
            assert used.keys() == rows.keys()
            for key, row in rows.items():
                assert_same(used[key], row, (label, by, key))
    whole = await corpora.hub.get("analytics/summary")
    assert {name: whole["totals"][name] or 0 for name in summed} == summed
    assert whole["active_sessions"] == active > 20


async def shows(page: Page, summary: Document) -> None:
    """Every tile, with the sign of a lower bound where one is in the sum."""
    await expect(tile(page, "Requests")).to_contain_text(f"{summary['events']:,}")
    shown = {label: await exact(tile(page, label)) for label in TILES}
    coverage = summary["coverage"]
    assert shown == {
        label: tokens(summary["totals"][name], may_be_more(coverage[name])) for label, name in TILES.items()
    }
    counts = {label: await exact(tile(page, label)) for label in ("Sessions", "Messages", "Requests")}
    assert counts == {
        "Sessions": tokens(summary["total_sessions"]),
        "Messages": tokens(summary["total_messages"]),
        "Requests": tokens(summary["events"]),
    }
    cost = dollars(summary["totals"]["cost_microusd"], coverage["cost_microusd"]["lower_bound"] > 0)
    assert (await exact(tile(page, "Cost at list price"))).removeprefix("≥ ") == cost.removeprefix("≥ ")


async def test_what_the_page_says_of_everything_each_harness_and_each_model_is_what_the_api_says(
    corpus_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(corpus_hub)
    await shows(page, await corpus_hub.get("analytics/summary"))
    for by in ("harness", "model"):
        parts = (await corpus_hub.get("analytics/breakdown", by=by))["rows"]
        assert len(parts) > 3
        for part in [part for part in parts if part["events"]][:2]:
            await page.goto(f"{corpus_hub.url}/?{by}={part['key']}")
            await shows(page, await corpus_hub.get("analytics/summary", **{by: part["key"]}))


async def test_what_the_page_of_a_session_says_is_what_its_ledger_says(corpora: Corpora, pages: Opener) -> None:
    page = await pages.blank()
    await page.request.post(f"{corpora.hub.url}/api/v1/login", data={"token": corpora.hub.token})
    for label, ledger in corpora.ledgers.items():
        listed = await corpora.hub.get("sessions", host=label, sort="total_tokens", limit="1")
        [greatest] = listed["sessions"]
        whole = await corpora.hub.get(f"sessions/{greatest['id']}")
        assert_same(whole, report(ledger, "session", whole["session_id"]), label)
        await page.goto(f"{corpora.hub.url}/sessions/{whole['id']}")
        await expect(page.get_by_text(f"{whole['events']:,} requests").first).to_be_visible()
        coverage = whole["coverage"]
        tiles = {"Total" if name == "Total tokens" else name: counter for name, counter in TILES.items()}
        assert {name: await exact(tile(page, name)) for name in tiles} == {
            name: tokens(whole["totals"][counter], coverage[counter]["lower_bound"] > 0)
            for name, counter in tiles.items()
        }
