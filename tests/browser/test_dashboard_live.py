"""From a line in a log to a number on the open page: real daemon, watcher and browser, as `up` starts them."""

import asyncio
import statistics
import time
from pathlib import Path

import pytest
from playwright.async_api import expect

from claude_home import FOLDER, session_id
from claude_lines import answer, prompt, usage
from opened_pages import Opener
from processes import environment, up

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RECORDS = 20


def record(number: int) -> bytes:
    common = {"sessionId": session_id(0), "cwd": "/home/ana/shop"}
    return answer(number * 2.0, number, number, number, usage=usage(100 + number), **common) + b"\n"


async def test_a_record_appended_to_a_log_is_on_the_open_page_within_a_second(
    reachable_dir: Path, pages: Opener
) -> None:
    home, data_dir = reachable_dir / "live home", reachable_dir / "live data"
    log = home / FOLDER / f"{session_id(0)}.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(prompt(0, 0, "hello", sessionId=session_id(0), cwd="/home/ana/shop") + b"\n" + record(1))
    with up(environment(home, data_dir)) as running:
        page = await pages.blank()
        await page.request.post(f"{running.url}/api/v1/login", data={"token": running.token})
        await page.goto(running.url)
        await page.evaluate("window.neverReloaded = true")
        requests = page.locator("dl > div").filter(has_text="each counted once").get_by_role("definition").first
        await expect(requests).to_have_text("1")
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        taken = []
        for number in range(2, RECORDS + 2):
            await asyncio.sleep(0.4)  # one record at a time, not a burst that is shown at once
            began = time.monotonic()
            with log.open("ab") as file:
                file.write(record(number))
            await page.wait_for_function(
                "([element, text]) => element.innerText === text", arg=[await requests.element_handle(), str(number)]
            )
            taken.append(time.monotonic() - began)
        assert await page.evaluate("window.neverReloaded")
        await page.close()  # before its hub goes
    print(f"\nlog to page: median {statistics.median(taken):.3f} s, worst {max(taken):.3f} s of {len(taken)}")
    assert statistics.median(taken) < 1, taken
