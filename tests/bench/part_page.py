"""The page of a fleet of fifty hosts with a year, 200 models and 10,000 sessions, in a real browser on loopback."""

import asyncio
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import part_push
from analytics_hubs import our_hub
from playwright.sync_api import Page, sync_playwright
from table import Line, alone

import usage_year
from hub_process import running_hub
from opened_pages import BROWSER_FLAGS, browser_path
from trueup_hub.embedded_pg import EmbeddedPg

# Before the page's own script: when the first number stood there, and what kept the page from answering.
_WATCH = """
new MutationObserver(() => (window.first ??= document.querySelector('dl dd .amount') && performance.now()))
  .observe(document, { subtree: true, childList: true });
window.tasks = [];
new PerformanceObserver(seen => tasks.push(...seen.getEntries().map(one => one.duration)))
  .observe({ type: 'longtask' });
"""
_RESTS = "() => !document.querySelector('[aria-busy=true]') && document.querySelectorAll('section.panel').length > 3"
_CAME = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .filter(one => !one.name.includes('/api/')).reduce((sum, one) => sum + one.encodedBodySize, 0)"""
_SCROLL = """async () => {
  const began = performance.now();
  const region = document.querySelector('.rows'), table = region.querySelector('table');
  while (true) {
    region.scrollTop += 4000;
    await new Promise(drawn => requestAnimationFrame(drawn));
    const atEnd = region.scrollTop + region.clientHeight >= region.scrollHeight - 2;
    if (atEnd && table.ariaRowCount !== '-1') return [performance.now() - began, Number(table.ariaRowCount) - 1];
  }
}"""
_REDRAW = """async metric => {
  const choice = document.querySelector('select[aria-label="Metric of the calendar"]');
  const label = () => document.querySelector('[role=gridcell][data-look=value]').getAttribute('aria-label');
  const before = label(), began = performance.now();
  choice.value = metric;
  choice.dispatchEvent(new Event('change', { bubbles: true }));
  while (label() === before) await new Promise(drawn => requestAnimationFrame(drawn));
  return performance.now() - began;
}"""


def measure(folder: Path, home: Path, n: int, commands: dict[str, list[str]]) -> list[Line]:
    state = folder / "state" / "page"
    shutil.rmtree(state, ignore_errors=True)
    with part_push.postgresql() as server:
        url = asyncio.run(_filled(server, state))
        with our_hub(url, state) as (hub, _), _browser() as new_page:
            root, token = hub.url.removesuffix("/api/v1"), hub.headers["Authorization"].removeprefix("Bearer ")
            return [*_first(lambda: _open(new_page(), root, token), n), *_moving(new_page(), root, token, n)]


async def _filled(server: EmbeddedPg, state: Path) -> str:
    url = await part_push.new_database(server)
    async with running_hub(url, state / "filling") as hub:
        await usage_year.fill(hub)
    return url


@contextmanager
def _browser() -> Iterator[Callable[[], Page]]:
    """Pages with an empty cache each."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=BROWSER_FLAGS)

        def new_page() -> Page:
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.add_init_script(_WATCH)
            return page

        yield new_page
        browser.close()


def _open(page: Page, root: str, token: str, path: str = "") -> Page:
    page.request.post(f"{root}/api/v1/login", data={"token": token})
    page.goto(f"{root}/{path}")
    return page


def _first(opened: Callable[[], Page], n: int) -> list[Line]:
    first, whole, bytes_ = [], [], 0
    for _ in range(n):
        page = opened()
        page.wait_for_function("() => window.first")
        page.wait_for_function(_RESTS)
        first.append(page.evaluate("window.first"))
        whole.append(page.evaluate("performance.now()"))
        bytes_ = page.evaluate(_CAME)
        page.context.close()
    what = "a year of 50 hosts, 200 models, 10,000 sessions: from the address to"
    return [
        alone("first load: html, js, css and icon, as they come", f"{bytes_ / 1000:.0f} kB", "< 150 kB"),
        alone(f"{what} the first number", _spread(first), "< 1,000 ms"),
        alone(f"{what} everything drawn", _spread(whole), ""),
    ]


def _moving(page: Page, root: str, token: str, n: int) -> list[Line]:
    _open(page, root, token, "?range=12m")
    page.wait_for_function(_RESTS)
    redrawn = [page.evaluate(_REDRAW, ("output_tokens", "total_tokens")[turn % 2]) for turn in range(2 * n)]
    calendar = _spread(redrawn), _longest(page)
    _open(page, root, token, "sessions?sort=total_tokens")
    page.wait_for_selector(".rows tbody tr")
    milliseconds, rows = page.evaluate(_SCROLL)
    scrolled = f"{milliseconds / 1000:.1f} s for {rows:,} rows"
    return [
        alone("the year's calendar by another metric, the hub's answer included", calendar[0], ""),
        alone("meanwhile, the longest that the page did not answer", calendar[1], "< 200 ms"),
        alone("scrolling from the first session to the last", scrolled, ""),
        alone("meanwhile, the longest that the page did not answer", _longest(page), "< 200 ms"),
    ]


def _longest(page: Page) -> str:
    return f"{max(page.evaluate('tasks'), default=0):.0f} ms"


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms ({min(times):.0f}–{max(times):.0f}, n={len(times)})"
