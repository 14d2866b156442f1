"""The page of data quality: its numbers are the hub's, and each of them leads to what is behind it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Locator, Page, expect

from dashboard_pages import Place, settled
from hub_process import Hub
from opened_pages import Opener
from usage_week import FIRST, LAST

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# What a coverage says is missing.
LACKS: dict[str, Callable[[dict[str, int]], int]] = {
    "unreported": lambda of: of["events"] - of["reported"],
    "lower_bound": lambda of: of["lower_bound"],
    "derived": lambda of: of["derived"],
}

# Of every cell of the matrix what it says is missing, as [harness, counter, kind, number]
MATRIX = """() => [...document.querySelectorAll('tr[data-harness] [data-lack]')].map(one => [
  one.closest('tr').dataset.harness, one.closest('td').dataset.counter, one.dataset.lack,
  Number(one.textContent.replaceAll(',', '').match(/[0-9]+/)[0])])"""


async def opened(hub: Hub, pages: Opener, query: str = "") -> Page:
    page = await pages.log_in(hub, f"quality{query}")
    await settled(page, Place("quality", "Data quality", "How to read this"))
    return page


def panel(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


async def behind(hub: Hub, address: str) -> tuple[int, int]:
    """What the sessions of an address add up to, and how many there are."""
    path, query = urlsplit(address).path, parse_qs(urlsplit(address).query, keep_blank_values=True)
    assert path.endswith("sessions")
    found: dict[str, str] = {name: ",".join(values) for name, values in query.items()}
    total = sessions = 0
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await hub.get("sessions", **found, **more, limit="500")
        total += sum(one["of_quality"] for one in page["sessions"])
        sessions += len(page["sessions"])
        cursor = page["next_cursor"]
    return total, sessions


async def test_the_matrix_says_of_each_harness_and_counter_what_the_hub_says(fleet_hub: Hub, pages: Opener) -> None:
    page = await opened(fleet_hub, pages)
    rows = (await fleet_hub.get("analytics/breakdown", by="harness"))["rows"]
    rows.append(await fleet_hub.get("analytics/summary") | {"key": "all"})
    counters = ["total_tokens", "cost_microusd", "input_tokens", "cache_read_tokens", "cache_write_tokens"]
    counters += ["output_tokens", "reasoning_tokens"]
    wanted = {
        (row["key"], counter, lack, missing)
        for row in rows
        for counter in counters
        for lack, of in LACKS.items()
        if (missing := of(row["coverage"][counter])) > 0
    }
    found = [tuple(one) for one in await page.evaluate(MATRIX)]
    assert len(found) == len(set(found)) > 40
    assert set(found) == wanted
    for counter in ("total_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"):
        cell = page.locator(f'tr[data-harness=all] td[data-counter="{counter}"]')
        assert await number(cell.get_by_role("button").locator("..")) == rows[-1]["totals"][counter]
    cost = page.locator("tr[data-harness=all] td[data-counter=cost_microusd]")
    await expect(cost).to_contain_text(f"≥ ${rows[-1]['totals']['cost_microusd'] / 1e6:,.2f}")
    heads = await panel(page, "Coverage by harness and counter").locator("tbody td.number").all_inner_texts()
    assert sorted(int(text.replace(",", "")) for text in heads) == sorted(row["events"] for row in rows)


async def test_every_number_of_the_matrix_leads_to_sessions_that_add_up_to_it(fleet_hub: Hub, pages: Opener) -> None:
    page = await opened(fleet_hub, pages)
    links = await page.locator("tr[data-harness] a[data-lack]").evaluate_all(
        "all => all.map(one => [one.href, Number(one.textContent.replaceAll(',', '').match(/[0-9]+/)[0])])"
    )
    assert len(links) > 30
    for address, number in links:
        assert (await behind(fleet_hub, address))[0] == number, address
    first = page.locator('tr[data-harness="aider"] td[data-counter="output_tokens"] a')
    sessions = (await behind(fleet_hub, str(await first.evaluate("one => one.href"))))[1]
    await first.click()
    await expect(page).to_have_title("Sessions · trueup")
    await expect(page.get_by_text("with lower bounds of output")).to_be_visible()
    await expect(page.get_by_text(f"All {sessions} sessions")).to_be_visible()


async def test_the_verdict_tells_facts_and_each_leads_further_down(fleet_hub: Hub, pages: Opener) -> None:
    page = await opened(fleet_hub, pages)
    summary = await fleet_hub.get("analytics/summary")
    total, trust = summary["coverage"]["total_tokens"], summary["trust"]
    told = await page.get_by_role("region", name="Verdict").inner_text()
    open_ = trust["hosts"]["total"] - trust["hosts"]["converged"]
    for said in (
        f"{total['reported']:,} of {total['events']:,} requests (97 %) reported a complete total",
        f"{total['lower_bound']} of these are lower bounds",
        f"{open_} of {trust['hosts']['total']} hosts are not complete",
        f"{summary['unpriced_tokens']:,} tokens",
        f"{trust['rejected']} rows were rejected",
        "1 request was told with other numbers",
    ):
        assert said in told
    await page.get_by_role("link", name="rows were rejected").click()
    await expect(panel(page, "Rejected rows")).to_be_in_viewport()
    assert page.url == f"{fleet_hub.url}/quality"


async def test_what_stands_beside_the_numbers_is_the_trust_block_and_leads_on(fleet_hub: Hub, pages: Opener) -> None:
    page = await opened(fleet_hub, pages)
    trust = (await fleet_hub.get("trust"))["trust"]
    names = {
        "Copies set aside": "set_aside_duplicates",
        "Conflicting copies": "conflicting_copies",
        "Tokens without a price": "unpriced_tokens",
        "Requests of old data": "old_data",
        "Changes not here yet": "pending_changes",
        "Rejected rows": "rejected",
        "Rows whose log is gone": "source_gone",
        "Hosts with suspected drift": "drift_suspected",
    }
    for name, field in names.items():
        one = page.locator(f'[data-doubt="{name}"]')
        assert await number(one.get_by_role("definition").first) == trust[field] > 0, name
        link = one.get_by_role("link")
        if await link.count():
            assert (await behind(fleet_hub, str(await link.evaluate("one => one.href"))))[0] == trust[field], name
        else:
            await expect(one.get_by_role("button", name=f"Below: {name}")).to_be_visible()


async def number(of: Locator) -> int:
    """Exactly, also where it is shortened."""
    button = of.get_by_role("button")
    text = await button.get_attribute("data-exact") if await button.count() else await of.inner_text()
    return int(str(text).removeprefix("≥ ").replace(",", ""))


async def test_hosts_rejections_models_parsers_and_logs_are_those_of_the_hub(fleet_hub: Hub, pages: Opener) -> None:
    page = await opened(fleet_hub, pages)
    trust = await fleet_hub.get("trust")
    open_ = {one["label"] for one in trust["hosts"] if one["state"] not in ("converged", "retired")}
    assert await told(panel(page, "Hosts that are not complete"), "host") == open_
    flags = {flag["flag"] for host in trust["hosts"] for flag in host["flags"]}
    assert await told(panel(page, "Notices of hosts"), "flag") == flags

    models = (await fleet_hub.get("analytics/breakdown", by="model"))["rows"]
    unpriced = {row["key"] for row in models if row["totals"]["unpriced_tokens"] > 0}
    assert await told(panel(page, "Models without a price"), "model") == unpriced
    for link in await panel(page, "Models without a price").get_by_role("link", name="Sessions of").all():
        address = str(await link.evaluate("one => one.href"))
        model = parse_qs(urlsplit(address).query)["model"][0]
        wanted = next(row["totals"]["unpriced_tokens"] for row in models if row["key"] == model)
        assert (await behind(fleet_hub, address))[0] == wanted

    rejected = panel(page, "Rejected rows")
    await expect(rejected.locator("[data-code=bad_value]")).to_contain_text("3 rows: A field has a value")
    await expect(rejected.locator("[data-code=bad_value]").get_by_role("link", name="gpu-2")).to_be_visible()
    parsers = panel(page, "Parsers and data versions")
    await expect(parsers.locator("[data-harness=codex]")).to_contain_text("nils-pi: version 1: update trueup there")
    await expect(parsers.locator("[data-harness=copilot]")).to_contain_text("farid-nuc: version 2, newer than this hub")


async def told(panel: Locator, what: str) -> set[Any]:
    return set(await panel.locator(f"[data-{what}]").evaluate_all(f"all => all.map(one => one.dataset.{what})"))


async def test_logs_add_up_and_can_be_those_of_one_state(fleet_hub: Hub, pages: Opener) -> None:
    page = await opened(fleet_hub, pages)
    sources = (await fleet_hub.get("sources", limit="1000"))["sources"]
    cells = (
        await panel(page, "Logs")
        .locator("tr[data-logs]")
        .evaluate_all(
            "all => all.map(row => [...row.cells].slice(2).map(cell => Number(cell.textContent.replaceAll(',', ''))))"
        )
    )
    logs, gone, _, _, skipped, unknown = (sum(column) for column in zip(*cells, strict=True))
    assert (logs, gone) == (len(sources), sum(one["state"] == "source_gone" for one in sources))
    assert skipped == sum(one["skipped_lines"] for one in sources) > 0
    assert unknown == sum(one["unknown_records"] for one in sources) > 0
    for name, lost in {"Lines skipped": skipped, "Unknown records": unknown}.items():
        assert await number(page.locator(f'[data-doubt="{name}"]').get_by_role("definition").first) == lost
    await page.get_by_label("State of logs").select_option("source_gone")
    await expect(panel(page, "Logs").locator("tr[data-logs]")).to_have_count(2)
    assert "logs=source_gone" in page.url


async def test_coverage_over_time_is_the_hubs_bucket_by_bucket_and_a_bucket_leads_to_its_day(
    filled_hub: Hub, pages: Opener
) -> None:
    page = await opened(filled_hub, pages, "?covered=output_tokens")
    activity = await filled_hub.get("analytics/activity", granularity="day", group_by="harness")
    wanted = {
        one["label"]: [(at["coverage"]["output_tokens"]["reported"], at["coverage"]["output_tokens"]["events"])
                       for at in one["points"]]
        for one in activity["series"]
    }  # fmt: skip
    for name, points in wanted.items():
        cells = page.get_by_role("row", name=name, exact=True).get_by_role("gridcell")
        said = [str(await cell.get_attribute("aria-label")).rpartition(": ") for cell in await cells.all()]
        assert len(said) == len(points)
        for (before, _, words), (reported, events) in zip(said, points, strict=True):
            assert words == "no requests" if events == 0 else f"{reported} of {events}" in before
    looks = page.locator(f'[data-start="{FIRST}"] [data-known]')
    assert set(await looks.evaluate_all("all => all.map(one => one.dataset.known)")) == {"exact"}
    nobodys = page.get_by_label("Counter", exact=True).locator("option[value=reasoning_tokens]")
    await expect(nobodys).to_be_disabled()
    await expect(nobodys).to_have_attribute("title", "reasoning_tokens is not reported by claude, codex")
    last = page.locator(f'[data-cell][data-start="{LAST}"]').first
    await last.focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{filled_hub.url}/quality?from={FIRST}&to={FIRST}&covered=output_tokens")
    await page.go_back()
    await expect(page).to_have_url(f"{filled_hub.url}/quality?covered=output_tokens")
    await (
        page.get_by_role("region", name="Output tokens: coverage over time").get_by_role("button", name="Table").click()
    )
    await expect(page.get_by_role("cell", name="1 of 1 (100 %), ≥ 1", exact=True).first).to_be_visible()


async def test_a_hub_without_anything_is_told_calmly_and_nothing_is_a_number_that_nobody_said(
    empty_hub: Hub, pages: Opener
) -> None:
    page = await opened(empty_hub, pages)
    await expect(page.get_by_role("region", name="Verdict")).to_have_text(
        "There was no request in this range; no host is enrolled; nothing was rejected."
    )
    await expect(panel(page, "Rejected rows")).to_contain_text("Nothing was rejected")
    await expect(panel(page, "Hosts that are not complete")).to_contain_text("No host is enrolled.")
    text = await page.locator("main").inner_text()
    assert not [word for word in ("NaN", "undefined", "null", "Infinity") if word in text]
    assert await page.get_by_role("alert").count() == 0
