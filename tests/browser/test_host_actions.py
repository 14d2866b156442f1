"""What an administrator can do to machines from the page, against a real hub and, for a resync, a real agent."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from agent_process import Home, daemon, until
from axe import violations
from hub_process import Hub
from ledgers import AGENT
from machine import Machine
from opened_pages import Opener
from trueup_hub.enrolment import make_enroll_code
from trueup_shared import wire
from usage_week import CLAUDE, event, session

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DAY = "2026-11-08"


async def desk(hub: Hub) -> Machine:
    machine = await hub.machine("desk", labels={"team": "web"})
    await machine.push([session("s", DAY, CLAUDE), event("e", "s", DAY, CLAUDE, output_tokens=7)])
    await machine.beat()
    return machine


async def administering(pages: Opener, hub: Hub, address: str) -> Page:
    page = await pages.log_in(hub, address, token=hub.admin_token)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await page.evaluate("window.neverReloaded = true")
    return page


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


def asked_for(page: Page) -> Locator:
    return page.get_by_role("region", name="Resync").get_by_role("listitem")


async def host_of(hub: Hub, machine: Machine) -> Any:
    return await hub.get(f"hosts/{machine.host_id}")


async def test_a_new_name_and_labels_are_on_every_open_page(empty_hub: Hub, pages: Opener) -> None:
    machine = await desk(empty_hub)
    listed = await administering(pages, empty_hub, "hosts")
    page = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    await press(page, "Rename")
    await expect(page.get_by_label("New name")).to_have_value("desk")
    await page.get_by_label("New name").fill("Ana's desk")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Ana's desk")).to_be_visible()
    await expect(listed.get_by_role("link", name="Ana's desk")).to_be_visible()
    await press(page, "Edit labels")
    await page.get_by_label("Value of label 1").fill("data")
    await press(page, "Add a label")
    await page.get_by_label("Name of label 2").fill("site")
    await page.get_by_label("Value of label 2").fill("lyon")
    await press(page, "Save")
    await expect(listed.get_by_text("site lyon")).to_be_visible()
    host = await host_of(empty_hub, machine)
    assert (host["label"], host["labels"]) == ("Ana's desk", {"team": "data", "site": "lyon"})
    await press(page, "Edit labels")
    await page.get_by_label("Name of label 1").fill("a:b")
    await press(page, "Save")
    await expect(page.get_by_role("alert")).to_contain_text("cannot have the name 'a:b'")
    assert await listed.evaluate("window.neverReloaded")
    pages.expected.add("400")


async def test_a_host_is_retired_by_who_types_its_name(empty_hub: Hub, pages: Opener) -> None:
    machine = await desk(empty_hub)
    page = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    await press(page, "Retire")
    for wrong in ("", "Desk", "desk "):
        await page.get_by_label("Type desk to go on").fill(wrong)
        await expect(page.get_by_role("button", name="Retire it")).to_be_disabled()
    await page.get_by_label("Type desk to go on").fill("desk")
    await press(page, "Retire it")
    await expect(page.get_by_text("It was retired; what it sent stays and counts.")).to_be_visible()
    await expect(page.get_by_role("button", name="Retire", exact=True)).to_have_count(0)
    await expect(page.get_by_role("button", name="Resync now")).to_be_disabled()
    assert (await host_of(empty_hub, machine))["state"] == "retired"


async def test_a_host_is_forgotten_with_all_its_rows(empty_hub: Hub, pages: Opener) -> None:
    machine = await desk(empty_hub)
    other = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    page = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    await press(page, "Forget")
    await expect(page.get_by_role("dialog")).to_contain_text("2 rows, which then count nowhere")
    await page.get_by_label("Type desk to go on").fill("desk")
    await press(page, "Forget it and its rows")
    await expect(page.get_by_role("heading", name="It is forgotten")).to_be_visible()
    await expect(page.get_by_text("2 rows were removed")).to_be_visible()
    await expect(other.get_by_text("It is not at this hub any more")).to_be_visible()
    assert (await empty_hub.get("hosts"))["hosts"] == []
    pages.expected.add("404")


async def test_a_host_that_is_being_forgotten_says_how_much_is_left(empty_hub: Hub, pages: Opener) -> None:
    machine = await desk(empty_hub)
    await empty_hub.auth.db.execute("UPDATE hosts SET forgotten_at = now(), revoked_at = now()")
    page = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    await expect(page.get_by_text("It is being forgotten: 2 rows left to remove.")).to_have_count(1)
    await expect(page.get_by_role("progressbar", name="Rows removed")).to_be_visible()
    for name in ("Retire", "Forget"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)


async def test_a_machine_is_added_and_appears_as_soon_as_it_has_enrolled(empty_hub: Hub, pages: Opener) -> None:
    page = await administering(pages, empty_hub, "hosts")
    await press(page, "Add a machine")
    dialog = page.get_by_role("dialog", name="Add a machine")
    await expect(dialog.get_by_text("which no other machine reaches")).to_be_visible()  # loopback
    await page.get_by_label("For how many machines").fill("2")
    await press(page, "Add a label")
    await page.get_by_label("Name of label 1").fill("team")
    await page.get_by_label("Value of label 1").fill("ops")
    await press(page, "Make a code")
    commands = await dialog.get_by_text("trueup agent enroll").inner_text()
    enrolment = re.fullmatch(rf"trueup agent enroll {empty_hub.url} --code (\S+)\ntrueup agent run", commands)
    assert enrolment, commands
    await expect(dialog.get_by_role("timer")).to_contain_text("The code works for 2 machines, ")
    await expect(dialog.get_by_text("Waiting for the machine …")).to_be_visible()
    for label in ("laptop", "tower"):
        await Machine.enroll(empty_hub.http, empty_hub.url, enrolment[1], label)
        await expect(dialog.get_by_text(f"{label} has joined.")).to_be_visible()
    await press(page, "Close")
    await expect(page.get_by_text(enrolment[1])).to_have_count(0)
    await expect(page.get_by_role("link", name="tower")).to_be_visible()
    assert [host["labels"] for host in (await empty_hub.get("hosts"))["hosts"]] == [{"team": "ops"}] * 2
    assert await page.evaluate("window.neverReloaded")


async def test_a_code_that_nobody_used_expires_before_the_readers_eyes(empty_hub: Hub, pages: Opener) -> None:
    page = await pages.blank()
    await page.clock.install()
    await page.request.post(f"{empty_hub.url}/api/v1/login", data={"token": empty_hub.admin_token})
    await page.goto(f"{empty_hub.url}/hosts")
    await press(page, "Add a machine")
    await page.get_by_label("It works for").select_option("an hour")
    await press(page, "Make a code")
    await expect(page.get_by_role("timer")).to_contain_text("minutes")
    await page.clock.fast_forward("00:58:50")
    await expect(page.get_by_role("timer")).to_contain_text("1 minute ")
    await page.clock.fast_forward("00:01:30")
    await expect(page.get_by_role("timer")).to_have_text("The code has expired: make a new one.")


async def test_a_resync_is_followed_from_the_question_to_the_end(empty_hub: Hub, pages: Opener) -> None:
    machine = await desk(empty_hub)
    page = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    other = await administering(pages, empty_hub, f"hosts/{machine.host_id}")
    await page.get_by_role("button", name="Resync now").dblclick()
    for seen in (page, other):
        await expect(asked_for(seen)).to_contain_text("waits for the agent's next heartbeat")
    await press(other, "Resync now")
    await expect(other.get_by_text("It was asked for already")).to_be_visible()
    [directive] = (await host_of(empty_hub, machine))["directives"]  # however often it was pressed
    for report, words in (
        ({"state": "running", "done": 3, "of": 9, "note": "sending"}, "running: 3 of 9"),
        ({"state": "running", "done": 7, "of": 9, "note": "sending"}, "running: 7 of 9"),
        ({"state": "done", "done": 9, "of": 9, "note": "converged: 0 inserted"}, "done"),
    ):
        await machine.beat(directives=[wire.DirectiveReport(id=directive["directive_id"], **report)])
        for seen in (page, other):
            await expect(asked_for(seen)).to_contain_text(words, timeout=2_000)
            await expect(asked_for(seen)).to_contain_text(report["note"])
    await press(page, "More …")
    await press(page, "Compare and repair")
    await expect(page.get_by_role("button", name="Resync now")).to_be_focused()
    await expect(asked_for(other)).to_have_count(2)
    assert [one["kind"] for one in (await host_of(empty_hub, machine))["directives"]] == ["repair", "full_push"]
    assert await other.evaluate("window.neverReloaded")


async def test_a_resync_is_followed_where_no_event_comes_through(empty_hub: Hub, pages: Opener) -> None:
    machine = await desk(empty_hub)
    page = await pages.blank()
    await page.clock.install()
    await page.route("**/api/v1/events", lambda route: route.abort())
    await page.request.post(f"{empty_hub.url}/api/v1/login", data={"token": empty_hub.admin_token})
    await page.goto(f"{empty_hub.url}/hosts/{machine.host_id}")
    await press(page, "Resync now")
    await expect(asked_for(page)).to_contain_text("waits for the agent's next heartbeat")
    [directive] = (await host_of(empty_hub, machine))["directives"]
    report = wire.DirectiveReport(id=directive["directive_id"], state="running", done=1, of=2)
    await machine.beat(directives=[report])
    await page.clock.run_for(5_000)
    await expect(asked_for(page)).to_contain_text("running: 1 of 2")
    pages.complaints.clear()  # the browser reports each refused connection


async def test_a_resync_that_cannot_be_asked_for_says_why(empty_hub: Hub, pages: Opener) -> None:
    never, old = await empty_hub.machine("never"), await desk(empty_hub)
    page = await administering(pages, empty_hub, f"hosts/{never.host_id}")
    await press(page, "Resync now")
    await expect(page.get_by_role("alert")).to_contain_text("This host has not sent anything yet")
    await old.beat(agent=wire.AgentInfo(version="0.0.1"))
    await page.goto(f"{empty_hub.url}/hosts/{old.host_id}")
    await press(page, "Resync now")
    await expect(page.get_by_role("alert")).to_contain_text("The agent of this host is too old to be asked")
    await old.beat(agent=AGENT)
    # Retired in another window a moment ago; the page has not heard of it
    await page.route(f"**/hosts/{old.host_id}", lambda route: route.abort())
    await empty_hub.administer("PATCH", f"hosts/{old.host_id}", retired=True)
    await press(page, "Resync now")
    await expect(page.get_by_role("alert").filter(has_text="This host was retired")).to_be_visible()
    await page.context.set_offline(True)
    await press(page, "Resync now")
    await expect(page.get_by_role("alert").filter(has_text="The hub does not answer: nothing")).to_be_visible()
    await page.context.set_offline(False)
    # Another tab signed in with less
    await page.request.post(f"{empty_hub.url}/api/v1/login", data={"token": empty_hub.token})
    await press(page, "Resync now")
    await expect(page.get_by_role("alert").filter(has_text="Only an administrator may do this")).to_be_visible()
    pages.complaints.clear()  # the browser reports each refusal


async def test_a_running_agent_sends_everything_again_while_the_page_looks_on(
    empty_hub: Hub, pages: Opener, tmp_path: Path
) -> None:
    home = Home(tmp_path / "ana")
    home.append(3)
    env = {"TRUEUP_HUB_URL": empty_hub.url, "TRUEUP_ENROLL_CODE": await make_enroll_code(empty_hub.auth.db)}

    async def converged() -> bool:
        hosts = (await empty_hub.get("hosts"))["hosts"]
        return bool(hosts and hosts[0]["state"] == "converged")

    async with daemon(home, TRUEUP_HEARTBEAT_SECONDS="1", **env):
        await until(converged, "everything is there")
        [host] = (await empty_hub.get("hosts"))["hosts"]
        page = await administering(pages, empty_hub, f"hosts/{host['host_id']}")
        await press(page, "Resync now")
        await expect(asked_for(page)).to_contain_text("waits for the agent")
        await expect(asked_for(page).get_by_text("done", exact=True)).to_be_visible()
        await expect(asked_for(page)).to_contain_text("converged")
        await expect(page.get_by_text("generation 1 confirmed every row")).to_be_visible()
        assert await page.evaluate("window.neverReloaded")


async def test_a_viewer_sees_what_could_be_done_and_why_not(filled_hub: Hub, pages: Opener) -> None:
    page = await pages.log_in(filled_hub, "hosts")
    await expect(page.get_by_role("button", name="Add a machine")).to_be_disabled()
    await expect(page.get_by_text("Only an administrator can do this")).to_be_visible()
    await page.get_by_role("link", name="laptop").click()
    for name in ("Rename", "Edit labels", "Retire", "Forget", "Resync now"):
        await expect(page.get_by_role("button", name=name)).to_be_disabled()
    await expect(page.get_by_text("Only an administrator can do this")).to_have_count(2)


async def test_a_dialog_takes_the_focus_and_gives_it_back(filled_hub: Hub, pages: Opener) -> None:
    """On a phone, in the dark, by axe; test_everywhere.py has the pages themselves."""
    page = await pages.log_in(filled_hub, "hosts", width=390, scheme="dark", token=filled_hub.admin_token)
    await page.get_by_role("link", name="laptop").click()
    await press(page, "Retire")
    await expect(page.get_by_role("textbox")).to_be_focused()
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Retire")).to_be_focused()
