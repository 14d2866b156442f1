"""`trueup hub verify`, `reprice`, `backup`, `restore`: the hub's numbers against its rows, its prices, its database."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import click
import msgspec

from trueup_hub import backup as backups
from trueup_hub import repricing
from trueup_hub.auth import Auth
from trueup_hub.cli.loading import data_dir_of, load_settings, one_line_errors, opened_database, run_with_auth, show
from trueup_hub.errors import AlreadyRunning
from trueup_hub.pricing import applicable, candidate, establish, fits_nothing, own_overrides
from trueup_hub.repricing import Repriced
from trueup_hub.running import running_hub
from trueup_hub.scrubbing import scrub_all
from trueup_hub.settings import HubSettings
from trueup_hub.verification import Difference, Waiting, differences, waiting
from trueup_shared.cli import Failure, Globals
from trueup_shared.prices import PriceList

_NOT_CONVERGED = 3
_ACTOR = "command line"

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, resolve_path=True))


@click.command()
@click.option("--repair", is_flag=True, help="Mend what the hub can mend by itself; agents bring the rest.")
@_as_json
@click.pass_context
def verify(context: click.Context, repair: bool, as_json: bool) -> None:
    """Hold every sum, decision and rollup against the stored rows. Exit status 3 where something differs."""

    async def work(auth: Auth, settings: HubSettings) -> tuple[list[Difference], list[Difference], list[Waiting]]:
        found = left = await differences(auth.db)
        if not repair:
            return found, left, []
        await scrub_all(auth.db)
        if found:
            left = await differences(auth.db)
        return found, left, await waiting(auth.db)

    found, left, awaited = run_with_auth(context.obj, work)
    document = {"clean": not left, "found": found, "left": left, "waiting": awaited}
    show(msgspec.to_builtins(document), as_json, "\n".join(_account(found, left, awaited, repair)))
    if left or awaited:
        context.exit(_NOT_CONVERGED)


def _account(found: list[Difference], left: list[Difference], awaited: list[Waiting], repair: bool) -> list[str]:
    if not found and not awaited:
        return ["Everything agrees with the rows that are stored."]
    lines = _lines(found)
    if repair and found and not left:
        lines.append("All of that is mended.")
    elif repair and left:
        lines.append("After mending there still differ (run it again; batches that came meanwhile can do that):")
        lines += _lines(left)
    elif found:
        lines.append("Mend it with: trueup hub verify --repair")
    lines += [f"{one.label}: its agent brings what differs from its ledger {one.ledger_id}" for one in awaited]
    return lines


def _lines(found: list[Difference]) -> list[str]:
    return [f"{one.label or 'no host'}: {one.what} ({one.check}: {one.count})" for one in found]


@click.command()
@click.option("--prices", "file", type=click.Path(path_type=Path), help="Apply the price table in this file.")
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@_as_json
@click.pass_obj
def reprice(given: Globals, file: Path | None, dry_run: bool, as_json: bool) -> None:
    """Price all stored requests with the table in force, under `price_overrides`. The hub may run meanwhile.

    Interrupted, the hub goes on by itself. What it did is in the audit table, with the sums before and after.
    """
    begun = False

    async def work(auth: Auth, settings: HubSettings) -> tuple[PriceList, list[str], Repriced]:
        overrides = own_overrides(settings.price_overrides)
        applied = None if file is None else applicable(file, overrides)
        if dry_run:
            prices = applied or await candidate(auth.db, overrides)
            done = await _followed(repricing.dry_run(auth.db, prices))
            return prices, await fits_nothing(auth.db, prices), done
        nonlocal begun
        table = await establish(auth.db, overrides, _ACTOR, applied)
        number = await repricing.begin(auth.db, table, _ACTOR)
        begun = True
        done = await _followed(repricing.go_on(auth.db, number))
        return table.prices, await fits_nothing(auth.db, table.prices), done

    try:
        prices, unmet, done = run_with_auth(given, work)
    except KeyboardInterrupt:
        if not begun:
            raise
        raise Failure(
            "interrupted: some requests have their new price; a running hub goes on with the others within a minute,"
            " and so does this command when it is run again"
        ) from None
    about = {"digest": prices.digest, "date": prices.date, "source": prices.source, "own": prices.overrides.number}
    document = {"dry_run": dry_run, "prices": about | {"fits_nothing": unmet}} | msgspec.to_builtins(done)
    lines = _repriced(prices, done, dry_run)
    if unmet:
        lines.append(f"  fits no model that was used: {', '.join(unmet)}")
    show(document, as_json, "\n".join(lines))


async def _followed(steps: AsyncIterator[Repriced]) -> Repriced:
    """The last step; on its way a line a second for people."""
    told = time.monotonic()
    async for step in steps:
        if not step.ended and time.monotonic() > told + 1:
            click.echo(f"{step.seen:,} of {step.rows:,} requests gone through, {step.events:,} repriced", err=True)
            told = time.monotonic()
    return step


def _repriced(prices: PriceList, done: Repriced, dry_run: bool) -> list[str]:
    own = f", {prices.overrides.number} of your own over it" if prices.overrides.number else ""
    table = f"the table of {prices.date} ({prices.source}{own})"
    if not done.events:
        return [f"All {done.seen:,} requests are priced with {table}."]
    before, after = done.before, done.after
    return [
        f"{done.events:,} requests {'would be' if dry_run else 'are'} priced again with {table}; "
        f"{done.counted:,} of them count:",
        f"  cost at list price  {_dollars(before.cost_microusd)} -> {_dollars(after.cost_microusd)}",
        f"  saved by caching    {_dollars(before.cache_savings_microusd)} -> {_dollars(after.cache_savings_microusd)}",
        f"  tokens unpriced     {before.unpriced_tokens:,} -> {after.unpriced_tokens:,}",
    ]


def _dollars(microusd: int) -> str:
    """To the cent, half up."""
    cents, sign = (abs(microusd) + 5_000) // 10_000, "-" if microusd < 0 else ""
    return f"{sign}${cents // 100:,}.{cents % 100:02d}"


@click.command()
@_file
@_as_json
@click.pass_obj
def backup(given: Globals, file: Path, as_json: bool) -> None:
    """Write the hub's database to FILE, consistent, while the hub runs. Keep hub.key too: it is not in it."""

    async def run() -> tuple[HubSettings, int]:
        settings = load_settings(given, data_dir_of(given))
        async with opened_database(settings) as (db, url):
            return settings, await backups.back_up(db, url, file, os.environ)

    with one_line_errors():
        settings, size = asyncio.run(run())
    key = "the setting hub_key" if settings.hub_key else settings.hub_dir / "hub.key"
    text = f"{file}: {size:,} bytes. It does not hold the hub's key; keep a copy of that too: {key}"
    show({"file": str(file), "bytes": size, "hub_key": str(key)}, as_json, text)


@click.command()
@_file
@click.option("--replace", is_flag=True, help="Even where the database has hosts: they are lost.")
@_as_json
@click.pass_obj
def restore(given: Globals, file: Path, replace: bool, as_json: bool) -> None:
    """Make the database what it was when FILE was written. The hub must not run; agents bring what came since."""

    async def run() -> None:
        settings = load_settings(given, data_dir_of(given))
        if settings.database_url is None and (other := running_hub(settings.hub_dir)) is not None:
            raise AlreadyRunning(f"trueup is running (pid {other.pid}) on {settings.data_dir}: stop it first")
        async with opened_database(settings) as (db, url):
            await backups.restore(db, url, file, os.environ, replace=replace)

    with one_line_errors():
        asyncio.run(run())
    text = (
        "Restored. The hub checks every row when it starts, and agents bring by themselves what came since the backup."
    )
    show({"restored": str(file)}, as_json, text)
