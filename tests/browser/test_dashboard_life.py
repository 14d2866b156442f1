"""Coming in, going out, what the page says while there is nothing to show, and how it follows the hub."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from playwright.async_api import Error, Route, expect

from hub_process import Hub, running_hub
from opened_pages import Opener
from processes import free_port
from usage_week import CLAUDE, event, session

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DAY = "2026-11-08"


async def test_without_a_session_the_page_asks_for_a_token(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.blank()
    await page.goto(filled_hub.url)
    await page.get_by_label("Token", exact=True).fill("tut_v_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("The hub does not accept this token.")
    await page.get_by_label("Token", exact=True).fill(filled_hub.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("All 2 hosts converged")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Token", exact=True)).to_be_visible()
    # A refusal is an answer, but the browser reports it as an error of the page.
    pages.expected.add("401")


async def test_the_one_time_address_signs_in_by_itself(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.blank()
    await page.goto(f"{filled_hub.url}/login?code={await filled_hub.auth.make_login_code('admin')}")
    await expect(page.get_by_text("All 2 hosts converged")).to_be_visible()
    assert "code" not in page.url


async def test_new_usage_is_on_the_open_page_within_a_second(empty_hub: Hub, pages: Opener) -> None:
    machine = await empty_hub.machine("desk")
    page = await pages.log_in(empty_hub)
    await expect(page.get_by_role("heading", name="No data yet")).to_be_visible()
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await page.evaluate("window.neverReloaded = true")
    taken, output = [], 0
    rows = [session("s", DAY, CLAUDE)]
    for number in range(5):
        output += 1_000
        await machine.push([*rows, event(f"e{number}", "s", DAY, CLAUDE, input_tokens=0, output_tokens=1_000)])
        began, rows = time.monotonic(), []
        await expect(page.get_by_text(f"{output:,}", exact=True).first).to_be_visible()
        taken.append(time.monotonic() - began)
        await asyncio.sleep(0.3)  # another record, not the same burst
    assert sorted(taken)[len(taken) // 2] < 1, taken
    assert await page.evaluate("window.neverReloaded")


async def test_a_hub_that_goes_away_is_missed_and_one_that_comes_back_is_found(
    new_database: str, tmp_path: Path, pages: Opener
) -> None:
    port = free_port()
    async with running_hub(new_database, tmp_path, port) as hub:
        await (await hub.machine("desk")).push(
            [session("s", DAY, CLAUDE), event("e", "s", DAY, CLAUDE, output_tokens=7)]
        )
        page = await pages.log_in(hub)
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await expect(page.get_by_text("reconnecting …")).to_be_visible()
    async with running_hub(new_database, tmp_path, port) as hub:
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        await (await hub.machine("second")).push([session("t", DAY, CLAUDE)])
        await expect(page.get_by_text("All 2 hosts converged")).to_be_visible()
        await page.close()  # before this hub goes too
    pages.complaints.clear()  # the browser reports each refused connection


async def test_an_empty_hub_says_how_to_begin(empty_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(empty_hub)
    await expect(page.get_by_role("heading", name="No machine yet")).to_be_visible()
    await expect(page.get_by_text(f"trueup agent enroll {empty_hub.url}")).to_be_visible()


async def test_a_panel_that_fails_says_so_alone(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.blank()

    async def refuse(route: Route) -> None:
        problem = {
            "title": "Service Unavailable",
            "status": 503,
            "detail": "The hub could not answer in time.",
            "code": "timeout",
        }
        await route.fulfill(status=503, json=problem, content_type="application/problem+json")

    await page.route("**/analytics/heatmap*", refuse)
    await page.request.post(f"{filled_hub.url}/api/v1/login", data={"token": filled_hub.token})
    await page.goto(filled_hub.url)
    calendar = page.get_by_role("region", name="Calendar")
    await expect(calendar.get_by_role("alert")).to_contain_text("The hub could not answer in time.")
    await expect(page.get_by_role("alert")).to_have_count(1)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await asyncio.sleep(1)  # what the stream's begin made the page ask for again is answered
    await page.unroute("**/analytics/heatmap*")
    await calendar.get_by_role("button", name="Try again").click()
    await expect(calendar.get_by_role("gridcell")).to_have_count(7)
    pages.expected.add("503")


async def test_a_hidden_page_asks_for_nothing_and_catches_up_when_seen(empty_hub: Hub, pages: Opener) -> None:
    machine = await empty_hub.machine("desk")
    page = await pages.log_in(empty_hub)
    await expect(page.get_by_role("heading", name="No data yet")).to_be_visible()
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    hide = (
        "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    await page.evaluate(hide, True)
    await expect(page.get_by_text("paused", exact=True)).to_be_visible()
    await page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await machine.push([session("s", DAY, CLAUDE), event("e", "s", DAY, CLAUDE, output_tokens=4_711)])
    await asyncio.sleep(0.5)
    assert asked == []
    await page.evaluate(hide, False)
    await expect(page.get_by_text("4,711", exact=True).first).to_be_visible()
    await expect(page.get_by_text("live", exact=True)).to_be_visible()


async def test_a_database_that_is_away_is_told_calmly_and_found_again(filled_hub: Hub, pages: Opener) -> None:
    """The stream of events stays up meanwhile: the page has to ask by itself."""
    page = await pages.log_in(filled_hub)
    total = page.locator("dl > div").filter(has_text="Total tokens").get_by_role("definition").first
    await expect(total).to_contain_text("1.10M")
    calendar = page.get_by_role("region", name="Calendar")
    await expect(calendar.get_by_role("gridcell")).to_have_count(7)

    async def refuse(route: Route) -> None:
        problem = {"status": 503, "detail": "The database does not answer.", "code": "database_unavailable"}
        await route.fulfill(status=503, json=problem, content_type="application/problem+json")

    await page.route("**/api/v1/**", refuse)
    await page.get_by_label("Metric of the calendar").select_option("output_tokens")
    notice = page.get_by_role("alert")
    await expect(notice).to_contain_text("The database does not answer. What is shown is what it said")
    await expect(notice).to_have_count(1)  # not one in every panel
    await expect(total).to_contain_text("1.10M")
    await page.unroute("**/api/v1/**")
    await expect(notice).to_have_count(0, timeout=9_000)
    await expect(page.get_by_role("grid", name="Output tokens per day")).to_be_visible()
    pages.expected.add("503")


async def test_a_slow_answer_does_not_hold_up_the_next_selection_and_does_not_win(
    filled_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(filled_hub)
    requests = page.locator("dl > div").filter(has_text="each counted once").get_by_role("definition").first
    await expect(requests).to_have_text("6")

    async def late(route: Route) -> None:
        answer = await route.fetch()
        await asyncio.sleep(2)
        with contextlib.suppress(Error):  # it was given up
            await route.fulfill(response=answer)

    await page.route("**/analytics/summary?*project=website*", late)
    await page.goto(f"{filled_hub.url}/?project=website")
    await page.get_by_role("button", name="Remove filter project website").click()
    began = time.monotonic()
    await expect(requests).to_have_text("6")
    assert time.monotonic() - began < 1.5
    await asyncio.sleep(2.2)
    await expect(requests).to_have_text("6")
    assert "project" not in page.url


async def test_who_is_signed_out_elsewhere_comes_back_to_the_same_address(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "sessions?harness=codex")
    await expect(page.get_by_role("button", name="Remove filter harness codex")).to_be_visible()
    await page.context.clear_cookies()
    await page.get_by_role("link", name="Data quality").click()
    await expect(page.get_by_text("You are signed out. Once you are signed in, this page goes on")).to_be_visible()
    await page.get_by_label("Token", exact=True).fill(filled_hub.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Data quality", level=1)).to_be_attached()
    await expect(page.get_by_role("button", name="Remove filter harness codex")).to_be_visible()
    assert page.url == f"{filled_hub.url}/quality?harness=codex"
    pages.expected.add("401")
