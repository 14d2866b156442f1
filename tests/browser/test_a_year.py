"""A year of fifty machines, 200 models and 10,000 sessions: the page asks for no more than the hub can answer."""

import pytest
from playwright.async_api import expect

from hub_process import Hub
from opened_pages import Opener
from usage_year import MODELS, SESSIONS

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_year_of_everything_is_shown_and_nothing_of_it_is_refused(big_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(big_hub)
    refused: list[str] = []
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    # All of it in weeks, a year in days: more points than one answer holds, were each model a series
    for address in ("", "?range=12m&granularity=day", "quality?covered_by=model"):
        await page.goto(f"{big_hub.url}/{address}")
        await expect(page.get_by_text("others").first).to_be_visible(timeout=20_000)
        await expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=20_000)
        await expect(page.get_by_role("alert")).to_have_count(0)
    assert refused == []
    summary = await big_hub.get("analytics/summary")
    assert (len(summary["models"]), summary["total_sessions"]) == (MODELS, SESSIONS)
