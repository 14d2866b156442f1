"""What is shown of all there is: which days, and of them what only. The address says it, and Back undoes it."""

import json
import re

import pytest
from playwright.async_api import Locator, Page, Route, expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOW = "2026-11-10T12:00:00Z"


def requests(page: Page) -> Locator:
    return page.locator("dl > div").filter(has=page.get_by_role("term").get_by_text("Requests", exact=True))


def filter_button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=re.compile(f"^{name} filter"))


async def test_several_values_are_chosen_by_the_keyboard_alone(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await filter_button(page, "Project").focus()
    await page.keyboard.press("Enter")
    field = page.get_by_role("combobox", name="Search project")
    await expect(field).to_be_focused()
    options = page.get_by_role("listbox", name="project").get_by_role("option")
    await expect(options).to_have_count(2)
    await page.keyboard.type("WEB")
    await expect(options).to_have_text([re.compile("website")])
    await page.keyboard.press("Enter")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await expect(requests(page)).to_contain_text("3")
    await field.fill("")
    await page.keyboard.press("End")
    active = await field.get_attribute("aria-activedescendant")
    await expect(page.locator(f"[id='{active}']")).to_contain_text("compiler")
    await page.keyboard.press("Enter")
    await expect(requests(page)).to_contain_text("6")
    assert re.search(r"project=website&project=compiler", page.url)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Project filter, 2 chosen")).to_be_focused()
    await expect(page.get_by_role("listbox")).to_have_count(0)


async def test_what_is_chosen_elsewhere_narrows_what_is_offered(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?harness=codex&model=gpt-5-codex")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "&by=model" in request.url else None)
    await expect(requests(page)).to_contain_text("3")
    await filter_button(page, "Model").click()
    options = page.get_by_role("listbox", name="model").get_by_role("option")
    # Starts of sessions have no model: unknown is a value
    await expect(options).to_have_text([re.compile("gpt-5-codex"), re.compile("unknown model")])
    assert [url.partition("?")[2] for url in asked] == ["harness=codex&by=model"], "only when the list is opened"
    await page.get_by_text("unknown model").click()
    await expect(page.get_by_role("list", name="Only").get_by_text("unknown model")).to_be_visible()
    assert page.url.endswith("&model=gpt-5-codex&model=")


async def test_hosts_go_by_their_names_and_arrows_lead_to_the_next_filter(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await filter_button(page, "Host").click()
    await page.get_by_role("option", name="laptop").click()
    await expect(page.get_by_role("button", name="Remove filter host laptop")).to_be_visible()
    await expect(requests(page)).to_contain_text("3")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("combobox", name="Search harness")).to_be_focused()
    await expect(page.get_by_role("listbox")).to_have_count(1)


async def test_back_takes_filters_off_again_and_clear_all_takes_all(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?project=website")
    await filter_button(page, "Harness").click()
    await page.get_by_role("option", name="codex").click()
    await expect(page.get_by_role("heading", name="Nothing in this range")).to_be_visible()
    await page.go_back()
    await expect(requests(page)).to_contain_text("3")
    await expect(page.get_by_role("button", name="Remove filter harness codex")).to_have_count(0)
    await page.get_by_role("button", name="Clear all").click()
    await expect(requests(page)).to_contain_text("6")
    assert "project" not in page.url


async def test_five_thousand_projects_are_searched_without_being_drawn(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)

    async def many(route: Route) -> None:
        found = await (await route.fetch()).json()
        found["rows"] = [{**found["rows"][0], "key": f"project {n}", "label": f"project {n}"} for n in range(5000)]
        await route.fulfill(body=json.dumps(found), content_type="application/json")

    await expect(requests(page)).to_contain_text("6")
    await page.route("**/analytics/breakdown*", many)
    await filter_button(page, "Project").click()
    options = page.get_by_role("listbox").get_by_role("option")
    await expect(options.first).to_have_attribute("aria-setsize", "5000")
    assert await options.count() < 30
    await page.keyboard.press("ArrowUp")  # around to the last
    await expect(options.get_by_text("project 4999", exact=True)).to_be_in_viewport()
    took = await page.evaluate("""async () => {
        const field = document.querySelector("[role=combobox]"), began = performance.now();
        field.value = "499";
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
        await new Promise(requestAnimationFrame);
        return performance.now() - began;
    }""")
    await expect(options.first).to_have_attribute("aria-setsize", "15")
    assert took < 200


async def test_presets_dates_and_steps_are_in_the_address(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.blank()
    await page.clock.set_fixed_time(NOW)
    await page.request.post(f"{filled_hub.url}/api/v1/login", data={"token": filled_hub.token})
    await page.goto(filled_hub.url)
    span = page.get_by_role("group", name="Date range")
    await expect(span.get_by_role("button", name="Period before")).to_be_disabled()  # of everything
    await span.get_by_role("button", name="All").click()
    await span.get_by_role("button", name="7 days").click()
    assert page.url.endswith("?range=7d")
    await expect(span.get_by_role("button", name="Period after")).to_be_disabled()
    await span.get_by_role("button", name="Period before").click()
    assert page.url.endswith("?from=2026-10-28&to=2026-11-03")
    await expect(requests(page)).to_contain_text("3")
    await span.get_by_role("button", name="Period after").click()
    assert page.url.endswith("?range=7d")
    await span.get_by_role("button", name="7 days").click()
    await page.get_by_label("From").fill("2026-11-08")
    assert page.url.endswith("?from=2026-11-08&to=2026-11-10")
    await expect(requests(page)).to_contain_text("1")
    await page.go_back()
    assert page.url.endswith("?range=7d")


async def test_only_what_has_a_period_before_it_can_be_compared(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    switch = page.get_by_role("checkbox", name="Compare with previous")
    await expect(switch).to_be_disabled()
    await expect(switch).to_have_accessible_description(re.compile("has no period before it"))
    await page.goto(f"{filled_hub.url}/?from=2026-11-05&to=2026-11-08")
    await switch.check()
    assert page.url.endswith("&compare=previous")
    await page.get_by_label("What counts").select_option("every copy")
    assert "counted=all" in page.url
    await page.reload()
    await expect(switch).to_be_checked()
    await expect(page.get_by_label("What counts")).to_have_value("all")


async def test_on_a_phone_filters_are_folded_and_say_how_many_there_are(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?harness=codex&project=compiler", width=390)
    fold = page.get_by_role("button", name="Filters (2)")
    await expect(fold).to_have_attribute("aria-expanded", "false")
    await expect(filter_button(page, "Model")).to_be_hidden()
    await fold.click()
    await filter_button(page, "Model").click()
    await expect(page.get_by_role("option").first).to_be_in_viewport(ratio=1)
    assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_a_link_to_what_the_hub_does_not_know_any_more_shows_the_rest_and_says_so(
    filled_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(filled_hub, "?project=long%20gone%25&project=website&model=%3Cb%3Enever%3C%2Fb%3E")
    await expect(page.get_by_text("This hub knows no project “long gone%”; left out.").first).to_be_attached()
    await expect(page.get_by_text("This hub knows no model “<b>never</b>”; left out.").first).to_be_attached()
    await expect(requests(page)).to_contain_text("3")
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert page.url.endswith("/?project=website")
    pages.complaints.clear()  # of answers that say what is unknown
