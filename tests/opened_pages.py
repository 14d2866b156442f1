"""Pages in a real browser, and what they complained about."""

import os
import shutil
from typing import Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from hub_process import Hub

ColorScheme = Literal["light", "dark"]

# As root in a container a browser has no sandbox; the rest keeps it from calling home.
BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def browser_path() -> str | None:
    """None: the one that Playwright brought, if any."""
    return os.environ.get("TRUEUP_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)


class Opener:
    """Opens pages that are logged in, and at the end says whether any of them complained."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.expected: set[str] = set()  # words of those that belong to the test, whenever they come

    async def blank(self, width: int = 1280, scheme: ColorScheme = "light") -> Page:
        context = await self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-US", timezone_id="Europe/Berlin"
        )
        self._contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(said.text)

    async def log_in(
        self,
        hub: Hub,
        address: str = "",
        width: int = 1280,
        scheme: ColorScheme = "light",
        *,
        token: str | None = None,
    ) -> Page:
        """`address`: path and query from the hub's root. As a viewer, where no other `token` is given."""
        page = await self.blank(width, scheme)
        await page.request.post(f"{hub.url}/api/v1/login", data={"token": token or hub.token})
        await page.goto(f"{hub.url}/{address}")
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()
