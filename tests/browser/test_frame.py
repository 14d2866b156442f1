"""What every panel offers: its data as a table, as CSV and as a picture."""

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# The picture as the browser reads it: its size, its ground, and how many of its pixels have which colour.
READ = """async data => {
  const bytes = Uint8Array.from(atob(data), one => one.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes]));
  const ctx = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  ctx.drawImage(picture, 0, 0);
  const { data: pixels } = ctx.getImageData(0, 0, picture.width, picture.height);
  const colours = {};
  for (let at = 0; at < pixels.length; at += 4) {
    const colour = `rgb(${pixels[at]}, ${pixels[at + 1]}, ${pixels[at + 2]})`;
    colours[colour] = (colours[colour] ?? 0) + 1;
  }
  return { width: picture.width, height: picture.height, colours };
}"""
COLOUR = """variable => {
  const probe = document.createElement("i");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}"""


async def picture(page: Page, panel: str, tmp_path: Path) -> tuple[str, Any]:
    async with page.expect_download() as downloading:
        await page.get_by_role("region", name=panel, exact=True).get_by_role("button", name="PNG").click()
    download = await downloading.value
    await download.save_as(tmp_path / "picture.png")
    data = base64.b64encode((tmp_path / "picture.png").read_bytes()).decode()
    return download.suggested_filename, await page.evaluate(READ, data)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_chart_is_saved_as_a_picture_in_the_colours_of_the_page(
    filled_hub: Hub, pages: Opener, tmp_path: Path, scheme: Any
) -> None:
    page = await pages.log_in(filled_hub, "?group_by=model", scheme=scheme)
    chart = page.get_by_role("img", name="Total tokens per day")
    await expect(chart).to_be_visible()
    name, found = await picture(page, "Total tokens over time", tmp_path)
    assert name == "trueup-total-tokens-over-time_2026-11-02_2026-11-08.png"
    assert found["width"] > 2 * (await chart.bounding_box() or {"width": 0})["width"]
    pixels = found["width"] * found["height"]
    assert found["colours"][await page.evaluate(COLOUR, "--surface")] > pixels / 2
    for part in ("--part-0", "--part-1"):
        assert found["colours"][await page.evaluate(COLOUR, part)] > 500
    assert found["colours"][await page.evaluate(COLOUR, "--text")] > 100  # the title


async def test_a_table_is_no_picture_and_says_so(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub)
    panel = page.get_by_role("region", name="Total tokens over time", exact=True)
    await panel.get_by_role("button", name="Table").click()
    await expect(panel.get_by_role("button", name="PNG")).to_be_disabled()
    await expect(panel.get_by_role("button", name="PNG")).to_have_attribute(
        "title", "A table is no picture: show the drawing first"
    )


async def test_the_csv_of_a_panel_is_the_answer_that_it_shows(filled_hub: Hub, pages: Opener, tmp_path: Path) -> None:
    page = await pages.log_in(filled_hub, "?group_by=harness&model=gpt-5-codex&from=2026-11-02&to=2026-11-06")
    panel = page.get_by_role("region", name="Total tokens over time", exact=True)
    async with page.expect_download() as downloading:
        await panel.get_by_role("link", name="CSV").click()
    download = await downloading.value
    await download.save_as(tmp_path / "its.csv")
    query = {"group_by": "harness", "model": "gpt-5-codex", "from": "2026-11-02", "to": "2026-11-06"}
    activity = await filled_hub.get("analytics/activity", **query, granularity="day")
    header, *lines = (tmp_path / "its.csv").read_text().splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines if not line.startswith("#")]
    said = [(row["key"], row["start"], row["output_tokens"]) for row in rows]
    assert said == [
        (one["key"], point["start"], "" if (value := point["totals"]["output_tokens"]) is None else str(value))
        for one in activity["series"]
        for point in one["points"]
    ]
    assert len(said) == 5
    assert download.suggested_filename == "activity_2026-11-02_2026-11-06.csv"


async def test_on_a_phone_the_three_are_in_a_menu_that_escape_closes(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, width=390)
    panel = page.get_by_role("region", name="Total tokens over time", exact=True)
    await expect(panel.get_by_role("button", name="PNG")).to_have_count(0)
    menu = panel.get_by_role("button", name="More for")
    await menu.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(panel.get_by_role("table")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(menu).to_be_focused()
    await expect(panel.get_by_role("button", name="PNG")).to_have_count(0)


async def test_a_day_that_did_not_report_is_hatched_in_the_picture_too(
    filled_hub: Hub, pages: Opener, tmp_path: Path
) -> None:
    page = await pages.log_in(filled_hub)
    await expect(page.get_by_role("gridcell").first).to_be_visible()
    _, with_hatching = await picture(page, "Calendar", tmp_path)
    await page.get_by_label("Metric of the calendar").select_option("messages")  # which always are known
    await expect(page.get_by_role("grid", name="Messages per day")).to_be_visible()
    _, without = await picture(page, "Calendar", tmp_path)
    hatch = await page.evaluate(COLOUR, "--line-strong")
    assert with_hatching["colours"].get(hatch, 0) > 2 * without["colours"].get(hatch, 0) + 100
