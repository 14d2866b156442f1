"""All pages of the dashboard on the fleet (usage_fleet.py), and when one of them has come to rest."""

from typing import NamedTuple

from playwright.async_api import Page, expect

from hub_process import Hub
from usage_fleet import LONG

# Colours fade: what is measured meanwhile is neither the one nor the other.
_STILL = """Promise.all(document.getAnimations()
  .filter(one => one.effect.getComputedTiming().iterations !== Infinity).map(one => one.finished))"""
NAMES = ("overview", "sessions", "session", "hosts", "host", "quality")


class Place(NamedTuple):
    address: str
    title: str
    landmark: str  # text that is there once the page has its numbers


async def place_of(hub: Hub, name: str) -> Place:
    hosts = {host["label"]: host["host_id"] for host in (await hub.get("hosts"))["hosts"]}
    return {
        "overview": Place("", "Overview", "Total tokens"),
        "sessions": Place("sessions", "Sessions", "Sessions"),
        "session": Place(f"sessions/{LONG.key.hex()}", "Session", LONG.name[:8]),
        "hosts": Place("hosts", "Hosts", "jonas-vm"),
        "host": Place(f"hosts/{hosts['jonas-vm']}", "Host", "jonas-vm"),
        "quality": Place("quality", "Data quality", "cursor"),
    }[name]


async def settled(page: Page, place: Place) -> None:
    """Everything that it asked for is there."""
    await expect(page).to_have_title(f"{place.title} · trueup")
    await expect(page.get_by_text(place.landmark).first).to_be_visible()
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await expect(page.get_by_text("Loading …")).to_have_count(0)
    await page.evaluate(_STILL)
