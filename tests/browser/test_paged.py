"""A list that comes page by page keeps what its reader asked for."""

import asyncio
import contextlib

import pytest
from playwright.async_api import Error, Route, expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_more_that_was_asked_for_comes_though_the_list_is_read_anew_meanwhile(
    fleet_hub: Hub, pages: Opener
) -> None:
    page = await pages.blank()
    await page.request.post(f"{fleet_hub.url}/api/v1/login", data={"token": fleet_hub.token})
    pressed = asyncio.Event()

    async def later(route: Route) -> None:  # the stream of events: once it is open, the page asks again
        await pressed.wait()
        await asyncio.sleep(0.3)
        await route.continue_()

    async def slowly(route: Route) -> None:
        answer = await route.fetch()
        await asyncio.sleep(1)
        with contextlib.suppress(Error):  # it was given up
            await route.fulfill(response=answer)

    await page.route("**/api/v1/events", later)
    await page.route("**/api/v1/sessions?*cursor=*", slowly)
    await page.goto(f"{fleet_hub.url}/sessions")
    status = page.get_by_role("status").filter(has_text="session")
    await expect(status).to_contain_text("The first 100")
    async with page.expect_request("**/api/v1/sessions?*cursor=*"):
        await page.get_by_role("button", name="More", exact=True).press("Enter")
    async with page.expect_request(lambda asked: "/sessions?" in asked.url and "cursor" not in asked.url):
        pressed.set()
    await expect(status).to_contain_text("The first 600")
    await page.unroute_all(behavior="ignoreErrors")
