"""Numbers as the page shows them, exactly."""

from playwright.async_api import Locator, Page, expect


def tile(page: Page, label: str) -> Locator:
    """One of the numbers at the head of the overview."""
    return page.locator("dl > div").filter(has=page.get_by_role("term").get_by_text(label, exact=True))


async def exact(place: Locator) -> str:
    """The number in it, shortened on the page or not; "—" where it is not reported."""
    value = place.locator(".amount, .plain, .unknown").first
    await expect(value).to_be_visible()
    if await value.locator("[aria-hidden]").count():
        return await value.locator("[aria-hidden]").inner_text()
    return await value.get_attribute("data-exact") or await value.inner_text()


def tokens(value: int | None, lower_bound: bool = False) -> str:
    """As the page writes it."""
    return "—" if value is None else f"{'≥ ' * lower_bound}{value:,}"


def dollars(micros: int | None, lower_bound: bool = False) -> str:
    return "—" if micros is None else f"{'≥ ' * lower_bound}${micros / 1e6:,.2f}"


def may_be_more(coverage: dict[str, int]) -> bool:
    """Whether a sum has the sign of a lower bound, here and in the terminal's tables."""
    return coverage["lower_bound"] > 0 or coverage["reported"] < coverage["events"]
