"""The overview: change against the period before, drill-down and the way back, each drawing and its numbers."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from hub_process import Hub
from opened_pages import Opener
from shown import dollars, exact, may_be_more, tile, tokens
from usage_week import EMPTY_DAY, FIRST, LAST, UNREPORTED_DAY

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SECOND = "2026-11-03"


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


async def table_of(page: Page, name: str) -> list[list[str]]:
    await panel(page, name).get_by_role("button", name="Table").click()
    rows = panel(page, name).get_by_role("table").locator("tbody tr")
    await expect(rows.first).to_be_visible()
    cells: list[list[str]] = await rows.evaluate_all("all => all.map(row => [...row.cells].map(one => one.innerText))")
    return cells


async def day(page: Page, date: str) -> Locator:
    return page.locator(f'[role=gridcell][data-id="{date}"]')


async def test_a_number_is_told_with_its_change_against_as_many_days_before(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, f"?from={SECOND}&to={SECOND}&compare=previous")
    now = await filled_hub.get("analytics/summary", **{"from": SECOND, "to": SECOND})
    before = await filled_hub.get("analytics/summary", **{"from": FIRST, "to": FIRST})
    assert (now["events"], before["events"]) == (2, 1)
    await expect(tile(page, "Requests")).to_contain_text("+100 % from 1")
    output = tile(page, "Output")  # now with a lower bound
    assert await exact(output) == tokens(now["totals"]["output_tokens"], lower_bound=True)
    await expect(output).to_contain_text("≥ +134 % from 4,321")
    was = f"{before['totals']['output_tokens']:,} from {FIRST} to {FIRST} (100 % reported then, 100 % now)"
    await expect(output.locator(".change")).to_have_attribute("title", was)
    await expect(tile(page, "Reasoning")).to_contain_text("not reported before")
    await expect(tile(page, "Sessions")).to_contain_text("±0 % from 1")
    await expect(panel(page, "Totals")).to_contain_text("Compared with Mon, Nov 2, 2026 to Mon, Nov 2, 2026")


async def test_over_nothing_there_is_no_change_in_percent(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, f"?from={FIRST}&to={LAST}&compare=previous")
    await expect(tile(page, "Total tokens")).to_contain_text("none before")
    await expect(tile(page, "Messages")).to_contain_text("from 0")
    assert await page.locator(".change").filter(has_text="%").count() == 0


async def test_what_different_shares_of_requests_reported_is_not_compared(filled_hub: Hub, pages: Opener) -> None:
    # Three days with a silent request among two, three days before in which all reported
    page = await pages.log_in(filled_hub, f"?from={UNREPORTED_DAY}&to=2026-11-07&compare=previous")
    await expect(tile(page, "Input")).to_contain_text("not comparable from 3,600 100 % reported then, 50 % now")


async def test_a_bar_narrows_everything_to_its_day_by_the_keyboard_and_back_undoes_it(
    filled_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(filled_hub)
    chart = page.get_by_role("slider", name="Total tokens, day by day")
    await chart.focus()
    await page.keyboard.press("Home")
    await expect(chart).to_have_attribute("aria-valuetext", re.compile(r"^Mon, Nov 2, 2026: claude-sonnet.* 255,521"))
    await expect(page.get_by_text("Mon, Nov 2, 2026", exact=True)).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(tile(page, "Requests")).to_contain_text("1")
    assert f"from={FIRST}&to={FIRST}" in page.url
    await page.go_back()
    await expect(tile(page, "Requests")).to_contain_text("6")


async def test_a_bar_narrows_by_a_click(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    drawn = page.locator(".u-over")
    box = await drawn.bounding_box()
    assert box is not None
    await drawn.click(position={"x": 5, "y": box["height"] / 2})
    await expect(page).to_have_url(re.compile(f"from={FIRST}&to={FIRST}"))


async def test_a_day_of_the_calendar_narrows_everything_to_itself(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await (await day(page, SECOND)).click()
    await expect(tile(page, "Requests")).to_contain_text("2")
    await page.go_back()
    await (await day(page, FIRST)).focus()
    await page.keyboard.press("Enter")
    await expect(tile(page, "Requests")).to_contain_text("1")


async def test_a_series_is_shown_alone(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?group_by=host")
    await page.get_by_role("button", name="Show only laptop").click()
    await expect(page.get_by_role("button", name="Remove filter host laptop")).to_be_visible()
    await expect(tile(page, "Requests")).to_contain_text("3")


async def test_a_label_is_drilled_into_beside_those_of_other_names(fleet_hub: Hub, pages: Opener) -> None:
    hosts = (await fleet_hub.get("hosts"))["hosts"]
    labels = {f"{name}:{value}" for host in hosts for name, value in host["labels"].items()}
    other = min(label for label in labels if not label.startswith("team:"))
    page = await pages.log_in(fleet_hub, f"?label={other}&by=label:team")
    await panel(page, "Total tokens by team").get_by_role("group").get_by_role("button").first.click()
    await expect(page).to_have_url(re.compile("label=team%3A"))
    assert other.replace(":", "%3A") in page.url


async def test_a_bucket_in_which_nothing_was_reported_is_hatched_and_said(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    await expect(page.get_by_role("list", name="Series")).to_contain_text("requests were made, none reported")
    chart = page.get_by_role("slider", name="Total tokens, day by day")
    spoken: dict[str, str] = {}
    await chart.focus()
    await page.keyboard.press("Home")
    for _ in range(5):
        told = await chart.get_attribute("aria-valuetext") or ""
        spoken[told.partition(": ")[0]] = told
        await page.keyboard.press("ArrowRight")
    assert spoken["Thu, Nov 5, 2026"].endswith("requests were made, none reported")
    assert spoken["Wed, Nov 4, 2026"].endswith("no requests")


async def test_the_treemap_is_walked_and_drilled_by_the_keyboard(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?by=host")
    rows = (await filled_hub.get("analytics/breakdown", by="host"))["rows"]
    tiles = panel(page, "Total tokens by host").get_by_role("group").get_by_role("button")
    await expect(tiles).to_have_count(2)
    shown = [await one.get_attribute("aria-label") or "" for one in await tiles.all()]
    for row, words in zip(rows, shown, strict=True):
        least = "at least " * may_be_more(row["coverage"]["total_tokens"])
        assert words.startswith(f"{row['label']}: {least}{row['totals']['total_tokens']:,} total tokens")
    await tiles.first.focus()
    await page.keyboard.press("ArrowRight")
    await expect(tiles.nth(1)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name=f"Remove filter host {rows[1]['label']}")).to_be_visible()
    await page.go_back()
    await expect(tiles).to_have_count(2)


async def test_the_table_of_parts_has_every_row_sorted_by_any_column(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "?by=label:team&size=cost")
    shown = {row[0]: row[1] for row in await table_of(page, "Cost at list price by team")}
    rows: list[dict[str, Any]] = (await fleet_hub.get("analytics/breakdown", by="label:team"))["rows"]
    assert len(rows) > 2
    assert shown == {
        row["key"] or "no team": dollars(
            row["totals"]["cost_microusd"],
            row["totals"]["unpriced_tokens"] > 0 or may_be_more(row["coverage"]["total_tokens"]),
        )
        for row in rows
    }
    head = panel(page, "Cost at list price by team").get_by_role("columnheader")
    await head.filter(has_text="Requests").last.get_by_role("button").click()
    await expect(head.filter(has_text="Requests").last).to_have_attribute("aria-sort", "descending")
    await head.first.get_by_role("button").click()
    names = panel(page, "Cost at list price by team").locator("tbody th")
    await expect(head.first).to_have_attribute("aria-sort", "ascending")
    assert await names.all_inner_texts() == sorted(await names.all_inner_texts(), key=str.casefold)


async def test_the_hours_of_the_week_are_those_of_the_api(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "?hourly=total")
    cells = (await filled_hub.get("analytics/hour-of-week"))["cells"]
    hours = panel(page, "Hours of the week").get_by_role("gridcell")
    await expect(hours).to_have_count(168)
    looks = await hours.evaluate_all("all => all.map(one => one.dataset.look)")
    silent = [cell["value"] is None and cell["coverage"]["events"] > 0 for cell in cells]
    assert [look == "unreported" for look in looks] == silent
    await hours.nth(12).focus()
    await page.keyboard.press("ArrowDown")
    await expect(hours.nth(36)).to_be_focused()
    rows = await table_of(page, "Hours of the week")
    assert [row[2].removeprefix("≥ ") for row in rows] == [tokens(cell["value"]) for cell in cells]


async def test_the_calendar_is_a_table_too(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    entries = (await filled_hub.get("analytics/heatmap"))["entries"]
    rows = await table_of(page, "Calendar")
    assert [row[1] for row in rows] == [
        tokens(entry["value"], may_be_more(entry["coverage"])) for entry in reversed(entries)
    ]
    told = {entry["date"]: row[2] for entry, row in zip(reversed(entries), rows, strict=True)}
    assert (told[EMPTY_DAY], told[UNREPORTED_DAY]) == ("none made", "0 %")


async def test_cache_efficiency_is_of_what_was_reported_and_says_so(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    totals = (await filled_hub.get("analytics/summary"))["totals"]
    prompt = sum(totals[name] for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    cache = panel(page, "Cache")
    await expect(cache).to_contain_text(f"{round(100 * totals['cache_read_tokens'] / prompt)} % of prompt tokens")
    await expect(cache).to_contain_text("of what requests reported: cache reads 83 %")


async def test_what_is_most_active_leads_to_itself(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    leader = (await filled_hub.get("analytics/summary"))["most_active"]["project"]
    await panel(page, "Most active").get_by_role("button", name=leader["key"]).click()
    await expect(page.get_by_role("button", name=f"Remove filter project {leader['key']}")).to_be_visible()
