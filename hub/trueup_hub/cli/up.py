"""`trueup up`: hub on its own PostgreSQL, agent for this machine and a page, with nothing to set up."""

import asyncio
import contextlib
import json
import os
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
from msgspec import Struct

from trueup_hub.app import Hub, serving, watched
from trueup_hub.children import child, run_to_end
from trueup_hub.cli.loading import data_dir_of, load_settings, run_until_signal
from trueup_hub.enrolment import make_enroll_code
from trueup_hub.errors import EnrolledElsewhere
from trueup_hub.running import Running, claimed, wait_until_free
from trueup_hub.settings import LOOPBACK_NAMES, HubSettings
from trueup_shared import machine
from trueup_shared.cli import Globals

_NAME = "trueup up"  # of its access token; the one of an earlier start is revoked
_LEDGER_SECONDS = 5.0  # how long the agent of a predecessor that was killed may take to let go of the ledger
_BROWSER_SECONDS = 5.0
_CODE_LIFE = timedelta(minutes=10)
_AGENT = (sys.executable, "-m", "trueup_agent", "agent", "run")
# A demo's agent must not find the logs, settings or agents of the user who runs it.
_OF_THE_USER = ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TRUEUP_CONFIG", "TRUEUP_HOMES")


class _Asked(Struct, frozen=True, kw_only=True):
    """The flags."""

    port: int | None
    demo: bool
    no_browser: bool
    as_json: bool


class Agent(Struct, frozen=True, kw_only=True):
    """An agent to run: where its ledger is; its home, where that is not the user's own."""

    data_dir: Path
    label: str | None = None
    home: Path | None = None


@click.command()
@click.option("--port", type=int, help="Port of the page (default 8787).")
@click.option("--demo", is_flag=True, help="Use generated logs, in a data directory of their own.")
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout when ready.")
@click.pass_obj
def up(given: Globals, port: int | None, demo: bool, no_browser: bool, as_json: bool) -> None:
    """Hub, agent and page for this machine, on the loopback address only."""
    data_dir = data_dir_of(given) / "demo" if demo else data_dir_of(given)
    asked = _Asked(port=port, demo=demo, no_browser=no_browser, as_json=as_json)
    run_until_signal(lambda stopping: _run(given, data_dir, asked, stopping))


async def _run(given: Globals, data_dir: Path, asked: _Asked, stopping: asyncio.Event) -> None:
    """Start order: our data directory, demo logs, hub, agents, page. Stop order: agents, hub, PostgreSQL."""
    defaults = {"timezone": machine.timezone(os.environ)}
    settings = _for_this_machine(load_settings(given, data_dir, defaults, port=asked.port, host="127.0.0.1"))
    with claimed(settings.hub_dir) as tell:
        agents = await _demo_agents(data_dir) if asked.demo else [Agent(data_dir=data_dir)]
        for agent in agents:
            _refuse_to_move(agent.data_dir)
            await wait_until_free(agent.data_dir / "ledger.lock", _LEDGER_SECONDS)
        async with serving(settings, stopping) as hub, contextlib.AsyncExitStack() as stack:
            tell(Running(pid=os.getpid(), url=hub.url, database_url=hub.database_url))
            vital: dict[str, Callable[[], Awaitable[object]]] = {"the hub": hub.wait}
            for agent in agents:
                process = await stack.enter_async_context(child(_AGENT, await _environ(given, agent, hub)))
                vital[f"the agent of {agent.data_dir}"] = process.wait
            wait = await stack.enter_async_context(watched(vital, stopping))
            await _tell_user(hub, data_dir, asked)
            await wait()


class _Enrolment(Struct, frozen=True):
    """What matters here of the agent's host.json."""

    hub_url: str = ""


def _refuse_to_move(data_dir: Path) -> None:
    """The agent would enrol here and forget the hub that it pushes to. An earlier `up` (loopback) it may forget."""
    try:
        enrolment = msgspec.json.decode((data_dir / "host.json").read_bytes(), type=_Enrolment)
    except (FileNotFoundError, msgspec.DecodeError):
        return  # the agent names what is wrong with the file
    if (urlsplit(enrolment.hub_url).hostname or "127.0.0.1") not in LOOPBACK_NAMES:
        raise EnrolledElsewhere(
            f"this machine pushes to {enrolment.hub_url}, and `trueup up` would end that: "
            "look there, or give up a data directory of its own (--data-dir)"
        )


def _for_this_machine(settings: HubSettings) -> HubSettings:
    """What a file or the environment says for a hub that others reach does not count here."""
    return msgspec.structs.replace(
        settings, database_url=None, public_url=None, allowed_hosts=(), tls_cert=None, tls_key=None
    )


async def _demo_agents(data_dir: Path) -> list[Agent]:
    """Generated logs: one home for each machine of the demo, each with an agent of its own."""
    homes = data_dir / "homes"
    await run_to_end([sys.executable, "-m", "trueup_agent.demo", str(homes)], os.environ)
    return [
        Agent(data_dir=data_dir / "agents" / home.name, label=home.name, home=home)
        for home in sorted(homes.iterdir())
        if home.is_dir()
    ]


async def _environ(given: Globals, agent: Agent, hub: Hub) -> dict[str, str]:
    """An agent is told everything by its environment. That of a demo loses what names the user's own logs."""
    environ = {name: value for name, value in os.environ.items() if agent.home is None or name not in _OF_THE_USER}
    if given.config is not None and agent.home is None:
        environ["TRUEUP_CONFIG"] = str(given.config)
    if agent.home is not None:
        environ["HOME"] = str(agent.home)
    if agent.label is not None:
        environ["TRUEUP_LABEL"] = agent.label
    environ["TRUEUP_DATA_DIR"] = str(agent.data_dir)
    environ["TRUEUP_HUB_URL"] = hub.url
    environ["TRUEUP_ENROLL_CODE"] = await make_enroll_code(hub.auth.db, uses=1, life=_CODE_LIFE)
    return environ


async def _tell_user(hub: Hub, data_dir: Path, asked: _Asked) -> None:
    """stdout: for scripts one JSON line, for people a login URL and, as the last line, the address."""
    await hub.auth.revoke_tokens_named(_NAME)
    login = f"{hub.url}/login?code={await hub.auth.make_login_code('admin')}"
    if asked.as_json:
        token = await hub.auth.make_token("admin", _NAME, None, _NAME)
        about = {"url": hub.url, "token": token, "pid": os.getpid(), "data_dir": str(data_dir), "login_url": login}
        click.echo(json.dumps(about))
        return
    opened = not asked.no_browser and await _open_browser(login)
    # Even then: that an opener started (xdg-open, over ssh -X …) does not mean that somebody sees a page.
    way = "If no page opens, log in" if opened else "Log in"
    click.echo(f"{way} (once, within ten minutes; Ctrl-C stops it): {login}")
    click.echo(hub.url)


async def _open_browser(url: str) -> bool:
    """False where there is no graphical browser; one for the terminal would take the terminal over."""
    if sys.platform == "linux" and not ("DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ):
        return False
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[bool] = loop.create_future()

    def tell(done: bool) -> None:
        if not opened.done():
            opened.set_result(done)

    def open_it() -> None:
        done = webbrowser.open(url)
        with contextlib.suppress(RuntimeError):  # we have stopped meanwhile
            loop.call_soon_threadsafe(tell, done)

    threading.Thread(target=open_it, daemon=True).start()  # some browsers return when they are closed
    try:
        return await asyncio.wait_for(opened, _BROWSER_SECONDS)
    except TimeoutError:
        return False
