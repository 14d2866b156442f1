"""The page of one session: every number is the API's, and where it comes from is said in words."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from hub_process import Hub
from opened_pages import Opener
from shown import may_be_more
from trueup_shared import keys
from usage_fleet import CONFLICT_OUTPUT, CONFLICTING, LONG, SUBAGENT_ELSEWHERE, SUBAGENTS
from usage_week import CLAUDE, FIRST, event, message, session

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

COLUMNS = {
    "Context": "context_tokens",
    "Input": "input_tokens",
    "Cache read": "cache_read_tokens",
    "Cache write": "cache_write_tokens",
    "Cache write, 1 h": "cache_write_1h_tokens",
    "Output": "output_tokens",
    "Total": "total_tokens",
}
TILES = {
    "Total": "total_tokens",
    "Input": "input_tokens",
    "Cache read": "cache_read_tokens",
    "Cache write": "cache_write_tokens",
    "Output": "output_tokens",
}
# Every row of the table of messages as a record of its cells in full, by scrolling to the end.
READ = """async region => {
  const heads = [...region.querySelectorAll('thead th')].map(one => one.innerText);
  const full = cell => cell.querySelector('button')?.dataset.exact ?? cell.innerText;
  const found = new Map();
  for (;;) {
    for (const row of region.querySelectorAll('tbody tr[aria-rowindex]'))
      found.set(Number(row.ariaRowIndex), [...row.cells].map((cell, at) => [heads[at], full(cell)]));
    if (region.scrollTop + region.clientHeight >= region.scrollHeight - 2) break;
    region.scrollBy(0, 800);
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
  return [...found.entries()].sort(([a], [b]) => a - b).map(([, cells]) => Object.fromEntries(cells));
}"""


def table(page: Page) -> Locator:
    return page.get_by_role("region", name="Messages, one by one")


def line(page: Page) -> Locator:
    return page.get_by_role("slider", name="Requests: context and output")


async def exact(page: Page, label: str) -> str:
    value = page.locator("dl > div").filter(has=page.get_by_role("term").get_by_text(label, exact=True))
    shown = value.get_by_role("definition").first
    button = shown.get_by_role("button")
    text = await button.get_attribute("data-exact") if await button.count() else await shown.inner_text()
    assert text is not None
    return text.strip()


def in_words(value: int | None, at_least: bool) -> str:
    return "—" if value is None else f"{'≥ ' if at_least else ''}{value:,}"


def first_line(text: str) -> str:
    return text.strip().split("\n")[0]


async def test_totals_and_every_counter_of_every_message_are_the_apis(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, f"sessions/{LONG.key.hex()}")
    told = await fleet_hub.get(f"sessions/{LONG.key.hex()}")
    await expect(page.get_by_role("heading", name="website")).to_contain_text("claude · the-long")
    for label, name in TILES.items():
        lower = may_be_more(told["coverage"][name])
        assert await exact(page, label) == in_words(told["totals"][name], lower), label
    assert await exact(page, "Reasoning") == "—\nnot reported"
    badges = page.get_by_role("list", name="In short")
    await expect(badges).to_contain_text("ctx /")
    await expect(badges).to_contain_text(f"{told['messages']} messages")
    await expect(badges).to_contain_text(f"{told['events']} requests")
    assert await exact(page, "Branch") == told["git_branch"]

    listed = (await fleet_hub.get(f"sessions/{LONG.key.hex()}/messages", limit="1000"))["messages"]
    await expect(table(page)).to_be_visible()
    rows: list[dict[str, str]] = await table(page).evaluate(READ)
    assert len(rows) == len(listed)
    for row, one in zip(rows, listed, strict=True):
        assert first_line(row["Message"]) == one["role"]
        usage = one["usage"]
        for label, name in COLUMNS.items():
            if usage is None:
                assert first_line(row.get(label, "")) == ""
                continue
            lower = name in usage["lower_bounds"] or (name == "total_tokens" and bool(usage["lower_bounds"]))
            assert first_line(row[label]) == in_words(usage[name], lower), (label, one)
    assert any("≥" in row.get("Output", "") for row in rows), "there are lower bounds to be shown"


async def test_the_line_is_read_by_keys_and_leads_to_the_message(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, f"sessions/{LONG.key.hex()}")
    listed = (await fleet_hub.get(f"sessions/{LONG.key.hex()}/messages", limit="1000"))["messages"]
    used = [one["usage"] for one in listed if one["usage"]]
    await expect(line(page)).to_have_attribute("aria-valuemax", str(len(used)))
    await line(page).press("Home")
    await line(page).press("ArrowRight")
    said = await line(page).get_attribute("aria-valuetext") or ""
    assert f"Request 2 of {len(used)}" in said
    assert f"context {used[1]['context_tokens']:,}" in said
    assert f"output {used[1]['output_tokens']:,}" in said
    assert used[1]["model"] in said
    await line(page).press("End")
    assert f"{used[-1]['output_tokens']:,}" in (await line(page).get_attribute("aria-valuetext") or "")
    await line(page).press("Enter")
    await expect(table(page)).to_be_focused()
    await expect(table(page).locator("tr.marked")).to_contain_text(f"{used[-1]['output_tokens']:,}")
    drawing = page.get_by_role("region", name="Context and output").first
    for export in ("CSV", "PNG"):
        async with page.expect_download() as saving:
            await drawing.get_by_role("button", name=export).click()
        name = (await saving.value).suggested_filename
        assert name == f"trueup-context-and-output-website-claude-the-long.{export.lower()}"
    await drawing.get_by_role("button", name="Table").click()
    await expect(page.get_by_role("table", name="Context and output, request by request")).to_be_visible()


async def test_subagents_are_folded_in_with_their_share_and_lead_there_and_back(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, f"sessions/{LONG.key.hex()}")
    told = await fleet_hub.get(f"sessions/{LONG.key.hex()}/usage")
    family = page.get_by_role("table", name="This session and its subagents")
    bodies = family.locator("tbody tr")
    await expect(bodies).to_have_count(1 + len(SUBAGENTS) + 1)
    together = family.locator("tfoot tr")
    total = told["with_subagents"]["totals"]["total_tokens"]
    await expect(together.get_by_role("button").first).to_have_attribute("data-exact", f"≥ {total:,}")
    await expect(together).to_contain_text("With subagents: 6 sessions")
    for row, one in zip((await bodies.all())[1:], told["subagents"], strict=True):
        await expect(row.get_by_role("link").first).to_have_attribute("href", f"sessions/{one['id']}")
        tokens = one["totals"]["total_tokens"]
        shown = [await button.get_attribute("data-exact") or "" for button in await row.get_by_role("button").all()]
        assert f"{tokens:,}" in {text.removeprefix("≥ ") for text in shown}
        await expect(row).to_contain_text(f"{round(one['share'] * 100)} %")
    await expect(page.get_by_role("list", name="In short")).to_contain_text("with 5 subagents")
    elsewhere = family.get_by_role("link", name=SUBAGENT_ELSEWHERE.name)
    await elsewhere.click()
    await expect(page.get_by_text("subagent of")).to_be_visible()
    await page.get_by_role("link", name="its parent session").click()
    await expect(page.get_by_role("heading", name="website")).to_contain_text(LONG.name[:8])


async def test_copies_are_told_with_whose_counts_and_what_contradicts(fleet_hub: Hub, pages: Opener) -> None:
    address = f"sessions/{CONFLICTING.key.hex()}"
    page = await pages.log_in(fleet_hub, address)
    told = await fleet_hub.get(f"{address}/usage")
    origin = page.get_by_role("region", name="Where these numbers come from")
    await expect(origin).to_contain_text("2 ledgers on 2 hosts have this session")
    await expect(origin).to_contain_text(f"{told['set_aside']['events']} copies of requests are set aside")
    await expect(origin).to_contain_text("1 request is told with different exact numbers")
    parts = page.get_by_role("table", name="What counts, part by part").locator("tbody tr")
    await expect(parts).to_have_count(len(told["parts"]))
    for row, part in zip(await parts.all(), told["parts"], strict=True):
        words = "counts" if part["counted"] else f"set aside: the copy on {part['counts_at']['host']['label']} counts"
        await expect(row).to_contain_text(words)
        if part["conflicts"]:
            await expect(row).to_contain_text("tells other exact numbers than the copy that counts")
    copies = page.get_by_role("list", name="Copies").get_by_role("listitem")
    for item, copy in zip(await copies.all(), told["copies"], strict=True):
        await expect(item).to_contain_text(copy["host"]["label"])
        await expect(item).to_contain_text("The hub had exactly what the machine has")
        await item.get_by_text("Ids").click()
        await expect(item).to_contain_text(copy["ledger_id"])

    once = told["totals"]["output_tokens"]
    await page.get_by_role("button", name="All copies").click()
    both = (await fleet_hub.get(address, counted="all"))["totals"]["output_tokens"]
    assert both > once
    await expect(page.get_by_text(f"set aside: {told['copies'][0]['host']['label']} counts").first).to_be_visible()
    assert (await exact(page, "Output")).removeprefix("≥ ") == f"{both:,}"
    rows: list[dict[str, str]] = await table(page).evaluate(READ)
    assert sum(f"{CONFLICT_OUTPUT:,}" in row.get("Output", "") for row in rows) == 1
    assert "counted=all" in page.url
    await page.go_back()
    await expect(page.get_by_role("button", name="Each request once")).to_have_attribute("aria-pressed", "true")


async def test_what_was_not_reported_is_a_dash_and_never_zero(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, f"sessions/{keys.session_key('codex', 'a-quiet-one').hex()}")
    await expect(page.get_by_role("list", name="In short")).to_contain_text("no tokens reported")
    for label in TILES:
        assert await exact(page, label) == "—\nnot reported"
    assert "context not reported, output not reported" in (await said_at_begin(page))
    rows: list[dict[str, str]] = await table(page).evaluate(READ)
    assert [first_line(rows[0][label]) for label in ("Context", "Input", "Output", "Total", "Cost")] == ["—"] * 5
    await page.goto(f"{filled_hub.url}/sessions/{keys.session_key('codex', 'bootstrapping').hex()}")
    await expect(table(page)).to_be_visible()
    rows = await table(page).evaluate(READ)
    assert [first_line(row["Output"]) for row in rows] == ["10,000", "0"]


async def said_at_begin(page: Page) -> str:
    await line(page).press("Home")
    return await line(page).get_attribute("aria-valuetext") or ""


async def test_a_running_session_goes_on_by_itself_and_a_long_one_is_drawn(empty_hub: Hub, pages: Opener) -> None:
    machine = await empty_hub.machine("desk")
    many = 1_300
    rows: list[Any] = [session("long", FIRST, CLAUDE)]
    rows += [event(f"e{n}", "long", FIRST, CLAUDE, output_tokens=n, context_tokens=n) for n in range(1, many + 1)]
    await machine.push(rows)
    page = await pages.log_in(empty_hub, f"sessions/{keys.session_key('claude', 'long').hex()}")
    await expect(page.get_by_text(f"All 0 messages with {many:,} requests.")).to_be_visible()
    assert await page.locator("svg[data-chart] rect").count() < 600, "no more bars than can be seen"
    assert await page.locator("tbody tr[aria-rowindex]").count() < 120
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await page.evaluate("window.neverReloaded = true")
    await machine.push(
        [
            message("m", "long", "2026-11-20", CLAUDE),
            event("last", "long", "2026-11-20", CLAUDE, output_tokens=987_654, context_tokens=5),
        ]
    )
    await expect(page.get_by_text(f"All 1 message with {many + 1:,} requests.")).to_be_visible()
    await line(page).press("End")
    assert "987" in (await line(page).get_attribute("aria-valuetext") or "")
    await line(page).press("Home")
    await machine.push([event("e1", "long", FIRST, CLAUDE, output_tokens=777_777, context_tokens=1)])  # restated
    await expect(line(page)).to_have_attribute("aria-valuetext", re.compile(r"output 7\d\d,\d{3}"))
    assert await page.evaluate("window.neverReloaded")
    await page.close()


async def test_a_session_that_is_not_there_is_said_to_be_missing(filled_hub: Hub, pages: Opener) -> None:
    for unknown in ("0" * 32, "not-an-id"):
        page = await pages.log_in(filled_hub, f"sessions/{unknown}")
        await expect(page.get_by_role("heading", name="There is no such session")).to_be_visible()
        await page.get_by_role("link", name="← Sessions").click()
        await expect(page).to_have_title("Sessions · trueup")
    pages.expected.add("404")
