"""What the hub's commands share: settings, errors as one line, signals, a database that may have to be started."""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from trueup_hub.auth import Auth
from trueup_hub.db import Database
from trueup_hub.embedded_pg import EmbeddedPg
from trueup_hub.errors import HubError
from trueup_hub.hub_key import Revocations, load_or_make_key
from trueup_hub.migrate import migrate
from trueup_hub.running import claimed, running_hub
from trueup_hub.settings import HubSettings, check
from trueup_shared import settings as shared_settings
from trueup_shared.cli import Failure, Globals, WrongUsage, set_up_logs
from trueup_shared.settings import SettingError
from trueup_shared.terminal import printable

T = TypeVar("T")

_SECTIONS = ("agent", "harness", "hub", "up")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """What the hub raises on purpose becomes one line and an exit status of interface.md."""
    set_up_logs()
    try:
        yield
    except SettingError as error:
        raise WrongUsage(str(error)) from error
    except HubError as error:
        raise Failure(str(error)) from error


def data_dir_of(given: Globals) -> Path:
    return (given.data_dir or shared_settings.default_data_dir()).expanduser().absolute()


def load_settings(
    given: Globals, data_dir: Path, defaults: Mapping[str, Any] | None = None, **flags: Any
) -> HubSettings:
    """Section [hub] of the settings file, TRUEUP_ variables, flags. SettingError names what is wrong."""
    if given.config is not None and not given.config.is_file():
        raise SettingError(f"settings file {given.config}: not found")
    file = shared_settings.read_file(given.config or data_dir / "config.toml")
    for name in file:
        if name not in _SECTIONS:
            raise SettingError(f"unknown section '{name}' in the settings file; there are {', '.join(_SECTIONS)}")
    section = file.get("hub", {})
    if not isinstance(section, dict):
        raise SettingError("'hub' in the settings file must be a section: write [hub]")
    flags["data_dir"] = data_dir
    return check(shared_settings.load(HubSettings, {**(defaults or {}), **section}, os.environ, flags))


@contextlib.asynccontextmanager
async def opened_database(settings: HubSettings) -> AsyncIterator[tuple[Database, str]]:
    """(database, URL with password): the one set, a running hub's own, or our own started for a moment."""
    async with contextlib.AsyncExitStack() as stack:
        url = settings.database_url
        if url is None:
            running = running_hub(settings.hub_dir)
            url = running.database_url if running else None
        if url is None:
            stack.enter_context(claimed(settings.hub_dir))
            postgres = EmbeddedPg(settings.hub_dir / "pg")
            await postgres.start()
            stack.push_async_callback(postgres.stop)
            url = postgres.url()
        db = await Database.open(url, connections=2, ingest_connections=1)
        stack.push_async_callback(db.close)
        yield db, url


@contextlib.asynccontextmanager
async def opened_auth(settings: HubSettings) -> AsyncIterator[Auth]:
    """The hub's database in the schema of this release, for one administrator's command."""
    async with opened_database(settings) as (db, _):
        await migrate(db)
        key = load_or_make_key(settings.hub_dir, settings.hub_key)
        yield Auth(db, key, Revocations(settings.hub_dir), timedelta(days=settings.session_days))


def run_until_signal(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stopping)`. The first SIGINT or SIGTERM sets `stopping`, the second ends the process at once."""

    async def run() -> None:
        stopping, loop, numbers = asyncio.Event(), asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

        def leave(number: int, frame: object) -> None:
            os._exit(128 + number)

        def stop() -> None:
            stopping.set()
            for number in numbers:
                signal.signal(number, leave)  # not through the loop: it may be what is stuck

        for number in numbers:
            loop.add_signal_handler(number, stop)
        await main(stopping)

    with one_line_errors():
        asyncio.run(run())


def run_with_auth(given: Globals, work: Callable[[Auth, HubSettings], Coroutine[Any, Any, T]]) -> T:
    """Run one administrator's command."""

    async def run() -> T:
        settings = load_settings(given, data_dir_of(given))
        async with opened_auth(settings) as auth:
            return await work(auth, settings)

    with one_line_errors():
        return asyncio.run(run())


class Duration(click.ParamType[timedelta | None]):
    """`90s`, `30m`, `12h`, `1d`, `2w` or `never` (None)."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta | None:
        if isinstance(value, timedelta) or value == "never":
            return value if isinstance(value, timedelta) else None
        match = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", value)
        if match is None:
            self.fail(f"'{value}' is not a duration: write 30m, 12h, 1d, 2w or never", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


def show(document: Any, as_json: bool, text: str) -> None:
    """One JSON document, or text for people."""
    click.echo(json.dumps(document, default=str) if as_json else text)


def table(rows: list[tuple[object, ...]], header: tuple[str, ...]) -> str:
    """Columns for people; what is unknown is a dash. Agents said some of it: no terminal gets it as it is."""
    cells = [header, *(tuple("—" if cell is None else printable(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
