"""The hub behind an address may become another one, which lacks what was selected, stored or linked: the page asks for
nothing that it does not have, and says what it put back."""

from pathlib import Path

import pytest
from playwright.async_api import Page, Request, Response, expect

from hub_process import running_hub
from lesser_hub import lesser_hub
from opened_pages import Opener
from processes import free_port
from usage_week import fill

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

METRIC = "cache_savings"
SELECTED = f"?chart={METRIC}&heatmap={METRIC}&top={METRIC}"
LACKING = (
    "analytics/hour-of-week",
    "rejections",
    "sources",
    "sessions/{session_id}/messages",
    "sessions/{session_id}/usage",
)
PANELS = ("Metric over time", "Metric of the calendar", "Metric of top sessions")


class Heard:
    """Requests that a context sends, and refusals that it gets."""

    def __init__(self, page: Page) -> None:
        self.asked: list[str] = []  # below /api/v1/
        self.refused: list[str] = []
        page.context.on("request", self._ask)
        page.context.on("response", self._answer)

    def _ask(self, request: Request) -> None:
        self.asked.append(request.url.partition("/api/v1/")[2])

    def _answer(self, response: Response) -> None:
        if 400 <= response.status < 500:
            self.refused.append(f"{response.status} {response.url}")

    def of_the_metric(self) -> list[str]:
        return [url for url in self.asked if f"metric={METRIC}" in url]


async def shows_all(page: Page, metric: str) -> None:
    for name in PANELS:
        await expect(page.get_by_label(name)).to_have_value(metric)


async def says_what_it_put_back(page: Page) -> None:
    said = page.get_by_role("status").filter(has_text=f"no “{METRIC}”")
    await expect(said.first).to_be_visible()
    for words in ("tokens over time", "the calendar", "top sessions"):
        await expect(said.filter(has_text=words)).to_be_visible()


async def test_a_hub_that_lacks_the_metric_selected_stored_and_linked_is_never_asked_for_it(
    new_database: str, tmp_path: Path, pages: Opener
) -> None:
    port = free_port()
    async with running_hub(new_database, tmp_path, port) as hub:
        await fill(await hub.machine("desk"), await hub.machine("laptop"))
        page = await pages.log_in(hub, SELECTED)
        await shows_all(page, METRIC)
        await page.get_by_label(PANELS[1]).select_option("messages")  # a choice is what is stored
        await page.get_by_label(PANELS[1]).select_option(METRIC)
        heard = Heard(page)
        await page.reload()
        await shows_all(page, METRIC)
        assert heard.of_the_metric()
        assert METRIC in await page.evaluate("JSON.stringify(localStorage)")
    heard.asked.clear()
    async with lesser_hub(new_database, tmp_path, port, metrics=[METRIC], routes=["analytics/hour-of-week"]):
        await says_what_it_put_back(page)  # selected, on the page that stayed open
        await shows_all(page, "total_tokens")
        for address in ("", SELECTED):  # stored, linked
            await page.evaluate(f"localStorage.setItem('trueup.selection', '{SELECTED[1:]}')")
            await page.goto(f"{hub.url}/{address}")
            await says_what_it_put_back(page)
            await shows_all(page, "total_tokens")
        assert heard.refused == []
        assert heard.of_the_metric() == []
        assert [url for url in heard.asked if url.startswith("analytics/")]
        await page.close()  # before this hub goes too
    pages.complaints.clear()  # the browser reports each refused connection


async def test_pages_of_a_hub_that_lacks_routes_show_the_rest_and_ask_for_none_of_them(
    new_database: str, tmp_path: Path, pages: Opener
) -> None:
    port = free_port()
    async with running_hub(new_database, tmp_path, port) as hub:
        await fill(await hub.machine("desk"), await hub.machine("laptop"))
        [host, _] = (await hub.get("hosts"))["hosts"]
        session = (await hub.get("sessions"))["sessions"][0]
    shown = {
        "": "Total tokens",
        "sessions": "website",
        f"sessions/{session['id']}": session["harness"],
        "hosts": "laptop",
        f"hosts/{host['host_id']}": "desk",
        "quality": "codex",
    }
    async with lesser_hub(new_database, tmp_path, port, routes=LACKING):
        page = await pages.log_in(hub)
        heard = Heard(page)
        for address, text in shown.items():
            await page.goto(f"{hub.url}/{address}")
            await expect(page.get_by_text(text).first).to_be_visible()
            await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert heard.refused == []
        assert len(heard.asked) > 20
        await page.close()
    pages.complaints.clear()
