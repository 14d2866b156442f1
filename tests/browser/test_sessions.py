"""The list of sessions: what it shows is what the API lists, in the API's order, however long it is."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from hub_process import Hub
from opened_pages import Opener
from shown import may_be_more
from trueup_shared.metrics import BIT
from usage_fleet import LONG, SUBAGENTS
from usage_week import CLAUDE, CODEX, FIRST, LAST, event, session

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MANY = 2_100
MOST_ROWS = 120  # in the document, however many are loaded
COLUMNS = {
    "Messages": "messages",
    "Input": "input_tokens",
    "Cache read": "cache_read_tokens",
    "Cache write": "cache_write_tokens",
    "Output": "output_tokens",
    "Reasoning": "reasoning_tokens",
    "Total": "total_tokens",
    "Cost": "cost",
    "Peak context": "peak_context_tokens",
}


def rows(page: Page) -> Locator:
    return page.locator("tbody tr[aria-rowindex]")


def region(page: Page) -> Locator:
    return page.get_by_role("region", name="Sessions, sorted")


def status(page: Page) -> Locator:
    return page.get_by_role("status").filter(has_text="session")


async def ids(page: Page) -> list[str]:
    """Of the sessions whose rows are in the document, in their order."""
    links = rows(page).locator("th a:first-child")
    addresses: list[str] = await links.evaluate_all("all => all.map(one => one.getAttribute('href').split('?')[0])")
    return [address.removeprefix("sessions/") for address in addresses]


async def cell(row: Locator, column: str) -> str:
    """What stands in a column, in full."""
    heads = await row.page.get_by_role("columnheader").all_inner_texts()
    names = [head.strip("↓↑ \n") for head in heads]
    found = row.locator("th, td").nth(names.index(column))
    button = found.get_by_role("button")
    text = await button.get_attribute("data-exact") if await button.count() else await found.inner_text()
    assert text is not None
    return text.strip().splitlines()[0]


async def listed_by(hub: Hub, **query: str) -> list[str]:
    """Ids of all sessions, in the API's order."""
    found: list[str] = []
    while True:
        answer = await hub.get("sessions", limit="500", **query)
        found += [one["id"] for one in answer["sessions"]]
        if answer["next_cursor"] is None:
            return found
        query["cursor"] = answer["next_cursor"]


def in_words(value: int | None, lower: int) -> str:
    return "—" if value is None else f"{'≥ ' if lower else ''}{value:,}"


async def test_every_number_of_a_row_is_the_apis(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "sessions")
    await expect(rows(page)).to_have_count(3)
    listed = (await filled_hub.get("sessions"))["sessions"]
    assert await ids(page) == [one["id"] for one in listed]
    for at, one in enumerate(listed):
        row = rows(page).nth(at)
        assert await row.locator("th a").first.inner_text() == one["project"]
        assert one["host"]["label"] in await row.inner_text()
        for label, name in COLUMNS.items():
            if name in ("messages", "peak_context_tokens", "cost"):
                continue
            lower = may_be_more(one["coverage"][name])
            assert await cell(row, label) == in_words(one["totals"][name], lower), (label, one["id"])
        assert await cell(row, "Messages") == str(one["messages"])
        assert await cell(row, "Peak context") == in_words(one["peak_context_tokens"], 0)
        cost = one["totals"]["cost_microusd"]
        assert (await cell(row, "Cost") == "—") is (cost is None)
    spring = rows(page).filter(has_text="spring")
    assert await cell(spring, "Output") == "≥ 81,420"
    assert await cell(spring, "Reasoning") == "—"
    assert await cell(rows(page).filter(has_text="a-quiet-"), "Output") == "—"
    await expect(status(page)).to_contain_text("All 3 sessions: ≥ 1.10M tokens")


async def test_every_order_that_the_hub_has_can_be_chosen_and_is_shown(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "sessions")
    sorts = (await fleet_hub.get("capabilities"))["sorts"]
    choice = page.get_by_label("Sort by")
    await expect(choice).to_be_visible()
    assert await choice.locator("option").evaluate_all("all => all.map(one => one.value)") == sorts
    for sort in ("messages", "peak_context_tokens", "cache_savings"):  # the last has no column of its own
        await choice.select_option(sort)
        await in_order(page, fleet_hub, sort, "desc")
        await expect(page.locator("th[aria-sort=descending]")).to_have_count(1)


async def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "sessions")
    output = page.get_by_role("columnheader", name="Output")
    for order, said in (("desc", "descending"), ("asc", "ascending")):
        await output.get_by_role("button").click()
        await expect(output).to_have_attribute("aria-sort", said)
        await in_order(page, fleet_hub, "output_tokens", order)
    assert "sort=output_tokens&order=asc" in page.url
    await page.go_back()
    await expect(output).to_have_attribute("aria-sort", "descending")
    await in_order(page, fleet_hub, "output_tokens", "desc")


async def in_order(page: Page, hub: Hub, sort: str, order: str) -> None:
    """The first rows come to be those of the API."""
    listed = await hub.get("sessions", sort=sort, order=order, limit="5")
    await page.wait_for_function(
        """ids => ids.every((id, at) => document
          .querySelectorAll('tbody tr[aria-rowindex] th a:first-child')[at]?.getAttribute('href').includes(id))""",
        arg=[one["id"] for one in listed["sessions"]],
    )


# From the begin to the end by scrolling: every row's place and address, the most rows at one time, and what moved.
WALK = """async region => {
  const found = new Map(), moved = [];
  let most = 0;
  for (;;) {
    const rows = [...region.querySelectorAll('tbody tr[aria-rowindex]')];
    most = Math.max(most, rows.length);
    for (const row of rows) {
      const [place, there] = [Number(row.ariaRowIndex), row.querySelector('th a').getAttribute('href').split('?')[0]];
      if ((found.get(place) ?? there) !== there) moved.push(place);
      found.set(place, there);
    }
    const complete = region.querySelector('table').ariaRowCount !== '-1';
    if (complete && region.scrollTop + region.clientHeight >= region.scrollHeight - 2) break;
    region.scrollBy(0, 1_200);
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
  const order = [...found.keys()].sort((a, b) => a - b);
  return { ids: order.map(place => found.get(place).replace('sessions/', '')), most, moved };
}"""


async def test_a_long_list_scrolls_to_its_end_in_order_with_few_rows(empty_hub: Hub, pages: Opener) -> None:
    machine = await empty_hub.machine("desk")
    await machine.push([session(f"s{n}", FIRST if n % 2 else LAST, CLAUDE) for n in range(MANY)])
    page = await pages.log_in(empty_hub, "sessions")
    await expect(status(page)).to_contain_text("The first 100 sessions, and there are more")
    assert await page.get_by_role("table", name="Sessions, sorted").get_attribute("aria-rowcount") == "-1"
    walked: dict[str, Any] = await region(page).evaluate(WALK)
    listed = await listed_by(empty_hub)
    assert walked["ids"] == listed
    assert len(set(walked["ids"])) == MANY
    assert walked["moved"] == []
    assert walked["most"] < MOST_ROWS
    await expect(status(page)).to_contain_text(f"All {MANY:,} sessions")
    assert await page.get_by_role("table", name="Sessions, sorted").get_attribute("aria-rowcount") == str(MANY + 1)

    # Back from a session finds the list where it was left, and news do not move it
    here = await region(page).evaluate("one => one.scrollTop")
    left = await ids(page)
    await rows(page).nth(20).locator("th a").first.click()
    await expect(page).to_have_title("Session · trueup")
    await page.go_back()
    await expect(rows(page).first).to_be_visible()
    assert await region(page).evaluate("one => one.scrollTop") == here
    assert await ids(page) == left
    await machine.push([session("the newest", "2026-11-20", CLAUDE)])
    await expect(page.get_by_role("button", name="New usage: refresh")).to_be_visible()
    assert await ids(page) == left
    await page.get_by_role("button", name="New usage: refresh").click()
    await expect(status(page)).to_contain_text(f"All {MANY + 1:,} sessions")
    assert await region(page).evaluate("one => one.scrollTop") == here
    await page.close()


async def test_a_keyboard_loads_more_by_a_button(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "sessions")
    await expect(status(page)).to_contain_text("The first 100")
    await page.get_by_role("button", name="More", exact=True).press("Enter")
    await expect(status(page)).to_contain_text("The first 600")


async def test_new_usage_comes_into_a_short_list_by_itself(empty_hub: Hub, pages: Opener) -> None:
    machine = await empty_hub.machine("desk")
    await machine.push([session("one", FIRST, CLAUDE), event("e1", "one", FIRST, CLAUDE, output_tokens=5)])
    page = await pages.log_in(empty_hub, "sessions")
    await expect(rows(page)).to_have_count(1)
    await page.evaluate("window.neverReloaded = true")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await machine.push([session("two", LAST, CODEX), event("e2", "one", LAST, CLAUDE, output_tokens=7)])
    await expect(rows(page)).to_have_count(2)
    assert await cell(rows(page).filter(has_text="one"), "Output") == "12"
    assert await page.evaluate("window.neverReloaded")
    await page.close()


async def test_subagents_are_marked_and_lead_to_their_parent(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "sessions?project=website&host=ana-mbp")
    row = rows(page).filter(has=page.locator(f'a[href^="sessions/{SUBAGENTS[0].key.hex()}"]'))
    for _ in range(20):
        if await row.count():
            break
        await region(page).evaluate("one => one.scrollBy(0, 600)")
        await asyncio.sleep(0.05)
    await row.get_by_role("link", name="subagent").click()
    await expect(page.get_by_role("heading", name="website")).to_contain_text(LONG.name[:8])


async def test_a_doubt_leaves_its_sessions_and_can_be_removed(empty_hub: Hub, pages: Opener) -> None:
    machine = await empty_hub.machine("desk")
    bound = {"output_tokens": 9, "lower_bounds": BIT["output_tokens"]}
    await machine.push(
        [
            session("sure", FIRST, CLAUDE),
            event("e1", "sure", FIRST, CLAUDE, output_tokens=5),
            session("unsure", FIRST, CLAUDE),
            event("e2", "unsure", FIRST, CLAUDE, **bound),
            event("e3", "unsure", LAST, CLAUDE, **bound),
        ]
    )
    page = await pages.log_in(empty_hub, "sessions?quality=lower_bound&counter=output_tokens")
    await expect(rows(page)).to_have_count(1)
    await expect(rows(page)).to_contain_text("unsure")
    assert await cell(rows(page), "Such requests") == "2"
    await page.get_by_role("button", name="only sessions with lower bounds of output tokens").click()
    await expect(rows(page)).to_have_count(2)
    assert "quality" not in page.url
    await page.goto(f"{empty_hub.url}/sessions?quality=conflicting")
    await expect(page.get_by_text("No session with copies that contradict each other")).to_be_visible()
    await page.get_by_role("button", name="Show all sessions").click()
    await expect(rows(page)).to_have_count(2)


async def test_a_quality_that_no_hub_has_is_told_and_never_asked_for(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{filled_hub.url}/sessions?quality=gloomy&sort=beauty")
    for word in ("gloomy", "beauty"):
        await expect(page.get_by_role("status").filter(has_text=word)).to_be_visible()
    await expect(rows(page)).to_have_count(3)
    assert not [url for url in asked if "/api/" in url and ("gloomy" in url or "beauty" in url)]


async def test_an_empty_hub_says_so(empty_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(empty_hub, "sessions")
    await expect(page.get_by_text("No session in this hub yet.")).to_be_visible()
    await expect(page.get_by_role("button", name="Show all sessions")).to_have_count(0)


async def test_the_table_that_is_saved_has_every_session(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "sessions?sort=cost")
    await expect(status(page)).to_contain_text("The first 100")
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="CSV").click()
    saved = await saving.value
    table = Path(await saved.path()).read_text(encoding="utf-8")  # noqa: ASYNC240 (a small file)
    rows = [row for row in csv.reader(io.StringIO(table, newline="")) if not row[0].startswith("# ")]
    listed = await listed_by(fleet_hub, sort="cost")
    assert len(listed) > 500
    assert [row[0] for row in rows[1:]] == listed
    assert saved.suggested_filename.endswith(".csv")
