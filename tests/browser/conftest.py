"""A real browser, and hubs with real data for it to show."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

import usage_corpora
import usage_fleet
import usage_week
import usage_year
from given import CORPORA
from hub_process import Hub, running_hub
from opened_pages import BROWSER_FLAGS, Opener, browser_path
from trueup_hub.db import create_database, drop_database
from trueup_hub.embedded_pg import EmbeddedPg
from usage_corpora import Corpora


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        try:
            running = await playwright.chromium.launch(executable_path=browser_path(), args=BROWSER_FLAGS)
        except Exception as error:
            why = str(error).splitlines()[0]
            pytest.exit(f"no browser starts ({why}). Run: deploy/checkout/browser.sh  (or: make test-nobrowser)", 1)
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def new_database(pg: EmbeddedPg) -> AsyncIterator[str]:
    async with _database(pg) as url:
        yield url


@contextlib.asynccontextmanager
async def _database(pg: EmbeddedPg) -> AsyncIterator[str]:
    name = f"browser_{uuid.uuid4().hex}"
    await create_database(pg.url("postgres"), name, "template_trueup")
    yield pg.url(name)
    await drop_database(pg.url("postgres"), name)


@pytest_asyncio.fixture(loop_scope="session")
async def empty_hub(new_database: str, tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(new_database, tmp_path) as hub:
        yield hub


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def filled_hub(pg: EmbeddedPg, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Two machines and a week of usage (usage_week.py). Tests only read it."""
    async with _database(pg) as url, running_hub(url, tmp_path_factory.mktemp("filled")) as hub:
        await usage_week.fill(await hub.machine("desk"), await hub.machine("laptop"))
        yield hub


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet_hub(pg: EmbeddedPg, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Twenty machines in every state, three months up to today (usage_fleet.py). Tests only read it."""
    async with _database(pg) as url, running_hub(url, tmp_path_factory.mktemp("fleet")) as hub:
        await usage_fleet.fill(hub)
        yield hub


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def corpora(pg: EmbeddedPg, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Corpora]:
    """Real transcripts on two machines, scanned and pushed by real agents (usage_corpora.py). Tests only read it."""
    if not CORPORA.is_dir():
        pytest.skip("the given data is not beside this checkout")
    folder = tmp_path_factory.mktemp("corpora")
    async with _database(pg) as url, running_hub(url, folder / "hub") as hub:
        yield await usage_corpora.fill(hub, folder)


@pytest.fixture(scope="session")
def corpus_hub(corpora: Corpora) -> Hub:
    return corpora.hub


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def big_hub(pg: EmbeddedPg, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Fifty machines, 200 models, 10,000 sessions, a year (usage_year.py). Tests only read it."""
    async with _database(pg) as url, running_hub(url, tmp_path_factory.mktemp("big")) as hub:
        await usage_year.fill(hub)
        yield hub


@pytest_asyncio.fixture(loop_scope="session")
async def pages(browser: Browser) -> AsyncIterator[Opener]:
    opener = Opener(browser)
    yield opener
    await opener.close()
    unexpected = [said for said in opener.complaints if not any(word in said for word in opener.expected)]
    assert unexpected == [], "the browser's console must stay empty: no error, no refusal by the CSP"
