"""What holds on every page: it is within reach by eye, keyboard and screen reader, prints, and asks its hub alone."""

import re
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request, expect

from axe import violations
from dashboard_pages import NAMES, Place, place_of, settled
from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NARROW, WIDE = 390, 1920
FIRST_LOAD = 150_000  # bytes, as they come: compressed

# All that can be acted on and is seen, and where the focus came by, with what shows it there.
WATCH_FOCUS = """() => {
  const all = 'a[href], button, input, select, textarea, summary, [tabindex]';
  const acts = one => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true });
  const shown = one => {
    const { outlineStyle, outlineWidth, boxShadow, stroke } = getComputedStyle(one);
    return (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || boxShadow !== 'none' || stroke !== 'none';
  };
  window.wanted = [...document.querySelectorAll(all)].filter(acts);
  window.reached = new Map();
  document.addEventListener('focusin', ({ target }) => reached.set(target, shown(target)));
  return wanted.length;
}"""
MISSED = """() => ({
  unreached: wanted.filter(one => one.isConnected && !reached.has(one)).map(one => one.outerHTML.slice(0, 200)),
  unseen: [...reached].filter(([, shown]) => !shown).map(([one]) => one.outerHTML.slice(0, 200)),
})"""
# A name that leads somewhere is a button without a frame, a legend says what is what: both stay on paper.
CONTROLS = """() => [...document.querySelectorAll('button:not(.legend *), input, textarea')]
  .filter(one => one.checkVisibility({ visibilityProperty: true }))
  .filter(one => one.localName !== 'button' || parseFloat(getComputedStyle(one).borderTopWidth) > 0)
  .map(one => one.outerHTML.slice(0, 200))"""
TO_THE_TOP = "() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex'); }"


class Open(NamedTuple):
    page: Page
    place: Place


@pytest_asyncio.fixture(params=NAMES, scope="module", loop_scope="session")
async def opened(fleet_hub: Hub, browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """One page of an administrator, for all that is asked of it here."""
    opener = Opener(browser)
    place = await place_of(fleet_hub, request.param)
    page = await opener.log_in(fleet_hub, place.address, token=fleet_hub.admin_token)
    await settled(page, place)
    yield Open(page, place)
    await opener.close()
    assert opener.complaints == []


async def sideways(page: Page) -> int:
    scrolled: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return scrolled


async def test_a_page_is_within_reach_in_both_schemes_on_a_phone_and_on_a_wide_screen(opened: Open) -> None:
    page, place = opened
    for width, scheme in ((NARROW, "light"), (WIDE, "dark")):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await settled(page, place)
        assert await sideways(page) == 0
        assert await violations(page) == []


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(opened: Open) -> None:
    page, place = opened
    await page.set_viewport_size({"width": 1280, "height": 900})
    await settled(page, place)
    number = await page.evaluate(WATCH_FOCUS)
    assert number > 5
    for turn in range(2 * number + 30):  # some take several steps, as a date does
        if turn >= number and not (await page.evaluate(MISSED))["unreached"]:
            break
        await page.keyboard.press("Tab")
    await page.evaluate(TO_THE_TOP)
    for _ in range(10):  # what stands after a list that goes on and on is near from the end
        await page.keyboard.press("Shift+Tab")
    assert await page.evaluate(MISSED) == {"unreached": [], "unseen": []}


async def test_paper_shows_numbers_and_no_controls(opened: Open) -> None:
    page, place = opened
    await page.emulate_media(media="print")
    await expect(page.get_by_role("main")).to_contain_text(place.landmark)
    assert await page.evaluate(CONTROLS) == []
    assert re.search(r"\d", await page.locator("main").inner_text())
    await page.emulate_media(media="screen")


async def test_the_page_to_sign_in_is_within_reach(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.blank(NARROW)
    await page.goto(fleet_hub.url)
    await expect(page.get_by_label("Token", exact=True)).to_be_focused()
    for scheme, width in (("light", NARROW), ("dark", WIDE)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": 900})
        assert await sideways(page) == 0
        assert await violations(page) == []
    pages.expected.add("401")  # that nobody is signed in


async def test_no_page_asks_anybody_but_its_hub_and_none_may(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub)
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    for name in NAMES:
        place = await place_of(fleet_hub, name)
        answer = await page.goto(f"{fleet_hub.url}/{place.address}")
        assert answer is not None
        rules = policy(answer.headers["content-security-policy"])
        assert rules["default-src"] in (["'self'"], ["'none'"])
        assert {source for sources in rules.values() for source in sources} <= {"'self'", "'none'"}
        await settled(page, place)
    assert len(asked) > 20
    assert all(url.startswith(f"{fleet_hub.url}/") for url in asked)
    assert refused == []


def policy(header: str) -> dict[str, list[str]]:
    """Directive -> sources."""
    return {name: sources for name, *sources in (part.split() for part in header.split(";") if part.strip())}


async def test_the_first_load_of_every_page_is_light(fleet_hub: Hub, pages: Opener) -> None:
    """Whichever page is the first: all that comes for it, as it comes, but what the hub answers about usage."""
    for name in NAMES:
        place = await place_of(fleet_hub, name)
        page = await pages.log_in(fleet_hub, "favicon.svg")  # a browser of its own, with nothing kept
        came: list[Request] = []
        page.on("requestfinished", lambda request, came=came: came.append(request))
        await page.goto(f"{fleet_hub.url}/{place.address}")
        await settled(page, place)
        files = [request for request in came if "/api/" not in request.url]
        assert {request.url.rpartition(".")[2] for request in files} >= {"js", "css"}
        assert sum([(await request.sizes())["responseBodySize"] for request in files]) < FIRST_LOAD, name
