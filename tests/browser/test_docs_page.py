"""The page of the API, as it is read: by eye, by keyboard, by screen reader, without JavaScript."""

import pytest
from playwright.async_api import Browser, expect

from axe import violations
from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# Articles are made alike: axe takes a minute for all of them.
KEPT = ("get_analytics_heatmap", "post_batch", "type-Heatmap", "type-Batch")
LEAVE_FEW = f"""
document.querySelectorAll('article').forEach(one => {list(KEPT)}.includes(one.id) || one.remove());
document.querySelectorAll('article').length
"""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
async def test_the_page_of_the_api_is_within_reach_of_everybody(
    filled_hub: Hub, pages: Opener, scheme: str, width: int
) -> None:
    """Accessibility by axe with everything unfolded, no sideways scrolling, no complaint of the browser."""
    page = await pages.blank(width, scheme)
    await page.goto(f"{filled_hub.url}/api/docs")
    await page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await page.evaluate(LEAVE_FEW) == len(KEPT)
    assert await violations(page) == []


async def test_the_page_of_the_api_needs_no_javascript_and_no_other_site(filled_hub: Hub, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{filled_hub.url}/api/docs")
    assert asked
    assert all(url.startswith(f"{filled_hub.url}/") for url in asked)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the routes")).to_be_focused()
    await page.get_by_role("link", name="GET /analytics/heatmap").click()
    route = page.get_by_role("article", name="GET /api/v1/analytics/heatmap")
    await expect(route).to_be_in_viewport()
    await route.get_by_text("Its answer").first.click()
    await expect(route.get_by_role("region", name="Answer: output tokens, day by day")).to_contain_text('"entries"')
    await route.get_by_role("link", name="Heatmap", exact=True).click()
    await expect(page.get_by_role("article", name="Heatmap", exact=True)).to_be_in_viewport()
    await context.close()
