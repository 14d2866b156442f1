"""The dashboard behind a proxy that puts the hub below a path."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PREFIX = "/trueup"


@contextlib.asynccontextmanager
async def proxied(hub: Hub, seen: list[str]) -> AsyncIterator[str]:
    """Takes the prefix off and hands on; whoever leaves the prefix finds nothing."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            seen.append(request.path)
            path = request.raw_path.removeprefix(PREFIX)
            if path == request.raw_path or not path.startswith("/"):
                raise web.HTTPNotFound
            async with http.request(
                request.method,
                hub.url + path,
                headers=request.headers,
                data=await request.read() or None,
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "date", "server"):
                        response.headers.add(name, value)
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):
                    async for chunk in answer.content.iter_any():
                        await response.write(chunk)
                return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", pass_on)
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}"
        await runner.cleanup()


async def test_all_of_it_stays_below_the_path(filled_hub: Hub, pages: Opener) -> None:
    seen: list[str] = []
    async with proxied(filled_hub, seen) as root:
        page = await pages.blank()
        found = await filled_hub.get("sessions", project="website")
        deep = f"{root}/sessions/{found['sessions'][0]['id']}"
        await page.goto(f"{deep}?project=website")
        await page.get_by_label("Token", exact=True).fill(filled_hub.token)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Session", level=1)).to_be_attached()
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        assert page.url == f"{deep}?project=website"
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_role("button", name="Remove filter project website")).to_be_visible()
        assert page.url == f"{root}/?project=website"
        await page.get_by_role("link", name="Hosts").first.click()
        await expect(page.get_by_text("laptop").first).to_be_visible()
        await page.go_back()
        assert page.url == f"{root}/?project=website"
        await page.reload()
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="CSV").first.click()
        assert (await downloading.value).url.startswith(f"{root}/api/v1/")
        await page.goto(f"{root}/login?code={await filled_hub.auth.make_login_code('viewer')}")
        await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_attached()
        assert page.url.startswith(f"{root}/") and "code" not in page.url
        await page.close()
    assert {path.startswith(f"{PREFIX}/") for path in seen} == {True}, seen
    pages.expected.add("401")
