"""What axe finds on a page that keeps it from somebody."""

from typing import Any

import msgspec
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Page

# Through the debugger, which the page's CSP does not bind.
_AXE = AXE_FILE_PATH.read_text()
_FOUND = "found.violations.map(one => [one.id, one.nodes.slice(0, 5).map(node => node.html)])"
_RUN = f"; axe.run(document, %s).then(found => {_FOUND})"


async def violations(page: Page, *rules: str) -> Any:
    """By all rules, or by those alone."""
    options = {"runOnly": rules} if rules else {}
    return await page.evaluate(_AXE + _RUN % msgspec.json.encode(options).decode())
