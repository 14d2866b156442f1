"""Keys of the whole page, and where the focus goes."""

import re

import pytest
from playwright.async_api import expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_keys_lead_to_every_page_and_the_focus_to_its_heading(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?harness=codex")
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_attached()
    for key, name in {"s": "Sessions", "h": "Hosts", "q": "Data quality", "o": "Overview"}.items():
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()
        await expect(page).to_have_title(f"{name} · trueup")
        assert page.url.endswith("?harness=codex")  # what is selected goes along


async def test_a_question_mark_lists_the_keys_and_escape_closes_the_list(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(page.get_by_role("button", name="Host filter")).to_be_visible()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog.get_by_role("row").filter(has_text="go to sessions")).to_be_visible()
    await page.keyboard.press("g")
    await page.keyboard.press("s")
    await expect(dialog).to_be_visible()  # keys below it do nothing
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert page.url == f"{filled_hub.url}/"


async def test_filters_days_and_tables_have_keys(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?from=2026-11-05&to=2026-11-08")
    await expect(page.get_by_role("img", name=re.compile("^Total tokens per"))).to_be_visible()
    await page.keyboard.press("[")
    await expect(page).to_have_url(re.compile("from=2026-11-01&to=2026-11-04"))
    await page.keyboard.press("]")
    await expect(page).to_have_url(re.compile("from=2026-11-05&to=2026-11-08"))
    await page.keyboard.press("t")
    table = page.get_by_role("button", name="Table").first
    await expect(table).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search host")
    await expect(field).to_be_focused()
    await page.keyboard.type("gst?[/")  # is what is searched for, and nothing else
    await expect(field).to_have_value("gst?[/")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert "from=2026-11-05" in page.url


async def test_keys_with_modifiers_are_the_browsers_and_single_ones_can_be_done_without(
    filled_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(filled_hub, "?range=7d")
    await expect(page.get_by_role("button", name="Host filter")).to_be_visible()
    for modified in ("Control+[", "Alt+[", "Meta+["):
        await page.keyboard.press(modified)
    assert page.url.endswith("?range=7d")
    await page.keyboard.press("?")
    await page.get_by_label("Use single keys").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("[")
    await page.reload()
    await expect(page.get_by_role("button", name="Host filter")).to_be_visible()
    await page.keyboard.press("[")
    assert page.url.endswith("?range=7d")
    await page.keyboard.press("?")
    await page.get_by_label("Use single keys").check()
    await page.keyboard.press("Escape")
    await page.keyboard.press("[")
    await expect(page).not_to_have_url(re.compile("range=7d"))


async def test_the_first_thing_in_the_order_leads_past_the_navigation(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "sessions")
    await expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_attached()
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_focused()
    assert page.url == f"{filled_hub.url}/sessions"
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('main') !== null")
