"""What a machine with a credential may claim, and what an address may hold: the page stays a page, and readable."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

import usage_week as week
from hub_process import Hub, running_hub
from opened_pages import Opener
from trueup_hub.db import create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_shared import keys
from trueup_shared.wire import EventBody, SessionBody

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MARKUP = '"><img src=x onerror="document.title=1">{{7*7}}</script><base href=//evil.example>'
TURNED = "\u202egnp.exe,\"',= 🦀"
MOST = 2**53 - 1
NAMES = ("__proto__", "constructor", "a,b", 'a"b', "\r\n# next_cursor: x", "=1+1", "null", "javascript:alert(1)")


def body(at: str, session: bytes, **fields: object) -> EventBody:
    about = {"harness": MARKUP, "provider": MARKUP, "model": MARKUP, "project": MARKUP} | fields
    return EventBody(session_key=session, at=week.at(at), time_quality=1, **about)  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hostile_hub(pg: EmbeddedPg, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Two honest machines, and one that names everything as none should, in the first and the last year there is."""
    name = "browser_hostile"
    await create_database(pg.url("postgres"), name, "template_trueup")
    async with running_hub(pg.url(name), tmp_path_factory.mktemp("hostile")) as hub:
        labels = {"<b>x</b>": MARKUP, "__proto__": "constructor"}
        await week.fill(await hub.machine("desk"), await hub.machine("laptop"))
        evil = await hub.machine(MARKUP, labels=labels, platform=MARKUP)
        first, second = keys.session_key(MARKUP, MARKUP), keys.session_key(TURNED, TURNED)
        used = dict.fromkeys(("input_tokens", "cache_read_tokens", "output_tokens"), MOST)
        await evil.push(
            [
                (
                    first,
                    SessionBody(
                        harness=MARKUP,
                        session_id=MARKUP,
                        parent_key=second,
                        relationship="subagent",
                        project=MARKUP,
                        git_branch=MARKUP,
                        started_at=week.at("2015-01-03"),
                    ),
                ),
                (
                    second,
                    SessionBody(
                        harness=TURNED,
                        session_id=TURNED,
                        parent_key=first,
                        relationship="subagent",
                        project=TURNED,
                        git_branch=TURNED,
                        started_at=week.at("2099-12-30"),
                    ),
                ),
                *((keys.event_key(MARKUP, f"a{n}"), body(f"2015-01-{n:02}", first, **used)) for n in range(3, 23)),
                (
                    keys.event_key(MARKUP, "b"),
                    body("2099-12-30", second, provider=TURNED, model=TURNED, project=TURNED),
                ),
                # Names that run into each other where they stand side by side
                (keys.event_key(MARKUP, "c"), body("2026-11-03", first, provider="a b", model="c")),
                (keys.event_key(MARKUP, "d"), body("2026-11-03", first, provider="a", model="b c")),
                (keys.event_key(MARKUP, "e"), body("2026-11-03", first, provider="a", model="null")),
                (keys.event_key(MARKUP, "f"), body("2026-11-03", first, provider="a", model=None)),
                *(
                    (keys.event_key(MARKUP, f"p{n}"), body("2026-11-03", first, project=one, model=one, harness=one))
                    for n, one in enumerate(NAMES)
                ),
            ]
        )
        await evil.beat(
            last_error=MARKUP,
            drift_suspected=[MARKUP],
            platform=MARKUP,
            unknown_records=7,
            sources=[
                {
                    "key": bytes(16),
                    "harness": MARKUP,
                    "state": "source_gone",
                    "bytes_read": MOST,
                    "lines": MOST,
                    "skipped_lines": MOST,
                    "unknown_records": MOST,
                    "path": MARKUP,
                }
            ],
        )
        beside = evil.beside()  # a second ledger of that host
        await beside.push([(keys.session_key(MARKUP, "z"), SessionBody(harness=MARKUP, session_id="z"))])
        await beside.beat(last_error=MARKUP)
        yield hub
    await drop_database(pg.url("postgres"), name)


async def rested(page: Page) -> None:
    await expect(page.get_by_text("Loading …")).to_have_count(0, timeout=20_000)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=20_000)


async def test_nothing_that_a_machine_claims_becomes_markup_or_stops_a_page(hostile_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(hostile_hub, "hosts", token=hostile_hub.admin_token)
    await rested(page)
    sessions = [f"sessions/{keys.session_key(one, one).hex()}" for one in (MARKUP, TURNED)]
    hosts = [f"hosts/{host['host_id']}" for host in (await hostile_hub.get("hosts"))["hosts"]]
    for place in ("", "sessions", "quality", *sessions, *hosts):
        await page.goto(f"{hostile_hub.url}/{place}")
        await rested(page)
        assert "· trueup" in await page.title()
        assert await page.locator("main img, main script, base + base, :text-is('x')").count() == 0, place
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, place
        assert await page.get_by_text("Try again").count() == 0, place


async def test_a_range_of_a_century_is_drawn_as_far_as_a_browser_can_and_says_so(
    hostile_hub: Hub, pages: Opener
) -> None:
    page = await pages.log_in(hostile_hub)
    await rested(page)
    assert await page.locator("[role=gridcell]").count() < 4_000
    await expect(page.get_by_text("Drawn are the last 3,653 days; the table has 27,390 before them.")).to_be_visible()
    total = page.get_by_role("button", name=re.compile("^at least ≈ 540,431,955,28[0-9],[0-9]{3},000$")).first
    await expect(total).to_be_visible()  # not digits that nobody knows


@pytest.mark.parametrize("query", ["from=x&to=x", "from=1&to=1&range=<b>&timezone=" + quote(MARKUP), "chart=__proto__"])
async def test_an_address_of_nonsense_shows_a_page_that_says_so(filled_hub: Hub, pages: Opener, query: str) -> None:
    page = await pages.log_in(filled_hub, f"?{query}")
    await expect(page.get_by_text("Total tokens").first).to_be_visible()
    await rested(page)
    await expect(page.locator("main p.notice", has_text="showing").first).to_be_visible()
