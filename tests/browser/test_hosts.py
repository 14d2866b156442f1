"""The pages of machines against a fleet in every state: what they show is what the API says, in words, once."""

import json
import re
import time
from collections import Counter
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from hub_process import Hub
from opened_pages import Opener

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WORDS = {"never": "nothing yet"}  # of states that are not called by their own name
URGENT = ["forked", "diverged", "silent", "behind", "never", "converged", "retired"]
MANY = 1_000


def rows_of(page: Page) -> Locator:
    return page.get_by_role("region", name="Hosts, one by one").locator("tbody tr")


def plain(text: str) -> str:
    """Without what marks commands, and with single spaces."""
    return " ".join(text.replace("`", "").split())


def sentences(host: dict[str, Any]) -> set[str]:
    """All that the hub says of it; that it is converged goes without saying."""
    own = [] if host["state"] == "converged" else [host["reason"], host["action"]]
    said = [*own, *(flag[part] for flag in host["flags"] for part in ("reason", "action"))]
    return {plain(one) for text in said for one in re.split(r"(?<=[.!?])\s+", text) if one}


async def hosts_of(hub: Hub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await hub.get("hosts"))["hosts"]
    return found


async def opened(pages: Opener, hub: Hub, label: str, **how: Any) -> tuple[Page, dict[str, Any]]:
    """The page of a host, and what the API says of it."""
    host_id = next(host["host_id"] for host in await hosts_of(hub) if host["label"] == label)
    page = await pages.log_in(hub, f"hosts/{host_id}", **how)
    await expect(page.get_by_role("heading", name=label)).to_be_visible()
    return page, await hub.get(f"hosts/{host_id}")


def fact(of: Locator, name: str) -> Locator:
    term = of.page.get_by_role("term").get_by_text(name, exact=True)
    return of.locator("dl > div").filter(has=term).get_by_role("definition")


async def test_every_state_and_flag_is_told_in_words_and_no_sentence_twice(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "hosts")
    await expect(rows_of(page)).to_have_count(20)
    shown = {}
    for row in await rows_of(page).all():
        shown[await row.get_by_role("link").inner_text()] = plain(await row.inner_text())
    for host in await hosts_of(fleet_hub):
        text = shown[host["label"]]
        assert WORDS.get(host["state"], host["state"]) in text
        told = sentences(host)
        assert {sentence: text.count(sentence) for sentence in told} == dict.fromkeys(told, 1)


async def test_the_most_urgent_come_first_and_a_column_sorts_both_ways(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "hosts")
    states = {host["label"]: host["state"] for host in await hosts_of(fleet_hub)}
    names = rows_of(page).get_by_role("link")
    await expect(names).to_have_count(20)
    ranks = [URGENT.index(states[name]) for name in await names.all_inner_texts()]
    assert ranks == sorted(ranks)
    await page.get_by_role("button", name="Pending").click()
    await expect(names.first).to_have_text("chloe-mbp")  # of two with as many the one that comes first by name
    await expect(page.get_by_role("columnheader", name="Pending")).to_have_attribute("aria-sort", "descending")
    await page.get_by_role("button", name="Host", exact=True).click()
    assert await names.all_inner_texts() == sorted(states)
    await page.get_by_role("button", name="Host", exact=True).click()
    await expect(names.first).to_have_text("ops-runner")
    await page.go_back()
    await expect(names.first).to_have_text("ana-mbp")


async def test_the_numbers_of_a_row_are_those_of_the_api(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "hosts?ordered=name")
    trust = {host["host_id"]: host for host in (await fleet_hub.get("trust"))["hosts"]}
    expected, found = {}, {}
    for host in await hosts_of(fleet_hub):
        told = [ledger for ledger in host["ledgers"] if ledger["live"]]
        pending = f"{trust[host['host_id']]['pending_changes']:,}" if told else "—not reported"
        times = [host["last_seen_at"], trust[host["host_id"]]["complete_up_to"]]
        version = ", ".join({ledger["agent_version"] for ledger in told}) or "—"
        expected[host["label"]] = ([time for time in times if time], pending, version)
    await expect(rows_of(page)).to_have_count(20)
    for row in await rows_of(page).all():
        cells = row.locator("td")
        times = await row.locator("time").evaluate_all("all => all.map(one => one.getAttribute('datetime'))")
        version = (await cells.nth(4).inner_text()).split("\n")[0].strip()
        pending = "".join((await cells.nth(3).inner_text()).split("\n"))
        found[await row.get_by_role("link").inner_text()] = (times, pending, version)
    assert found == expected


async def test_the_summary_counts_as_the_api_does_and_narrows_the_list(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "hosts")
    chips = page.get_by_role("group", name="Only hosts that are")
    await expect(chips.get_by_role("button", name="20 in all")).to_have_attribute("aria-pressed", "true")
    counts = (await fleet_hub.get("trust"))["trust"]["hosts"]
    told = {f"{counts[state]} {WORDS.get(state, state)}" for state in URGENT if counts[state]}
    assert set(await chips.get_by_role("button").all_inner_texts()) == {*told, "20 in all"}
    flags = Counter(flag["flag"] for host in await hosts_of(fleet_hub) for flag in host["flags"])
    await chips.get_by_role("button", name="2 behind").click()
    await expect(rows_of(page)).to_have_count(counts["behind"])
    assert "state=behind" in page.url
    beside = page.get_by_role("group", name="Only hosts with")
    await beside.get_by_role("button", name="resync needed").click()
    await expect(rows_of(page)).to_have_count(flags["needs_resync"])
    await page.reload()
    await expect(beside.get_by_role("button", name="resync needed")).to_have_attribute("aria-pressed", "true")
    await page.get_by_label("Find a host").fill("team:OPS")
    await expect(rows_of(page).get_by_role("link")).to_have_text(["jonas-vm", "ci-2", "ops-runner"])
    await page.get_by_label("Find a host").fill("nobody")
    await expect(page.get_by_text("No host is like that.")).to_be_visible()
    await page.get_by_role("button", name="Show all").click()
    await expect(rows_of(page)).to_have_count(20)


async def test_a_state_that_there_is_not_falls_back_and_says_so(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "hosts?state=happy")
    await expect(page.get_by_role("status").filter(has_text="happy")).to_be_visible()
    await expect(rows_of(page)).to_have_count(20)


async def test_what_narrows_hosts_elsewhere_narrows_them_here_and_can_be_taken_off(
    fleet_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(fleet_hub, "hosts?label=team:ops&harness=claude&ordered=name")
    await expect(rows_of(page).get_by_role("link")).to_have_text(["ci-1", "ci-2", "ci-3", "jonas-vm", "ops-runner"])
    await page.get_by_role("button", name="Remove filter label team:ops").click()
    await expect(rows_of(page)).to_have_count(20)  # a harness narrows no list of machines
    assert "harness=claude" in page.url


async def test_all_pages_of_the_list_are_asked_for(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.blank()
    await page.request.post(f"{fleet_hub.url}/api/v1/login", data={"token": fleet_hub.token})
    asked = []

    async def few(route: Route) -> None:
        """As a hub answers that gives seven at a time."""
        asked.append(route.request.url)
        await route.continue_(url=f"{route.request.url}{'&' if '?' in route.request.url else '?'}limit=7")

    await page.route(re.compile(r"/api/v1/hosts(\?|$)"), few)
    await page.goto(f"{fleet_hub.url}/hosts")
    await expect(rows_of(page)).to_have_count(20)
    assert sum("cursor=" in url for url in asked[:3]) == 2


async def test_a_thousand_hosts_are_searched_and_sorted_at_once(fleet_hub: Hub, pages: Opener) -> None:
    some = (await fleet_hub.get("hosts"))["hosts"]
    many = [some[n % 20] | {"host_id": f"00000000-0000-4000-8000-{n:012}", "label": f"host {n}"} for n in range(MANY)]
    page = await pages.blank()
    await page.request.post(f"{fleet_hub.url}/api/v1/login", data={"token": fleet_hub.token})
    body = json.dumps({"hosts": many, "next_cursor": None})
    await page.route(
        re.compile(r"/api/v1/hosts(\?|$)"), lambda route: route.fulfill(body=body, content_type="application/json")
    )
    await page.goto(f"{fleet_hub.url}/hosts")
    await expect(page.get_by_role("button", name="1,000 in all")).to_be_visible()
    assert await rows_of(page).count() < 200  # what is far below is not drawn yet
    began = time.monotonic()
    await page.get_by_role("button", name="Host", exact=True).click()
    await expect(rows_of(page).first.get_by_role("link")).to_have_text("host 0")
    assert time.monotonic() - began < 1
    before = await rows_of(page).count()
    await rows_of(page).last.scroll_into_view_if_needed()
    await expect(rows_of(page).nth(before)).to_be_attached()
    await page.get_by_label("Find a host").fill("host 999")
    await expect(rows_of(page)).to_have_count(1)


async def test_a_ledger_is_shown_as_the_api_has_it(fleet_hub: Hub, pages: Opener) -> None:
    page, host = await opened(pages, fleet_hub, "chloe-mbp")
    [ledger] = host["ledgers"]
    shown = page.get_by_role("article", name=f"Ledger {ledger['ledger_id']}")
    rows = f"{ledger['sessions']:,} sessions, {ledger['messages']:,} messages, {ledger['events']:,} requests"
    assert plain(await fact(shown, "Rows").inner_text()) == rows
    head, pending = ledger["head_seq"], ledger["pending"]
    received = plain(await fact(shown, "Received up to change").inner_text())
    assert received == f"{head - pending:,} of {head:,}, {pending} pending"
    await expect(fact(shown, "Digest")).to_contain_text("equal on both sides, as of change")
    assert await shown.get_by_title(ledger["digest"]).count() == 1
    times = {"Converged": "converged_at", "Every row recomputed": "scrubbed_at", "Last batch": "last_batch_at"}
    for name, at in times.items():
        assert await fact(shown, name).locator("time").get_attribute("datetime") == ledger[at]
    await expect(page.get_by_role("link", name="Usage of this host")).to_have_attribute(
        "href", re.compile(rf"\?host={host['host_id']}$")
    )


async def test_what_harnesses_report_is_what_the_hub_says_they_do(fleet_hub: Hub, pages: Opener) -> None:
    page, host = await opened(pages, fleet_hub, "bob-thinkpad")
    capabilities = await fleet_hub.get("capabilities")
    reported = next(one for one in capabilities["hosts"] if one["host_id"] == host["host_id"])["harnesses"]
    rows = page.get_by_role("region", name="What each harness reports").locator("tbody tr")
    await expect(rows).to_have_count(len(capabilities["counters"]))
    words = {"all": "always", "some": "sometimes", "none": "not reported"}
    for row, counter in zip(await rows.all(), capabilities["counters"], strict=True):
        extents = [reported[harness][counter] for harness in sorted(reported)]
        assert [text.split(" · ")[0] for text in await row.locator("td").all_inner_texts()] == [
            words[extent["reported"]] for extent in extents
        ]
        marks = [("≥" in text, "derived" in text) for text in await row.locator("td").all_inner_texts()]
        assert marks == [(extent["lower_bound"], extent["derived"]) for extent in extents]


async def test_what_was_asked_of_an_agent_says_how_far_it_is(fleet_hub: Hub, pages: Opener) -> None:
    for label, words in (("ops-runner", "running: 3 of 9"), ("nils-pi", "failed at 1 of 4"), ("bob-thinkpad", "done")):
        page, _ = await opened(pages, fleet_hub, label)
        asked = page.get_by_role("region", name="Resync").get_by_role("listitem")
        await expect(asked).to_contain_text(words)
        await expect(asked).to_contain_text("numbers look odd")
        await expect(asked.get_by_role("progressbar")).to_have_count(int(label == "ops-runner"))


async def test_logs_that_lost_something_come_first_and_can_be_narrowed(fleet_hub: Hub, pages: Opener) -> None:
    page, host = await opened(pages, fleet_hub, "ines-mbp")
    rows = page.get_by_role("region", name="Logs, one by one").locator("tbody tr")
    await expect(rows).to_have_count(len(host["sources"]))
    lost = [source["skipped_lines"] + source["unknown_records"] > 0 for source in host["sources"]]
    assert lost == sorted(lost, reverse=True)
    for row, source in zip(await rows.all(), host["sources"], strict=True):
        assert source["harness"] in await row.inner_text()
        assert (await row.locator("td").nth(2).inner_text()) == f"{source['skipped_lines']:,}"
    await page.get_by_label("Logs of").select_option("warp")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Logs that are").select_option("present")
    await expect(rows).to_have_count(0)


async def test_more_logs_than_the_host_lists_are_asked_for_page_by_page(fleet_hub: Hub, pages: Opener) -> None:
    host_id = next(host["host_id"] for host in await hosts_of(fleet_hub) if host["label"] == "ines-mbp")
    host = await fleet_hub.get(f"hosts/{host_id}")
    body = json.dumps(host | {"sources": host["sources"][:1], "sources_total": 2})
    asked = []

    async def one_by_one(route: Route) -> None:
        asked.append(route.request.url)
        await route.continue_(url=re.sub(r"limit=\d+", "limit=1", route.request.url))

    page = await pages.blank()
    await page.request.post(f"{fleet_hub.url}/api/v1/login", data={"token": fleet_hub.token})
    await page.route(
        f"**/api/v1/hosts/{host_id}", lambda route: route.fulfill(body=body, content_type="application/json")
    )
    await page.route("**/api/v1/sources?*", one_by_one)
    await page.goto(f"{fleet_hub.url}/hosts/{host_id}")
    rows = page.get_by_role("region", name="Logs, one by one").locator("tbody tr")
    await expect(rows).to_have_count(1)
    assert asked == []
    await page.get_by_label("Logs that are").select_option("gone")
    await expect(page.get_by_text("2 of 2", exact=True)).to_be_visible()
    await page.get_by_role("button", name="1 more").click()
    await expect(rows).to_have_count(2)
    await expect(page.get_by_role("button", name="1 more")).to_have_count(0)
    assert all(f"host={host_id}&state=source_gone" in url for url in asked)


async def test_a_host_that_there_is_not_says_so(fleet_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(fleet_hub, "hosts/00000000-0000-4000-8000-000000000000")
    await expect(page.get_by_role("heading", name="There is no such host")).to_be_visible()
    await page.get_by_role("link", name="All hosts").click()
    await expect(rows_of(page)).to_have_count(20)
    pages.expected.add("404")  # the browser reports an answer too
