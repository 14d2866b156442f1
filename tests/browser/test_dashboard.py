"""The page against a real hub with a week of usage: what it shows is what the API says."""

import re

import pytest
from playwright.async_api import Page, expect

from axe import violations
from hub_process import Hub
from opened_pages import Opener
from shown import may_be_more, tile, tokens
from usage_week import EMPTY_DAY, FIRST, LAST, UNREPORTED_DAY, ZERO_DAY

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TILES = {
    "Total tokens": "total_tokens",
    "Input": "input_tokens",
    "Cache read": "cache_read_tokens",
    "Cache write": "cache_write_tokens",
    "Output": "output_tokens",
}


async def exact(page: Page, label: str) -> int:
    """The exact number of a tile, shortened on the page or not."""
    value = tile(page, label).get_by_role("definition").first
    button = value.get_by_role("button")
    text = await button.get_attribute("data-exact") if await button.count() else await value.inner_text()
    return int(text.removeprefix("≥").strip().replace(",", ""))


async def day(page: Page, date: str):
    return page.locator(f'[role=gridcell][data-id="{date}"]')


async def test_totals_are_those_of_the_api(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(tile(page, "Total tokens")).to_contain_text("1.10M")
    summary = await filled_hub.get("analytics/summary")
    assert {label: await exact(page, label) for label in TILES} == {
        label: summary["totals"][counter] for label, counter in TILES.items()
    }
    assert await exact(page, "Messages") == summary["total_messages"] == 12
    assert await exact(page, "Sessions") == summary["total_sessions"] == 3
    assert await exact(page, "Requests") == 6


async def test_what_nobody_reported_is_a_dash_and_a_reported_zero_is_zero(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(tile(page, "Reasoning")).to_contain_text("—")
    await expect(tile(page, "Reasoning")).to_contain_text("not reported")
    assert await exact(page, "Cache write") == 0


async def test_coverage_is_told_in_words_and_a_lower_bound_by_its_sign(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(tile(page, "Output")).to_contain_text("≥")
    await expect(tile(page, "Output")).to_contain_text("83 % of requests reported · 1 lower bound")
    await expect(tile(page, "Input")).to_contain_text("≥")  # one request did not say
    await expect(tile(page, "Input")).to_contain_text("83 % of requests reported")
    await page.goto(f"{filled_hub.url}/?harness=claude")
    await expect(tile(page, "Input")).to_contain_text("reported by every request")
    await expect(tile(page, "Input")).not_to_contain_text("≥")
    await expect(tile(page, "Output")).to_contain_text("≥")


async def test_the_calendar_offers_the_metrics_that_the_hub_names_and_no_other(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    named = (await filled_hub.get("capabilities"))["metrics"]
    for label, endpoint in {"Metric of the calendar": "heatmap", "Metric of top sessions": "top-sessions"}.items():
        options = page.get_by_label(label).locator("option")
        await expect(options).not_to_have_count(0)
        assert await options.evaluate_all("all => all.map(one => one.value)") == named[endpoint]


async def test_a_metric_that_the_hub_does_not_have_falls_back_and_says_so(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?heatmap=happiness&range=century")
    await expect(page.get_by_role("status").filter(has_text="happiness")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="century")).to_be_visible()
    await expect(page.get_by_label("Metric of the calendar")).to_have_value("total_tokens")


async def test_nothing_that_the_hub_does_not_have_is_ever_asked_for(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/v1/")[2]))
    await page.goto(f"{filled_hub.url}/?heatmap=happiness&by=mood&host=nobody&label=floor:9&chart=joy&project=website")
    for word in ("happiness", "mood", "nobody", "floor:9", "joy"):
        await expect(page.get_by_role("status").filter(has_text=word)).to_be_visible()
    await expect(tile(page, "Total tokens")).to_be_visible()
    analytics = [url for url in asked if url.startswith("analytics/")]
    assert asked.index("capabilities") < asked.index(analytics[0])
    assert all("project=website" in url for url in analytics)
    assert not [
        url for url in analytics if any(word in url for word in ("happiness", "mood", "nobody", "floor", "joy"))
    ]


async def test_a_metric_that_nobody_reports_cannot_be_chosen_and_says_why(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    option = page.get_by_label("Metric of the calendar").locator("option[value=reasoning_tokens]")
    await expect(option).to_be_disabled()
    await expect(option).to_have_attribute("title", "reasoning_tokens is not reported by claude, codex")
    await expect(page.get_by_label("Metric of the calendar").locator("option[value=output_tokens]")).to_be_enabled()


async def test_switching_the_metric_shows_it_and_stays_in_the_address(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await page.get_by_label("Metric of the calendar").select_option("messages")
    await expect(await day(page, FIRST)).to_have_attribute("aria-label", "Mon, Nov 2, 2026: 12 messages")
    assert "heatmap=messages" in page.url
    await page.reload()
    await expect(page.get_by_label("Metric of the calendar")).to_have_value("messages")


async def test_days_without_requests_unreported_ones_and_zeros_differ(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    looks = {FIRST: "value", EMPTY_DAY: "empty", UNREPORTED_DAY: "unreported", ZERO_DAY: "zero"}
    for date, look in looks.items():
        await expect(await day(page, date)).to_have_attribute("data-look", look)
    drawn = {date: await (await day(page, date)).evaluate("cell => getComputedStyle(cell).fill") for date in looks}
    assert len(set(drawn.values())) == 4


async def test_arrow_keys_walk_through_the_calendar(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await (await day(page, LAST)).focus()
    for key, date in [
        ("ArrowUp", "2026-11-07"),
        ("Home", FIRST),
        ("ArrowDown", "2026-11-03"),
        ("ArrowLeft", "2026-11-03"),
        ("End", LAST),
    ]:
        await page.keyboard.press(key)
        await expect(await day(page, date)).to_be_focused()
    assert await page.locator('[role=gridcell][data-id^="2026"][tabindex="0"]').count() == 1
    await expect(page.get_by_text("Sun, Nov 8, 2026: 328,200 total tokens")).to_be_visible()


async def test_the_data_table_has_every_number_of_the_chart(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(page.get_by_role("img", name="Total tokens per day")).to_be_visible()
    await page.get_by_role("region", name="Total tokens over time").get_by_role("button", name="Table").click()
    table = page.get_by_role("region", name="Total tokens per day").get_by_role("table")
    await expect(table.locator("tbody tr")).to_have_count(7)
    activity = await filled_hub.get("analytics/activity", group_by="model", granularity="day")
    series = [
        [(point["totals"]["total_tokens"], point["coverage"]["total_tokens"]) for point in one["points"]]
        for one in activity["series"]
    ]
    drawn = [points for points in series if any(total for total, _ in points)]  # the others only have messages
    expected = [[tokens(total, may_be_more(known)) for total, known in bucket] for bucket in zip(*drawn, strict=True)]
    rows = [(await row.locator("td").all_inner_texts())[1:] for row in await table.locator("tbody tr").all()]
    assert rows == expected[::-1]


async def test_a_series_is_hidden_by_the_keyboard(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    series = page.get_by_role("list", name="Series").get_by_role("button", name=re.compile("^gpt-5-codex"))
    await expect(series).to_have_attribute("aria-pressed", "true")
    chart = page.get_by_role("img", name="Total tokens per day")
    await expect(chart).to_be_visible()
    before = await chart.screenshot()
    await series.focus()
    await page.keyboard.press("Space")
    await expect(series).to_have_attribute("aria-pressed", "false")
    assert await chart.screenshot() != before


async def test_top_sessions_are_ranked_and_the_silent_one_is_counted(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    rows = page.get_by_role("region", name="Sessions, ranked").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("website")
    await expect(rows.first).to_contain_text("claude · spring-c")
    await rows.first.get_by_role("link").click()
    await expect(page).to_have_title("Session · trueup")
    await page.go_back()
    await expect(page.get_by_text("1 session did not report total tokens and is not ranked.")).to_be_visible()


async def test_the_state_of_all_hosts_is_told_in_words(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(page.get_by_text("All 2 hosts converged")).to_be_visible()


async def test_range_zone_and_grouping_are_obeyed(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?from=2026-11-02&to=2026-11-03&group_by=host&timezone=Asia/Kathmandu")
    await expect(page.get_by_role("button", name="Show only laptop")).to_be_visible()
    summary = await filled_hub.get(
        "analytics/summary", **{"from": FIRST, "to": "2026-11-03", "timezone": "Asia/Kathmandu"}
    )
    assert await exact(page, "Output") == summary["totals"]["output_tokens"] == 14_420
    await expect(page.get_by_text("Days and hours in Asia/Kathmandu.")).to_be_visible()


async def test_a_part_of_the_breakdown_narrows_everything_to_it(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?by=harness")
    await page.get_by_role("button", name=re.compile("^codex: ")).click()
    summary = await filled_hub.get("analytics/summary", harness="codex")
    await expect(tile(page, "Requests")).to_contain_text("3")
    assert await exact(page, "Output") == summary["totals"]["output_tokens"] == 10_000
    assert "harness=codex" in page.url
    await page.get_by_role("button", name="Remove filter harness codex").click()
    await expect(tile(page, "Total tokens")).to_contain_text("1.10M")


async def test_a_range_without_data_says_so_and_leads_back(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?from=2020-01-01&to=2020-01-31")
    await expect(page.get_by_role("heading", name="Nothing in this range")).to_be_visible()
    await page.get_by_role("button", name="Show everything").click()
    await expect(tile(page, "Total tokens")).to_contain_text("1.10M")


async def test_the_scheme_follows_the_system_and_the_choice(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    chart = page.get_by_role("img", name="Total tokens per day")
    await expect(chart).to_be_visible()
    dark, drawn_dark = await page.evaluate(ground), await chart.screenshot()
    await page.get_by_role("button", name="Colour scheme: Auto").click()
    await expect(page.get_by_role("button", name="Colour scheme: Light")).to_be_visible()
    light = await page.evaluate(ground)
    assert light != dark
    assert await chart.screenshot() != drawn_dark
    await page.reload()
    await expect(page.get_by_role("button", name="Colour scheme: Light")).to_be_visible()
    assert await page.evaluate(ground) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_nothing_is_out_of_reach(filled_hub: Hub, pages: Opener, scheme: str, width: int) -> None:
    """Accessibility by axe, and no sideways scrolling of the page."""
    page = await pages.log_in(filled_hub, "?heatmap=cost", scheme=scheme, width=width)
    await expect(page.get_by_role("region", name="Calendar").get_by_role("gridcell")).to_have_count(7)
    await expect(page.get_by_role("region", name="Sessions, ranked").locator("tbody tr")).to_have_count(2)
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    assert await violations(page) == []
    await page.get_by_text("All 2 hosts converged").click()
    if width < 560:
        await page.get_by_role("button", name="More for Total tokens over time").click()
    await page.get_by_role("button", name="Table").first.click()
    await expect(page.get_by_role("region", name="Total tokens per day")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert await violations(page) == []
