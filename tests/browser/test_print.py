"""On paper: what was asked and what came of it, in light colours, without what only a screen can do."""

import pytest
from playwright.async_api import expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAPER = 957  # pixels of CSS on an A4 page with its margins, as the browser lays it out


async def test_a_printed_page_says_what_was_selected_and_how_sure_it_is(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?project=website&counted=all", scheme="dark", width=PAPER)
    chart = page.get_by_role("img", name="Total tokens per day")
    await expect(chart).to_be_visible()
    dark = await chart.screenshot()
    printed = page.get_by_text("every copy counted · only project: website")
    await expect(printed).to_be_hidden()
    await page.emulate_media(media="print", color_scheme="dark")
    await expect(printed).to_be_visible()
    await expect(page.get_by_text("All 2 hosts converged")).to_be_visible()
    for control in ("Sign out", "Table", "PNG", "Host filter", "Clear all"):
        await expect(page.get_by_role("button", name=control)).to_have_count(0)
    await expect(page.get_by_role("navigation")).to_have_count(0)
    await expect(page.locator("button[data-exact]").first).to_be_visible()  # numbers stay
    assert (
        await page.evaluate("getComputedStyle(document.querySelector('section.panel')).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    assert await chart.screenshot() != dark  # painted anew
    assert await page.evaluate("document.documentElement.scrollWidth") <= PAPER
    await page.emulate_media(media="screen", color_scheme="dark")
    await expect(printed).to_be_hidden()
    assert await page.evaluate("document.documentElement.dataset.theme ?? 'system'") == "system"


async def test_no_table_is_cut_off_on_paper(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, width=PAPER)
    await page.get_by_role("button", name="Table").first.click()
    await page.emulate_media(media="print")
    cut = "all => all.filter(one => one.scrollHeight > one.clientHeight + 1).map(one => one.className)"
    await expect(page.get_by_role("table").first).to_be_visible()
    assert await page.locator(".scrolls").evaluate_all(cut) == []
